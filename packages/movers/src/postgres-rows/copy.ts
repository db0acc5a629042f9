import { foreignKeyViolation, roundAround } from "./capture.ts";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { type Copied, copyBetween } from "./copy-between.ts";
import { binaryTables, type CopyFormat } from "./copy-format.ts";
import { inMoverTransaction, type WriteMode } from "./importing.ts";
import { identifier, literal, qualified, sqlStateOf } from "./sql.ts";
import { ofTenant } from "./via.ts";

/** Where a copy stands: after this key of this table; the start of a table has no key. */
export interface CopyPosition {
  /** Index in the plan's tables; equal to their number when everything is copied. */
  readonly table: number;
  readonly after?: readonly string[];
  /** Everything is copied, whatever the plan's tables. */
  readonly isDone?: boolean;
  /** What the tables looked like when the copy began. */
  readonly schema?: string;
}

export interface CopyProgress extends CopyPosition {
  /** Rows and bytes of this range. */
  readonly rows: number;
  readonly bytes: number;
}

export interface CopyOptions {
  readonly tenant: string;
  readonly moveId: string;
  /**
   * Rows per range; each is a short transaction on both sides, so that no snapshot stays open for long.
   * @default begins with at most 1000 and finds what takes about half a second; a small table is one range
   */
  readonly rangeRows?: number;
  /** Bytes up to which a table, of all its tenants, is one range. @default 256 MiB, which take a few seconds */
  readonly smallBytes?: number;
  /** @default "replica" */
  readonly mode?: WriteMode;
  readonly signal?: AbortSignal;
  /** Called when a range is durable on the target. */
  readonly onRange?: (progress: CopyProgress) => Promise<void> | void;
}

/** What a range may cost, so that no snapshot holds back vacuum and an abort is heard soon. */
const rangeMs = 500;
const rangeBytes = 32 * 1024 * 1024;
const mostRangeRows = 50_000;
const smallTableBytes = 256 * 1024 * 1024;
/** All that is left of a table. Rows come as they lie on disk then, which costs less than to fetch them in the order of keys. */
const allRows = Number.MAX_SAFE_INTEGER;

/**
 * Copies a tenant's rows range by range in the order of their keys. How far it came is written on the target in the
 * transaction of each range, so a repeat goes on where it stopped, without a row twice. What changes in a range after it
 * was read has been captured, and comes by `captureRound`.
 */
export async function copyTenant(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  options: CopyOptions,
): Promise<{ readonly rows: number; readonly bytes: number }> {
  const total = { rows: 0, bytes: 0 };
  const inBinary = await binaryTables(source, target, tables);
  let { table } = await copiedUpTo(target, options.moveId);
  let rangeRows = options.rangeRows ?? firstRange(tables[table], options);
  for (;;) {
    options.signal?.throwIfAborted();
    const began = performance.now();
    const range = await copyRangeOrTable(source, target, tables, { ...options, rangeRows, inBinary });
    if (range === undefined) {
      await tellPlanner(target, tables);
      return total;
    }
    total.rows += range.rows;
    total.bytes += range.bytes;
    const took = performance.now() - began;
    if (options.rangeRows === undefined) {
      rangeRows =
        range.next.table === table ? nextRange(rangeRows, range, took) : firstRange(tables[range.next.table], options);
      table = range.next.table;
    }
    await options.onRange?.({ ...range.next, rows: range.rows, bytes: range.bytes });
  }
}

/** Rows of a sample: enough to know that a table is not empty any more. The server looks closer by itself, within minutes. */
const sampled = "set local default_statistics_target = 10";

/**
 * Until somebody looks, the planner takes what was copied for what was there before, often nothing. Needs the right to
 * maintain tables (PostgreSQL 17 and later can grant it); without it the server says so and goes on. Keys alone, because
 * a look at every column would count as the server's own, and put it off.
 */
async function tellPlanner(target: MoverDb, tables: readonly MoveTable[]): Promise<void> {
  const looks = tables.map(
    (table) => `analyze (skip_locked) ${qualified(table)} (${table.key.map(identifier).join(", ")})`,
  );
  try {
    await target.query(["begin", "set local client_min_messages = error", sampled, ...looks, "commit"].join("; "));
  } catch {
    // A courtesy: whatever refused it will be heard by who needs it.
    if (target.isOpen) await target.query("rollback");
  }
}

/** Wide rows begin with few: nobody knows yet how long one takes. */
function firstRange(table: MoveTable | undefined, { smallBytes = smallTableBytes }: CopyOptions): number {
  if (table !== undefined && table.via === undefined && table.bytes <= smallBytes) return allRows;
  const width = table === undefined || table.rows === 0 ? 1 : table.bytes / table.rows;
  return Math.max(10, Math.min(1_000, Math.floor(rangeBytes / 4 / width)));
}

function nextRange(rangeRows: number, range: { readonly rows: number; readonly bytes: number }, ms: number): number {
  if (ms > rangeMs || range.bytes > rangeBytes) return Math.max(10, Math.floor(rangeRows / 2));
  const hasRoom = ms < rangeMs / 2 && range.bytes < rangeBytes / 2;
  return hasRoom ? Math.min(mostRangeRows, rangeRows * 2) : rangeRows;
}

interface RangeOptions extends CopyOptions {
  readonly rangeRows: number;
  readonly inBinary: ReadonlySet<string>;
}

/**
 * Where foreign keys are checked, a table that points at itself fits only when all of it comes at once: a row may come
 * before its parent in the order of keys.
 */
