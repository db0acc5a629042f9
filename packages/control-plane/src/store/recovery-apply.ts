import type { DirectoryChange } from "@stampyard/directory";
import { canonicalJson, type Fleet, type Json, suspendable, type Tenant } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { endWaysBack } from "./move-write.ts";
import { applyMoves } from "./recovery-apply-moves.ts";
import type { Adoption, RecoveryPlan } from "./recovery-plan.ts";
import { routingNow } from "./routing-rules.ts";
import { stampColumns, type StampRow, toStamp } from "./stamp-rows.ts";
import { eventOf } from "./tenant-create.ts";
import {
  type EventInput,
  insertEvents,
  insertTenants,
  tenantColumns,
  type TenantRow,
  toTenant,
  updateTenant,
} from "./tenant-rows.ts";
import { entryOf as tenantEntry, forgetTenant } from "./tenant-write.ts";
import { entryOf, type Write } from "./write.ts";

/** Writes what the plan found to be true. Capacity is not asked: these tenants live there already. */
export async function applyRecovery(w: Write, plan: RecoveryPlan, now: number): Promise<void> {
  const keys = [...plan.adopt, ...plan.forget].map((entry) => entry.tenant);
  const present = await tenantsByKey(w, keys);
  const pools = await w.query<{ name: string; pool: string }>("SELECT name, pool FROM stamps");
  const poolOf = new Map(pools.rows.map((row) => [row.name, row.pool]));

  const events: EventInput[] = [];
  const unknown: Tenant[] = [];
  for (const adoption of plan.adopt) {
    const old = present.get(adoption.tenant);
    const pool = poolOf.get(adoption.stamp) ?? old?.pool ?? "unknown";
    const tenant = adopted(adoption, pool, old, now);
    if (old === undefined) unknown.push(tenant);
    else await updateHome(w, tenant, pool);
    events.push(eventOf(tenant, "adopted", adoption.why));
  }
  await insertTenants(w, unknown);
  await adoptHostnames(w, plan.adopt);
  for (const { tenant: key, epoch } of plan.forget) {
    await forgetTenant(w, { key, epoch });
    await endWaysBack(w, key, now);
    events.push({ tenant: key, event: "gone", phase: "gone", epoch, detail: "a person decided" });
  }
  await insertEvents(w, w.ctx.actor, events);
  // After their tenants, whose triggers have counted the homes.
  await applyMoves(w, plan.moves);
}

/** By a move it may have come to another pool. */
async function updateHome(w: Write, tenant: Tenant, pool: string): Promise<void> {
  await w.query("UPDATE tenants SET pool = $2 WHERE key = $1 AND pool <> $2", [tenant.key, pool]);
  await updateTenant(w, tenant);
}

function adopted(adoption: Adoption, pool: string, old: Tenant | undefined, now: number): Tenant {
  const { tenant: key, stamp, epoch } = adoption;
  const state = stateOf(adoption, now);
  const goal = goalOf(adoption, old, now);
  if (old === undefined) {
    const hostnames = adoption.hostnames ?? [];
    return {
      key,
      pool,
      tier: "standard",
      residency: [],
      weight: { tenants: 1 },
      hostnames,
      ...goal,
      state,
      stamp,
      epoch,
    };
  }
  const { waitingOn: _w, suspension: _s, ...kept } = old;
  return { ...kept, ...goal, state, stamp, epoch };
}

/** A stamp that does not know the tenant at this epoch is told before the directory is (I45). */
function stateOf({ stampKnows, moving, suspended }: Adoption, now: number): Tenant["state"] {
  if (!stampKnows) return { kind: "preparing", attempt: 0, retryAt: now };
  if (moving !== undefined) return { kind: "moving", move: moving };
  return { kind: suspended === true ? "suspended" : "active" };
}

function goalOf(
  { suspended, moving }: Adoption,
  old: Tenant | undefined,
  now: number,
): Pick<Tenant, "goal" | "suspension"> {
  const reason = "its stamp knew it as suspended when the store was recovered";
  if (suspended === true && (moving === undefined || old?.goal !== "absent")) {
    return { goal: "suspended", suspension: old?.suspension ?? { by: "recovery", reason, at: now } };
  }
  // What is wanted of it is done when it has moved.
  if (moving === undefined || old === undefined) return { goal: "present" };
  return { goal: old.goal, ...(old.suspension === undefined ? {} : { suspension: old.suspension }) };
}

