import { StampyardError, type Tenant } from "@stampyard/domain";
import { closePlaces, lostPlaces } from "./place-guard.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import { type EventInput, insertEvents, lockTenant, updateTenant } from "./tenant-rows.ts";
import { decide, wishOfTenant } from "./tenant-wish.ts";
import { audit, requireNormal, staleRevision, type StoreBase, type Write, write } from "./write.ts";

/** A place may be lost to another writer, or with a stamp that changes; the last attempts are made with places closed. */
const openAttempts = 3;
const attemptsMost = 6;

export async function placeTenant(base: StoreBase, key: string, ctx: WriteContext): Promise<Revisioned<Tenant>> {
  for (let attempt = 1; attempt <= attemptsMost; attempt++) {
    const placed = await tryPlace(base, key, ctx, attempt);
    if (placed !== undefined) return placed;
  }
  throw new StampyardError("TIMEOUT", `Stamps change too quickly to place tenant ${key}`);
}

/** Undefined when its place was lost to another writer. */
async function tryPlace(
  base: StoreBase,
  key: string,
  ctx: WriteContext,
  attempt: number,
): Promise<Revisioned<Tenant> | undefined> {
  const isClosed = attempt > openAttempts;
  const open = isClosed ? undefined : await base.view.look(base.db, { exact: attempt > 1 });
  let booked: string | undefined;
  let isLost = false;
  try {
    return await write(base, ctx, async (w) => {
      requireNormal(w);
      isLost = false;
      if (isClosed) await closePlaces(w);
      const sight = open ?? (await base.view.look(w, { exact: true }));
      const old = await lockTenant(w, key);
      const tenant = old.value;
      // Placed already: an answer to a repeated turn (I27).
      if (tenant.stamp !== undefined || tenant.goal === "absent") return old;
      const wish = wishOfTenant(tenant, sight);
      const decision = decide(wish, sight);
      if (decision.kind !== "place") {
        const waitingOn = decision.kind === "wait" ? decision.waitingOn : `a free place: ${decision.why}`;
        if (tenant.waitingOn === waitingOn && tenant.state.kind === "placing") return old;
        return updateTenant(w, { ...tenant, state: { kind: "placing" }, waitingOn });
      }
      const { stamp, isBig } = decision;
      booked = stamp;
      base.view.book(stamp, { key, weight: tenant.weight, isBig });
      const { waitingOn: _, ...rest } = tenant;
      const placed: Tenant = {
        ...rest,
        state: { kind: "preparing", attempt: 0, retryAt: base.now() },
        stamp,
        epoch: tenant.epoch + 1,
      };
      await audit(w, "tenant.place", `tenant/${key}`, { stamp, epoch: placed.epoch });
      await insertEvents(w, ctx.actor, [eventOf(placed, "placed")]);
      await w.query("UPDATE tenants SET big = $2 WHERE key = $1 AND big <> $2", [key, isBig]);
      const written = await updateTenant(w, placed);
      // Last, so that the stamp's counters are held for as short a time as can be.
      const lost = await lostPlaces(w, [{ key, stamp, weight: tenant.weight, isNamed: false }], sight);
      isLost = lost.length > 0;
      if (isLost) throw new StampyardError("LOCKED", `The place of tenant ${key} was lost to another writer`);
      tellOf(w, placed);
      return written;
    });
  } catch (error) {
    if (booked !== undefined) base.view.touch([booked]);
    if (isLost) return undefined;
    throw error;
  }
}

export async function vacateTenant(
  base: StoreBase,
  key: string,
  revision: number,
  ctx: WriteContext,
): Promise<Revisioned<Tenant>> {
  let left: string | undefined;
  const tenant = await write(base, ctx, async (w) => {
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
    left = stamp;
    return updateTenant(w, vacated);
  });
  if (left !== undefined) base.view.touch([left]);
  return tenant;
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
