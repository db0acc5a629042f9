import { type MoveCompared, type MoverCall, StampyardError } from "@stampyard/domain";
import { type CanonicalTable, canonicalTables } from "./canonical.ts";
import {
  compareKeys,
  compareTenant,
  type Difference,
  firstDifferences,
  keyAfter,
  mostNamed,
  sumBoth,
} from "./compare.ts";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { inMoverTransaction } from "./importing.ts";
import { lostParents, strayRows } from "./orphans.ts";
import type { RowsPair, VerifyCall } from "./rows-pair.ts";
import { literal } from "./sql.ts";

/** Keys left in `stampyard.move_brought` that may be compared inside the pause. */
export const fewBrought = 500;
/** What one range may hold, so that no snapshot stays open for long. */
const mostRangeRows = 20_000;
const rangeBytes = 128 * 1024 * 1024;
/** A table of no more than this, of all its tenants, is one range: about a second, and no order has to be followed. */
const smallTableBytes = 256 * 1024 * 1024;
const allRows = Number.MAX_SAFE_INTEGER;
/** A table whose order no index has is read whole for every range: this many at most. */
const mostRangesWithoutIndex = 32;
/** Keys that are compared again at once. */
const broughtAtOnce = 5_000;

/** How far a verification came: the `position` of the move's row in `stampyard.move_verified`. */
interface Position {
  /** Every range was equal. */
  readonly isWhole?: boolean;
  /** Tables that are done, as `schema.table`. */
  readonly done?: readonly string[];
  /** Last key of the table at work. */
  readonly after?: readonly string[];
  readonly rows?: number;
}

interface Verification {
  readonly pair: RowsPair;
  readonly call: VerifyCall;
  readonly tables: readonly CanonicalTable[];
  readonly differences: Difference[];
  position: Position;
}

/**
 * Compares everything once while changes go on, range by range, then the keys of `stampyard.move_brought` until few are
 * left (decision D15). How far it came is the move's row of `stampyard.move_verified` on the target. It is made here first,
 * because `captureRound` writes brought keys down from then on. Its `position` has `isWhole: true` once every range was
 * equal; `Mover.look` calls it compared with that and at most `fewBrought` keys left.
 *
 * Why a range may be compared while it is written: nobody but the move writes the target, and its rounds stand still
 * while a range is compared. So in the source's snapshot a row either is as it was brought, or its key is captured and
 * visible there. Those are left out; their next round writes them to `move_brought`, and they are compared after it.
 * @throws StampyardError NOT_EQUAL naming tables and keys
 */
export async function verifyRows(pair: RowsPair, call: VerifyCall): Promise<MoveCompared> {
  const tables = await canonicalOf(pair);
  const position = await beginOrGoOn(pair);
  const work: Verification = { pair, call, tables, differences: [], position };
  while (work.position.isWhole !== true) {
    call.signal.throwIfAborted();
    await call.bring();
    const isLast = await compareNext(work);
    if (isLast) await compareReferences(work);
    requireEqual(pair, work.differences, isLast || work.differences.length >= mostNamed);
    if (!isLast) continue;
    work.position = { ...work.position, isWhole: true };
    await inTurn(pair, () => writePosition(work, work.position));
  }
  const rows = (work.position.rows ?? 0) + (await compareBrought(work));
  requireEqual(pair, work.differences, true);
  return { policy: "incremental", rows, isEqual: true, differences: [] };
}

const known = new WeakMap<readonly MoveTable[], Promise<readonly CanonicalTable[]>>();

/** Read once for a plan: tables stay as they are while a move is on, and inside the pause every question counts. */
function canonicalOf({ source, target, tables }: RowsPair): Promise<readonly CanonicalTable[]> {
  const found = known.get(tables) ?? canonicalTables(source, target, tables);
  known.set(tables, found);
  found.catch(() => known.delete(tables));
  return found;
}

async function beginOrGoOn({ target, moveId }: RowsPair): Promise<Position> {
  const { rows } = await target.query(
    `insert into stampyard.move_verified as v (move_id, position) values ($1, '{}')
     on conflict (move_id) do update set position = v.position returning position`,
    [moveId],
  );
  return (rows[0]?.["position"] ?? {}) as Position;
}

/** Alone on the target: no round of this move, of whichever process, runs meanwhile. */
async function inTurn<T>(pair: RowsPair, work: () => Promise<T>): Promise<T> {
  return await inMoverTransaction(pair.target, pair, "importing", "plain", work);
}