/** First all the old ones go, so that a name may have changed hands; one that another tenant still has stays there. */
async function adoptHostnames(w: Write, adoptions: readonly Adoption[]): Promise<void> {
  const told = adoptions.filter((adoption) => adoption.hostnames !== undefined);
  await w.query("DELETE FROM tenant_hostnames WHERE tenant = ANY ($1)", [told.map((adoption) => adoption.tenant)]);
  const claims = told.flatMap(({ tenant, hostnames = [] }) => hostnames.map((hostname) => ({ hostname, tenant })));
  await w.query(
    `INSERT INTO tenant_hostnames (hostname, tenant) SELECT * FROM unnest($1::text[], $2::text[]) AS t (hostname, tenant)
     ORDER BY hostname ON CONFLICT (hostname) DO NOTHING`,
    [claims.map((claim) => claim.hostname), claims.map((claim) => claim.tenant)],
  );
}

/** Changes that make the directory say what the tables say. */
export async function directoryDifference(tx: Queryable): Promise<readonly DirectoryChange[]> {
  const entries = await tx.query<{ change: DirectoryChange }>(
    "SELECT change FROM directory_entries ORDER BY rank, name",
  );
  const present = new Map(entries.rows.map(({ change }) => [entryOf(change), change]));
  const wanted = await wantedEntries(tx);
  const puts = [...wanted.values()].filter((change) => text(present.get(entryOf(change))) !== text(change));
  const stamps = await tx.query<{ name: string }>("SELECT name FROM stamps WHERE goal <> 'absent'");
  const staying = new Set(stamps.rows.map((row) => row.name));
  const removals: DirectoryChange[] = [];
  for (const [name, change] of present) {
    if (wanted.has(name)) continue;
    if (change.kind === "tenant-put") removals.push({ kind: "tenant-remove", tenant: change.tenant });
    // One that is being mended keeps its entry: its tenants are better told "unavailable" than "unknown".
    if (change.kind === "stamp-put" && !staying.has(change.stamp)) {
      removals.push({ kind: "stamp-remove", stamp: change.stamp });
    }
  }
  // Stamps come before the tenants that live on them, and leave after them.
  return [...puts, ...removals.sort((a, b) => (a.kind === b.kind ? 0 : a.kind === "tenant-remove" ? -1 : 1))];
}

async function wantedEntries(tx: Queryable): Promise<ReadonlyMap<string, DirectoryChange>> {
  const wanted = new Map<string, DirectoryChange>();
  const put = (change: DirectoryChange) => wanted.set(entryOf(change), change);
  const stamps = await tx.query<StampRow>(`SELECT ${stampColumns} FROM stamps WHERE goal <> 'absent' ORDER BY name`);
  for (const { value } of stamps.rows.map(toStamp)) {
    const { name: stamp, pool, region, endpoints, endpointRevision } = value;
    if (endpoints.length > 0) put({ kind: "stamp-put", stamp, pool, region, endpoints, endpointRevision });
  }
  const fleet = await tx.query<{ fleet: Fleet }>("SELECT fleet FROM fleet");
  const [kept] = fleet.rows;
  if (kept !== undefined) put({ kind: "routing-put", routing: await routingNow(tx, kept.fleet) });
  const tenants = await tx.query<TenantRow>(
    `SELECT ${tenantColumns} FROM tenants WHERE phase = ANY ($1) AND stamp IS NOT NULL ORDER BY key`,
    [suspendable],
  );
  for (const row of tenants.rows) put(tenantEntry(toTenant(row).value));
  return wanted;
}

async function tenantsByKey(tx: Queryable, keys: readonly string[]): Promise<ReadonlyMap<string, Tenant>> {
  const { rows } = await tx.query<TenantRow>(`SELECT ${tenantColumns} FROM tenants WHERE key = ANY ($1) FOR UPDATE`, [
    keys,
  ]);
  return new Map(rows.map((row) => [row.key, toTenant(row).value]));
}

function text(change: DirectoryChange | undefined): string {
  return change === undefined ? "" : canonicalJson(change as unknown as Json);
}
