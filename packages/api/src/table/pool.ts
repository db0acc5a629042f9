import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as fleet from "../schemas/fleet.ts";
import * as pools from "../schemas/pools.ts";
import { pageOf, pageQuery } from "../schemas/values.ts";

export const poolEndpoints = {
  poolList: {
    ...json,
    method: "GET",
    path: "/v1/pools",
    role: "viewer",
    summary: "Pools with places taken and there",
    query: z.strictObject(pageQuery),
    response: pageOf(fleet.poolViewSchema),
  },
  poolGet: {
    ...json,
    method: "GET",
    path: "/v1/pools/{name}",
    role: "viewer",
    summary: "One pool: what it waits for, what it proposes, and when it is full",
    params: pools.poolNameParams,
    response: pools.poolDetailSchema,
  },
  poolApplyProposal: {
    method: "POST",
    path: "/v1/pools/{name}/proposals",
    role: "operator",
    summary: "Do what a pool proposes",
    params: pools.poolNameParams,
    body: pools.poolProposalSchema,
    answers: "json",
    response: pools.poolProposalAppliedSchema,
    status: 202,
    idempotencyKey: true,
  },
} as const satisfies Record<string, Endpoint>;
