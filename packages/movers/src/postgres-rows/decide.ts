import { StampyardError } from "@stampyard/domain";
import type { MoverDb } from "./connect.ts";
import { flip, type MoveKey } from "./decision.ts";
import { literal, type SqlClient } from "./sql.ts";

/**
 * The flip, unless a captured change is still on the source alone: then the target is not whole, whoever believes so. It
 * makes the decision record itself the proof of I18, also against a process that slept through another one's try.
 */
export async function flipWhenWhole(source: MoverDb, key: MoveKey, target: string): Promise<boolean> {
  try {
    const { rows } = await source.query(
      `begin; select exists (select from stampyard.move_change c where c.move_id = h.move_id) as lacks
       from stampyard.tenant_home h
       where h.tenant = ${literal(key.tenant)} and h.move_id = ${literal(key.moveId)} and h.state = 'fenced' for update`,
    );
    const isWhole = rows[0]?.["lacks"] === false;
    const isDecided = isWhole && (await flip(source, key, target));
    await source.query(isDecided ? "commit" : "rollback");
    return isDecided;
  } catch (caught) {
    if (source.isOpen) await source.query("rollback").catch(() => {});
    throw caught;
  }
}

/** @throws StampyardError WRONG_PHASE while the source could still open the tenant again */
export async function requireDecided(source: SqlClient, { tenant, moveId }: MoveKey): Promise<void> {
  const { rows } = await source.query(
    "select 1 from stampyard.tenant_home where tenant = $1 and state = 'moved' and move_id = $2",
    [tenant, moveId],
  );
  if (rows.length === 1) return;
  throw new StampyardError("WRONG_PHASE", `The source of move ${moveId} has not decided`, {
    mend: "Nothing was opened: repeat the switch.",
  });
}

/** The tenant may be taken back only while every write since the flip was captured under the way back's own id. */
export async function requireWatched(source: SqlClient, { tenant, moveId }: MoveKey): Promise<void> {
  const { rows } = await source.query(
    `select 1 from stampyard.tenant_home where tenant = $1 and move_id = $2 and state in ('active', 'fenced')
       and (watching or is_way_back)`,
    [tenant, moveId],
  );
  if (rows.length === 1) return;
  throw new StampyardError("WRONG_PHASE", `Tenant ${tenant} is not captured for its way back ${moveId} any more`, {
    mend: "Its old copy cannot be brought up to date: finish the earlier move, then make a new one.",
  });
}

/** Of changes of one row only the last must be brought; a way back may have captured the same row for an hour. */
export async function forgetRepeated(source: SqlClient, moveId: string): Promise<number> {
  const { rowCount } = await source.query(
    `delete from stampyard.move_change c using (
       select seq, row_number() over (partition by relation, row_key order by seq desc) as place
       from stampyard.move_change where move_id = $1) o
     where c.seq = o.seq and o.place > 1`,
    [moveId],
  );
  return rowCount ?? 0;
}

/** Fenced → armed, as before the fence. False = it was not fenced by this move. */
export async function unfenceMove(source: SqlClient, { tenant, moveId }: MoveKey): Promise<boolean> {
  const { rowCount } = await source.query(
    `update stampyard.tenant_home set state = 'active', deadline = null, changed_at = clock_timestamp()
     where tenant = $1 and move_id = $2 and state = 'fenced'`,
    [tenant, moveId],
  );
  return rowCount === 1;
}

export async function lagOf(source: SqlClient, moveId: string, most: number): Promise<number> {
  const { rows } = await source.query(
    `select count(*)::int as lag from (select from stampyard.move_change where move_id = $1 limit ${most}) c`,
    [moveId],
  );
  return Number(rows[0]?.["lag"]);
}
