import type { MoveCompared } from "@stampyard/domain";
import {
  beyond,
  bound,
  type CanonicalTable,
  canonicalTables,
  type ComparedTable,
  keyedBy,
  keyText,
  rowHash,
  rowsOfTenant,
  sameKey,
} from "./canonical.ts";
import type { SqlClient, TableName } from "./sql.ts";

/** Whether a tenant's rows are the same on both sides. */
export interface TableComparison extends TableName {
  readonly isEqual: boolean;
  readonly sourceRows: number;
  readonly targetRows: number;
  /** First keys that differ, each with what is wrong; empty when all rows are equal. */
  readonly differences: readonly { readonly key: string; readonly what: Difference["what"] }[];
}

export type Difference = MoveCompared["differences"][number];

/** Most differences that a report names. */
export const mostNamed = 20;
/** Rows that are looked at one by one where a table differs. */
const rowsAtOnce = 10_000;

/** Part of a table: after one key, up to another, and without some rows. */
export interface Range {
  readonly after?: readonly string[];
  readonly until?: readonly string[];
  /** Keys to leave out: a JSON list of objects, as text. */
  readonly without?: string;
}

/**
 * Each connection must show a frozen view: a fenced source, and a transaction at REPEATABLE READ on the target. Pin the
 * settings that decide how values are written (`connectMover` does).
 */
export async function compareTenant(
  source: SqlClient,
  target: SqlClient,
  tables: readonly ComparedTable[],
  tenant: string,
  onTable?: (compared: TableComparison) => void,
): Promise<readonly TableComparison[]> {
  const results: TableComparison[] = [];
  for (const table of await canonicalTables(source, target, tables)) {
    const { schema, table: name } = table;
    const sums = await sumBoth(source, target, table, tenant, {});
    const found = sums.isEqual ? [] : await firstDifferences(source, target, table, tenant, {});
    const differences = found.map(({ key, what }) => ({ key, what }));
    const { isEqual, sourceRows, targetRows } = sums;
    results.push({ schema, table: name, isEqual, sourceRows, targetRows, differences });
    for (const result of results.slice(-1)) onTable?.(result);
  }
  return results;
}

/** In small ranges, so that a large table needs no more memory than a small one. */
export async function firstDifferences(
  source: SqlClient,
  target: SqlClient,
  table: CanonicalTable,
  tenant: string,
  range: Range,
): Promise<readonly Difference[]> {
  const found: Difference[] = [];
  let rest: Range | undefined = range;
  while (rest !== undefined && found.length < mostNamed) {
    const until = await keyAfter(source, table, tenant, rest, rowsAtOnce);
    const part: Range = until === undefined ? rest : { ...rest, until };
    const { isEqual } = await sumBoth(source, target, table, tenant, part);
    if (!isEqual) found.push(...(await differencesIn(source, target, table, tenant, part)));
    rest = until === undefined ? undefined : { ...rest, after: until };
  }
  return found.slice(0, mostNamed);
}

/** The key that ends a part of so many rows on the source; undefined = the range has no more than that. */
export async function keyAfter(
  source: SqlClient,
  table: CanonicalTable,
  tenant: string,
  { after, until }: Range,
  rows: number,
): Promise<readonly string[] | undefined> {
  const to = bound();
  const of = rowsOfTenant(table, to.bind(tenant));
  const within = `${of}${beyond(table, ">", after, to)}${beyond(table, "<=", until, to)}`;
  const found = await source.query(
    `select ${table.order.map((column, i) => `(${column})::text as k${i}`).join(", ")} ${within}
     order by ${table.order.join(", ")} offset ${to.bind(rows - 1)} limit 1`,
    to.values,
  );
  const row = found.rows[0];
  return row === undefined ? undefined : table.order.map((_, i) => String(row[`k${i}`]));
}

export interface Sums {
  readonly isEqual: boolean;
  readonly sourceRows: number;
  readonly targetRows: number;
}