async function writePosition({ pair, differences }: Verification, position: Position): Promise<void> {
  if (differences.length > 0) return;
  await pair.target.query("update stampyard.move_verified set position = $2 where move_id = $1", [
    pair.moveId,
    JSON.stringify(position),
  ]);
}

/** One range of one table. True when it was the last. */
async function compareNext(work: Verification): Promise<boolean> {
  const { pair, tables, position } = work;
  const done = position.done ?? [];
  const table = tables.find(({ name }) => !done.includes(name));
  if (table === undefined) return true;
  const { after, rows: before = 0 } = position;
  const next = await inTurn(pair, () =>
    inSnapshot(pair, async (captured) => {
      const size = work.call.rangeRows ?? rowsPerRange(pair, table);
      const from = after === undefined ? {} : { after };
      const until = size === allRows ? undefined : await keyAfter(pair.source, table, pair.tenant, from, size);
      const without = captured.get(table.name);
      const range = {
        ...from,
        ...(until === undefined ? {} : { until }),
        ...(without === undefined ? {} : { without }),
      };
      const { isEqual, sourceRows } = await sumBoth(pair.source, pair.target, table, pair.tenant, range);
      if (!isEqual) {
        const named = await firstDifferences(pair.source, pair.target, table, pair.tenant, range);
        work.differences.push(...(named.length > 0 ? named : [unnamed(table)]));
      }
      const rows = before + sourceRows;
      const reached: Position =
        until === undefined ? { done: [...done, table.name], rows } : { done, after: until, rows };
      await writePosition(work, reached);
      return { ...reached, ofRange: sourceRows };
    }),
  );
  const { ofRange, ...reached } = next;
  work.position = reached;
  const tablesDone = (reached.done ?? []).length;
  work.call.onRange?.({ table: table.name, tablesDone, rows: ofRange });
  return tablesDone === tables.length;
}

/** Two looks at one range that do not agree: somebody writes the target past the fence. */
function unnamed({ name }: CanonicalTable): Difference {
  return { table: name, key: "unknown", what: "different" };
}

function rowsPerRange({ tables }: RowsPair, table: CanonicalTable): number {
  const facts = tables.find(({ schema, table: name }) => schema === table.schema && name === table.table);
  if (facts !== undefined && facts.bytes <= smallTableBytes) return allRows;
  if (facts === undefined || facts.rows === 0) return mostRangeRows;
  if (!table.isIndexed) return Math.max(mostRangeRows, Math.ceil(facts.rows / mostRangesWithoutIndex));
  return Math.max(100, Math.min(mostRangeRows, Math.floor((rangeBytes * facts.rows) / Math.max(1, facts.bytes))));
}

/** A frozen view of the source, and by table the captured keys that it shows: a JSON list of objects, as text. */
async function inSnapshot<T>(
  { source, moveId }: RowsPair,
  work: (captured: ReadonlyMap<string, string>) => Promise<T>,
): Promise<T> {
  try {
    const { rows } = await source.query(
      `begin isolation level repeatable read read only;
       select n.nspname || '.' || r.relname as name, jsonb_agg(distinct c.row_key)::text as keys
       from stampyard.move_change c join pg_class r on r.oid = coalesce(pg_partition_root(c.relation), c.relation)
         join pg_namespace n on n.oid = r.relnamespace
       where c.move_id = ${literal(moveId)} group by 1`,
    );
    return await work(new Map(rows.map((row) => [String(row["name"]), String(row["keys"])])));
  } finally {
    if (source.isOpen) await source.query("rollback").catch(() => {});
  }
}

/** What foreign keys point at outside of the moved tables, and rows whose owner went before them. */
async function compareReferences(work: Verification): Promise<void> {
  const { pair, call, tables } = work;
  work.differences.push(...(await lostParents(pair, tables)));
  work.differences.push(...(await strayRows(pair, tables, call.bring)));
}

/** Compares what rounds have brought since, in batches, until few keys are left for the pause. */
async function compareBrought(work: Verification): Promise<number> {
  const { pair, call } = work;
  let rows = 0;
  for (;;) {
    call.signal.throwIfAborted();
    await call.bring();
    for (;;) {
      const batch = await inTurn(pair, async () => {
        const seen = await inSnapshot(pair, (captured) => compareBatch(work, captured, broughtAtOnce));
        if (work.differences.length === 0) await forgetBrought(pair, seen.seqs);
        return seen;
      });
      rows += batch.rows;
      requireEqual(pair, work.differences, true);
      if (batch.keys < broughtAtOnce) break;
    }
    const left = await pair.target.query(
      "select count(*)::int as n from (select from stampyard.move_brought where move_id = $1 limit 10000) b",
      [pair.moveId],
    );
    if (Number(left.rows[0]?.["n"]) <= fewBrought) return rows;
  }
}

