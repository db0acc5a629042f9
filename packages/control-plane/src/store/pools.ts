import {
  type Capacity,
  type GrowthSample,
  type PoolStamp,
  type PoolState,
  type ResidencyRule,
  residencyOf,
  type Stamp,
  type UnitVector,
  type WaitingTenant,
} from "@stampyard/domain";
import { whyBarred } from "./campaign-facts.ts";
import type { Queryable } from "./database.ts";
import { readFleetFacts, readStampFacts } from "./fleet-sight.ts";
import { candidateOf } from "./fleet-view.ts";
import type { WriteContext } from "./records.ts";
import { type StoreBase, write } from "./write.ts";

/** What the plan of a pool is made from, and the memory of its growth. */
export interface PoolStore {
  /** Undefined = the fleet has no such pool. */
  facts(pool: string): Promise<PoolFacts | undefined>;
  /** Notes what a pool carries now, and forgets what is older than two weeks. Not audited. @throws StampyardError STALE_LEADER */
  sample(pool: string, used: UnitVector, ctx: WriteContext): Promise<void>;
}

export interface PoolFacts extends Omit<PoolState, "newLimits"> {
  /** What a stamp of the present release declares, before the pool lowers it. */
  readonly declared: Capacity;
}

/** Begins the reason of a drain that the platform wants because the pool has too much, and not a person by other reasons. */
export const scaleDownReason = "Scaling down: ";

/** The plan builds a few stamps at a time; more than these would not change it. */
const waitingLimit = 1_000;
const keptSamples = "14 days";

export function poolStore(base: StoreBase): PoolStore {
  const { db } = base;
  return {
    async facts(name) {
      const { fleet, capacity, quarantined } = await readFleetFacts(db);
      const pool = fleet?.pools.find((each) => each.name === name);
      if (pool === undefined || capacity === undefined) return undefined;
      const own = await readOwn(db, name);
      // Stamps before those that wait: one that is placed between the two is missing from both, and never counted twice.
      const facts = await readStampFacts(db, [...own.keys()]);
      const stamps = facts.map((stamp): PoolStamp => {
        const { region, phase, limits, used, ...rest } = candidateOf(
          stamp,
          pool,
          quarantined.has(stamp.name),
          base.now(),
        );
        const { goal } = stamp;
        return { ...rest, ...own.get(stamp.name), region, phase, goal, limits, used };
      });
      const residency = fleet?.residency ?? [];
      const waiting = await readWaiting(db, name, residency);
      const canMove = (await whyBarred(db)) === undefined;
      const leaving = canMove && pool.tenancy === "dedicated" ? await readLeaving(db, name, residency) : [];
      return {
        pool,
        declared: capacity,
        residency,
        stamps,
        waiting,
        leaving,
        canMove,
        history: await readHistory(db, name),
      };
    },
    sample: (pool, used, ctx) =>
      write(base, ctx, async (w) => {
        await w.query(
          `INSERT INTO pool_samples (pool, at, used) VALUES ($1, to_timestamp($2::float8 / 1000), $3)
           ON CONFLICT DO NOTHING`,
          [pool, base.now(), JSON.stringify(used)],
        );
        // Of all pools: one that is not in the file any more is sampled no more.
        await w.query(
          `DELETE FROM pool_samples WHERE at < to_timestamp($1::float8 / 1000) - interval '${keptSamples}'`,
          [base.now()],
        );
      }),
  };
}

/** What placement does not ask of a stamp. */
async function readOwn(
  db: Queryable,
  pool: string,
): Promise<ReadonlyMap<string, Pick<PoolStamp, "attempts" | "scalingDown" | "residents">>> {
  const { rows } = await db.query<{
    name: string;
    attempt: number | null;
    detail: NonNullable<Stamp["goalDetail"]> | null;
    residents: UnitVector | null;
  }>(
    `SELECT name, (state ->> 'attempt')::int AS attempt, goal_detail AS detail,
       CASE WHEN goal = 'drained' THEN coalesce((SELECT jsonb_object_agg(unit, amount) FROM (
         SELECT taken.key AS unit, sum(taken.value::numeric) AS amount
         FROM tenants t, jsonb_each_text('{"tenants": 1}'::jsonb || t.weight) AS taken WHERE t.stamp = s.name AND t.phase <> 'moving' GROUP BY 1
       ) AS by_unit), '{}') END AS residents
     FROM stamps s WHERE pool = $1 ORDER BY name`,
    [pool],
  );
  return new Map(
    rows.map(({ name, attempt, detail, residents }) => {
      const scalingDown = detail?.reason?.startsWith(scaleDownReason) === true;
      const there = residents === null ? {} : { residents };
      return [name, { attempts: attempt ?? 0, ...(scalingDown ? { scalingDown } : {}), ...there }];
    }),
  );
}

/** One that moves already has its place. */
function readLeaving(db: Queryable, pool: string, rules: readonly ResidencyRule[]): Promise<readonly WaitingTenant[]> {
  const isLeaving =
    "t.phase = 'active' AND EXISTS (SELECT FROM stamps s WHERE s.name = t.stamp AND s.goal = 'drained')";
  return readTenants(db, pool, rules, isLeaving);
}

function readWaiting(db: Queryable, pool: string, rules: readonly ResidencyRule[]): Promise<readonly WaitingTenant[]> {
  return readTenants(db, pool, rules, "t.stamp IS NULL AND t.phase IN ('requested', 'placing')");
}

async function readTenants(
  db: Queryable,
  pool: string,
  rules: readonly ResidencyRule[],
  condition: string,
): Promise<readonly WaitingTenant[]> {
  const { rows } = await db.query<{
    key: string;
    tier: string;
    residency: readonly string[];
    weight: UnitVector;
    override: "pin" | "quarantine" | null;
  }>(
    `SELECT t.key, t.tier, t.residency, t.weight, o.kind AS override
     FROM tenants t LEFT JOIN placement_overrides o
       ON o.tenant = t.key AND (o.until IS NULL OR o.until > clock_timestamp())
     WHERE t.pool = $1 AND t.goal = 'present' AND ${condition}
     ORDER BY t.created_at, t.key LIMIT ${waitingLimit}`,
    [pool],
  );
  return rows.flatMap(({ key, weight, override, ...wish }): readonly WaitingTenant[] => {
    // No new stamp would be the one that it is pinned to.
    if (override === "pin") return [];
    const residency = residencyOf(rules, wish);
    const quarantined = override === "quarantine" ? { quarantined: true } : {};
    if (residency.kind === "conflict") return [{ key, regions: [], weight, conflict: residency.why, ...quarantined }];
    return [{ key, regions: residency.regions, weight, ...quarantined }];
  });
}

async function readHistory(db: Queryable, pool: string): Promise<readonly GrowthSample[]> {
  const { rows } = await db.query<{ at: number; used: UnitVector }>(
    "SELECT at, used FROM pool_samples WHERE pool = $1 ORDER BY at",
    [pool],
  );
  return rows;
}
