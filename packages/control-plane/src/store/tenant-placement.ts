import {
  type Capacity,
  canonicalJson,
  choosePlacement,
  type Fleet,
  hasRoom,
  type Placement,
  type PlacementCandidate,
  placementTrouble,
  type StampObservation,
  StampyardError,
  type UnitVector,
  unitsOf,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { stampColumns, stampNotFound, type StampRow, toStamp } from "./stamp-rows.ts";
import type { TenantDraft } from "./tenant-rows.ts";
import type { UsedPlaces } from "./records.ts";
import { usedPlaces } from "./used-places.ts";

/** First half of the lock's key: any number, but ours. */
const placementLock = 620_511;

/**
 * Makes placements into these pools wait for each other, so that what one counts, the next one sees (I32). Take it
 * before any row, and pools in one order, so that two placements never wait in a circle.
 */
export async function lockPlacement(tx: Queryable, pools: readonly string[]): Promise<void> {
  for (const pool of [...new Set(pools)].sort()) {
    await tx.query("SELECT pg_advisory_xact_lock($1, hashtext($2))", [placementLock, pool]);
  }
}

/** The pool of a draft: as it says, its stamp's, or the only one. @throws StampyardError POOL_NOT_FOUND, … */
export async function poolOf(tx: Queryable, draft: TenantDraft): Promise<string> {
  const pools = await poolNames(tx);
  const home = draft.stamp === undefined ? undefined : await stampPool(tx, draft.stamp);
  return decidePool(draft, pools, home);
}

export function decidePool(draft: TenantDraft, pools: readonly string[], home: string | undefined): string {
  const pool = draft.pool ?? home ?? (pools.length === 1 ? pools[0] : undefined);
  if (pool === undefined) {
    throw new StampyardError("INVALID_REQUEST", `Tenant ${draft.key} needs a pool: there are ${pools.length}`, {
      mend: pools.length === 0 ? "Apply a fleet first." : `Name one of ${pools.join(", ")}.`,
    });
  }
  if (home !== undefined && home !== pool) {
    throw new StampyardError("INVALID_REQUEST", `Stamp ${draft.stamp} is of pool ${home}, not ${pool}`);
  }
  if (!pools.includes(pool)) throw new StampyardError("POOL_NOT_FOUND", `There is no pool ${pool}`);
  return pool;
}

export async function poolNames(tx: Queryable): Promise<readonly string[]> {
  const { rows } = await tx.query<{ name: string }>(
    `SELECT DISTINCT name FROM (
       SELECT jsonb_array_elements(fleet -> 'pools') ->> 'name' AS name FROM fleet UNION ALL SELECT pool FROM stamps
     ) AS all_pools ORDER BY name`,
  );
  return rows.map((row) => row.name);
}

async function stampPool(tx: Queryable, stamp: string): Promise<string> {
  const { rows } = await tx.query<{ pool: string }>("SELECT pool FROM stamps WHERE name = $1", [stamp]);
  if (rows[0] === undefined) throw stampNotFound(stamp);
  return rows[0].pool;
}

/** Stamps of a pool that may take tenants, with what is taken. Those to be removed are not among them. */
export async function placementCandidates(tx: Queryable, pool: string): Promise<PlacementCandidate[]> {
  const { rows } = await tx.query<StampRow>(
    `SELECT ${stampColumns} FROM stamps WHERE pool = $1 AND goal = 'present' ORDER BY name`,
    [pool],
  );
  const fleet = await tx.query<{ fleet: Fleet }>("SELECT fleet FROM fleet");
  const policy = fleet.rows[0]?.fleet.pools.find((candidate) => candidate.name === pool);
  const dedicated = policy?.tenancy === "dedicated";
  const used = await usedPlaces(
    tx,
    rows.map((row) => row.name),
  );
  const observed = await tx.query<{ stamp: string; observation: StampObservation }>(
    "SELECT stamp, observation FROM stamp_observations WHERE stamp = ANY ($1)",
    [rows.map((row) => row.name)],
  );
  const observations = new Map(observed.rows.map((row) => [row.stamp, row.observation]));
  return rows.map((row) => {
    const stamp = toStamp(row).value;
    const limits = unitsOf(stamp.capacity);
    const trouble = placementTrouble(observations.get(stamp.name));
    return {
      ...(trouble === undefined ? {} : { trouble }),
      name: stamp.name,
      pool,
      region: stamp.region,
      phase: stamp.state.kind,
      tenancy: dedicated ? "dedicated" : "shared",
      // A dedicated stamp has one tenant, whatever its template could hold.
      limits: dedicated ? { ...limits, tenants: Math.min(1, limits["tenants"] ?? 0) } : limits,
      used: unitsUsed(used.get(stamp.name)),
      usedBasis: "reserved",
      high: policy?.growth?.high ?? 1,
    };
  });
}

function unitsUsed(places: UsedPlaces | undefined): UnitVector {
  return places === undefined ? {} : { ...places.units, tenants: places.tenants };
}

type Wish = Pick<TenantDraft, "key" | "tier" | "residency" | "weight" | "stamp">;

/** Where a tenant goes among these: the stamp it names, if that has room, or the planner's choice. */
export function placeAmong(wish: Wish, pool: string, candidates: readonly PlacementCandidate[]): Placement {
  if (wish.stamp === undefined) {
    const { key, tier, residency, weight } = wish;
    const tenancy = candidates[0]?.tenancy ?? "shared";
    return choosePlacement({ key, pool, tenancy, tier, residency, weight }, candidates, {});
  }
  const home = candidates.find((candidate) => candidate.name === wish.stamp);
  if (home === undefined || home.phase === "destroying" || home.phase === "gone") {
    return { kind: "full", why: `stamp ${wish.stamp} is being removed` };
  }
  if (wish.residency.length > 0 && !wish.residency.includes(home.region)) {
    return { kind: "full", why: `stamp ${home.name} is in ${home.region}, and not in ${wish.residency.join(", ")}` };
  }
  if (!hasRoom(home, wish.weight)) return { kind: "full", why: `stamp ${home.name} is full` };
  return { kind: "place", stamp: home.name };
}

/**
 * Chooses a stamp and holds it as it was found, so that nobody removes it or lowers its capacity before this
 * transaction ends. Call `lockPlacement` first.
 */
export async function reservePlace(tx: Queryable, wish: Wish, pool: string): Promise<Placement> {
  for (;;) {
    const candidates = await placementCandidates(tx, pool);
    const placement = placeAmong(wish, pool, candidates);
    if (placement.kind !== "place") return placement;
    const chosen = candidates.find((candidate) => candidate.name === placement.stamp);
    if (chosen !== undefined && (await holdStamps(tx, [chosen]))) return placement;
  }
}

/** Holds stamps as found; false when one has changed since. */
export async function holdStamps(tx: Queryable, chosen: readonly PlacementCandidate[]): Promise<boolean> {
  const { rows } = await tx.query<{ name: string; goal: string; phase: string; capacity: Capacity }>(
    `SELECT name, goal, phase, capacity FROM stamps
     WHERE name = ANY ($1) ORDER BY name FOR SHARE`,
    [chosen.map((candidate) => candidate.name)],
  );
  const held = new Map(rows.map((row) => [row.name, row]));
  return chosen.every((candidate) => {
    const now = held.get(candidate.name);
    if (now?.goal !== "present" || now.phase !== candidate.phase) return false;
    const { tenants: limit, ...units } = candidate.limits;
    return now.capacity.tenants >= (limit ?? 0) && canonicalJson(now.capacity.units) === canonicalJson(units);
  });
}

export function poolFull(key: string, why: string): StampyardError {
  return new StampyardError("POOL_FULL", `No place for tenant ${key}: ${why}`, {
    mend: "Add a stamp (stampyard stamp create), raise the pool's capacity, or choose another pool.",
  });
}
