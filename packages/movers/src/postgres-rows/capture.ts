import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { columnsOf, inReplicaTransaction, pipeRows } from "./copy.ts";
import { identifier, literal, qualified, sqlStateOf } from "./sql.ts";

export interface RoundOptions {
  readonly tenant: string;
  readonly moveId: string;
  /** Most captured changes of one round. @default 5000 */
  readonly limit?: number;
}

export interface Round {
  /** Captured changes that this round has dealt with. */
  readonly changes: number;
  readonly rows: number;
  /** True when nothing was left when it began to read. */
  readonly isLast: boolean;
}

interface Change {
  readonly seq: string;
  readonly table: string;
  readonly key: Readonly<Record<string, unknown>>;
}

const uniqueViolation = "23505";

/**
 * One round of decision D14: reads a set of captured keys and, in the same snapshot, the rows as they are now; replaces
 * exactly those rows on the target; and forgets exactly the changes that it read. A crash anywhere repeats the round.
 */
export async function captureRound(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  options: RoundOptions,
): Promise<Round> {
  const limit = options.limit ?? 5_000;
  try {
    return await tryRound(source, target, tables, options, limit);
  } catch (caught) {
    // Two rows may have swapped a unique value across rounds: all of them together fit.
    if (sqlStateOf(caught) !== uniqueViolation || limit === Number.MAX_SAFE_INTEGER) throw caught;
    return await tryRound(source, target, tables, options, Number.MAX_SAFE_INTEGER);
  }
}

async function tryRound(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  options: RoundOptions,
  limit: number,
): Promise<Round> {
  await source.query("begin isolation level repeatable read read only");
  let changes: readonly Change[];
  let rows = 0;
  try {
    changes = await readChanges(source, options.moveId, limit);
    if (changes.length > 0) rows = await replaceRows(source, target, tables, options.tenant, changes);
  } finally {
    await source.query("rollback");
  }
  if (changes.length > 0) {
    await source.query("delete from stampyard.move_change where seq = any ($1::bigint[])", [
      changes.map((change) => change.seq),
    ]);
  }
  return { changes: changes.length, rows, isLast: changes.length < limit };
}

/** Partitions are told by the table they belong to. */
async function readChanges(source: MoverDb, moveId: string, limit: number): Promise<readonly Change[]> {
  const { rows } = await source.query(
    `select c.seq, n.nspname as schema, r.relname as "table", c.row_key as key
     from stampyard.move_change c join pg_class r on r.oid = coalesce(pg_partition_root(c.relation), c.relation)
       join pg_namespace n on n.oid = r.relnamespace
     where c.move_id = $1 order by c.seq limit $2`,
    [moveId, Math.min(limit, 2_147_483_647)],
  );
  return rows.map((row) => ({
    seq: String(row["seq"]),
    table: qualified({ schema: String(row["schema"]), table: String(row["table"]) }),
    key: row["key"] as Change["key"],
  }));
}

async function replaceRows(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  tenant: string,
  changes: readonly Change[],
): Promise<number> {
  const touched = tables
    .map((table) => ({ table, keys: JSON.stringify(keysOf(table, changes)) }))
    .filter(({ keys }) => keys !== "[]");
  return await inReplicaTransaction(target, async () => {
    for (const { table, keys } of [...touched].reverse()) {
      await target.query(`delete from ${qualified(table)} t using ${keyedRows(table, "$1")} ${meets(table, tenant)}`, [
        keys,
      ]);
    }
    let rows = 0;
    for (const { table, keys } of touched) {
      const now = `select ${columnsOf(table).replaceAll(/(^|, )/g, "$1t.")} from ${qualified(table)} t, ${keyedRows(table, literal(keys))} ${meets(table, tenant)}`;
      rows += (await pipeRows(source, target, table, now)).rows;
    }
    return rows;
  });
}

/** Whole keys only: a captured key is a hint, and whoever may write rows may also have written nonsense. */
function keysOf(table: MoveTable, changes: readonly Change[]): readonly Change["key"][] {
  const name = qualified(table);
  const seen = new Map<string, Change["key"]>();
  for (const { table: of, key } of changes) {
    if (of !== name || table.key.some((column) => key[column] === null || key[column] === undefined)) continue;
    const whole = Object.fromEntries(table.key.map((column) => [column, key[column]]));
    seen.set(JSON.stringify(whole), whole);
  }
  return [...seen.values()];
}

function keyedRows(table: MoveTable, keys: string): string {
  return `jsonb_populate_recordset(null::${qualified(table)}, ${keys}::jsonb) k`;
}

/** The tenant is asked for beside the key, so that no captured key can reach another tenant's rows. */
function meets(table: MoveTable, tenant: string): string {
  const equal = table.key.map((column) => `t.${identifier(column)} = k.${identifier(column)}`);
  return `where ${equal.join(" and ")} and t.${identifier(table.tenantColumn)} = ${literal(tenant)}`;
}
