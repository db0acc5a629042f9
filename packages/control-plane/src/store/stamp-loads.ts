import type { Instant, UnitVector } from "@stampyard/domain";
import type { WriteContext } from "./records.ts";
import { staleLeader, type StoreBase } from "./write.ts";

/** What a stamp was measured to carry. */
export interface LoadSample {
  readonly stamp: string;
  /** Amounts by unit; a unit that could not be measured is left out. */
  readonly amounts: UnitVector;
}

export interface StampLoadRecord {
  readonly stamp: string;
  /** 95th percentile over the last hour, by unit. */
  readonly p95: UnitVector;
  readonly windowStart: Instant;
  readonly at: Instant;
}

/** Observed load (decision D19). Cheap and not audited, like observations: wrong again a minute later. */
export interface LoadStore {
  /** One sample per stamp, unit and minute; a later one of the same minute replaces it. @throws StampyardError STALE_LEADER */
  record(samples: readonly LoadSample[], ctx: WriteContext): Promise<void>;
  /** Stamps with samples. */
  list(): Promise<readonly StampLoadRecord[]>;
  /** Forgets samples older than a day. @returns the number forgotten */
  prune(): Promise<number>;
}

/** The window of the percentile. */
const window = "interval '1 hour'";

export function loadStore(base: StoreBase): LoadStore {
  const { db } = base;
  return {
    async record(samples, ctx) {
      const rows = samples.flatMap(({ stamp, amounts }) =>
        Object.entries(amounts).map(([unit, amount]) => ({ stamp, unit, amount })),
      );
      if (rows.length === 0) return;
      await db.transaction(async (tx) => {
        const leads = await tx.query("SELECT FROM lease WHERE name = 'leader' AND token = $1 FOR KEY SHARE", [
          ctx.token,
        ]);
        if (leads.rowCount === 0) throw staleLeader(ctx.token);
        await tx.query(sampleSql, [
          rows.map((row) => row.stamp),
          rows.map((row) => row.unit),
          rows.map((row) => row.amount),
        ]);
        await tx.query(p95Sql, [[...new Set(rows.map((row) => row.stamp))]]);
      });
      base.view.touch(samples.map((sample) => sample.stamp));
    },
    async list() {
      const { rows } = await db.query<{ stamp: string; p95: UnitVector; window_start: number; at: number }>(
        `SELECT stamp, jsonb_object_agg(unit, p95) AS p95, min(window_start) AS window_start, min(at) AS at
         FROM stamp_load_p95 GROUP BY stamp ORDER BY stamp`,
      );
      return rows.map(({ stamp, p95, window_start: windowStart, at }) => ({ stamp, p95, windowStart, at }));
    },
    async prune() {
      const { rowCount } = await db.query(
        "DELETE FROM stamp_loads WHERE minute < clock_timestamp() - interval '1 day'",
      );
      return rowCount;
    },
  };
}

/** A stamp may have gone while it was measured. */
const sampleSql = `
INSERT INTO stamp_loads (stamp, unit, minute, amount, placed)
SELECT t.stamp, t.unit, date_trunc('minute', clock_timestamp()), t.amount, coalesce(u.placed, 0)
FROM unnest($1::text[], $2::text[], $3::float8[]) AS t (stamp, unit, amount)
JOIN stamps s ON s.name = t.stamp
LEFT JOIN stamp_use u ON u.stamp = t.stamp AND u.unit = t.unit
ON CONFLICT (stamp, unit, minute) DO UPDATE SET amount = excluded.amount`;

/** The first reading of the window tells what was placed since: those weights are not in all of the samples. */
const p95Sql = `
INSERT INTO stamp_load_p95 (stamp, unit, p95, window_start, at, placed_at_start)
SELECT stamp, unit, percentile_cont(0.95) WITHIN GROUP (ORDER BY amount), min(minute), clock_timestamp(),
  (array_agg(placed ORDER BY minute))[1]
FROM stamp_loads WHERE stamp = ANY ($1) AND minute > clock_timestamp() - ${window}
GROUP BY stamp, unit
ON CONFLICT (stamp, unit) DO UPDATE SET p95 = excluded.p95, window_start = excluded.window_start, at = excluded.at,
  placed_at_start = excluded.placed_at_start`;
