import type { Instant, StampLoad } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { readStampFacts } from "./fleet-sight.ts";
import { loadOf } from "./fleet-view.ts";

/** What capacity planning reads. Nothing here is written, and every call looks at all tenants: for people, not for loops. */
export interface CapacityStore {
  /** What weighs on each stamp (decision D19). */
  loads(): Promise<ReadonlyMap<string, StampLoad>>;
  /** How use changed, by day: tenants that came, and those that have gone since. */
  changes(since: Instant): Promise<readonly UseChange[]>;
  /** How the weights of tenants are distributed, per pool and unit. */
  sizes(): Promise<readonly TenantSizes[]>;
  /** Milliseconds from asking for a stamp until it was active, per pool: the median of those that are there. */
  buildTimes(): Promise<ReadonlyMap<string, number>>;
}

export interface UseChange {
  readonly pool: string;
  readonly unit: string;
  /** Whole days since 1970-01-01, UTC. */
  readonly day: number;
  readonly change: number;
}

export interface TenantSizes {
  readonly pool: string;
  readonly unit: string;
  /** Tenants that take any of the unit. */
  readonly tenants: number;
  /** Weights at the quantiles of `sizeBuckets`, rising. */
  readonly weights: readonly number[];
  readonly largest: number;
  readonly total: number;
}

/** Few for the many small ones, and finer towards the biggest, who decide how many stamps there must be. */
export const sizeBuckets: readonly { readonly share: number; readonly quantile: number }[] = [
  ...parts(0, 0.9, 18),
  ...parts(0.9, 0.98, 8),
  ...parts(0.98, 0.998, 9),
  ...parts(0.998, 1, 4),
];

function parts(from: number, to: number, count: number): { share: number; quantile: number }[] {
  const share = (to - from) / count;
  return Array.from({ length: count }, (_, n) => ({ share, quantile: from + share * (n + 0.5) }));
}

export function capacityStore({ db }: { readonly db: Queryable }): CapacityStore {
  return {
    async loads() {
      return new Map((await readStampFacts(db)).map((facts) => [facts.name, loadOf(facts)]));
    },
    async changes(since) {
      const { rows } = await db.query<{ pool: string; unit: string; day: number; change: number }>(changesSql, [since]);
      return rows;
    },
    async sizes() {
      const quantiles = sizeBuckets.map((bucket) => bucket.quantile);
      const { rows } = await db.query<TenantSizes & Record<string, unknown>>(sizesSql, [quantiles]);
      return rows;
    },
    async buildTimes() {
      const { rows } = await db.query<{ pool: string; ms: number }>(buildTimesSql);
      return new Map(rows.map(({ pool, ms }) => [pool, Math.round(ms)]));
    },
  };
}

const dayOf = (column: string) => `floor(extract(epoch FROM ${column}) / 86400)::int`;

/**
 * Tenants that are there say when they came and what they weigh. Of those that are gone, the events say when they came
 * and went, and their last stamp the pool; what they weighed beside their place is not kept.
 */
const changesSql = `
WITH since AS (SELECT to_timestamp($1::float8 / 1000) AS at),
  here AS (
    SELECT pool, 'tenants' AS unit, ${dayOf("created_at")} AS day, places AS change
    FROM tenants, since WHERE created_at >= since.at AND stamp IS NOT NULL
    UNION ALL
    SELECT pool, unit.key, ${dayOf("created_at")}, unit.value::float8
    FROM tenants CROSS JOIN since CROSS JOIN jsonb_each_text(units) AS unit
    WHERE created_at >= since.at AND stamp IS NOT NULL AND units IS NOT NULL
  ), gone AS (
    SELECT s.pool, e.tenant, e.at, (
      SELECT max(c.at) FROM tenant_events c WHERE c.tenant = e.tenant AND c.id < e.id AND c.event = 'created'
    ) AS came
    FROM tenant_events e CROSS JOIN since JOIN stamps s ON s.name = e.stamp
    WHERE e.event = 'gone' AND e.at >= since.at
  ), all_changes AS (
    SELECT pool, unit, day, change FROM here
    UNION ALL SELECT pool, 'tenants', ${dayOf("at")}, -1 FROM gone
    UNION ALL SELECT pool, 'tenants', ${dayOf("came")}, 1 FROM gone, since WHERE came >= since.at
  )
SELECT pool, unit, day, sum(change)::float8 AS change FROM all_changes
GROUP BY pool, unit, day HAVING sum(change) <> 0 ORDER BY pool, unit, day`;

const sizesSql = `
SELECT pool, 'tenants' AS unit, count(*)::float8 AS tenants,
  percentile_disc($1::float8[]) WITHIN GROUP (ORDER BY places) AS weights,
  max(places) AS largest, sum(places) AS total
FROM tenants WHERE stamp IS NOT NULL GROUP BY pool
UNION ALL
SELECT pool, unit.key, count(*)::float8,
  percentile_disc($1::float8[]) WITHIN GROUP (ORDER BY unit.value::float8), max(unit.value::float8), sum(unit.value::float8)
FROM tenants CROSS JOIN jsonb_each_text(units) AS unit
WHERE stamp IS NOT NULL AND units IS NOT NULL GROUP BY pool, unit.key
ORDER BY 1, 2`;

const buildTimesSql = `
SELECT pool, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS ms FROM (
  SELECT s.pool, extract(epoch FROM (
    SELECT min(a.at) FROM audit a WHERE a.subject = 'stamp/' || s.name AND a.action = 'stamp.active' AND a.at >= s.created_at
  ) - s.created_at) * 1000 AS ms
  FROM stamps s
) AS built WHERE ms IS NOT NULL GROUP BY pool`;
