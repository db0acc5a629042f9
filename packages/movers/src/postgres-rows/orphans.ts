import { bound, type CanonicalTable, keyedBy, keyText, rowsOfTenant, sameKey } from "./canonical.ts";
import { type Difference, mostNamed } from "./compare.ts";
import type { RowsPair } from "./rows-pair.ts";
import { identifier, qualified, type TableName } from "./sql.ts";
import type { ForeignKeyFacts } from "./tables.ts";

/**
 * A copy without triggers checks no foreign key. Between moved tables equal copies say all; what is left is rows outside of
 * them that moved rows point at, and rows whose owner is gone, which no comparison by tenant can see.
 */

/**
 * Rows that the tenant's rows on the target point at, in tables that do not move, and that only the source has.
 * @param keys only rows of these keys (a JSON list of objects, as text), of one table
 */
export async function lostParents(
  pair: Pick<RowsPair, "source" | "target" | "tenant" | "tables">,
  tables: readonly CanonicalTable[],
  keys?: { readonly these: string },
): Promise<readonly Difference[]> {
  const moved = new Set(pair.tables.map(qualified));
  const lost: Difference[] = [];
  for (const table of tables) {
    const outside = (table.foreignKeys ?? []).filter(({ to }) => !moved.has(qualified(to)));
    for (const key of outside) lost.push(...(await parentsLostBy(pair, table, key, keys?.these)));
  }
  return lost;
}

async function parentsLostBy(
  { source, target, tenant }: Pick<RowsPair, "source" | "target" | "tenant">,
  table: CanonicalTable,
  key: ForeignKeyFacts,
  these: string | undefined,
): Promise<readonly Difference[]> {
  const to = bound();
  const values = key.columns.map((column, i) => `t.${identifier(column)}::text as v${i}`).join(", ");
  const pointing = key.columns.map((column) => `t.${identifier(column)} is not null`).join(" and ");
  const parent = key.toColumns.map((column, i) => `p.${identifier(column)} = t.${identifier(key.columns[i] ?? "")}`);
  const rows = rowsOfTenant(table, to.bind(tenant));
  const named =
    these === undefined ? "" : ` and exists (select from ${keyedBy(table, these, to)} where ${sameKey(table)})`;
  const found = await target.query(
    `select distinct ${values} ${rows}${named} and ${pointing}
       and not exists (select from ${qualified(key.to)} p where ${parent.join(" and ")}) limit ${mostNamed}`,
    to.values,
  );
  const lost: Difference[] = [];
  for (const row of found.rows) {
    const wanted = key.columns.map((_, i) => String(row[`v${i}`]));
    const there = key.toColumns.map((column, i) => `p.${identifier(column)} = $${i + 1}`).join(" and ");
    const { rows: known } = await source.query(`select 1 from ${qualified(key.to)} p where ${there} limit 1`, wanted);
    // A row that points nowhere on the source either came as it was.
    if (known.length > 0) lost.push({ table: nameOf(key.to), key: JSON.stringify(wanted), what: "missing" });
  }
  return lost;
}

/** A row may come before its parent, by this move or by another; it lasts no longer than a round or two. */
const mostLooks = 5;
const betweenSeconds = 0.3;

/**
 * Rows on the target whose path to a tenant leads nowhere, and goes on leading nowhere.
 * @param bring brings what is captured, between two looks
 */
export async function strayRows(
  pair: Pick<RowsPair, "target">,
  tables: readonly CanonicalTable[],
  bring: () => Promise<void>,
): Promise<readonly Difference[]> {
  let stray = await strayNow(pair, tables);
  for (let look = 1; stray.length > 0 && look < mostLooks; look++) {
    await pair.target.query("select pg_sleep($1)", [betweenSeconds]);
    await bring();
    const now = new Set((await strayNow(pair, tables)).map(({ table, key }) => `${table} ${key}`));
    stray = stray.filter(({ table, key }) => now.has(`${table} ${key}`));
  }
  return stray;
}

async function strayNow(
  pair: Pick<RowsPair, "target">,
  tables: readonly CanonicalTable[],
): Promise<readonly Difference[]> {
  const stray: Difference[] = [];
  for (const table of tables) {
    const [step] = table.via ?? [];
    if (step === undefined) continue;
    const parent = step.toColumns.map(
      (column, i) => `p.${identifier(column)} = t.${identifier(step.columns[i] ?? "")}`,
    );
    const sql = `select ${keyText(table)} as key from ${qualified(table)} t
      where not exists (select from ${qualified(step.to)} p where ${parent.join(" and ")}) limit ${mostNamed}`;
    const { rows } = await pair.target.query(sql);
    for (const row of rows) stray.push({ table: table.name, key: String(row["key"]), what: "extra" });
  }
  return stray;
}

function nameOf({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}
