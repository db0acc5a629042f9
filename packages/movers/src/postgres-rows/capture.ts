import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { columnsOf, pipeRows } from "./copy.ts";
import { inMoverTransaction, type WriteMode } from "./importing.ts";
import { identifier, literal, qualified, sqlStateOf } from "./sql.ts";
import { ofNobody, ofTenant, ofTenantOrNobody } from "./via.ts";

export interface RoundOptions {
  readonly tenant: string;
  readonly moveId: string;
  /** Most captured changes of one round. @default 5000 */
  readonly limit?: number;
  /** @default "replica" */
  readonly mode?: WriteMode;
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
  /** JSON as the server wrote it: JavaScript would round numbers beyond 2^53. */
  readonly key: string;
}

const uniqueViolation = "23505";
const exclusionViolation = "23P01";
export const foreignKeyViolation = "23503";
/** As many as there are. */
export const allChanges = 2_147_483_647;

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
    // Two rows may have swapped a unique value across rounds, or a row come before its parent: all together they fit.
    const isRefused = [uniqueViolation, exclusionViolation, foreignKeyViolation].includes(sqlStateOf(caught) ?? "");
    if (!(isRefused || caught === parentIsMissing) || limit === allChanges) throw caught;
    return await tryRound(source, target, tables, options, allChanges);
  }
}

/**
 * A round of these tables alone, whose changes of others stay, and in its snapshot and its transaction some other work. So
 * what that reads on the source has all the parents that are there, on the target too.
 */
export async function roundAround(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  options: RoundOptions,
  also: () => Promise<void>,
): Promise<void> {
  await tryRound(source, target, tables, options, allChanges, also);
}

async function tryRound(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  options: RoundOptions,
  limit: number,
  also?: () => Promise<void>,
): Promise<Round> {
  const mode = options.mode ?? "replica";
  // The target first: whoever is in it is alone, so no older snapshot of the source can come after a newer one.
  const done = await inMoverTransaction(target, options, "importing", mode, async ({ isVerifying }) => {
    try {
      const read = await readChanges(source, options.moveId, limit);
      const changes = also === undefined ? read : changesOf(tables, read);
      const rows = await replaceRows(source, target, tables, options.tenant, changes, mode);
      if (limit !== allChanges) await requireParents(target, tables, changes);
      if (isVerifying && changes.length > 0) await writeBrought(target, tables, options.moveId, changes);
      await also?.();
      return { changes, rows };
    } finally {
      // Waited for with what follows on the same connection.
      if (source.isOpen) void source.query("rollback").catch(() => {});
    }
  });
  await forgetChanges(source, done.changes);
  return { changes: done.changes.length, rows: done.rows, isLast: done.changes.length < limit };
}

const parentIsMissing = new Error("a row was brought before its parent");

/**
 * A row that leads nowhere belongs to nobody: were the move aborted now, nobody would find it again. Foreign keys would
 * have refused it, but they do not fire here.
 */
async function requireParents(
  target: MoverDb,
  tables: readonly MoveTable[],
  changes: readonly Change[],
): Promise<void> {
  const strays = tables
    .filter((table) => table.via !== undefined)
    .map((table) => ({ table, keys: keysOf(table, changes) }))
    .filter(({ keys }) => keys.length > 0)
    .map(({ table, keys }) => `exists (select ${byKeys(table, literal(`[${keys.join(",")}]`), ofNobody(table, "t"))})`);
  if (strays.length === 0) return;
  const { rows } = await target.query(`select ${strays.join(" or ")} as found`);
  if (rows[0]?.["found"] === true) throw parentIsMissing;
}

/** Begins the snapshot that the round reads all its rows in. Partitions are told by the table they belong to. */
async function readChanges(source: MoverDb, moveId: string, limit: number): Promise<readonly Change[]> {
  const { rows } = await source.query(
    `begin isolation level repeatable read read only;
     select c.seq, n.nspname as schema, r.relname as "table", c.row_key::text as key
     from stampyard.move_change c join pg_class r on r.oid = coalesce(pg_partition_root(c.relation), c.relation)
       join pg_namespace n on n.oid = r.relnamespace
     where c.move_id = ${literal(moveId)} order by c.seq limit ${limit}`,
  );
  return rows.map((row) => ({
    seq: String(row["seq"]),
    table: qualified({ schema: String(row["schema"]), table: String(row["table"]) }),
    key: String(row["key"]),
  }));
}

function changesOf(tables: readonly MoveTable[], changes: readonly Change[]): readonly Change[] {
  const names = new Set(tables.map(qualified));
  return changes.filter(({ table }) => names.has(table));
}

