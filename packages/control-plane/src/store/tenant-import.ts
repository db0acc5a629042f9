import { createHash } from "node:crypto";
import { setImmediate as letOthers } from "node:timers/promises";
import { canonicalJson, type Json, StampyardError, type Tenant } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { createFleetView, type FleetSight, type FleetView } from "./fleet-view.ts";
import { closePlaces, lostPlaces, type TakenPlace } from "./place-guard.ts";
import type { ImportPlan, ImportResult, TenantInput, WriteContext } from "./records.ts";
import { tellOf } from "./tenant-create.ts";
import { type Registration, registerTenants } from "./tenant-register.ts";
import { draftOf, tenantColumns, type TenantDraft, type TenantRow, toTenant } from "./tenant-rows.ts";
import { decide, registrationOf, wishOf } from "./tenant-wish.ts";
import { audit, requireNormal, type StoreBase, write } from "./write.ts";

interface Draft {
  readonly plan: ImportPlan;
  readonly registrations: readonly Registration[];
  readonly places: readonly TakenPlace[];
  readonly sight: FleetSight;
  /** Somebody found no place. */
  readonly isShort: boolean;
}

const decisionsAtATime = 200;

/** A place may be lost with a stamp that changes, even where nobody else takes one. */
const attemptsMost = 6;

export async function planImport(base: StoreBase, inputs: readonly TenantInput[]): Promise<ImportPlan> {
  const view = createFleetView(base.now);
  return (await draftImport(base, base.db, inputs, view, { actor: "plan", token: 0 })).plan;
}

export async function importTenants(
  base: StoreBase,
  inputs: readonly TenantInput[],
  ctx: WriteContext,
): Promise<ImportResult> {
  for (let attempt = 1; attempt <= attemptsMost; attempt++) {
    const result = await tryImport(base, inputs, ctx, attempt > 1);
    if (result !== undefined) return result;
  }
  throw new StampyardError("TIMEOUT", "Stamps change too quickly to place these tenants");
}

/**
 * Undefined = ask again with places closed: one was lost, or there were too few, and somebody may be about to leave. It
 * places by a view of its own: what it books is nobody's business before it is written.
 */
async function tryImport(
  base: StoreBase,
  inputs: readonly TenantInput[],
  ctx: WriteContext,
  isClosed: boolean,
): Promise<ImportResult | undefined> {
  const view = createFleetView(base.now);
  let booked: readonly TakenPlace[] = [];
  let isLost = false;
  try {
    const result = await write(base, ctx, async (w) => {
      requireNormal(w);
      isLost = false;
      if (isClosed) await closePlaces(w);
      const { plan, registrations, places, sight, isShort } = await draftImport(base, w, inputs, view, ctx);
      booked = places;
      if (plan.conflicts.length > 0) return isShort && !isClosed ? undefined : { ...plan, applied: false };
      if (registrations.length === 0) return { ...plan, applied: true };
      const { tenants, faults } = await registerTenants(w, registrations, { audited: false });
      const [fault] = faults.values();
      if (fault !== undefined) throw fault;
      const keys = createHash("sha256").update(plan.create.join("\n")).digest("hex");
      await audit(w, "tenant.import", "tenants", { created: tenants.size, unchanged: plan.unchanged.length, keys });
      isLost = (await lostPlaces(w, places, sight)).length > 0;
      if (isLost) throw new StampyardError("LOCKED", "A place was lost to another writer");
      for (const { value } of tenants.values()) tellOf(w, value);
      return { ...plan, applied: true };
    });
    base.view.touch(booked.map((place) => place.stamp));
    return result;
  } catch (error) {
    if (isLost) return undefined;
    throw error;
  }
}

async function draftImport(
  base: StoreBase,
  tx: Queryable,
  inputs: readonly TenantInput[],
  view: FleetView,
  ctx: WriteContext,
): Promise<Draft> {
  const sight = await view.look(tx, { exact: true });
  const conflicts: { key: string; why: string }[] = [];
  const drafts = readDrafts(inputs, conflicts);
  const keys = [...drafts.keys()];
  const { rows } = await tx.query<TenantRow>(`SELECT ${tenantColumns} FROM tenants WHERE key = ANY ($1)`, [keys]);
  const existing = new Map(rows.map((row) => [row.key, toTenant(row).value]));
  const unchanged: string[] = [];
  const fresh: TenantDraft[] = [];
  for (const draft of drafts.values()) {
    const old = existing.get(draft.key);
    const difference = old === undefined ? undefined : differenceOf(draft, old);
    if (old === undefined) fresh.push(draft);
    else if (difference === undefined) unchanged.push(draft.key);
    else conflicts.push({ key: draft.key, why: difference });
  }
  await findTakenHostnames(tx, fresh, conflicts);
  const refused = new Set(conflicts.map((conflict) => conflict.key));
  const placeable = fresh.filter((draft) => !refused.has(draft.key));
  const { registrations, places, isShort } = await placeAll(
    placeable,
    view,
    sight,
    { ctx, now: base.now() },
    conflicts,
  );
  const create = registrations.map(({ tenant }) => tenant.key);
  const placed = new Map<string, number>();
  for (const { stamp } of places) placed.set(stamp, (placed.get(stamp) ?? 0) + 1);
  return { plan: { create, unchanged, placed, conflicts }, registrations, places, sight, isShort };
}