/** Also those that are captured again: the round that brings them writes them down once more. */
async function forgetBrought({ target }: RowsPair, seqs: string): Promise<void> {
  if (seqs !== "") await target.query(`delete from stampyard.move_brought where seq = any ('{${seqs}}'::bigint[])`);
}

async function compareBatch(
  { pair, tables, differences }: Pick<Verification, "pair" | "tables" | "differences">,
  captured: ReadonlyMap<string, string>,
  limit: number,
): Promise<{ readonly rows: number; readonly keys: number; readonly seqs: string }> {
  const brought = await pair.target.query(
    `with batch as (select seq, relation, row_key from stampyard.move_brought where move_id = $1 order by seq limit $2)
     select relation, jsonb_agg(distinct row_key)::text as keys, array_agg(seq)::text as seqs, count(*)::int as n
     from batch group by relation`,
    [pair.moveId, limit],
  );
  const sum = { rows: 0, keys: 0, seqs: brought.rows.map((row) => String(row["seqs"]).slice(1, -1)).join(",") };
  for (const row of brought.rows) {
    sum.keys += Number(row["n"]);
    const table = tables.find(({ name }) => name === row["relation"]);
    if (table === undefined) continue;
    const without = captured.get(table.name);
    const keys = { these: String(row["keys"]), ...(without === undefined ? {} : { without }) };
    const compared = await compareKeys(pair.source, pair.target, table, pair.tenant, keys);
    sum.rows += compared.rows;
    differences.push(...compared.differences);
    differences.push(...(await lostParents(pair, [table], keys)));
  }
  return sum;
}

/**
 * Inside the pause: compares every key of `stampyard.move_brought`, with one question for each table and side. Both sides
 * stand still: the source is fenced, and the target has its last changes. The keys stay, because to forget them is a
 * commit. Never throws for rows that differ: `isEqual` says so.
 */
export async function verifyBrought(pair: RowsPair, call: MoverCall): Promise<MoveCompared> {
  call.signal.throwIfAborted();
  const tables = await canonicalOf(pair);
  const differences: Difference[] = [];
  const { rows } = await compareBatch({ pair, tables, differences }, new Map(), 2_147_483_647);
  return compared("incremental", rows, differences);
}

/**
 * Compares all rows of two frozen views, key by key where tables differ. `source` may be a connection of its own; the
 * target's view is an open transaction of REPEATABLE READ.
 */
export async function verifyWhole(
  pair: RowsPair & { readonly view: MoverDb },
  policy: "before" | "after",
  call: MoverCall,
): Promise<MoveCompared> {
  const tables = await compareTenant(pair.source, pair.view, pair.tables, pair.tenant, () =>
    call.signal.throwIfAborted(),
  );
  const differences = tables.flatMap(({ schema, table, differences: found }) =>
    found.map((difference) => ({ table: `${schema}.${table}`, ...difference })),
  );
  const view = { ...pair, target: pair.view };
  const canonical = await canonicalTables(pair.source, pair.view, pair.tables);
  differences.push(...(await lostParents(view, canonical)));
  // Every tenant's rows are read for it: too much for a pause.
  if (policy === "after") differences.push(...(await strayRows(pair, canonical, async () => {})));
  const rows = tables.reduce((sum, table) => sum + table.sourceRows, 0);
  const found = compared(policy, rows, differences);
  return tables.every((table) => table.isEqual) ? found : { ...found, isEqual: false };
}

function compared(policy: MoveCompared["policy"], rows: number, differences: readonly Difference[]): MoveCompared {
  return { policy, rows, isEqual: differences.length === 0, differences: differences.slice(0, mostNamed) };
}

/** @throws StampyardError NOT_EQUAL once `isEnough` has been seen to name what differs */
function requireEqual({ tenant }: RowsPair, differences: readonly Difference[], isEnough: boolean): void {
  const [first] = differences;
  if (first === undefined || !isEnough) return;
  const named = differences.slice(0, mostNamed);
  throw new StampyardError(
    "NOT_EQUAL",
    `The copies of tenant ${tenant} differ: table ${first.table}, key ${first.key} is ${first.what} on the target`,
    {
      problems: named.map(({ table, key, what }) => ({ message: `Table ${table}, key ${key}: ${what} on the target` })),
      mend: "The tenant stays where it is, and nothing is lost. Find out who wrote these rows past the fence.",
    },
  );
}
