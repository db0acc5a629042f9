import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as placement from "../schemas/placement.ts";
import { tenantCreateSchema } from "../schemas/tenants.ts";
import { pageOf, pageQuery, reasonSchema, tenantKeySchema } from "../schemas/values.ts";

const tenantKey = z.strictObject({ key: tenantKeySchema });

/** Where tenants go and why, and what operators say of it. */
export const placementEndpoints = {
  placementPreview: {
    ...json,
    method: "POST",
    path: "/v1/placement/preview",
    role: "viewer",
    summary: "Where a new tenant would go, with a reason for every stamp; changes nothing",
    body: tenantCreateSchema,
    response: placement.placementSchema,
  },
  placementExplain: {
    ...json,
    method: "GET",
    path: "/v1/tenants/{key}/placement",
    role: "viewer",
    summary: "Where a tenant would go if it were placed now, with a reason for every stamp",
    params: tenantKey,
    response: placement.placementSchema,
  },
  overrideList: {
    ...json,
    method: "GET",
    path: "/v1/placement/overrides",
    role: "viewer",
    summary: "Pins and quarantines in force",
    query: z.strictObject(pageQuery),
    response: pageOf(placement.overrideSchema),
  },
  overrideSet: {
    ...json,
    method: "PUT",
    path: "/v1/tenants/{key}/override",
    role: "operator",
    summary: "Pin a tenant to a stamp or quarantine it, from its next placement on",
    params: tenantKey,
    body: placement.overrideSetSchema,
    response: placement.overrideSchema,
  },
  overrideRemove: {
    method: "DELETE",
    path: "/v1/tenants/{key}/override",
    role: "operator",
    summary: "End the pin or quarantine of a tenant",
    params: tenantKey,
    query: z.strictObject({
      /** End it only if it is one of these. */
      kind: z.enum(["pin", "quarantine"]).optional(),
      reason: reasonSchema.optional(),
    }),
    answers: "none",
    status: 204,
  },
} as const satisfies Record<string, Endpoint>;