/** Every row is checked; the faulty ones become conflicts, so that all faults are told at once. */
function readDrafts(
  inputs: readonly TenantInput[],
  conflicts: { key: string; why: string }[],
): Map<string, TenantDraft> {
  const drafts = new Map<string, TenantDraft>();
  const hostnames = new Map<string, string>();
  for (const input of inputs) {
    try {
      const draft = draftOf(input);
      const twin = drafts.get(draft.key);
      if (twin !== undefined) {
        if (text(twin) !== text(draft)) conflicts.push({ key: draft.key, why: "it is in the list twice, differently" });
        continue;
      }
      drafts.set(draft.key, draft);
      for (const hostname of draft.hostnames) {
        const holder = hostnames.get(hostname);
        if (holder !== undefined) conflicts.push({ key: draft.key, why: `hostname ${hostname} is also of ${holder}` });
        hostnames.set(hostname, draft.key);
      }
    } catch (error) {
      conflicts.push({ key: input.key, why: StampyardError.from(error).message });
    }
  }
  return drafts;
}

/** Why a tenant that exists is not the one in the list, or undefined. What the list leaves open is no difference. */
function differenceOf(draft: TenantDraft, old: Tenant): string | undefined {
  if (old.goal === "absent") return "it is being deleted";
  const fields: readonly [name: string, wanted: Json | undefined, present: Json | undefined][] = [
    ["pool", draft.pool, old.pool],
    ["stamp", draft.stamp, old.stamp],
    ["tier", draft.tier, old.tier],
    ["tenancy", draft.tenancy, old.tenancy],
    ["channel", draft.channel, old.channel],
    ["residency", draft.residency, old.residency],
    ["weight", weightOf(draft), weightOf(draft, old)],
    ["hostnames", draft.hostnames, old.hostnames],
  ];
  for (const [name, wanted, present] of fields) {
    if (wanted !== undefined && text(wanted) !== text(present ?? null)) {
      return `it exists with another ${name}: ${text(present ?? null)}`;
    }
  }
  return undefined;
}

/** The units that the list names; of others its tier decides, as it did when the tenant was created. */
function weightOf(draft: TenantDraft, of: Pick<Tenant, "weight"> = draft): Json {
  return Object.fromEntries(Object.keys(draft.weight).map((unit) => [unit, of.weight[unit] ?? null]));
}

async function findTakenHostnames(
  tx: Queryable,
  drafts: readonly TenantDraft[],
  conflicts: { key: string; why: string }[],
): Promise<void> {
  const wanted = new Map(drafts.flatMap(({ key, hostnames }) => hostnames.map((hostname) => [hostname, key] as const)));
  const { rows } = await tx.query<{ hostname: string; tenant: string }>(
    "SELECT hostname, tenant FROM tenant_hostnames WHERE hostname = ANY ($1) ORDER BY hostname",
    [[...wanted.keys()]],
  );
  for (const { hostname, tenant } of rows) {
    conflicts.push({ key: wanted.get(hostname) ?? "", why: `hostname ${hostname} belongs to tenant ${tenant}` });
  }
}

/** Those with a home of their own first: the others share what is left. */
async function placeAll(
  drafts: readonly TenantDraft[],
  view: FleetView,
  sight: FleetSight,
  by: { readonly ctx: WriteContext; readonly now: number },
  conflicts: { key: string; why: string }[],
): Promise<Pick<Draft, "registrations" | "places" | "isShort">> {
  const registrations: Registration[] = [];
  const places: TakenPlace[] = [];
  let isShort = false;
  const ordered = [...drafts].sort((a, b) => Number(a.stamp === undefined) - Number(b.stamp === undefined));
  for (const [index, draft] of ordered.entries()) {
    // Thousands of decisions over thousands of stamps take seconds, and the lease must be renewed meanwhile.
    if (index % decisionsAtATime === decisionsAtATime - 1) await letOthers();
    try {
      const wish = wishOf(draft, sight);
      const decision = decide(wish, sight);
      if (decision.kind === "full") {
        isShort = true;
        conflicts.push({ key: draft.key, why: decision.why });
        continue;
      }
      const { tenant, isBig, place } = registrationOf(draft, wish, decision, by.now);
      registrations.push({ tenant, isBig, ctx: by.ctx });
      if (place === undefined) continue;
      view.book(place.stamp, { ...place, isBig });
      places.push(place);
    } catch (error) {
      conflicts.push({ key: draft.key, why: StampyardError.from(error).message });
    }
  }
  return { registrations, places, isShort };
}

function text(value: unknown): string {
  return canonicalJson(value as Json);
}
