import { createHash } from "node:crypto";
import {
  addUnits,
  canonicalJson,
  type Json,
  type PlacementCandidate,
  StampyardError,
  type Tenant,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { ImportPlan, ImportResult, TenantInput, WriteContext } from "./records.ts";
import { creationEvents, homed, homeless, tellOf } from "./tenant-create.ts";
import {
  decidePool,
  holdStamps,
  lockPlacement,
  placeAmong,
  placementCandidates,
  poolNames,
} from "./tenant-placement.ts";
import {
  draftOf,
  insertEvents,
  insertHostnames,
  insertTenants,
  tenantColumns,
  type TenantDraft,
  type TenantRow,
  toTenant,
} from "./tenant-rows.ts";
import { audit, requireNormal, type StoreBase, write } from "./write.ts";

interface Draft {
  readonly plan: ImportPlan;
  readonly tenants: readonly Tenant[];
  /** Stamps that got any of them. */
  readonly chosen: readonly PlacementCandidate[];
}

export async function planImport(base: StoreBase, inputs: readonly TenantInput[]): Promise<ImportPlan> {
  return (await draftImport(base.db, inputs, base.now())).plan;
}

export function importTenants(
  base: StoreBase,
  inputs: readonly TenantInput[],
  ctx: WriteContext,
): Promise<ImportResult> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    // Every registration of a tenant takes its pool's lock, so nothing is registered between the plan and the insert.
    await lockPlacement(w, await poolNames(w));
    for (;;) {
      const { plan, tenants, chosen } = await draftImport(w, inputs, base.now());
      if (plan.conflicts.length > 0) return { ...plan, applied: false };
      if (tenants.length === 0) return { ...plan, applied: true };
      if (!(await holdStamps(w, chosen))) continue;
      const inserted = await insertTenants(w, tenants);
      if (inserted.size !== tenants.length)
        throw new StampyardError("ALREADY_EXISTS", "A tenant was created meanwhile");
      await insertHostnames(
        w,
        tenants.flatMap(({ key, hostnames }) => hostnames.map((hostname) => ({ hostname, tenant: key }))),
      );
      const keys = createHash("sha256").update(plan.create.join("\n")).digest("hex");
      await audit(w, "tenant.import", "tenants", { created: tenants.length, unchanged: plan.unchanged.length, keys });
      await insertEvents(w, ctx.actor, tenants.flatMap(creationEvents));
      for (const tenant of tenants) tellOf(w, tenant);
      return { ...plan, applied: true };
    }
  });
}

async function draftImport(tx: Queryable, inputs: readonly TenantInput[], now: number): Promise<Draft> {
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
  const placed = await placeAll(
    tx,
    fresh.filter((draft) => !refused.has(draft.key)),
    conflicts,
    now,
  );
  return { plan: { create: placed.tenants.map((tenant) => tenant.key), unchanged, conflicts }, ...placed };
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
    ["weight", draft.weight, old.weight],
    ["hostnames", draft.hostnames, old.hostnames],
  ];
  for (const [name, wanted, present] of fields) {
    if (wanted !== undefined && text(wanted) !== text(present ?? null)) {
      return `it exists with another ${name}: ${text(present ?? null)}`;
    }
  }
  return undefined;
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

async function placeAll(
  tx: Queryable,
  drafts: readonly TenantDraft[],
  conflicts: { key: string; why: string }[],
  now: number,
): Promise<Pick<Draft, "tenants" | "chosen">> {
  const names = await poolNames(tx);
  const pools = new Map<string, PlacementCandidate[]>();
  for (const name of names) pools.set(name, await placementCandidates(tx, name));
  const poolOfStamp = new Map([...pools].flatMap(([pool, list]) => list.map((c) => [c.name, pool] as const)));
  const epochs = await lastEpochs(tx, drafts);
  const tenants: Tenant[] = [];
  const chosen = new Set<string>();
  // Those with a home of their own first: the others share what is left.
  for (const draft of [...drafts].sort((a, b) => Number(a.stamp === undefined) - Number(b.stamp === undefined))) {
    try {
      const home = draft.stamp === undefined ? undefined : poolOfStamp.get(draft.stamp);
      if (draft.stamp !== undefined && home === undefined) {
        conflicts.push({ key: draft.key, why: `there is no stamp ${draft.stamp} that could take it` });
        continue;
      }
      const pool = decidePool(draft, names, home);
      const candidates = pools.get(pool) ?? [];
      const placement = placeAmong(draft, pool, candidates);
      const epoch = epochs.get(draft.key) ?? 0;
      if (placement.kind === "full") conflicts.push({ key: draft.key, why: placement.why });
      else if (placement.kind === "wait") tenants.push(homeless(draft, pool, epoch, placement.waitingOn));
      else {
        pools.set(
          pool,
          candidates.map((c) => (c.name === placement.stamp ? withTenant(c, draft.weight) : c)),
        );
        tenants.push(homed(draft, pool, placement.stamp, epoch, now));
        chosen.add(placement.stamp);
      }
    } catch (error) {
      conflicts.push({ key: draft.key, why: StampyardError.from(error).message });
    }
  }
  return { tenants, chosen: [...pools.values()].flat().filter((candidate) => chosen.has(candidate.name)) };
}

function withTenant(candidate: PlacementCandidate, weight: TenantDraft["weight"]): PlacementCandidate {
  return { ...candidate, used: addUnits(candidate.used, { tenants: 1, ...weight }) };
}

async function lastEpochs(tx: Queryable, drafts: readonly TenantDraft[]): Promise<ReadonlyMap<string, number>> {
  const { rows } = await tx.query<{ key: string; epoch: number }>(
    "SELECT key, epoch FROM tenant_epochs WHERE key = ANY ($1)",
    [drafts.map((draft) => draft.key)],
  );
  return new Map(rows.map(({ key, epoch }) => [key, epoch]));
}

function text(value: unknown): string {
  return canonicalJson(value as Json);
}
