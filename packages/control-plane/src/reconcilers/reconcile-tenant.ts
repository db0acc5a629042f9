import type { DirectoryChange } from "@stampyard/directory";
import {
  afterTenantFailure,
  certifyErasure,
  type ErasureFacts,
  homeReadiness,
  planTenant,
  StampyardError,
  type Stamp,
  type Tenant,
  type TenantPlan,
} from "@stampyard/domain";
import type { Revisioned } from "../store/port.ts";
import { entryOf } from "../store/tenant-write.ts";
import { systemSha256 } from "../system-ports.ts";
import { eraseTenant, nothingToErase } from "./erase-tenant.ts";
import { causeOf, isTurnOver } from "./failure.ts";
import { waitForRouters } from "./router-acks.ts";
import { again, type ReconcileDeps, rest, type Turn, type TurnEnd, writeContext } from "./turn.ts";

/** Live routers get this long to stop sending before a stamp forgets a tenant; the stamp's guard covers the late ones. */
const routersStopWithinMs = 5_000;

/** One turn of one tenant. Level-triggered, like `reconcileStamp`. */
export async function reconcileTenant(deps: ReconcileDeps, key: string, turn: Turn): Promise<TurnEnd> {
  if ((await deps.store.meta()).mode === "recovering") return rest;
  const found = await deps.store.tenants.read(key);
  if (found === undefined) return rest;

  const home = found.value.stamp === undefined ? undefined : await deps.store.stamps.read(found.value.stamp);
  const plan = planTenant(found.value, homeReadiness(home?.value), deps.clock.now());
  try {
    return await carryOut(deps, found, plan, home?.value, turn);
  } catch (caught) {
    if (isTurnOver(caught, turn)) throw caught;
    return await recordFailure(deps, key, caught, turn);
  }
}

async function carryOut(
  deps: ReconcileDeps,
  found: Revisioned<Tenant>,
  plan: TenantPlan,
  home: Stamp | undefined,
  turn: Turn,
): Promise<TurnEnd> {
  let row = found;
  const tenant = found.value;
  let erased: ErasureFacts | undefined;
  for (const action of plan.actions) {
    switch (action.kind) {
      case "place":
        row = await deps.store.tenants.place(tenant.key, writeContext(turn));
        return row.value.state.kind === "preparing" ? again : rest;
      case "vacate":
        await deps.store.tenants.vacate(tenant.key, row.revision, writeContext(turn));
        return again;
      case "prepare":
        await prepare(deps, tenant, requireHome(home, action), action.epoch, turn);
        break;
      case "publish":
        row = await writeRow(deps, row, plan, turn, [entryOf({ ...tenant, state: plan.next })]);
        return rest;
      case "hide":
        await writeRow(deps, row, plan, turn, [entryOf({ ...tenant, state: plan.next })]);
        return again;
      case "suspend":
        // Requests that came before the routers heard of it end as they would have; later ones the guard refuses.
        await waitForRouters(deps, routersStopWithinMs, turn.signal);
        await deps.homes.suspend(await deps.specOf(requireHome(home, action)), tenant.key, action.epoch, turn.signal);
        break;
      case "resume":
        await deps.homes.open(await deps.specOf(requireHome(home, action)), tenant.key, action.epoch, turn.signal);
        break;
      case "withdraw":
        row = await withdraw(deps, row, turn);
        break;
      case "forget":
        erased = await eraseTenant(deps, tenant, requireHome(home, action), turn);
        break;
    }
  }
  if (plan.next.kind === "gone" && tenant.state.kind !== "gone") {
    return await finish(deps, row, erased ?? nothingToErase(tenant), turn);
  }
  row = await writeRow(deps, row, plan, turn);
  if (row.value.state.kind !== found.value.state.kind) return again;
  return restOf(row.value);
}

function requireHome(home: Stamp | undefined, action: { readonly stamp: string }): Stamp {
  if (home?.name === action.stamp) return home;
  throw new StampyardError("STAMP_NOT_FOUND", `No stamp ${action.stamp}`);
}

