import type { MoveProblem } from "@stampyard/domain";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { isFenced, readFence } from "./fence-seen.ts";
import type { WriteMode } from "./importing.ts";
import { qualified, sqlStateOf, type TableName } from "./sql.ts";

export type CheckedSide = "source" | "target";

/** What was found wrong: `problems` refuse the move, `warnings` are to be known. */
export interface Findings {
  readonly problems: MoveProblem[];
  readonly warnings: MoveProblem[];
}

/** What one database says of itself, as far as a move depends on it. */
export interface SideFacts {
  readonly side: CheckedSide;
  /** E.g. 180004. */
  readonly version: number;
  readonly encoding: string;
  /** Provider, locale and version of the order of text. */
  readonly collation: string;
  readonly isReadOnly: boolean;
  readonly bypassesRowSecurity: boolean;
  readonly prepared: readonly string[];
  readonly extensions: readonly string[];
  readonly hasLargeObjects: boolean;
  readonly home?: { readonly state: string; readonly move_id: string | null; readonly watching?: boolean };
}

/** `CREATE OR REPLACE TRIGGER` came with it. */
const oldestVersion = 140_000;

export async function readSide(db: MoverDb, side: CheckedSide, tenant: string): Promise<SideFacts> {
  const { rows } = await db.query(sideSql);
  const home = await homeOf(db, tenant);
  const facts = rows[0]?.["facts"] as Omit<SideFacts, "side" | "home">;
  return { ...facts, side, ...(home === undefined ? {} : { home }) };
}

async function homeOf(db: MoverDb, tenant: string): Promise<SideFacts["home"]> {
  try {
    const { rows } = await db.query("select to_jsonb(h) as home from stampyard.tenant_home h where h.tenant = $1", [
      tenant,
    ]);
    return rows[0]?.["home"] as SideFacts["home"];
  } catch (caught) {
    // Not there, or not to be seen: the fence's own findings say it.
    if (["3F000", "42P01", "42501"].includes(sqlStateOf(caught) ?? "")) return undefined;
    throw caught;
  }
}

const sideSql = `
select jsonb_build_object(
  'version', current_setting('server_version_num')::int, 'encoding', pg_encoding_to_char(d.encoding),
  'collation', concat_ws(' ', to_jsonb(d) ->> 'datlocprovider', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', d.datcollate), to_jsonb(d) ->> 'datcollversion'),
  'isReadOnly', pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool,
  'bypassesRowSecurity', r.rolsuper or r.rolbypassrls,
  'prepared', coalesce((select jsonb_agg(p.gid order by p.prepared) from pg_prepared_xacts p where p.database = d.datname), '[]'),
  'extensions', (select jsonb_agg(e.extname order by e.extname) from pg_extension e),
  'hasLargeObjects', exists (select from pg_largeobject_metadata)
) as facts
from pg_database d, pg_roles r where d.datname = current_database() and r.rolname = current_user`;

/** What must be true of each database by itself. */
export function checkServer(facts: SideFacts, { problems, warnings }: Findings): void {
  const where = `database of the ${facts.side}`;
  if (facts.version < oldestVersion) {
    problems.push({ where, what: "is older than PostgreSQL 14", mend: "Upgrade it; the fence needs 14 or later." });
  }
  if (facts.isReadOnly) {
    problems.push({ where, what: "can only be read", mend: "Name its primary in the stamp's connection URL." });
  }
  for (const gid of facts.prepared) {
    const what = `has the prepared transaction ${gid}, which nobody may ever end`;
    problems.push({ where, what, mend: `commit prepared '${gid}'; or rollback prepared '${gid}';` });
  }
  if (facts.hasLargeObjects && facts.side === "source") {
    const what = "has large objects, which belong to no tenant and do not move";
    warnings.push({ where, what, mend: "Keep what must move in a bytea column, or in an object store." });
  }
}

/** What must be alike, or known not to be. */
export function checkAlike(source: SideFacts, target: SideFacts, { problems, warnings }: Findings): void {
  const where = "database of the target";
  if (source.encoding !== target.encoding) {
    const what = `keeps text in ${target.encoding}, and the source in ${source.encoding}`;
    problems.push({ where, what, mend: "Make the target's database anew in the source's encoding." });
  }
  const [a, b] = [Math.floor(source.version / 10_000), Math.floor(target.version / 10_000)];
  if (b < a) {
    const what = `is PostgreSQL ${b}, older than the source's ${a}: it may not read every value`;
    warnings.push({ where, what, mend: "Upgrade the target, or be ready for the copy to be refused." });
  }
  if (source.collation !== target.collation) {
    const what = `sorts text by "${target.collation}", and the source by "${source.collation}"`;
    warnings.push({ where, what, mend: "Lists that the application sorts may change their order." });
  }
  for (const name of source.extensions.filter((extension) => !target.extensions.includes(extension))) {
    warnings.push({ where, what: `lacks the extension ${name}`, mend: `create extension "${name}";` });
  }
}

