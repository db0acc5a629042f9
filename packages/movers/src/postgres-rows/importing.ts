import { StampyardError } from "@stampyard/domain";
import type { MoverDb } from "./connect.ts";
import type { MoveKey } from "./decision.ts";
import { literal } from "./sql.ts";

/**
 * `replica`: neither triggers nor foreign keys fire, so rows come in any order; they were checked where they come from.
 * Needs the right to set `session_replication_role` (PostgreSQL 15 and later can grant it). `plain`: everything fires.
 */
export type WriteMode = "replica" | "plain";

/**
 * A transaction in which the mover may write a tenant's rows: only while the tenant's row is in that state by that move,
 * and one such transaction at a time. So a process that was thought dead cannot bring old rows to a tenant that has since
 * opened, nor erase one that came back, nor mix its round with that of its successor: its next transaction waits for the
 * row and then finds it changed. `isVerifying`: keys that are brought are to be written down.
 * @throws StampyardError WRONG_PHASE
 */
export async function inMoverTransaction<T>(
  db: MoverDb,
  { tenant, moveId }: MoveKey,
  state: "importing" | "moved",
  mode: WriteMode,
  work: (home: { readonly isVerifying: boolean }) => Promise<T>,
): Promise<T> {
  try {
    const { rows } = await db.query(
      `begin; ${mode === "replica" ? "set local session_replication_role = replica; " : ""}
       select exists (select from stampyard.move_verified c where c.move_id = h.move_id) as verifying
       from stampyard.tenant_home h
       where h.tenant = ${literal(tenant)} and h.move_id = ${literal(moveId)} and h.state = '${state}' for no key update`,
    );
    if (rows[0] === undefined) {
      throw new StampyardError("WRONG_PHASE", `Tenant ${tenant} is not ${state} by move ${moveId} any more`, {
        mend: "Look at its moves: stampyard move list.",
      });
    }
    const result = await work({ isVerifying: rows[0]["verifying"] === true });
    await db.query("commit");
    return result;
  } catch (caught) {
    // The first error says what went wrong, not that of a connection that is gone.
    if (db.isOpen) await db.query("rollback").catch(() => {});
    throw caught;
  }
}
