import type { Queryable } from "./database.ts";
import type { UsedPlaces } from "./records.ts";

/**
 * Places taken per stamp; stamps without tenants are absent. Places come from an index alone; units, which few tenants
 * have, from a partial one. Counted, not kept: a counter could drift from what it counts.
 */
export async function usedPlaces(tx: Queryable, names?: readonly string[]): Promise<Map<string, UsedPlaces>> {
  const { rows } = await tx.query<{ stamp: string; tenants: number; units: Record<string, number> | null }>(
    `WITH places AS (
       SELECT stamp, sum(places) AS tenants FROM tenants
       WHERE stamp IS NOT NULL AND ($1::text[] IS NULL OR stamp = ANY ($1)) GROUP BY stamp
     ), sums AS (
       SELECT stamp, unit.key, sum(unit.value::float8) AS value FROM tenants, jsonb_each_text(units) AS unit
       WHERE stamp IS NOT NULL AND units IS NOT NULL AND ($1::text[] IS NULL OR stamp = ANY ($1)) GROUP BY 1, 2
     )
     SELECT stamp, tenants, (SELECT jsonb_object_agg(key, value) FROM sums WHERE sums.stamp = places.stamp) AS units
     FROM places`,
    [names === undefined ? null : [...names]],
  );
  return new Map(rows.map(({ stamp, tenants, units }) => [stamp, { tenants, units: units ?? {} }]));
}
