import { mostCounted, type TableCount } from "@stampyard/domain";
import type pg from "pg";

/** A table without an index on its tenant column is read whole. */
const countWithinMs = 120_000;

/**
 * Counts a tenant's rows in every table of a database that has the tenant column, in one snapshot. A partitioned table is
 * counted as a whole, a materialized view like the table that it is; a foreign table is of another database. Names are quoted by the server, the key is a parameter.
 */
export async function countRows(pool: pg.Pool, column: string, tenant: string): Promise<readonly TableCount[]> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(`begin transaction isolation level repeatable read read only`);
    await client.query(`set local statement_timeout = ${countWithinMs}`);
    const { rows: tables } = await client.query<{ table: string; matches: string }>(tablesSql, [column]);
    const counts: TableCount[] = [];
    for (const { table, matches } of tables) {
      const { rows } = await client.query<{ rows: number }>({
        text: `select count(*)::int as rows from (select 1 from ${table} where ${matches} limit ${mostCounted}) found`,
        values: [tenant],
        // The pool's own limit is for its small statements; the server ends this one.
        query_timeout: countWithinMs + 5_000,
      } as pg.QueryConfig);
      counts.push({ table, rows: rows[0]?.rows ?? 0 });
    }
    await client.query("commit");
    return counts;
  } catch (caught) {
    broken = caught instanceof Error ? caught : new Error(String(caught));
    throw caught;
  } finally {
    // A connection in an unknown state is not used again.
    client.release(broken);
  }
}

/** As text the column would not use its index, so that is only for types that are no text. */
const tablesSql = `
select format('%I.%I', n.nspname, c.relname) as table,
  case when a.atttypid in ('text'::regtype, 'varchar'::regtype) then format('%I = $1', a.attname)
       else format('%I::text = $1', a.attname) end as matches
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
where c.relkind in ('r', 'p', 'm') and not c.relispartition and a.attname = $1 and not a.attisdropped and a.attnum > 0
  and n.nspname not in ('pg_catalog', 'information_schema', 'stampyard') and n.nspname not like 'pg\\_%'
order by 1`;
