import { type Endpoint, json } from "../endpoint.ts";
import * as freezes from "../schemas/freezes.ts";

/** What stops rollouts, moves, scaling and destroys. Routing is never touched by one. */
export const freezeEndpoints = {
  freezeList: {
    ...json,
    method: "GET",
    path: "/v1/freezes",
    role: "viewer",
    summary: "Freezes that people have said, and the windows of fleet.yaml",
    response: freezes.freezeListSchema,
  },
  freezeStart: {
    method: "POST",
    path: "/v1/freezes",
    role: "operator",
    summary: "Stop rollouts, moves, scaling and destroys in a scope, within seconds",
    body: freezes.freezeStartSchema,
    answers: "json",
    response: freezes.freezeSchema,
    status: 201,
    idempotencyKey: true,
  },
  freezeEnd: {
    method: "DELETE",
    path: "/v1/freezes/{id}",
    role: "operator",
    summary: "End a freeze",
    params: freezes.freezeParams,
    query: freezes.freezeEndQuery,
    answers: "none",
    status: 204,
  },
} as const satisfies Record<string, Endpoint>;
