import type { Queryable } from "./database.ts";
import type { UsedPlaces } from "./records.ts";

/** Places taken per stamp, as the counters say that triggers keep; stamps without tenants are absent. */
export async function usedPlaces(tx: Queryable, names?: readonly string[]): Promise<Map<string, UsedPlaces>> {
  const { rows } = await tx.query<{ stamp: string; unit: string; reserved: number }>(
    `SELECT stamp, unit, reserved::float8 AS reserved FROM stamp_use
     WHERE reserved <> 0 AND ($1::text[] IS NULL OR stamp = ANY ($1)) ORDER BY stamp, unit`,
    [names === undefined ? null : [...names]],
  );
  const used = new Map<string, { tenants: number; units: Record<string, number> }>();
  for (const { stamp, unit, reserved } of rows) {
    const places = used.get(stamp) ?? { tenants: 0, units: {} };
    if (unit === "tenants") places.tenants = reserved;
    else places.units[unit] = reserved;
    used.set(stamp, places);
  }
  return used;
}

/** Homes of tenants, and what moves hold beside them. */
const countedSql = `counted AS (
       SELECT stamp, unit.key AS unit, sum(unit.value::numeric) AS reserved,
         count(*) FILTER (WHERE big AND unit.key = 'tenants') AS big
       FROM (SELECT stamp, weight, big FROM tenants UNION ALL SELECT stamp, weight, big FROM move_places) AS places,
         jsonb_each_text('{"tenants": 1}'::jsonb || weight) AS unit
       WHERE stamp IS NOT NULL GROUP BY 1, 2
     )`;

/** A counter that does not say what a recount says. */
export interface CounterDifference {
  readonly stamp: string;
  readonly unit: string;
  readonly kept: number;
  readonly counted: number;
}

/** Recounts every tenant and every move in one statement, so in one snapshot. Empty = the counters are right. */
export async function counterDifferences(tx: Queryable): Promise<readonly CounterDifference[]> {
  const { rows } = await tx.query<{ stamp: string; unit: string; kept: number; counted: number }>(
    `WITH ${countedSql}
     SELECT coalesce(u.stamp, c.stamp) AS stamp, coalesce(u.unit, c.unit) AS unit,
       coalesce(u.reserved, 0)::float8 AS kept, coalesce(c.reserved, 0)::float8 AS counted
     FROM stamp_use u FULL JOIN counted c ON c.stamp = u.stamp AND c.unit = u.unit
     WHERE coalesce(u.reserved, 0) <> coalesce(c.reserved, 0) OR coalesce(u.big, 0) <> coalesce(c.big, 0)
     ORDER BY 1, 2`,
  );
  return rows;
}

/** Writes what a recount says, while no place is given or taken. */
export async function recountUse(tx: Queryable): Promise<void> {
  await tx.query("LOCK TABLE tenants, move_places IN SHARE ROW EXCLUSIVE MODE");
  await tx.query(
    `WITH ${countedSql}, emptied AS (
       UPDATE stamp_use u SET reserved = 0, big = 0
       WHERE NOT EXISTS (SELECT FROM counted c WHERE c.stamp = u.stamp AND c.unit = u.unit)
     )
     INSERT INTO stamp_use AS u (stamp, unit, reserved, placed, big)
     SELECT stamp, unit, reserved, reserved, big FROM counted ORDER BY 1, 2
     ON CONFLICT (stamp, unit) DO UPDATE
       SET reserved = excluded.reserved, placed = greatest(u.placed, excluded.placed), big = excluded.big`,
  );
}
