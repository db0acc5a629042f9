import { StampyardError } from "@stampyard/domain";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { inReplicaTransaction } from "./copy.ts";
import type { MoveKey } from "./decision.ts";
import { identifier, qualified, type SqlClient } from "./sql.ts";

/**
 * The other side of a move. The tenant's row there is `importing` until the source has decided, so nobody but the mover
 * writes its rows (I16).
 */
export async function admitTenant(
  target: MoverDb,
  tables: readonly MoveTable[],
  { tenant, moveId }: MoveKey,
  epoch: number,
): Promise<void> {
  const { rows } = await target.query(
    `insert into stampyard.tenant_home as home (tenant, state, epoch, move_id) values ($1, 'importing', $3, $2)
     on conflict (tenant) do update set state = 'importing', epoch = excluded.epoch, move_id = excluded.move_id,
       moved_to = null, deadline = null, changed_at = clock_timestamp()
       where home.epoch < excluded.epoch and home.state in ('importing', 'moved')
     returning move_id`,
    [tenant, moveId, epoch],
  );
  if (rows.length === 0) {
    const found = await target.query("select state, move_id from stampyard.tenant_home where tenant = $1", [tenant]);
    const home = found.rows[0];
    // This move's own row, from before a crash: what was copied stays.
    if (home?.["state"] === "importing" && home["move_id"] === moveId) return;
    throw new StampyardError(
      "WRONG_PHASE",
      `Tenant ${tenant} is ${String(home?.["state"])} in the target of its move`,
      {
        mend: "Finish or abort the other move first (stampyard move list).",
      },
    );
  }
  await forgetRows(target, tables, tenant);
}

/** Removes a tenant's rows from every table, children first. Neighbours' rows are not looked at. */
export async function forgetRows(db: MoverDb, tables: readonly MoveTable[], tenant: string): Promise<number> {
  let removed = 0;
  for (const table of [...tables].reverse()) {
    const rows = `ctid = any (array(select ctid from ${qualified(table)} where ${identifier(table.tenantColumn)} = $1 limit 5000))`;
    for (;;) {
      const { rowCount } = await inReplicaTransaction(db, () =>
        db.query(`delete from ${qualified(table)} where ${rows} and ${identifier(table.tenantColumn)} = $1`, [tenant]),
      );
      removed += rowCount ?? 0;
      if ((rowCount ?? 0) < 5_000) break;
    }
  }
  return removed;
}

/** Opens the tenant on its new home; only after `flip` has said yes. Repeating it is fine (I27). */
export async function openTenant(target: SqlClient, { tenant, moveId }: MoveKey, epoch: number): Promise<void> {
  const { rowCount } = await target.query(
    `update stampyard.tenant_home set state = 'active', move_id = null, changed_at = clock_timestamp()
     where tenant = $1 and epoch = $3 and (state = 'importing' and move_id = $2 or state = 'active' and move_id is null)`,
    [tenant, moveId, epoch],
  );
  if (rowCount === 1) return;
  throw new StampyardError("WRONG_PHASE", `Tenant ${tenant} is not importing by move ${moveId} in its target`);
}

/** After an abort: the target forgets what it was brought. Never touches a tenant that is open there. */
export async function forgetImport(
  target: MoverDb,
  tables: readonly MoveTable[],
  { tenant, moveId }: MoveKey,
): Promise<void> {
  const { rows } = await target.query(
    "select 1 from stampyard.tenant_home where tenant = $1 and state = 'importing' and move_id = $2",
    [tenant, moveId],
  );
  if (rows.length === 1) {
    await forgetRows(target, tables, tenant);
    await target.query("delete from stampyard.tenant_home where tenant = $1 and state = 'importing' and move_id = $2", [
      tenant,
      moveId,
    ]);
  }
  await target.query("delete from stampyard.move_copied where move_id = $1", [moveId]);
}
