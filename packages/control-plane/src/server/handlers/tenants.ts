import type { TenantView } from "@stampyard/api";
import { hostMeaning, quote, type RoutingRule, StampyardError, type Tenant } from "@stampyard/domain";
import type { Revisioned, TenantFilter, TenantInput } from "../../store/port.ts";
import { rulesInForce } from "../../rollouts/rules-in-force.ts";
import type { Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { tenantMoveView } from "../move-view.ts";
import { mapPage, storePage } from "../paging.ts";
import { waitForTenant } from "../tenant-wait.ts";
import { tenantEventView, tenantView, time } from "../views.ts";

type Life = "tenantSuspend" | "tenantResume" | "tenantCertificate";
type Names = Exclude<Extract<keyof Handlers, `tenant${string}`>, Life>;

/** A waiting creation ends well before its Idempotency-Key would count as abandoned (2 minutes). */
export const longestWaitMs = 100_000;

export function tenantHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store } = deps;

  return {
    async tenantList({ query }) {
      const page = await store.tenants.list({ ...storePage(query), ...filterOf(query) });
      return mapPage(page, (row) => tenantView(row));
    },

    async tenantGet({ params }) {
      return tenantViewOf(deps, await requireTenant(store, params.key));
    },

    async tenantCreate(call) {
      const { body, query, signal } = call;
      await refuseRoutedHostnames(deps, body.hostnames);
      const row = await store.tenants.create(tenantInput(body), writeContext(deps, call));
      if (query.wait === 0) return tenantViewOf(deps, row);
      await waitForTenant(deps, row.value.key, Math.min(query.wait, longestWaitMs), signal);
      return tenantViewOf(deps, (await store.tenants.read(row.value.key)) ?? row);
    },

    async tenantDelete(call) {
      const options = revisionOf(call.ifMatch);
      return tenantView(
        await store.tenants.remove(call.params.key, options, writeContext(deps, call, call.query.reason)),
      );
    },

    async tenantImport(call) {
      const { tenants, dryRun } = call.body;
      await refuseRoutedHostnames(
        deps,
        tenants.flatMap((tenant) => tenant.hostnames),
      );
      const inputs = tenants.map(tenantInput);
      const result = dryRun
        ? { ...(await store.tenants.planImport(inputs)), applied: false }
        : await store.tenants.import(inputs, writeContext(deps, call));
      return {
        applied: result.applied,
        create: result.create.length,
        unchanged: result.unchanged.length,
        placed: [...result.placed].map(([stamp, count]) => ({ stamp, tenants: count })),
        waiting: result.create.length - [...result.placed.values()].reduce((sum, count) => sum + count, 0),
        conflict: result.conflicts.map(({ key, why }) => ({ key, why })),
      };
    },

    async tenantHostnameAdd(call) {
      const { key, hostname } = call.params;
      await refuseRoutedHostnames(deps, [hostname]);
      const options = revisionOf(call.ifMatch);
      return tenantViewOf(deps, await store.tenants.addHostname(key, hostname, options, writeContext(deps, call)));
    },

    async tenantHostnameRemove(call) {
      const { key, hostname } = call.params;
      const options = revisionOf(call.ifMatch);
      return tenantViewOf(deps, await store.tenants.removeHostname(key, hostname, options, writeContext(deps, call)));
    },

    async tenantHistory({ params, query }) {
      const page = await store.tenants.history(params.key, storePage(query));
      if (page.items.length === 0 && query.cursor === undefined) await requireTenant(store, params.key);
      return mapPage(page, tenantEventView);
    },

    async tenantWhere({ params, query }) {
      const at = query.at === undefined ? deps.clock.now() : Date.parse(query.at);
      const { stamp, epoch, since } = await store.tenants.where(params.key, at);
      return {
        tenant: params.key,
        at: time(at),
        ...(stamp === undefined ? {} : { stamp }),
        ...(epoch === undefined ? {} : { epoch }),
        ...(since === undefined ? {} : { since: time(since) }),
      };
    },
  };
}

export async function tenantViewOf({ store }: ServerDeps, row: Revisioned<Tenant>): Promise<TenantView> {
  const tenant = row.value.key;
  const [entry, moves] = await Promise.all([
    store.directory.tenantVersion(tenant),
    store.moves.list({ tenant, isOpen: true, limit: 1 }),
  ]);
  const [move] = moves.items;
  const view = tenantView(row, entry === undefined || entry.pending ? undefined : entry.version);
  return move === undefined ? view : { ...view, move: tenantMoveView(move) };
}

export async function requireTenant(store: ServerDeps["store"], key: string): Promise<Revisioned<Tenant>> {
  const row = await store.tenants.read(key);
  if (row !== undefined) return row;
  throw new StampyardError("TENANT_NOT_FOUND", `No tenant ${quote(key)}`, { mend: "See stampyard tenant list." });
}

/**
 * Asked of all rules that hold somewhere, or will when a rollout is done: by any of them a request for it would be read as
 * somebody else's.
 * @throws StampyardError INVALID_REQUEST for a hostname that the routing gives another meaning
 */
async function refuseRoutedHostnames({ store }: ServerDeps, hostnames: readonly string[]): Promise<void> {
  if (hostnames.length === 0) return;
  const rules = await rulesInForce(store);
  for (const hostname of hostnames) {
    const rule = rules.map((one) => hostMeaning(one, hostname)).find((one) => one !== undefined);
    if (rule === undefined) continue;
    throw new StampyardError("INVALID_REQUEST", `Hostname ${hostname} ${meaningText(rule)}`, {
      mend: "Use a hostname that no rule of the routing reads; the subdomain of a tenant works by itself.",
    });
  }
}

function meaningText(rule: RoutingRule): string {
  return rule.kind === "subdomain"
    ? `is below ${rule.domain}, where names are tenant keys`
    : "belongs to no tenant, by a rule of the routing";
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without what its sender left open. */
export function tenantInput(
  body: { readonly [K in keyof TenantInput]: TenantInput[K] | undefined } & { readonly key: string },
): TenantInput {
  return Object.fromEntries(
    Object.entries(body).filter(([, value]) => value !== undefined),
  ) as unknown as Defined<TenantInput>;
}

function filterOf({
  pool,
  stamp,
  phase,
}: { readonly [K in keyof TenantFilter]?: TenantFilter[K] | undefined }): TenantFilter {
  return {
    ...(pool === undefined ? {} : { pool }),
    ...(stamp === undefined ? {} : { stamp }),
    ...(phase === undefined ? {} : { phase }),
  };
}

export function revisionOf(ifMatch: number | undefined): { readonly revision?: number } {
  return ifMatch === undefined ? {} : { revision: ifMatch };
}
