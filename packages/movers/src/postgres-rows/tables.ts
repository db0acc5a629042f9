import type { SqlClient, TableName } from "./sql.ts";

/** What the catalog says of one table; only what a move depends on. */
export interface TableFacts extends TableName {
  readonly kind: "table" | "partitioned" | "partition" | "foreign";
  readonly persistence: "permanent" | "unlogged" | "temporary";
  readonly columns: readonly ColumnFacts[];
  /** Unique indexes that are valid and cover the whole table; the primary key first. */
  readonly keys: readonly KeyFacts[];
  /** Unique indexes over expressions or a part of the table, and exclusions: they refuse rows too, but name none. */
  readonly partialUnique: readonly PartialUniqueFacts[];
  readonly foreignKeys: readonly ForeignKeyFacts[];
  /** Row security applies even to the owner. */
  readonly forcesRowSecurity: boolean;
  readonly inheritsFrom: readonly TableName[];
  readonly rules: readonly string[];
  /** Estimates of the planner. */
  readonly rows: number;
  readonly bytes: number;
}

export interface ColumnFacts {
  readonly name: string;
  /** As PostgreSQL writes it, e.g. `character varying(40)`. */
  readonly type: string;
  readonly notNull: boolean;
  /** Computed by the server: never copied. */
  readonly isGenerated: boolean;
  readonly identity: "none" | "always" | "by default";
  /** Sequence that its default draws from, `schema.name`; also one that it does not own. */
  readonly sequence?: string;
}

export interface KeyFacts {
  readonly name: string;
  readonly columns: readonly string[];
  readonly isPrimary: boolean;
  readonly notNull: boolean;
}

export interface PartialUniqueFacts {
  readonly name: string;
  /** Columns that must be equal for a row to be refused; expressions are left out. */
  readonly columns: readonly string[];
}

export interface ForeignKeyFacts {
  readonly name: string;
  readonly columns: readonly string[];
  readonly to: TableName;
  readonly toColumns: readonly string[];
}

/** Reads all tables of the application: every schema but the system's and ours. */
export async function readTables(db: SqlClient): Promise<readonly TableFacts[]> {
  const { rows } = await db.query(tablesSql);
  return rows.map((row) => row["facts"] as TableFacts);
}

const names = (schema: string, table: string) => `jsonb_build_object('schema', ${schema}, 'table', ${table})`;

/** One row per table, so that it is one snapshot and one round trip whatever their number. */
const tablesSql = `
select jsonb_build_object(
  'schema', n.nspname, 'table', c.relname,
  'kind', case when c.relkind = 'f' then 'foreign' when c.relispartition then 'partition'
    when c.relkind = 'p' then 'partitioned' else 'table' end,
  'persistence', case c.relpersistence when 'u' then 'unlogged' when 't' then 'temporary' else 'permanent' end,
  'forcesRowSecurity', c.relrowsecurity and c.relforcerowsecurity,
  'rows', greatest(c.reltuples, 0), 'bytes', pg_total_relation_size(c.oid),
  'rules', coalesce((select jsonb_agg(r.rulename order by r.rulename) from pg_rewrite r where r.ev_class = c.oid), '[]'),
  'inheritsFrom', coalesce((
    select jsonb_agg(${names("pn.nspname", "p.relname")} order by i.inhseqno) from pg_inherits i
      join pg_class p on p.oid = i.inhparent join pg_namespace pn on pn.oid = p.relnamespace
    where i.inhrelid = c.oid and not c.relispartition), '[]'),
  'columns', (
    select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
      'isGenerated', a.attgenerated <> '',
      'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' else 'none' end,
      'sequence', (
        select min(sn.nspname || '.' || s.relname) from pg_depend d join pg_class s on s.relkind = 'S'
          join pg_namespace sn on sn.oid = s.relnamespace
        where d.classid = 'pg_class'::regclass and d.objid = s.oid and d.refobjid = c.oid
            and d.refclassid = 'pg_class'::regclass and d.refobjsubid = a.attnum and d.deptype in ('a', 'i')
          or d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = s.oid
            and d.objid = (select f.oid from pg_attrdef f where f.adrelid = c.oid and f.adnum = a.attnum))
    )) order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  'keys', coalesce((
    select jsonb_agg(jsonb_build_object('name', ic.relname, 'isPrimary', x.indisprimary,
      'columns', (select jsonb_agg(a.attname order by k.place) from unnest(x.indkey[:x.indnkeyatts - 1])
        with ordinality as k (attnum, place) join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum),
      'notNull', (select bool_and(a.attnotnull) from pg_attribute a where a.attrelid = c.oid
        and a.attnum = any (x.indkey[:x.indnkeyatts - 1]))
    ) order by not x.indisprimary, ic.relname)
    from pg_index x join pg_class ic on ic.oid = x.indexrelid
    where x.indrelid = c.oid and x.indisunique and x.indisvalid and not x.indisexclusion
      and x.indexprs is null and x.indpred is null), '[]'),
  'partialUnique', coalesce((
    select jsonb_agg(jsonb_build_object('name', ic.relname, 'columns', coalesce((
      select jsonb_agg(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum = any (x.indkey[:x.indnkeyatts - 1])
        and (not x.indisexclusion or exists (select from pg_constraint e join pg_operator o
          on o.oid = e.conexclop[array_position(x.indkey::int2[], a.attnum) + 1] and o.oprname = '='
          where e.conindid = x.indexrelid and e.conexclop is not null))), '[]')) order by ic.relname)
    from pg_index x join pg_class ic on ic.oid = x.indexrelid
    where x.indrelid = c.oid and (x.indisexclusion or x.indisunique and (x.indexprs is not null or x.indpred is not null))), '[]'),
  'foreignKeys', coalesce((
    select jsonb_agg(jsonb_build_object('name', f.conname, 'to', ${names("fn.nspname", "fc.relname")},
      'columns', (select jsonb_agg(a.attname order by k.place) from unnest(f.conkey) with ordinality as k (attnum, place)
        join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum),
      'toColumns', (select jsonb_agg(a.attname order by k.place) from unnest(f.confkey) with ordinality as k (attnum, place)
        join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.attnum)
    ) order by f.conname)
    from pg_constraint f join pg_class fc on fc.oid = f.confrelid join pg_namespace fn on fn.oid = fc.relnamespace
    where f.conrelid = c.oid and f.contype = 'f' and f.conparentid = 0), '[]')
) as facts
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't'
  and n.nspname not in ('pg_catalog', 'information_schema', 'stampyard') and n.nspname not like 'pg\\_toast%'
order by n.nspname, c.relname`;
