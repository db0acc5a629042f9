import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as holds from "../schemas/holds.ts";
import { tenantKeySchema } from "../schemas/values.ts";

const tenantKey = z.strictObject({ key: tenantKeySchema });

/** Requests of a tenant wait in the routers, for a bounded time (decision D13). */
export const holdEndpoints = {
  holdTenant: {
    ...json,
    method: "POST",
    path: "/v1/tenants/{key}/hold",
    role: "admin",
    summary: "Let a tenant's requests wait in the routers, for a bounded time",
    params: tenantKey,
    body: holds.holdCreateSchema,
    response: holds.holdSchema,
  },
  releaseTenant: {
    method: "DELETE",
    path: "/v1/tenants/{key}/hold",
    role: "admin",
    summary: "Let the requests of a held tenant go on",
    params: tenantKey,
    query: holds.releaseQuery,
    answers: "none",
    status: 204,
  },
  holdAcknowledge: {
    method: "POST",
    path: "/v1/directory/hold",
    role: "router",
    summary: "A router holds a tenant, and has so many of its requests on their way",
    body: holds.holdAcknowledgementSchema,
    answers: "none",
    status: 204,
  },
} as const satisfies Record<string, Endpoint>;
