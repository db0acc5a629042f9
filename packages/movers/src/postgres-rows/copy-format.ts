import type { MoveTable } from "./classify.ts";
import { qualified, type SqlClient } from "./sql.ts";

/** How rows of a COPY are written. Binary costs a target a fifth to a quarter less than text. */
export type CopyFormat = "binary" | "text";

/**
 * Tables whose rows may travel in binary, named as SQL names them. PostgreSQL promises that format only within one major version
 * (manual, COPY, "Binary Format"), and only for built-in types: arrays and rows of a database's own types carry numbers
 * that another database gave to other types. Names of objects (`regclass` and its kin) do not come here: a move's check refuses them.
 */
export async function binaryTables(
  source: SqlClient,
  target: SqlClient,
  tables: readonly MoveTable[],
): Promise<ReadonlySet<string>> {
  const [here, there] = await Promise.all([fixedTables(source, tables), fixedTables(target, tables)]);
  if (here.major !== there.major) return new Set();
  return new Set([...here.tables].filter((name) => there.tables.has(name)));
}

async function fixedTables(db: SqlClient, tables: readonly MoveTable[]) {
  const { rows } = await db.query(fixedSql, [tables.map(qualified)]);
  const fixed = rows.filter((row) => row["fixed"] === true).map((row) => String(row["name"]));
  return { major: Number(rows[0]?.["major"] ?? 0), tables: new Set(fixed) };
}

const fixedSql = `
select name, current_setting('server_version_num')::int / 10000 as major,
  (select bool_and(n.nspname = 'pg_catalog' and t.typtype = 'b' and t.typsend <> 0 and t.typreceive <> 0)
   from pg_attribute a join pg_type t on t.oid = a.atttypid join pg_namespace n on n.oid = t.typnamespace
   where a.attrelid = name::regclass and a.attnum > 0 and not a.attisdropped) as fixed
from unnest($1::text[]) as name`;
