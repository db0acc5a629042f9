import { createHash } from "node:crypto";
import { type MoverPolicy, StampyardError } from "@stampyard/domain";
import { classifyTables, type MoveTable } from "./classify.ts";
import { literal, qualified, type SqlClient } from "./sql.ts";
import { readTables, type TableFacts } from "./tables.ts";
import { ofTenant } from "./via.ts";

export interface MovePlanOfRows {
  readonly tables: readonly MoveTable[];
  /** Digest of what the moved tables look like: equal on both sides, or rows would not fit. */
  readonly schema: string;
}

/**
 * The tables of a move, parents first, as the catalog has them now.
 * @throws StampyardError MOVE_REFUSED when a table is there that nobody can classify: it would stay behind
 */
export async function planRows(db: SqlClient, policy: MoverPolicy): Promise<MovePlanOfRows> {
  const facts = await readTables(db);
  const { tables, problems } = classifyTables(facts, policy);
  if (problems.length > 0) {
    const [first] = problems;
    throw new StampyardError("MOVE_REFUSED", `Table ${first?.table} ${first?.what}`, {
      problems: problems.map(({ table, what, mend }) => ({ message: `Table ${table} ${what}`, mend })),
      mend: first?.mend ?? "Mend the table, then move again.",
    });
  }
  return { tables, schema: digestOf(facts, tables) };
}

/** Those that can be moved, whatever is wrong with others: what was brought must go, also when a table is new since. */
export async function movableTables(db: SqlClient, policy: MoverPolicy): Promise<readonly MoveTable[]> {
  return classifyTables(await readTables(db), policy).tables;
}

/** The server's own estimate of a tenant's rows, and of their bytes; nothing is read for it. */
export async function estimateTenant(
  db: SqlClient,
  tables: readonly MoveTable[],
  tenant: string,
): Promise<{ readonly rows: number; readonly bytes: number }> {
  const sum = { rows: 0, bytes: 0 };
  for (const table of tables) {
    const { rows } = await db.query(
      `explain (format json) select * from ${qualified(table)} t where ${ofTenant(table, "t", literal(tenant))}`,
    );
    const [plan] = (rows[0]?.["QUERY PLAN"] ?? []) as { readonly Plan?: Readonly<Record<string, number>> }[];
    const estimated = plan?.Plan?.["Plan Rows"] ?? 0;
    sum.rows += estimated;
    sum.bytes += estimated * (plan?.Plan?.["Plan Width"] ?? 0);
  }
  return sum;
}

/** Order of columns does not matter, because rows are copied by name; defaults do not, because every value comes along. */
function digestOf(facts: readonly TableFacts[], tables: readonly MoveTable[]): string {
  const moved = tables.map(({ schema, table, key, via }) => {
    const own = facts.find((candidate) => candidate.schema === schema && candidate.table === table);
    const columns = (own?.columns ?? []).map(({ name, type, notNull, isGenerated }) =>
      [name, type, notNull, isGenerated].join(" "),
    );
    return [qualified({ schema, table }), key, columns.sort(), via ?? []];
  });
  return createHash("sha256").update(JSON.stringify(moved)).digest("hex");
}

/**
 * Changes whenever a table or a column of one database does. Not to be compared between two: it is for the pause, where
 * reading the whole catalog would be felt.
 */
export async function catalogMark(db: SqlClient): Promise<string> {
  const { rows } = await db.query(
    `select md5(string_agg(concat_ws(' ', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,
       a.attgenerated), ';' order by a.attrelid, a.attnum)) as mark
     from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't' and a.attnum > 0 and not a.attisdropped
       and n.nspname not in ('pg_catalog', 'information_schema', 'stampyard') and n.nspname not like 'pg\\_toast%'`,
  );
  return String(rows[0]?.["mark"]);
}
