import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { identifier, literal, qualified } from "./sql.ts";

/** Where a copy stands: after this key of this table; the start of a table has no key. */
export interface CopyPosition {
  /** Index in the plan's tables; equal to their number when everything is copied. */
  readonly table: number;
  readonly after?: readonly string[];
}

export interface CopyProgress extends CopyPosition {
  /** Rows and bytes of this range. */
  readonly rows: number;
  readonly bytes: number;
}

export interface CopyOptions {
  readonly tenant: string;
  readonly moveId: string;
  /** Rows per range; each is a short transaction on both sides, so that no snapshot stays open for long. @default 10000 */
  readonly rangeRows?: number;
  readonly signal?: AbortSignal;
  /** Called when a range is durable on the target. */
  readonly onRange?: (progress: CopyProgress) => Promise<void> | void;
}

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
  let position = await copiedUpTo(target, options.moveId);
  for (;;) {
    options.signal?.throwIfAborted();
    const table = tables[position.table];
    if (table === undefined) return total;
    const range = await copyRange(source, target, table, position, options);
    total.rows += range.rows;
    total.bytes += range.bytes;
    position = range.next;
    await options.onRange?.({ ...position, rows: range.rows, bytes: range.bytes });
  }
}

async function copiedUpTo(target: MoverDb, moveId: string): Promise<CopyPosition> {
  const { rows } = await target.query("select position from stampyard.move_copied where move_id = $1", [moveId]);
  return rows[0] === undefined ? { table: 0 } : (rows[0]["position"] as CopyPosition);
}

async function copyRange(
  source: MoverDb,
  target: MoverDb,
  table: MoveTable,
  { table: index, after }: CopyPosition,
  options: CopyOptions,
): Promise<{ readonly rows: number; readonly bytes: number; readonly next: CopyPosition }> {
  const key = table.key.map(identifier);
  const ofTenant = `${identifier(table.tenantColumn)} = ${literal(options.tenant)}`;
  const beyond = after === undefined ? "" : ` and (${key.join(", ")}) > (${after.map(literal).join(", ")})`;
  const { rows } = await source.query(
    `select ${key.map((name, i) => `${name}::text as k${i}`).join(", ")} from ${qualified(table)}
     where ${ofTenant}${beyond} order by ${key.join(", ")} offset $1 limit 1`,
    [(options.rangeRows ?? 10_000) - 1],
  );
  const last = rows[0] === undefined ? undefined : table.key.map((_, i) => String(rows[0]?.[`k${i}`]));
  const until = last === undefined ? "" : ` and (${key.join(", ")}) <= (${last.map(literal).join(", ")})`;
  const next: CopyPosition = last === undefined ? { table: index + 1 } : { table: index, after: last };
  const moved = await inReplicaTransaction(target, async () => {
    const query = `select ${columnsOf(table)} from ${qualified(table)} where ${ofTenant}${beyond}${until}`;
    const piped = await pipeRows(source, target, table, query);
    await target.query(
      `insert into stampyard.move_copied (move_id, position) values ($1, $2)
       on conflict (move_id) do update set position = excluded.position`,
      [options.moveId, JSON.stringify(next)],
    );
    return piped;
  });
  return { ...moved, next };
}

/** Rows of a query on the source, straight into the table on the target, inside the transactions that are open. */
export async function pipeRows(
  source: MoverDb,
  target: MoverDb,
  table: MoveTable,
  query: string,
): Promise<{ readonly rows: number; readonly bytes: number }> {
  let bytes = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  const into = target.copyIn(`copy ${qualified(table)} (${columnsOf(table)}) from stdin`);
  await pipeline(source.copyOut(`copy (${query}) to stdout`), counted, into);
  return { rows: "rowCount" in into && typeof into.rowCount === "number" ? into.rowCount : 0, bytes };
}

/**
 * A transaction in which neither triggers nor foreign keys of the target fire: rows come in any order, and were checked
 * where they come from. Needs the right to set `session_replication_role` (PostgreSQL 15 and later can grant it).
 */
export async function inReplicaTransaction<T>(db: MoverDb, work: () => Promise<T>): Promise<T> {
  await db.query("begin");
  try {
    await db.query("set local session_replication_role = replica");
    const result = await work();
    await db.query("commit");
    return result;
  } catch (caught) {
    await db.query("rollback");
    throw caught;
  }
}

export function columnsOf(table: MoveTable): string {
  return table.columns.map(identifier).join(", ");
}
