import { identifier, qualified, type SqlClient, type TableName } from "./sql.ts";
import type { ForeignKeyFacts } from "./tables.ts";
import type { ViaStep } from "./via.ts";

/**
 * How two databases are asked the same question: which rows, in which order, and what is in them. Collations, majors and
 * encodings may differ between them, so text is ordered by its bytes and hashed as UTF-8, and numbers never pass through
 * JavaScript. Shares nothing with the copier but the names of tables and columns.
 */
export interface ComparedTable extends TableName {
  readonly tenantColumn: string;
  readonly via?: readonly ViaStep[];
  readonly key: readonly string[];
  readonly columns: readonly string[];
  readonly foreignKeys?: readonly ForeignKeyFacts[];
}

export interface CanonicalTable extends ComparedTable {
  /** `schema.table`, as captured keys and reports name it. */
  readonly name: string;
  /** SQL over the row `t`, one for each column that tells rows of a tenant apart: the same order on both sides. */
  readonly order: readonly string[];
  /** The key's columns with their types, to read captured keys by: `"id" uuid, …`. */
  readonly keyTypes: string;
  /** SQL of a row's contents over `t`: bytes that are the same on both sides when the rows are. */
  readonly contents: string;
  /** SQL of what a row is summed up by, called `h`, and of two numbers from it. */
  readonly sums: { readonly of: string; readonly numbers: readonly [string, string] };
  /** False where no index has that order, so that every range reads all of the tenant's rows. */
  readonly isIndexed: boolean;
}

/** Reads how keys are ordered on either side; a column counts as ordered alike only when both say so. */
export async function canonicalTables(
  source: SqlClient,
  target: SqlClient,
  tables: readonly ComparedTable[],
): Promise<readonly CanonicalTable[]> {
  const [here, there] = await Promise.all([columnsOf(source, tables), columnsOf(target, tables)]);
  const isSameServer = here.major === there.major && here.encoding === there.encoding;
  return tables.map((table) => {
    const at = (column: string) => `${qualified(table)}.${column}`;
    const ordered = table.via === undefined ? table.key.filter((column) => column !== table.tenantColumn) : table.key;
    const columns = ordered.length === 0 ? table.key : ordered;
    const both = (column: string, aspect: "isAlike" | "isSent") =>
      here.columns.get(at(column))?.[aspect] === true && there.columns.get(at(column))?.[aspect] === true;
    const isAlike = (column: string) => both(column, "isAlike");
    const isSent = (column: string) => both(column, "isSent");
    const contents = contentsOf(table.columns, isSent);
    const hashOf = (column: string) => {
      const hash = here.columns.get(at(column))?.hash;
      return hash === there.columns.get(at(column))?.hash ? hash : undefined;
    };
    return {
      ...table,
      name: `${table.schema}.${table.table}`,
      order: columns.map((column) =>
        isAlike(column) ? `t.${identifier(column)}` : `(t.${identifier(column)}::text collate "C")`,
      ),
      keyTypes: table.key
        .map((column) => `${identifier(column)} ${here.columns.get(at(column))?.type ?? "text"}`)
        .join(", "),
      contents,
      sums: isSameServer ? quickSums(table, isSent, hashOf) : plainSums(contents),
      isIndexed: columns.every(isAlike),
    };
  });
}

/**
 * The server's own hashes are quicker, and may differ between majors: 64 bits of each row, summed up in two ways. Each value's
 * hash is the seed of the next one's, so that values that change places, in their row or with another row, change both sums.
 */
function quickSums(
  table: ComparedTable,
  isSent: (column: string) => boolean,
  hashOf: (column: string) => string | undefined,
): CanonicalTable["sums"] {
  const others = table.columns.filter((column) => hashOf(column) === undefined);
  const seed = others.length === 0 ? "1" : `hash_record_extended(row(${contentsOf(others, isSent)}), 1)`;
  const of = table.columns.reduce((before, column) => {
    const hash = hashOf(column);
    return hash === undefined ? before : `${hash}(t.${identifier(column)}, ${before})`;
  }, seed);
  return { of, numbers: ["h", "h"] };
}

function plainSums(contents: string): CanonicalTable["sums"] {
  const half = (byte: number) => `('x' || encode(substr(h, ${byte}, 8), 'hex'))::bit(64)::bigint`;
  return { of: `sha256(${contents})`, numbers: [half(1), half(9)] };
}

/** As the server sends values in binary, where that is exact and the same in every major; else as it writes them. */
function contentsOf(columns: readonly string[], isSent: (column: string) => boolean): string {
  const of = (some: readonly string[]) => some.map((column) => `t.${identifier(column)}`);
  const written = of(columns.filter((column) => !isSent(column)));
  const asText = written.length === 0 ? [] : [`row(${written.join(", ")})::text`];
  return `record_send(row(${[...of(columns.filter(isSent)), ...asText].join(", ")}))`;
}

interface ColumnSeen {
  readonly type: string;
  readonly isAlike: boolean;
  readonly isSent: boolean;
  /** The server's hash of its type, as called in SQL; undefined where equal hashes do not say that values are written alike. */
  readonly hash: string | undefined;
}

interface SideSeen {
  readonly major: number;
  readonly encoding: string;
  readonly columns: ReadonlyMap<string, ColumnSeen>;
}

