import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as campaigns from "../schemas/campaigns.ts";
import { nameSchema, pageOf } from "../schemas/values.ts";

const named = z.strictObject({ name: nameSchema });
const command = {
  method: "POST",
  role: "operator",
  params: campaigns.campaignParams,
  body: campaigns.campaignReasonSchema,
  answers: "json",
  response: campaigns.campaignSchema,
  status: 202,
  ifMatch: true,
} as const;

/** Moves of many tenants with one aim: to empty a stamp, or to even out a pool. */
export const campaignEndpoints = {
  campaignPlanDrain: {
    ...json,
    method: "GET",
    path: "/v1/stamps/{name}/drain",
    role: "viewer",
    summary: "What a drain of this stamp would be now: who goes where, who cannot, and how long it takes",
    params: named,
    query: campaigns.campaignPlanQuery,
    response: campaigns.campaignPlanSchema,
  },
  campaignPlanRebalance: {
    ...json,
    method: "GET",
    path: "/v1/pools/{name}/rebalance",
    role: "viewer",
    summary: "What evening out this pool would be now: the fewest moves, and what they bring",
    params: named,
    query: campaigns.campaignPlanQuery,
    response: campaigns.campaignPlanSchema,
  },
  campaignRebalance: {
    method: "POST",
    path: "/v1/pools/{name}/rebalance",
    role: "operator",
    summary: "Even out a pool by a campaign of moves, as it is planned now",
    params: named,
    body: campaigns.campaignRebalanceSchema,
    answers: "json",
    response: campaigns.campaignSchema,
    status: 202,
    idempotencyKey: true,
  },
  campaignList: {
    ...json,
    method: "GET",
    path: "/v1/campaigns",
    role: "viewer",
    summary: "Campaigns, the newest first",
    query: campaigns.campaignListQuery,
    response: pageOf(campaigns.campaignSchema),
  },
  campaignGet: {
    ...json,
    method: "GET",
    path: "/v1/campaigns/{id}",
    role: "viewer",
    summary: "One campaign: how far it is, what it waits for, and how long it will take",
    params: campaigns.campaignParams,
    response: campaigns.campaignDetailSchema,
  },
  campaignItems: {
    ...json,
    method: "GET",
    path: "/v1/campaigns/{id}/items",
    role: "viewer",
    summary: "The tenants of a campaign, in the order in which they go",
    params: campaigns.campaignParams,
    query: campaigns.campaignItemsQuery,
    response: pageOf(campaigns.campaignItemSchema),
  },
  campaignPause: {
    ...command,
    path: "/v1/campaigns/{id}/pause",
    summary: "Begin no more moves; those under way end",
  },
  campaignResume: {
    ...command,
    path: "/v1/campaigns/{id}/resume",
    summary: "Let a paused campaign go on",
  },
  campaignCancel: {
    ...command,
    path: "/v1/campaigns/{id}/cancel",
    summary: "End a campaign: moves that are not decided are taken back, the others end",
  },
} as const satisfies Record<string, Endpoint>;