/** Count, sum and parity of a hash per row: the order of rows does not matter, and none can hide another. */
export async function sumBoth(
  source: SqlClient,
  target: SqlClient,
  table: CanonicalTable,
  tenant: string,
  range: Range,
): Promise<Sums> {
  const [a, b] = await Promise.all([sumOf(source, table, tenant, range), sumOf(target, table, tenant, range)]);
  const isEqual = a.rows === b.rows && a.sum === b.sum && a.xor === b.xor;
  return { isEqual, sourceRows: Number(a.rows), targetRows: Number(b.rows) };
}

async function sumOf(db: SqlClient, table: CanonicalTable, tenant: string, range: Range) {
  const to = bound();
  const [first, second] = table.sums.numbers;
  const { rows } = await db.query(
    `select count(*)::text as rows, coalesce(sum(${first}), 0)::text as sum, coalesce(bit_xor(${second}), 0)::text as xor
     from (select ${table.sums.of} as h ${inRange(table, tenant, range, to)} offset 0) x`,
    to.values,
  );
  return { rows: String(rows[0]?.["rows"]), sum: String(rows[0]?.["sum"]), xor: String(rows[0]?.["xor"]) };
}

/** Key by key, where the sums of a range differ. */
async function differencesIn(
  source: SqlClient,
  target: SqlClient,
  table: CanonicalTable,
  tenant: string,
  range: Range,
): Promise<readonly Difference[]> {
  const hashes = async (db: SqlClient) => {
    const to = bound();
    return hashesBy(db, `select ${keyAndHash(table)} ${inRange(table, tenant, range, to)}`, to.values);
  };
  const [a, b] = await Promise.all([hashes(source), hashes(target)]);
  return differencesOf(table, a, b);
}

/** Compares rows by their keys: one question on each side. `rows` = how many of the keys name a row on the source. */
export async function compareKeys(
  source: SqlClient,
  target: SqlClient,
  table: CanonicalTable,
  tenant: string,
  keys: { readonly these: string; readonly without?: string },
): Promise<{ readonly rows: number; readonly differences: readonly Difference[] }> {
  const hashes = async (db: SqlClient) => {
    const to = bound();
    const named = `select distinct * from ${keyedBy(table, keys.these, to)}`;
    // Key by key: a table that was filled a moment ago looks empty to the planner.
    const found = `select t.* ${rowsOfTenant(table, to.bind(tenant))} and ${sameKey(table)} offset 0`;
    const from = `from (${named}) k, lateral (${found}) t where true${notAmong(table, keys.without, to)}`;
    return hashesBy(db, `select ${keyAndHash(table)} ${from}`, to.values);
  };
  const [a, b] = await Promise.all([hashes(source), hashes(target)]);
  return { rows: a.size, differences: differencesOf(table, a, b) };
}

function inRange(
  table: CanonicalTable,
  tenant: string,
  { after, until, without }: Range,
  to: ReturnType<typeof bound>,
) {
  const of = rowsOfTenant(table, to.bind(tenant));
  return `${of}${beyond(table, ">", after, to)}${beyond(table, "<=", until, to)}${notAmong(table, without, to)}`;
}

function notAmong(table: CanonicalTable, keys: string | undefined, to: ReturnType<typeof bound>): string {
  if (keys === undefined) return "";
  return ` and not exists (select from ${keyedBy(table, keys, to)} where ${sameKey(table)})`;
}

function keyAndHash(table: CanonicalTable): string {
  return `${keyText(table)} as key, encode(${rowHash(table)}, 'hex') as hash`;
}

async function hashesBy(db: SqlClient, sql: string, values: unknown[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await db.query(sql, values);
  return new Map(rows.map((row) => [String(row["key"]), String(row["hash"])]));
}

function differencesOf(
  { name }: CanonicalTable,
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
): readonly Difference[] {
  const found: Difference[] = [];
  for (const [key, hash] of a) {
    if (!b.has(key)) found.push({ table: name, key, what: "missing" });
    else if (b.get(key) !== hash) found.push({ table: name, key, what: "different" });
  }
  for (const key of b.keys()) if (!a.has(key)) found.push({ table: name, key, what: "extra" });
  return found.sort((x, y) => (x.key < y.key ? -1 : 1)).slice(0, mostNamed);
}
