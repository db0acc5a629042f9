import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import { fenceSchema, fenceSetSchema } from "../schemas/fence.ts";
import { nameSchema } from "../schemas/values.ts";

const params = z.strictObject({ name: nameSchema });

/** The guard of a stamp's tables, which moves need. */
export const fenceEndpoints = {
  fenceGet: {
    ...json,
    method: "GET",
    path: "/v1/stamps/{name}/fence",
    role: "viewer",
    summary: "The fence on every table of a stamp, and what its report mode has noted",
    params,
    response: fenceSchema,
  },
  fenceSet: {
    ...json,
    method: "POST",
    path: "/v1/stamps/{name}/fence",
    role: "operator",
    summary: "Install the fence on a live stamp, change its mode, or take it off",
    params,
    body: fenceSetSchema,
    response: fenceSchema,
  },
} as const satisfies Record<string, Endpoint>;