/** The one row that decides, on both sides (D12). */
export function checkHomes(source: SideFacts, target: SideFacts, tenant: string, { problems }: Findings): void {
  const where = `tenant ${tenant}`;
  const { home } = source;
  if (home === undefined) {
    const what = "has no row in stampyard.tenant_home of the source";
    problems.push({ where, what, mend: "Register it: stampyard tenant import --stamp STAMP." });
  } else if (home.state !== "active" || (home.move_id !== null && home.watching !== true)) {
    const what = home.state === "active" ? `is in move ${home.move_id}` : `is ${home.state} in the source`;
    problems.push({ where, what, mend: "Look at its moves: stampyard move list." });
  }
  const there = target.home?.state;
  if (there === undefined || there === "moved") return;
  const what =
    there === "importing" ? `comes to the target by move ${target.home?.move_id}` : `is ${there} in the target`;
  problems.push({ where, what, mend: "Finish or abort that move first: stampyard move list." });
}

/** Rights, row security, triggers, indexes and the fence of each moved table. */
export async function checkTables(
  db: MoverDb,
  { side, bypassesRowSecurity }: SideFacts,
  tables: readonly MoveTable[],
  mode: WriteMode,
  findings: Findings,
): Promise<void> {
  const { problems, warnings } = findings;
  const { rows } = await db.query(tableSql, [tables.map(qualified), tables.map(leadingColumn)]);
  for (const row of rows) {
    const name = String(row["name"]);
    const where = `table ${name} of the ${side}`;
    if (row["may"] !== true) {
      const mend = `grant select, insert, update, delete on ${name} to stampyard_mover; grant usage on its schema, too`;
      problems.push({ where, what: "may not be read and written by the mover's role", mend });
    }
    if (row["secured"] === true && !bypassesRowSecurity) {
      const what = "has row security, which would hide rows from the mover";
      problems.push({ where, what, mend: "alter role stampyard_mover bypassrls;" });
    }
    for (const trigger of row["triggers"] as readonly string[]) {
      const what = `has the trigger ${trigger}, which fires for rows that a move brings and erases, too`;
      problems.push({
        where,
        what,
        mend: `alter table ${name} enable trigger "${trigger}"; instead of always or replica`,
      });
    }
    for (const trigger of mode === "plain" && side === "target" ? (row["plain"] as readonly string[]) : []) {
      const what = `has the trigger ${trigger}, and the mover's role may not keep triggers from firing`;
      const mend = "grant set on parameter session_replication_role to stampyard_mover;";
      problems.push({ where, what, mend });
    }
    if (row["indexed"] !== true) {
      const what = `has no index that begins with ${String(row["first"])}, so every range reads the whole table`;
      warnings.push({ where, what, mend: `create index concurrently on ${name} (${String(row["first"])});` });
    }
    if (row["published"] === true) {
      const what = "is published: to its subscribers a move looks like inserts and deletes";
      warnings.push({ where, what, mend: "Tell those who read the change feed." });
    }
  }
  await checkFence(db, side, tables, findings);
}

async function checkFence(db: MoverDb, side: CheckedSide, tables: readonly MoveTable[], findings: Findings) {
  const seen = await readFence(db);
  const mend = "stampyard stamp fence STAMP --mode enforce";
  for (const table of tables) {
    if (isFenced(seen, table, "enforce")) continue;
    const where = `table ${table.schema}.${table.table} of the ${side}`;
    findings.problems.push({ where, what: "is not fenced in enforce mode, so writes could pass a move", mend });
  }
  if (seen.guardsDdl) return;
  const what = "cannot hold back changes of tables while a tenant moves";
  findings.warnings.push({
    where: `database of the ${side}`,
    what,
    mend: "Run no migration meanwhile, on either side.",
  });
}

/** Where a search for one tenant's rows begins. */
function leadingColumn({ tenantColumn, via }: MoveTable): string {
  return via?.[0]?.columns[0] ?? tenantColumn;
}

const tableSql = `
select format('%I.%I', n.nspname, c.relname) as name, named.first,
  has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
    and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete') as may,
  c.relrowsecurity as secured,
  coalesce((select jsonb_agg(g.tgname order by g.tgname) from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal
    and g.tgenabled in ('A', 'R')), '[]') as triggers,
  coalesce((select jsonb_agg(g.tgname order by g.tgname) from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal
    and g.tgenabled = 'O' and g.tgname not like 'stampyard\\_%'), '[]') as plain,
  exists (select from pg_index x join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]
    where x.indrelid = c.oid and x.indisvalid and x.indpred is null and a.attname = named.first) as indexed,
  exists (select from pg_publication_tables p where p.schemaname = n.nspname and p.tablename = c.relname) as published
from unnest($1::text[], $2::text[]) as named (name, first)
  join pg_class c on c.oid = to_regclass(named.name) join pg_namespace n on n.oid = c.relnamespace
order by 1`;

/** Tables of the plan that the other side has not, by name. */
export function missingOn(tables: readonly TableName[], there: readonly TableName[]): readonly TableName[] {
  const names = new Set(there.map(qualified));
  return tables.filter((table) => !names.has(qualified(table)));
}
