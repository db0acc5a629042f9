import { type Endpoint, json } from "../endpoint.ts";
import * as evidence from "../schemas/evidence.ts";

const mebibyte = 1_048_576;

/** What routers count, for those who judge releases by it. */
export const evidenceEndpoints = {
  feedCounts: {
    ...json,
    method: "POST",
    path: "/v1/feed/counts",
    role: "router",
    summary: "What a router has counted since it started, by stamp",
    body: evidence.countsReportSchema,
    bodyLimit: 8 * mebibyte,
    response: evidence.countsAnswerSchema,
  },
} as const satisfies Record<string, Endpoint>;
