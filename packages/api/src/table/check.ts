import { type Endpoint, json } from "../endpoint.ts";
import * as check from "../schemas/check.ts";
import { pageOf } from "../schemas/values.ts";

export const checkEndpoints = {
  fleetCheck: {
    ...json,
    method: "GET",
    path: "/v1/fleet/check",
    role: "viewer",
    summary: "What two stamps share, and what they use outside",
    query: check.fleetCheckQuery,
    response: check.fleetCheckSchema,
  },
  residencyList: {
    ...json,
    method: "GET",
    path: "/v1/residency",
    role: "viewer",
    summary: "Where every tenant's data lives, where it may, and by which rule",
    query: check.residencyQuery,
    response: pageOf(check.residencySchema),
  },
} as const satisfies Record<string, Endpoint>;
