import type { Queryable } from "./database.ts";

/** A store beside the database that knows whose things it holds. */
export interface Swept {
  tenants(): Promise<readonly string[]>;
  erase(tenant: string): Promise<void>;
}

/**
 * Removes what the store holds of tenants that have no row here: moved away and erased, or deleted. Who is missing twice in a row
 * is gone; one that is just moving in has its rows before its objects.
 * @returns those that are missing now, for the next time
 */
export async function sweepGone(
  db: Queryable,
  store: Swept,
  missingBefore: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const tenants = await store.tenants();
  const { rows } = await db.query<{ tenant_id: string }>(
    "select tenant_id from accounts where tenant_id = any ($1::text[])",
    [tenants],
  );
  const here = new Set(rows.map((row) => row.tenant_id));
  const missing = tenants.filter((tenant) => !here.has(tenant));
  for (const tenant of missing) if (missingBefore.has(tenant)) await store.erase(tenant);
  return new Set(missing.filter((tenant) => !missingBefore.has(tenant)));
}