/** Losing this to a crash only brings those rows again, so nobody waits for the disk. */
async function forgetChanges(source: MoverDb, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return;
  const list = changes.map((change) => change.seq).join(",");
  await source.query(
    `begin; set local synchronous_commit = off;
     delete from stampyard.move_change where seq = any ('{${list}}'::bigint[]); commit`,
  );
}

async function replaceRows(
  source: MoverDb,
  target: MoverDb,
  tables: readonly MoveTable[],
  tenant: string,
  changes: readonly Change[],
  mode: WriteMode,
): Promise<number> {
  const touched = tables
    .map((table) => ({ table, keys: `[${keysOf(table, changes).join(",")}]` }))
    .filter(({ keys }) => keys !== "[]");
  const found = (table: MoveTable, keys: string) => byKeys(table, literal(keys), ofTenant(table, "t", literal(tenant)));
  const steps: string[] = [];
  for (const { table, keys } of [...touched].reverse()) {
    const gone = mode === "plain" ? await goneKeys(source, table, keys, found(table, keys)) : keys;
    steps.push(
      `delete from ${qualified(table)} d
       using (select t.tableoid, t.ctid ${byKeys(table, literal(gone), ofTenantOrNobody(table, "t", literal(tenant)))} offset 0) f
       where d.ctid = f.ctid and d.tableoid = f.tableoid`,
    );
  }
  // One round trip for all of them: this is done in the pause, too.
  if (steps.length > 0) await target.query(steps.join(";\n"));
  let rows = 0;
  for (const { table, keys } of touched) {
    const now = `select ${columnsOf(table, "t")} ${found(table, keys)}`;
    rows += (await pipeRows(source, target, table, now, mode)).rows;
  }
  return rows;
}

/** Keys that name no row on the source: where triggers and foreign keys fire, only those may be deleted. */
async function goneKeys(source: MoverDb, table: MoveTable, keys: string, found: string): Promise<string> {
  const columns = table.key.map((column) => `k.${identifier(column)}`).join(", ");
  const there = await source.query(`select jsonb_build_array(${columns})::text as key ${found}`);
  const isThere = new Set(there.rows.map((row) => String(row["key"])));
  const all = await source.query(
    `select jsonb_build_array(${columns})::text as key, to_jsonb(k)::text as row from ${keyedRows(table, "$1")}`,
    [keys],
  );
  const gone = all.rows.filter((row) => !isThere.has(String(row["key"])));
  return `[${gone.map((row) => String(row["row"])).join(",")}]`;
}

/** What was brought after the verification had begun is compared again (decision D15). */
async function writeBrought(
  target: MoverDb,
  tables: readonly MoveTable[],
  moveId: string,
  changes: readonly Change[],
): Promise<void> {
  const brought = tables.flatMap((table) => {
    const of = JSON.stringify(`${table.schema}.${table.table}`);
    return keysOf(table, changes).map((key) => `{"of": ${of}, "key": ${key}}`);
  });
  await target.query(
    `insert into stampyard.move_brought (move_id, relation, row_key)
     select $1, b."of", b.key from jsonb_to_recordset($2::jsonb) as b("of" text, key jsonb)`,
    [moveId, `[${brought.join(",")}]`],
  );
}

/** Whole keys only: a captured key is a hint, and whoever may write rows may also have written nonsense. */
function keysOf(table: MoveTable, changes: readonly Change[]): readonly string[] {
  const name = qualified(table);
  const isWhole = (key: string) => {
    const columns = JSON.parse(key) as Readonly<Record<string, unknown>>;
    return table.key.every((column) => columns[column] !== null && columns[column] !== undefined);
  };
  return [...new Set(changes.filter((change) => change.table === name).map(({ key }) => key))].filter(isWhole);
}

function keyedRows(table: MoveTable, keys: string): string {
  return `jsonb_populate_recordset(null::${qualified(table)}, ${keys}::jsonb) k`;
}

/**
 * `from …`: rows `t` of these keys `k`, each looked up by itself. A table that was filled a moment ago looks empty to the
 * planner, which would then go through all keys for every row of it. The tenant is asked for beside the key, so that no
 * captured key can reach another tenant's rows.
 */
function byKeys(table: MoveTable, keys: string, isOurs: string): string {
  const same = table.key.map((column) => `t.${identifier(column)} = k.${identifier(column)}`);
  return `from ${keyedRows(table, keys)}, lateral (
    select t.*, t.tableoid, t.ctid from ${qualified(table)} t where ${same.join(" and ")} and ${isOurs} offset 0) t`;
}
