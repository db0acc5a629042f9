import { StampyardError, type Tenant } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { Revisioned, TenantInput, WriteContext } from "./records.ts";
import { lockPlacement, poolFull, poolOf, reservePlace } from "./tenant-placement.ts";
import {
  draftOf,
  type EventInput,
  insertEvents,
  insertHostnames,
  insertTenants,
  lockTenant,
  type TenantDraft,
  updateTenant,
} from "./tenant-rows.ts";
import { audit, requireNormal, staleRevision, type StoreBase, type Write, write } from "./write.ts";

export async function createTenant(
  base: StoreBase,
  input: TenantInput,
  ctx: WriteContext,
): Promise<Revisioned<Tenant>> {
  const draft = draftOf(input);
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const pool = await poolOf(w, draft);
    await lockPlacement(w, [pool]);
    const placement = await reservePlace(w, draft, pool);
    const epoch = await lastEpoch(w, draft.key);
    const tenant =
      placement.kind === "place"
        ? homed(draft, pool, placement.stamp, epoch, base.now())
        : homeless(draft, pool, epoch, placement.kind === "wait" ? placement.waitingOn : placement.why);
    const inserted = await insertTenants(w, [tenant]);
    if (!inserted.has(tenant.key)) {
      throw new StampyardError("ALREADY_EXISTS", `Tenant ${tenant.key} exists already`);
    }
    // Only now: a key that exists is the clearer answer.
    if (placement.kind === "full") throw poolFull(draft.key, placement.why);
    await insertHostnames(
      w,
      draft.hostnames.map((hostname) => ({ hostname, tenant: tenant.key })),
    );
    await audit(w, "tenant.create", `tenant/${tenant.key}`, detailOf(tenant));
    await insertEvents(w, ctx.actor, creationEvents(tenant));
    tellOf(w, tenant);
    return lockTenant(w, tenant.key);
  });
}

export function placeTenant(base: StoreBase, key: string, ctx: WriteContext): Promise<Revisioned<Tenant>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const { rows } = await w.query<{ pool: string }>("SELECT pool FROM tenants WHERE key = $1", [key]);
    await lockPlacement(w, rows[0] === undefined ? [] : [rows[0].pool]);
    const old = await lockTenant(w, key);
    const tenant = old.value;
    // Placed already: an answer to a repeated turn (I27).
    if (tenant.stamp !== undefined || tenant.goal === "absent") return old;
    const placement = await reservePlace(w, { ...tenant, stamp: undefined }, tenant.pool);
    if (placement.kind !== "place") {
      const waitingOn = placement.kind === "wait" ? placement.waitingOn : `a free place: ${placement.why}`;
      if (tenant.waitingOn === waitingOn && tenant.state.kind === "placing") return old;
      return updateTenant(w, { ...tenant, state: { kind: "placing" }, waitingOn });
    }
    const { waitingOn: _, ...rest } = tenant;
    const placed: Tenant = {
      ...rest,
      state: { kind: "preparing", attempt: 0, retryAt: base.now() },
      stamp: placement.stamp,
      epoch: tenant.epoch + 1,
    };
    await audit(w, "tenant.place", `tenant/${key}`, { stamp: placed.stamp, epoch: placed.epoch });
    await insertEvents(w, ctx.actor, [eventOf(placed, "placed")]);
    tellOf(w, placed);
    return updateTenant(w, placed);
  });
}

export function vacateTenant(
  base: StoreBase,
  key: string,
  revision: number,
  ctx: WriteContext,
): Promise<Revisioned<Tenant>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockTenant(w, key);
    if (old.revision !== revision) throw staleRevision(`Tenant ${key}`, revision, old.revision);
    if (old.value.state.kind !== "preparing") {
      throw new StampyardError(
        "WRONG_PHASE",
        `Tenant ${key} is ${old.value.state.kind}, and only leaves its stamp by a move`,
      );
    }
    const { stamp, waitingOn: _, ...rest } = old.value;
    const vacated: Tenant = { ...rest, state: { kind: "placing" }, epoch: rest.epoch + 1 };
    await audit(w, "tenant.vacate", `tenant/${key}`, { stamp, epoch: vacated.epoch });
    await insertEvents(w, ctx.actor, [eventOf(vacated, "vacated")]);
    tellOf(w, vacated);
    return updateTenant(w, vacated);
  });
}

/** Highest epoch that earlier tenants of a key reached; 0 = there was none. */
async function lastEpoch(tx: Queryable, key: string): Promise<number> {
  const { rows } = await tx.query<{ epoch: number }>("SELECT epoch FROM tenant_epochs WHERE key = $1", [key]);
  return rows[0]?.epoch ?? 0;
}

/** A tenant whose place is taken from now on; a new home is a new epoch. */
export function homed(draft: TenantDraft, pool: string, stamp: string, lastEpochOfKey: number, now: number): Tenant {
  const state = { kind: "preparing", attempt: 0, retryAt: now } as const;
  return { ...drafted(draft, pool), state, stamp, epoch: lastEpochOfKey + 1 };
}

export function homeless(draft: TenantDraft, pool: string, lastEpochOfKey: number, waitingOn: string): Tenant {
  return { ...drafted(draft, pool), state: { kind: "placing" }, epoch: lastEpochOfKey, waitingOn };
}

function drafted({ key, tier, residency, weight, hostnames, tenancy, channel }: TenantDraft, pool: string) {
  const placed = { key, pool, tier, residency, weight, hostnames, goal: "present" } as const;
  return {
    ...placed,
    ...(tenancy === undefined ? {} : { tenancy }),
    ...(channel === undefined ? {} : { channel }),
  };
}

export function creationEvents(tenant: Tenant): EventInput[] {
  const created: EventInput = { tenant: tenant.key, event: "created", phase: tenant.state.kind, epoch: tenant.epoch };
  return tenant.stamp === undefined ? [created] : [created, eventOf(tenant, "placed")];
}

export function eventOf(tenant: Tenant, event: string, detail?: string): EventInput {
  return {
    tenant: tenant.key,
    event,
    phase: tenant.state.kind,
    stamp: tenant.stamp,
    epoch: tenant.epoch,
    ...(detail === undefined ? {} : { detail }),
  };
}

export function tellOf(w: Write, tenant: Tenant): void {
  w.tell({
    kind: "tenant",
    tenant: tenant.key,
    phase: tenant.state.kind,
    ...(tenant.stamp === undefined ? {} : { stamp: tenant.stamp }),
  });
}

function detailOf(tenant: Tenant): Readonly<Record<string, unknown>> {
  const { pool, tier, residency, weight, hostnames, stamp, epoch } = tenant;
  return { pool, tier, residency, weight, hostnames, ...(stamp === undefined ? {} : { stamp }), epoch };
}
