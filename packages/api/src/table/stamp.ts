import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as stamps from "../schemas/stamps.ts";
import { nameSchema, pageOf } from "../schemas/values.ts";

const stampName = z.strictObject({ name: nameSchema });
export const stampEndpoints = {
  stampList: {
    ...json,
    method: "GET",
    path: "/v1/stamps",
    role: "viewer",
    summary: "Stamps",
    query: stamps.stampListQuery,
    response: pageOf(stamps.stampSchema),
  },
  stampGet: {
    ...json,
    method: "GET",
    path: "/v1/stamps/{name}",
    role: "viewer",
    summary: "One stamp, with what its engine sees",
    params: stampName,
    response: stamps.stampSchema,
  },
  stampCreate: {
    method: "POST",
    path: "/v1/stamps",
    role: "operator",
    summary: "Another stamp of a pool",
    body: stamps.stampCreateSchema,
    answers: "json",
    response: stamps.stampSchema,
    status: 201,
    idempotencyKey: true,
  },
  stampDelete: {
    method: "DELETE",
    path: "/v1/stamps/{name}",
    role: "admin",
    summary: "Destroy an empty stamp, or a full one by force",
    params: stampName,
    query: stamps.stampDeleteQuery,
    answers: "json",
    response: stamps.stampSchema,
    status: 202,
    ifMatch: true,
  },
  stampLogs: {
    method: "GET",
    path: "/v1/stamps/{name}/logs",
    role: "operator",
    summary: "Log lines as `component[.replica] | line`",
    params: stampName,
    query: stamps.stampLogsQuery,
    answers: "lines",
    status: 200,
  },
  stampDiff: {
    ...json,
    method: "GET",
    path: "/v1/stamps/{name}/diff",
    role: "viewer",
    summary: "Differences between its release and reality",
    params: stampName,
    response: stamps.stampDiffSchema,
  },
  stampKeysRotate: {
    ...json,
    method: "POST",
    path: "/v1/stamps/{name}/keys/rotate",
    role: "admin",
    summary: "Next step of a route-key rotation",
    params: stampName,
    response: stamps.keyRotationSchema,
  },
} as const satisfies Record<string, Endpoint>;
