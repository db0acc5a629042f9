import type { MoverCall } from "@stampyard/domain";
import { bound, type CanonicalTable, canonicalTables, keyText, rowHash, rowsOfTenant } from "./canonical.ts";
import type { Findings } from "./check-side.ts";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { identifier, literal, qualified, sqlStateOf, type TableName } from "./sql.ts";
import type { TableFacts } from "./tables.ts";

/** Longest look at one reference table. */
const referenceMs = 20_000;
/** Longest exact count of all of a tenant's rows; what is left is estimated. */
const countMs = 10_000;
/** Rows of a reference table that are told apart one by one. */
const mostTold = 100_000;

/** Rows point at these tables by their keys, so the same key must mean the same on both sides (D14). */
export async function checkReferenceRows(
  source: MoverDb,
  target: MoverDb,
  tables: readonly TableName[],
  facts: readonly TableFacts[],
  { problems, warnings }: Findings,
): Promise<void> {
  for (const table of tables) {
    const own = facts.find((fact) => qualified(fact) === qualified(table));
    if (own === undefined || own.kind === "foreign") continue;
    const where = `table ${table.schema}.${table.table}`;
    const columns = own.columns.filter((column) => !column.isGenerated).map(({ name }) => name);
    const named = { ...table, tenantColumn: "", key: own.keys[0]?.columns ?? columns, columns };
    const [asked] = await canonicalTables(source, target, [named]);
    if (asked === undefined) continue;
    const sql = `select count(*)::text || ' ' || coalesce(sum((${asked.sums.numbers[0]})::numeric), 0)::text as sum
      from (select ${asked.sums.of} as h from ${qualified(table)} t offset 0) x`;
    const [a, b] = await Promise.all([inTime(source, sql, referenceMs), inTime(target, sql, referenceMs)]);
    if (a === undefined || b === undefined) {
      const what = "is a reference table that could not be compared: it is too large, or may not be read";
      const mend = `Compare it yourself, because rows of tenants point at it: grant select on ${qualified(table)} to stampyard_mover;`;
      warnings.push({ where, what, mend });
    } else if (a[0]?.["sum"] !== b[0]?.["sum"]) {
      const which = await differingKeys(source, target, asked);
      const what = `is a reference table and has different rows on both sides${which}`;
      problems.push({ where, what, mend: "Make its rows the same by the same migrations on both sides." });
    }
  }
}

async function differingKeys(source: MoverDb, target: MoverDb, table: CanonicalTable): Promise<string> {
  const sql = `select ${keyText(table)} as key, encode(${rowHash(table)}, 'hex') as hash from ${qualified(table)} t limit ${mostTold}`;
  const [a, b] = await Promise.all([source.query(sql), target.query(sql)]);
  const there = new Map(b.rows.map((row) => [row["key"], row["hash"]]));
  const here = new Map(a.rows.map((row) => [row["key"], row["hash"]]));
  const keys = [...new Set([...here.keys(), ...there.keys()])].filter((key) => here.get(key) !== there.get(key));
  const named = keys.map(String).sort().slice(0, 3).join(", ");
  return named === "" ? "" : `: ${named}${keys.length > 3 ? ` and ${keys.length - 3} more` : ""}`;
}

/** Rows of the tenant on the target, where it has no home: a move would remove them, and nobody knows whose they are. */
export async function checkStrangers(
  target: MoverDb,
  tables: readonly MoveTable[],
  tenant: string,
  { problems }: Findings,
): Promise<void> {
  for (const table of tables) {
    const to = bound();
    const found = await unlessRefused(() =>
      target.query(`select 1 ${rowsOfTenant(table, to.bind(tenant))} limit 1`, to.values),
    );
    if (found === undefined || found.rows.length === 0) continue;
    const where = `table ${table.schema}.${table.table} of the target`;
    const what = `has rows of tenant ${tenant}, which has no home there`;
    problems.push({ where, what, mend: "Find out whose they are, and remove them or register the tenant there." });
  }
}

/** Rows and bytes of each table's part, by `schema.table`; exact as long as there is time. */
export async function measureTenant(
  source: MoverDb,
  tables: readonly MoveTable[],
  tenant: string,
  call: MoverCall,
): Promise<ReadonlyMap<string, { readonly rows: number; readonly bytes: number }>> {
  const until = performance.now() + countMs;
  const measured = new Map<string, { readonly rows: number; readonly bytes: number }>();
  for (const table of tables) {
    call.signal.throwIfAborted();
    const of = rowsOfTenant(table, literal(tenant));
    const size = table.columns.map((column) => `coalesce(pg_column_size(t.${identifier(column)}), 0)`).join(" + ");
    const left = Math.ceil(until - performance.now());
    const counted =
      left <= 0
        ? undefined
        : await inTime(
            source,
            `select count(*)::float8 as rows, coalesce(sum(${size}), 0)::float8 as bytes ${of}`,
            left,
          );
    const seen = counted?.[0] ?? (await unlessRefused(() => estimate(source, of, table)));
    measured.set(`${table.schema}.${table.table}`, {
      rows: Number(seen?.["rows"] ?? 0),
      bytes: Number(seen?.["bytes"] ?? 0),
    });
  }
  return measured;
}

async function estimate(source: MoverDb, of: string, table: MoveTable): Promise<Record<string, unknown>> {
  const { rows } = await source.query(`explain (format json) select 1 ${of}`);
  const plans = rows[0]?.["QUERY PLAN"] as readonly { readonly Plan: Readonly<Record<string, unknown>> }[] | undefined;
  const count = Number(plans?.[0]?.Plan["Plan Rows"] ?? 0);
  return { rows: count, bytes: Math.round((count * table.bytes) / Math.max(1, table.rows)) };
}

/** Columns that are not there, or rows that may not be read: told where shapes and rights are compared. */
const refusals = ["42703", "42501", "42P01"];

async function unlessRefused<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (caught) {
    if (refusals.includes(sqlStateOf(caught) ?? "")) return undefined;
    throw caught;
  }
}

/** Rows of a question, or undefined when it takes longer than that, or may not be asked. Reads only. */
async function inTime(db: MoverDb, sql: string, ms: number): Promise<Record<string, unknown>[] | undefined> {
  await db.query("begin read only");
  try {
    await db.query(`set local statement_timeout = ${ms}`);
    return await unlessRefused(async () => (await db.query(sql)).rows);
  } catch (caught) {
    if (sqlStateOf(caught) === "57014") return undefined;
    throw caught;
  } finally {
    if (db.isOpen) await db.query("rollback").catch(() => {});
  }
}
