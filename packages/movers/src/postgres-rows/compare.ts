import type { SqlClient } from "./sql.ts";
import { identifier, qualified, type TableName } from "./sql.ts";

/**
 * Whether a tenant's rows are the same on both sides. Shares nothing with the copier but the names of tables and columns:
 * it reads both sides by queries of its own, as text, so that majors and collations may differ.
 */
export interface ComparedTable extends TableName {
  readonly tenantColumn: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
}

export interface TableComparison extends TableName {
  readonly isEqual: boolean;
  readonly sourceRows: number;
  readonly targetRows: number;
  /** First keys that differ, each with what is wrong; empty when all rows are equal. */
  readonly differences: readonly { readonly key: string; readonly what: "missing" | "extra" | "different" }[];
}

/** Most differences that a report names. */
const mostNamed = 20;

/**
 * Each connection must show a frozen view: a fenced source, and a transaction at REPEATABLE READ on the target. Pin the
 * settings that decide how values are written (`connectMover` does).
 */
export async function compareTenant(
  source: SqlClient,
  target: SqlClient,
  tables: readonly ComparedTable[],
  tenant: string,
): Promise<readonly TableComparison[]> {
  const results: TableComparison[] = [];
  for (const table of tables) {
    const [a, b] = await Promise.all([sumOf(source, table, tenant), sumOf(target, table, tenant)]);
    const isEqual = a.rows === b.rows && a.sum === b.sum && a.xor === b.xor;
    const differences = isEqual ? [] : await differencesOf(source, target, table, tenant);
    const { schema, table: name } = table;
    results.push({ schema, table: name, isEqual, sourceRows: a.rows, targetRows: b.rows, differences });
  }
  return results;
}

/** Count, sum and parity of a 64-bit hash per row: the order of rows does not matter, and no row can hide another. */
async function sumOf(db: SqlClient, table: ComparedTable, tenant: string) {
  const { rows } = await db.query(
    `select count(*)::float8 as rows, coalesce(sum(h::numeric), 0)::text as sum, coalesce(bit_xor(h), 0)::text as xor
     from (select ${hashOf(table)} as h from ${qualified(table)} t where ${ofTenant(table)} offset 0) x`,
    [tenant],
  );
  return { rows: Number(rows[0]?.["rows"]), sum: String(rows[0]?.["sum"]), xor: String(rows[0]?.["xor"]) };
}

async function differencesOf(source: SqlClient, target: SqlClient, table: ComparedTable, tenant: string) {
  const [a, b] = await Promise.all([hashesOf(source, table, tenant), hashesOf(target, table, tenant)]);
  const differences: { key: string; what: "missing" | "extra" | "different" }[] = [];
  for (const [key, hash] of a) {
    if (!b.has(key)) differences.push({ key, what: "missing" });
    else if (b.get(key) !== hash) differences.push({ key, what: "different" });
  }
  for (const key of b.keys()) if (!a.has(key)) differences.push({ key, what: "extra" });
  return differences.sort((x, y) => (x.key < y.key ? -1 : 1)).slice(0, mostNamed);
}

async function hashesOf(db: SqlClient, table: ComparedTable, tenant: string): Promise<ReadonlyMap<string, string>> {
  const key = `jsonb_build_array(${table.key.map((column) => `t.${identifier(column)}`).join(", ")})::text`;
  const { rows } = await db.query(
    `select ${key} as key, ${hashOf(table)}::text as hash from ${qualified(table)} t where ${ofTenant(table)}`,
    [tenant],
  );
  return new Map(rows.map((row) => [String(row["key"]), String(row["hash"])]));
}

function hashOf(table: ComparedTable): string {
  const columns = table.columns.map((column) => `t.${identifier(column)}`).join(", ");
  return `hashtextextended(row(${columns})::text, 42)`;
}

function ofTenant(table: ComparedTable): string {
  return `t.${identifier(table.tenantColumn)} = $1`;
}
