import {
  type Capacity,
  type Fleet,
  type Instant,
  observationMaxAgeMs,
  type PlacementOverride,
  placementTrouble,
  type Stamp,
  type StampObservation,
  type StampPhase,
  type UnitVector,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";

/** What the database says of stamps, for placement. */
export interface StampFacts {
  readonly name: string;
  readonly pool: string;
  readonly region: string;
  readonly goal: Stamp["goal"];
  readonly phase: StampPhase;
  readonly origin: Stamp["origin"];
  readonly reservedFor: string | undefined;
  readonly capacity: Capacity;
  readonly trouble: string | undefined;
  readonly use: StampUse;
  readonly load: StampLoadFacts | undefined;
}

export interface StampUse {
  /** Homes of tenants, and what moves hold beside them. */
  readonly reserved: UnitVector;
  /** Of `reserved`: what tenants hold that are on their way in. */
  readonly incoming: UnitVector;
  /** Of `reserved`: what is kept for tenants that may come back. */
  readonly waysBack: UnitVector;
  /** Everything that was ever placed: two readings tell what came between. */
  readonly placed: UnitVector;
  readonly big: number;
}

export interface StampLoadFacts {
  readonly p95: UnitVector;
  readonly windowStart: Instant;
  readonly at: Instant;
  readonly placedAtStart: UnitVector;
}

export interface FleetFacts {
  readonly fleet: Fleet | undefined;
  /** What a stamp of the fleet's present release declares. */
  readonly capacity: Capacity | undefined;
  /** In force now. */
  readonly overrides: ReadonlyMap<string, PlacementOverride>;
  /** Stamps whose tenants are all quarantined. */
  readonly quarantined: ReadonlySet<string>;
}

/** @param names absent = all */
export async function readStampFacts(tx: Queryable, names?: readonly string[]): Promise<readonly StampFacts[]> {
  const wanted = [names === undefined ? null : [...names]];
  const { rows } = await tx.query<{
    name: string;
    pool: string;
    region: string;
    goal: Stamp["goal"];
    phase: StampPhase;
    origin: Stamp["origin"];
    reserved_for: string | null;
    capacity: Capacity;
  }>(
    `SELECT name, pool, region, goal, phase, origin, reserved_for, capacity FROM stamps
     WHERE $1::text[] IS NULL OR name = ANY ($1) ORDER BY name`,
    wanted,
  );
  const use = await readUse(tx, wanted);
  const loads = await readLoads(tx, wanted);
  // The rest are as they should be, and their observations are long.
  const seen = await tx.query<{ stamp: string; observation: StampObservation }>(
    `SELECT stamp, observation FROM stamp_observations
     WHERE ($1::text[] IS NULL OR stamp = ANY ($1))
       AND (observation ->> 'presence' <> 'present' OR observation ->> 'host' <> 'up')`,
    wanted,
  );
  const troubles = new Map(seen.rows.map((row) => [row.stamp, placementTrouble(row.observation)]));
  return rows.map(({ reserved_for, ...row }) => ({
    ...row,
    reservedFor: reserved_for ?? undefined,
    trouble: troubles.get(row.name),
    use: use.get(row.name) ?? noUse,
    load: loads.get(row.name),
  }));
}

const noUse: StampUse = { reserved: {}, incoming: {}, waysBack: {}, placed: {}, big: 0 };

async function readUse(tx: Queryable, wanted: readonly unknown[]): Promise<ReadonlyMap<string, StampUse>> {
  // One order for all, so that all their vectors have one shape: each decision reads thousands of them.
  const { rows } = await tx.query<{ stamp: string; unit: string; reserved: number; placed: number; big: number }>(
    `SELECT stamp, unit, reserved::float8 AS reserved, placed::float8 AS placed, big FROM stamp_use
     WHERE $1::text[] IS NULL OR stamp = ANY ($1) ORDER BY stamp, unit`,
    wanted,
  );
  const moves = await readMovePlaces(tx, wanted);
  type Use = { reserved: Record<string, number>; placed: Record<string, number>; big: number } & MovePlaces;
  const use = new Map<string, Use>();
  for (const { stamp, unit, reserved, placed, big } of rows) {
    const entry = use.get(stamp) ?? { reserved: {}, placed: {}, big: 0, ...(moves.get(stamp) ?? noPlaces) };
    entry.reserved[unit] = reserved;
    entry.placed[unit] = placed;
    entry.big += big;
    use.set(stamp, entry);
  }
  return use;
}

type MovePlaces = Pick<StampUse, "incoming" | "waysBack">;
const noPlaces: MovePlaces = { incoming: {}, waysBack: {} };

/** Few at any time. */
async function readMovePlaces(tx: Queryable, wanted: readonly unknown[]): Promise<ReadonlyMap<string, MovePlaces>> {
  const { rows } = await tx.query<{ stamp: string; incoming: UnitVector | null; ways_back: UnitVector | null }>(
    `SELECT stamp, jsonb_object_agg(unit, amount) FILTER (WHERE kind = 'incoming') AS incoming,
       jsonb_object_agg(unit, amount) FILTER (WHERE kind = 'way-back') AS ways_back
     FROM (
       SELECT stamp, kind, unit.key AS unit, sum(unit.value::numeric)::float8 AS amount
       FROM move_places, jsonb_each_text('{"tenants": 1}'::jsonb || weight) AS unit
       WHERE $1::text[] IS NULL OR stamp = ANY ($1) GROUP BY 1, 2, 3
     ) AS places GROUP BY stamp`,
    wanted,
  );
  return new Map(
    rows.map(({ stamp, incoming, ways_back: waysBack }) => [
      stamp,
      { incoming: incoming ?? {}, waysBack: waysBack ?? {} },
    ]),
  );
}

async function readLoads(tx: Queryable, wanted: readonly unknown[]): Promise<ReadonlyMap<string, StampLoadFacts>> {
  const { rows } = await tx.query<{
    stamp: string;
    unit: string;
    p95: number;
    window_start: number;
    at: number;
    placed_at_start: number;
  }>(
    `SELECT stamp, unit, p95, window_start, at, placed_at_start::float8 AS placed_at_start FROM stamp_load_p95
     WHERE $1::text[] IS NULL OR stamp = ANY ($1)`,
    wanted,
  );
  type Load = { p95: Record<string, number>; windowStart: number; at: number; placedAtStart: Record<string, number> };
  const loads = new Map<string, Load>();
  const newest = new Map<string, number>();
  for (const { stamp, at } of rows) newest.set(stamp, Math.max(at, newest.get(stamp) ?? at));
  for (const row of rows) {
    const at = newest.get(row.stamp) ?? row.at;
    // A unit that is no longer measured says nothing, and leaves what the others say.
    if (at - row.at > observationMaxAgeMs) continue;
    const load = loads.get(row.stamp) ?? { p95: {}, windowStart: row.window_start, at, placedAtStart: {} };
    load.p95[row.unit] = row.p95;
    load.placedAtStart[row.unit] = row.placed_at_start;
    load.windowStart = Math.min(load.windowStart, row.window_start);
    loads.set(row.stamp, load);
  }
  return loads;
}

export async function readFleetFacts(tx: Queryable): Promise<FleetFacts> {
  const fleet = await tx.query<{ fleet: Fleet; capacity: Capacity | null }>(
    "SELECT fleet, (SELECT template -> 'capacity' FROM releases r WHERE r.digest = f.release_digest) AS capacity FROM fleet f",
  );
  const overrides = await tx.query<{ tenant: string; kind: string; stamp: string | null; until: number | null }>(
    "SELECT tenant, kind, stamp, until FROM placement_overrides WHERE until IS NULL OR until > clock_timestamp()",
  );
  const quarantined = await tx.query<{ stamp: string }>(
    `SELECT t.stamp FROM placement_overrides o JOIN tenants t ON t.key = o.tenant
     WHERE o.kind = 'quarantine' AND (o.until IS NULL OR o.until > clock_timestamp()) AND t.stamp IS NOT NULL
     GROUP BY t.stamp HAVING count(*) = (SELECT count(*) FROM tenants other WHERE other.stamp = t.stamp)`,
  );
  return {
    fleet: fleet.rows[0]?.fleet,
    capacity: fleet.rows[0]?.capacity ?? undefined,
    overrides: new Map(
      overrides.rows.map((row) => {
        const until = row.until === null ? {} : { until: row.until };
        const override: PlacementOverride =
          row.stamp === null ? { kind: "quarantine", ...until } : { kind: "pin", stamp: row.stamp, ...until };
        return [row.tenant, override];
      }),
    ),
    quarantined: new Set(quarantined.rows.map((row) => row.stamp)),
  };
}

/** An operator's word counts from the moment it is given, before the reconciler has turned it into a phase. */
export function phaseByGoal(goal: Stamp["goal"], phase: StampPhase): StampPhase {
  if (phase === "destroying" || phase === "gone") return phase;
  if (goal === "absent") return "destroying";
  if (phase !== "active") return phase;
  if (goal === "cordoned") return "cordoned";
  return goal === "drained" ? "draining" : phase;
}
