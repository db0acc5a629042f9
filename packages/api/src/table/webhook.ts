import { type Endpoint, json } from "../endpoint.ts";
import * as webhooks from "../schemas/webhooks.ts";

/** Who is told of rollouts, signed by the Standard Webhooks specification. */
export const webhookEndpoints = {
  webhookList: {
    ...json,
    method: "GET",
    path: "/v1/webhooks",
    role: "operator",
    summary: "Webhooks",
    response: webhooks.webhookListSchema,
  },
  webhookAdd: {
    method: "POST",
    path: "/v1/webhooks",
    role: "admin",
    summary: "Tell this address of what happens; the answer shows the secret that messages are signed with, once",
    body: webhooks.webhookAddSchema,
    answers: "json",
    response: webhooks.webhookAddedSchema,
    status: 201,
  },
  webhookRemove: {
    method: "DELETE",
    path: "/v1/webhooks/{id}",
    role: "admin",
    summary: "Tell an address no more",
    params: webhooks.webhookParams,
    answers: "none",
    status: 204,
  },
  webhookTest: {
    method: "POST",
    path: "/v1/webhooks/{id}/test",
    role: "operator",
    summary: "Send a test message, signed like every other",
    params: webhooks.webhookParams,
    answers: "json",
    response: webhooks.webhookTestedSchema,
    status: 202,
  },
  webhookMessages: {
    ...json,
    method: "GET",
    path: "/v1/webhooks/{id}/messages",
    role: "operator",
    summary: "What was sent to an address, the newest first, and how it was taken",
    params: webhooks.webhookParams,
    response: webhooks.webhookMessagesSchema,
  },
} as const satisfies Record<string, Endpoint>;
