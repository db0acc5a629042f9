import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as fleet from "../schemas/fleet.ts";
import { digestSchema, pageOf, pageQuery } from "../schemas/values.ts";

const page = z.strictObject(pageQuery);
export const fleetEndpoints = {
  plan: {
    ...json,
    method: "POST",
    path: "/v1/plan",
    role: "viewer",
    summary: "What an apply of these files would change",
    body: fleet.manifestsSchema,
    response: fleet.planSchema,
  },
  apply: {
    ...json,
    method: "POST",
    path: "/v1/apply",
    role: "operator",
    summary: "Record these files as the goal; reconcilers make it so",
    body: fleet.applySchema,
    response: fleet.appliedSchema,
    idempotencyKey: true,
    ifMatch: true,
  },
  fleetGet: {
    ...json,
    method: "GET",
    path: "/v1/fleet",
    role: "viewer",
    summary: "The fleet as it was last applied",
    response: fleet.fleetSchema,
  },
  releaseList: {
    ...json,
    method: "GET",
    path: "/v1/releases",
    role: "viewer",
    summary: "Releases, newest first",
    query: page,
    response: pageOf(fleet.releaseSchema),
  },
  releaseGet: {
    ...json,
    method: "GET",
    path: "/v1/releases/{digest}",
    role: "viewer",
    summary: "One release",
    params: z.strictObject({ digest: digestSchema }),
    response: fleet.releaseSchema,
  },
} as const satisfies Record<string, Endpoint>;
