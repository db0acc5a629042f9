import { ddlTriggerName } from "./fence-ddl-sql.ts";
import { fenceVersion, functionOf } from "./fence-sql.ts";
import type { FenceTable } from "./fence-via-sql.ts";
import { type FenceMode, writes } from "./fence-words.ts";
import { qualified, type SqlClient, type TableName } from "./sql.ts";

/** What a database has of the fence, as its catalog says. */
export interface FenceSeen {
  /** Absent = nothing of it is installed. */
  readonly version?: string;
  /** `tenant_home` is there. */
  readonly hasHomes: boolean;
  /** Changes of tables wait for moves; only a superuser can install that. */
  readonly guardsDdl: boolean;
  /** Functions of ours, without their schema. */
  readonly functions: readonly string[];
  readonly tables: readonly FencedTable[];
}

export interface FencedTable extends TableName {
  readonly mode: FenceMode;
  /** Trigger to what it calls, with which arguments, in hexadecimal; only those that fire. */
  readonly triggers: Readonly<Record<string, string>>;
}

/** One query, whatever the number of tables. */
export async function readFence(db: SqlClient): Promise<FenceSeen> {
  const { rows } = await db.query(fenceSeenSql);
  return rows[0]?.["seen"] as FenceSeen;
}

const fenceSeenSql = `
select jsonb_strip_nulls(jsonb_build_object(
  'version', obj_description(to_regprocedure('stampyard.fence_busy(text, oid, jsonb, jsonb, text[])'), 'pg_proc'),
  'hasHomes', to_regclass('stampyard.tenant_home') is not null,
  'guardsDdl', exists (select from pg_event_trigger e where e.evtname = '${ddlTriggerName}' and e.evtenabled = 'O'),
  'functions', coalesce((select jsonb_agg(p.proname) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'stampyard'), '[]'),
  'tables', coalesce((
    select jsonb_agg(t order by t."schema", t."table") from (
      select n.nspname as "schema", c.relname as "table",
        case when bool_or(f.proname like 'enforce\\_%') then 'enforce' else 'report' end as mode,
        jsonb_object_agg(g.tgname, f.proname || ' ' || encode(g.tgargs, 'hex')) as triggers
      from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_proc f on f.oid = g.tgfoid join pg_namespace fn on fn.oid = f.pronamespace
      where g.tgname like 'stampyard\\_%' and fn.nspname = 'stampyard' and g.tgparentid = 0 and g.tgenabled = 'O'
      group by 1, 2
    ) t), '[]')
)) as seen`;

/** Whether functions and tables of the fence are there as these tables need them. */
export function hasObjects(seen: FenceSeen, tables: readonly FenceTable[]): boolean {
  if (seen.version !== fenceVersion() || !seen.hasHomes) return false;
  const there = new Set(seen.functions);
  return tables.every((table) => namesOf(table, "enforce").every((name) => there.has(name)));
}

/** Whether a table's triggers are all there, fire, and call what they should. */
export function isFenced(seen: FenceSeen, table: FenceTable, mode: FenceMode): boolean {
  const found = seen.tables.find((candidate) => qualified(candidate) === qualified(table));
  if (found?.triggers["stampyard_truncate"] !== "fence_truncate ") return false;
  const key = Buffer.from(table.key.map((column) => `${column}\0`).join("")).toString("hex");
  const functions = namesOf(table, mode);
  return writes.every((write, i) => found.triggers[`stampyard_${write}`] === `${functions[i]} ${key}`);
}

/** `stampyard."name"` → `name`. */
function namesOf(table: FenceTable, mode: FenceMode): readonly string[] {
  return writes.map((write) => {
    const quoted = functionOf(table, mode, write).slice("stampyard.".length);
    return quoted.slice(1, -1).replaceAll('""', '"');
  });
}