async function copyRangeOrTable(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  options: RangeOptions,
): Promise<CopiedRange | undefined> {
  try {
    return await copyRange(source, target, tables, options);
  } catch (caught) {
    if (options.mode !== "plain" || sqlStateOf(caught) !== foreignKeyViolation) throw caught;
    return await copyRange(source, target, tables, { ...options, rangeRows: allRows });
  }
}

interface CopiedRange {
  readonly rows: number;
  readonly bytes: number;
  readonly next: CopyPosition;
}

/**
 * Undefined when nothing is left. A row may point at one that is younger than the copy of its table. Where foreign keys are
 * checked it would be refused, and where it is told by its parent whose it is, it would be nobody's: such parents are
 * captured, and come in the same snapshot. Tables after this one may lack parents yet, and wait.
 */
async function copyRange(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  options: RangeOptions,
): Promise<CopiedRange | undefined> {
  const { table } = await copiedUpTo(target, options.moveId);
  if (options.mode !== "plain" && tables[table]?.via === undefined) {
    const next = () => copyNext(source, target, tables, options);
    return await inMoverTransaction(target, options, "importing", "replica", next);
  }
  let range: CopiedRange | undefined;
  await roundAround(source, target, tables.slice(0, table + 1), options, async () => {
    range = await copyNext(source, target, tables, options);
  });
  return range;
}

async function copyNext(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  options: RangeOptions,
): Promise<CopiedRange | undefined> {
  const position = await copiedUpTo(target, options.moveId);
  const table = tables[position.table];
  if (position.isDone === true) return undefined;
  if (table === undefined) {
    await writePosition(target, options.moveId, { ...position, isDone: true });
    return undefined;
  }
  const { condition, last } = await rangeAfter(source, table, position.after, options);
  const query = `select ${columnsOf(table, "t")} ${condition}`;
  // A round in the same transaction may have brought some of these rows already.
  const mode = table.via === undefined ? (options.mode ?? "replica") : "plain";
  const format = options.inBinary.has(qualified(table)) ? "binary" : "text";
  const piped = await pipeRows(source, target, table, query, mode, format);
  const { after: _, ...kept } = position;
  const next = last === undefined ? { ...kept, table: position.table + 1 } : { ...kept, after: last };
  await writePosition(target, options.moveId, next);
  return { ...piped, next };
}

async function copiedUpTo(target: MoverDb, moveId: string): Promise<CopyPosition> {
  const { rows } = await target.query("select position from stampyard.move_copied where move_id = $1", [moveId]);
  return rows[0] === undefined ? { table: 0 } : (rows[0]["position"] as CopyPosition);
}

export async function writePosition(target: MoverDb, moveId: string, position: CopyPosition): Promise<void> {
  await target.query(
    `insert into stampyard.move_copied (move_id, position) values ($1, $2)
     on conflict (move_id) do update set position = excluded.position`,
    [moveId, JSON.stringify(position)],
  );
}

/** The next range in the order of keys, as `from … where …`, and its last key; none = to the end of the table. */
async function rangeAfter(
  source: MoverDb,
  table: MoveTable,
  after: readonly string[] | undefined,
  options: { readonly tenant: string; readonly rangeRows: number },
): Promise<{ readonly condition: string; readonly last?: readonly string[] }> {
  const key = table.key.map((column) => `t.${identifier(column)}`);
  const beyond = after === undefined ? "" : ` and (${key.join(", ")}) > (${after.map(literal).join(", ")})`;
  const from = `from ${qualified(table)} t where ${ofTenant(table, "t", literal(options.tenant))}${beyond}`;
  if (options.rangeRows === allRows) return { condition: from };
  const { rows } = await source.query(
    `select ${key.map((name, i) => `${name}::text as k${i}`).join(", ")} ${from}
     order by ${key.join(", ")} offset $1 limit 1`,
    [options.rangeRows - 1],
  );
  if (rows[0] === undefined) return { condition: from };
  const last = table.key.map((_, i) => String(rows[0]?.[`k${i}`]));
  return { condition: `${from} and (${key.join(", ")}) <= (${last.map(literal).join(", ")})`, last };
}

/**
 * Rows of a query on the source, straight into the table on the target, inside the transactions that are open. In plain
 * mode a row that is there is brought up to date, because there is no time at which the table may lack it.
 */
export async function pipeRows(
  source: MoverDb,
  target: MoverDb,
  table: MoveTable,
  query: string,
  mode: WriteMode,
  format: CopyFormat = "text",
): Promise<Copied> {
  const columns = columnsOf(table);
  if (mode === "plain") {
    await target.query(
      `drop table if exists pg_temp.stampyard_rows;
       create temp table stampyard_rows on commit drop as select ${columns} from ${qualified(table)} with no data`,
    );
  }
  const name = mode === "plain" ? "pg_temp.stampyard_rows" : qualified(table);
  const out = `copy (${query}) to stdout (format ${format})`;
  const copied = await copyBetween(source, out, target, `copy ${name} (${columns}) from stdin (format ${format})`);
  if (mode === "plain" && copied.rows > 0) await target.query(upsertSql(table, name));
  return copied;
}

function upsertSql(table: MoveTable, from: string): string {
  const columns = columnsOf(table);
  const rest = table.columns.filter((column) => !table.key.includes(column)).map(identifier);
  const then =
    rest.length === 0 ? "nothing" : `update set ${rest.map((column) => `${column} = excluded.${column}`).join(", ")}`;
  return `insert into ${qualified(table)} (${columns}) overriding system value select ${columns} from ${from}
    on conflict (${table.key.map(identifier).join(", ")}) do ${then}`;
}

export function columnsOf(table: MoveTable, alias?: string): string {
  return table.columns.map((column) => (alias === undefined ? "" : `${alias}.`) + identifier(column)).join(", ");
}
