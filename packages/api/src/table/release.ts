import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as releases from "../schemas/releases.ts";
import { digestSchema } from "../schemas/values.ts";

/** More of releases: the list and the single one are beside the fleet. */
export const releaseEndpoints = {
  releaseDiff: {
    ...json,
    method: "GET",
    path: "/v1/releases/{digest}/diff",
    role: "viewer",
    summary: "What a release changes, for one stamp or beside another release",
    params: z.strictObject({ digest: digestSchema }),
    query: releases.releaseDiffQuery,
    response: releases.releaseDiffSchema,
  },
  releaseMatrix: {
    ...json,
    method: "GET",
    path: "/v1/fleet/releases",
    role: "viewer",
    summary: "Which stamp runs which release, and what has not arrived",
    response: releases.releaseMatrixSchema,
  },
} as const satisfies Record<string, Endpoint>;