/** The stamp's database knows the tenant first, then its application (decision D5). */
async function prepare(deps: ReconcileDeps, tenant: Tenant, stamp: Stamp, epoch: number, turn: Turn): Promise<void> {
  const spec = await deps.specOf(stamp);
  await deps.homes.open(spec, tenant.key, epoch, turn.signal);
  await deps.hooks.call({ hook: "tenant.onCreate", stamp, spec, tenant: tenant.key, epoch }, turn);
}

/** Its last write: the certificate is in the audit row of the transaction that forgets the tenant. */
async function finish(deps: ReconcileDeps, row: Revisioned<Tenant>, facts: ErasureFacts, turn: Turn): Promise<TurnEnd> {
  const certificate = certifyErasure(facts, new Date(deps.clock.now()).toISOString(), systemSha256);
  const { waitingOn: _, ...tenant } = row.value;
  const gone: Tenant = { ...tenant, state: { kind: "gone" } };
  await deps.store.tenants.write(gone, row.revision, { certificate }, writeContext(turn));
  return again;
}

/**
 * Out of the directory, and out of the routers as far as they answer in time.
 * @throws StampyardError CONFIRMATION_REQUIRED while the removal is part of a held bulk change (decision D8)
 */
async function withdraw(deps: ReconcileDeps, row: Revisioned<Tenant>, turn: Turn): Promise<Revisioned<Tenant>> {
  const { key, state } = row.value;
  const entry = await deps.store.directory.tenantVersion(key);
  if (entry === undefined) return row;
  let written = row;
  // What is pending at a later attempt is the removal itself; at the first it may still be the publication.
  if (!entry.pending || (state.kind === "deleting" && state.attempt === 0)) {
    const changes: DirectoryChange[] = [{ kind: "tenant-remove", tenant: key }];
    written = await deps.store.tenants.write(row.value, row.revision, { changes }, writeContext(turn));
  }
  await waitForRouters(deps, routersStopWithinMs, turn.signal);
  if ((await deps.store.directory.tenantVersion(key)) === undefined) return written;
  throw new StampyardError("CONFIRMATION_REQUIRED", `The removal of tenant ${key} from the directory is held`, {
    mend: "See what is held with stampyard status, and confirm it.",
  });
}

/** State, waitingOn and directory change in one transaction; nothing at all when nothing differs. */
async function writeRow(
  deps: ReconcileDeps,
  row: Revisioned<Tenant>,
  plan: TenantPlan,
  turn: Turn,
  changes: readonly DirectoryChange[] = [],
): Promise<Revisioned<Tenant>> {
  const { waitingOn: _, ...tenant } = row.value;
  const isSame = plan.waitingOn === row.value.waitingOn && isSameState(plan.next, row.value.state);
  if (isSame && changes.length === 0) return row;
  if (plan.waitingOn !== undefined && plan.waitingOn !== row.value.waitingOn) {
    deps.events.publish({ kind: "waiting", subject: `tenant/${tenant.key}`, why: plan.waitingOn });
  }
  const waitingOn = plan.waitingOn === undefined ? {} : { waitingOn: plan.waitingOn };
  const next: Tenant = { ...tenant, ...waitingOn, state: plan.next };
  return await deps.store.tenants.write(next, row.revision, { changes }, writeContext(turn));
}

function isSameState(a: Tenant["state"], b: Tenant["state"]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

async function recordFailure(deps: ReconcileDeps, key: string, caught: unknown, turn: Turn): Promise<TurnEnd> {
  const error = StampyardError.from(caught);
  if (error.code === "STALE_REVISION") return again;
  deps.log.warn({ tenant: key, code: error.code, err: error }, "turn of a tenant failed");

  const fresh = await deps.store.tenants.read(key);
  if (fresh === undefined) return rest;
  const cause = `${error.code}: ${causeOf(error)}`;
  const next = afterTenantFailure(fresh.value.state, cause, deps.clock.now());
  if (next === fresh.value.state) throw error;
  const row = await writeRow(deps, fresh, { next, actions: [], waitingOn: `retry of: ${cause}` }, turn);
  return restOf(row.value);
}

function restOf({ state, stamp }: Tenant): TurnEnd {
  // Without a home there is nothing to retry: a stamp or a place has to come, and wakes it.
  if (stamp === undefined || !("retryAt" in state)) return rest;
  return { kind: "rest", until: state.retryAt };
}
