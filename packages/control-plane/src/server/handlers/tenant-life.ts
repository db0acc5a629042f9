import type { DatabaseCount } from "@stampyard/domain";
import type { Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { isSuspended, waitForTenant } from "../tenant-wait.ts";
import { time } from "../views.ts";
import { longestWaitMs, requireTenant, revisionOf, tenantViewOf } from "./tenants.ts";

type Names = "tenantSuspend" | "tenantResume" | "tenantCertificate";

/** What an operator does with a tenant between its creation and its end, and what is left of it after that. */
export function tenantLifeHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store } = deps;

  return {
    async tenantSuspend(call) {
      const { params, body, query, signal } = call;
      const options = { reason: body.reason, ...revisionOf(call.ifMatch) };
      await store.tenants.suspend(params.key, options, writeContext(deps, call));
      await waitForTenant(deps, params.key, Math.min(query.wait, longestWaitMs), signal, isSuspended);
      return tenantViewOf(deps, await requireTenant(store, params.key));
    },

    async tenantResume(call) {
      const { params, query, signal } = call;
      const ctx = writeContext(deps, call, query.reason);
      await store.tenants.resume(params.key, revisionOf(call.ifMatch), ctx);
      await waitForTenant(deps, params.key, Math.min(query.wait, longestWaitMs), signal);
      return tenantViewOf(deps, await requireTenant(store, params.key));
    },

    async tenantCertificate({ params }) {
      const { certificate, audit, ordered } = await store.tenants.certificate(params.key);
      return {
        certificate: { ...certificate, databases: certificate.databases.map(databaseView) },
        ...(audit === undefined ? {} : { audit: { ...audit } }),
        ...(ordered === undefined ? {} : { ordered: { ...ordered, at: time(ordered.at) } }),
      };
    },
  };
}

function databaseView({ component, tables }: DatabaseCount) {
  return { component, tables: tables.map(({ table, rows }) => ({ table, rows })) };
}