async function columnsOf(db: SqlClient, tables: readonly TableName[]): Promise<SideSeen> {
  const { rows } = await db.query(columnsSql, [tables.map(qualified)]);
  const columns = rows.map((row): readonly [string, ColumnSeen] => [
    `${String(row["table"])}.${String(row["column"])}`,
    {
      type: String(row["type"]),
      isAlike: row["alike"] === true,
      isSent: row["sent"] === true,
      hash: typeof row["hash"] === "string" ? row["hash"] : undefined,
    },
  ]);
  const [first] = rows;
  return { major: Number(first?.["major"] ?? 0), encoding: String(first?.["encoding"]), columns: new Map(columns) };
}

/**
 * Alike everywhere: types without a collation whose order is that of their values, and text that is sorted by its bytes
 * (`C`, and every locale of the built-in provider in UTF-8). Enums sort as they were declared, and that may differ.
 * Sent: not floats, because a NaN has more than one form in binary, and nothing that a database has numbers of its own for.
 * Hash: of types whose equal values are the same bytes, so not of numbers with a scale nor of text whose collation knows
 * equal strings that differ; and not of NULL, of which there is no hash.
 */
const columnsSql = `
select name as "table", a.attname as "column", format_type(a.atttypid, a.atttypmod) as type,
  n.nspname = 'pg_catalog' and (
    t.typname in ('int2', 'int4', 'int8', 'uuid', 'numeric', 'date', 'timestamp', 'timestamptz', 'time', 'bool', 'bytea')
    or t.typname in ('text', 'varchar') and case when l.oid = 100
      then coalesce(d ->> 'datlocprovider', 'c') = 'b' or coalesce(d ->> 'datlocprovider', 'c') = 'c' and d ->> 'datcollate' in ('C', 'POSIX')
      else l.collprovider = 'b' or l.collprovider = 'c' and l.collcollate in ('C', 'POSIX') end
  ) as alike,
  n.nspname = 'pg_catalog' and t.typname in ('int2', 'int4', 'int8', 'uuid', 'bool', 'date', 'timestamp', 'timestamptz', 'time',
    'interval', 'text', 'varchar', 'bytea', 'numeric', 'json', 'jsonb') as sent,
  case when n.nspname = 'pg_catalog' and a.attnotnull then case
    when t.typname in ('text', 'varchar') and l.collisdeterministic then 'hashtextextended'
    when t.typname = 'uuid' then 'uuid_hash_extended'
    when t.typname = 'int4' then 'hashint4extended'
    when t.typname = 'int8' then 'hashint8extended' end end as hash,
  current_setting('server_encoding') as encoding,
  current_setting('server_version_num')::int / 10000 as major
from unnest($1::text[]) as name join pg_attribute a on a.attrelid = name::regclass and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid join pg_namespace n on n.oid = t.typnamespace
  left join pg_collation l on l.oid = a.attcollation
  cross join (select to_jsonb(b) as d from pg_database b where b.datname = current_database()) b`;

/** Values bound to a statement, each named by its place. */
export interface Bound {
  readonly values: unknown[];
  bind(value: unknown): string;
}

export function bound(): Bound {
  const values: unknown[] = [];
  return { values, bind: (value) => `$${values.push(value)}` };
}

/** `from … where …`: rows of the tenant, called `t`. */
export function rowsOfTenant(table: ComparedTable, tenant: string): string {
  return `from ${qualified(table)} t where ${belongsTo("t", table.via ?? [], table.tenantColumn, tenant)}`;
}

function belongsTo(child: string, [step, ...rest]: readonly ViaStep[], tenantColumn: string, tenant: string): string {
  if (step === undefined) return `${child}.${identifier(tenantColumn)} = ${tenant}`;
  const parent = `${child}_up`;
  const columns = step.columns.map((column) => `${child}.${identifier(column)}`).join(", ");
  const to = step.toColumns.map((column) => `${parent}.${identifier(column)}`).join(", ");
  return `(${columns}) in (select ${to} from ${qualified(step.to)} ${parent}
    where ${belongsTo(parent, rest, tenantColumn, tenant)})`;
}

/** Rows between two keys, in the order of `order`; without a bound, to the end. */
export function beyond(table: CanonicalTable, sign: ">" | "<=", key: readonly string[] | undefined, to: Bound): string {
  if (key === undefined) return "";
  return ` and (${table.order.join(", ")}) ${sign} (${key.map((value) => to.bind(value)).join(", ")})`;
}

/** Captured keys (a JSON list of objects, as text) as a table `k` with the key's columns. */
export function keyedBy(table: CanonicalTable, keys: string, to: Bound): string {
  return `jsonb_to_recordset(${to.bind(keys)}::jsonb) as k(${table.keyTypes})`;
}

export function sameKey(table: ComparedTable): string {
  return table.key.map((column) => `t.${identifier(column)} = k.${identifier(column)}`).join(" and ");
}

/** Written alike on both sides; keys that have no exact text are refused before a move. */
export function keyText(table: ComparedTable): string {
  return `jsonb_build_array(${table.key.map((column) => `t.${identifier(column)}`).join(", ")})::text`;
}

/** 32 bytes of everything in a row but what the server computes. */
export function rowHash(table: CanonicalTable): string {
  return `sha256(${table.contents})`;
}
