import { z } from "zod";
import { type Endpoint, json } from "../endpoint.ts";
import * as tenants from "../schemas/tenants.ts";
import { hostnameSchema, pageOf, pageQuery, reasonSchema, tenantKeySchema, timeSchema } from "../schemas/values.ts";

const page = z.strictObject(pageQuery);
const tenantKey = z.strictObject({ key: tenantKeySchema });
const hostnameOfTenant = z.strictObject({ key: tenantKeySchema, hostname: hostnameSchema });
const mebibyte = 1_048_576;
export const tenantEndpoints = {
  tenantList: {
    ...json,
    method: "GET",
    path: "/v1/tenants",
    role: "viewer",
    summary: "Tenants",
    query: tenants.tenantListQuery,
    response: pageOf(tenants.tenantSchema),
  },
  tenantGet: {
    ...json,
    method: "GET",
    path: "/v1/tenants/{key}",
    role: "viewer",
    summary: "One tenant",
    params: tenantKey,
    response: tenants.tenantSchema,
  },
  tenantCreate: {
    method: "POST",
    path: "/v1/tenants",
    role: "operator",
    summary: "A new tenant, placed on a stamp with room",
    query: tenants.tenantCreateQuery,
    body: tenants.tenantCreateSchema,
    answers: "json",
    response: tenants.tenantSchema,
    status: 201,
    idempotencyKey: true,
  },
  tenantDelete: {
    method: "DELETE",
    path: "/v1/tenants/{key}",
    role: "operator",
    summary: "Withdraw a tenant from the directory, then from its stamp",
    params: tenantKey,
    query: z.strictObject({ reason: reasonSchema.optional() }),
    answers: "json",
    response: tenants.tenantSchema,
    status: 202,
    ifMatch: true,
  },
  tenantImport: {
    ...json,
    method: "POST",
    path: "/v1/tenants/import",
    role: "operator",
    summary: "Many tenants at once; a repeat changes nothing",
    body: tenants.tenantImportSchema,
    bodyLimit: 16 * mebibyte,
    response: tenants.tenantImportedSchema,
    idempotencyKey: true,
  },
  tenantHostnameAdd: {
    ...json,
    method: "PUT",
    path: "/v1/tenants/{key}/hostnames/{hostname}",
    role: "operator",
    summary: "Give a tenant a hostname of its own",
    params: hostnameOfTenant,
    response: tenants.tenantSchema,
    ifMatch: true,
  },
  tenantHostnameRemove: {
    ...json,
    method: "DELETE",
    path: "/v1/tenants/{key}/hostnames/{hostname}",
    role: "operator",
    summary: "Take a hostname away from a tenant",
    params: hostnameOfTenant,
    response: tenants.tenantSchema,
    ifMatch: true,
  },
  tenantHistory: {
    ...json,
    method: "GET",
    path: "/v1/tenants/{key}/history",
    role: "viewer",
    summary: "What happened to a tenant, oldest first",
    params: tenantKey,
    query: page,
    response: pageOf(tenants.tenantEventSchema),
  },
  tenantWhere: {
    ...json,
    method: "GET",
    path: "/v1/tenants/{key}/where",
    role: "viewer",
    summary: "Home stamp and epoch at a time",
    params: tenantKey,
    query: z.strictObject({ at: timeSchema.optional() }),
    response: tenants.tenantWhereSchema,
  },
} as const satisfies Record<string, Endpoint>;
