import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as pins from "../schemas/pins.ts";
import { nameSchema, tenantKeySchema } from "../schemas/values.ts";

const stampName = z.strictObject({ name: nameSchema });
const tenantKey = z.strictObject({ key: tenantKeySchema });

const set = {
  ...json,
  method: "PUT",
  role: "operator",
  body: pins.pinSetSchema,
  response: pins.pinSchema,
} as const;

const remove = {
  method: "DELETE",
  role: "operator",
  query: pins.pinRemoveQuery,
  answers: "none",
  status: 204,
} as const;

/** What rollouts pass by, until a date. */
export const pinEndpoints = {
  pinList: {
    ...json,
    method: "GET",
    path: "/v1/pins",
    role: "viewer",
    summary: "Stamps and tenants that are pinned to a release",
    response: pins.pinListSchema,
  },
  pinStampSet: {
    ...set,
    path: "/v1/stamps/{name}/pin",
    summary: "Keep a stamp on a release until a date",
    params: stampName,
  },
  pinStampRemove: {
    ...remove,
    path: "/v1/stamps/{name}/pin",
    summary: "End the pin of a stamp",
    params: stampName,
  },
  pinTenantSet: {
    ...set,
    path: "/v1/tenants/{key}/release-pin",
    summary: "Keep every stamp that holds this tenant on a release until a date",
    params: tenantKey,
  },
  pinTenantRemove: {
    ...remove,
    path: "/v1/tenants/{key}/release-pin",
    summary: "End the pin of a tenant to a release",
    params: tenantKey,
  },
} as const satisfies Record<string, Endpoint>;
