import { StampyardError } from "@stampyard/domain";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { type CopyPosition, writePosition } from "./copy.ts";
import type { MoveKey } from "./decision.ts";
import { inMoverTransaction, type WriteMode } from "./importing.ts";
import { literal, qualified, type SqlClient } from "./sql.ts";
import { ofTenant } from "./via.ts";

/** Rows that one transaction erases. */
const eraseRows = 5_000;

export interface AdmitOptions {
  /** @default "replica" */
  readonly mode?: WriteMode;
  /** What the tables look like now; kept with the position of the copy. */
  readonly schema?: string;
}

/**
 * The other side of a move. The tenant's row there is `importing` until the source has decided, so nobody but the mover
 * writes its rows (I16).
 * @throws StampyardError WRONG_PHASE when the tenant is there in another way
 */
export async function admitTenant(
  target: MoverDb,
  tables: readonly MoveTable[],
  key: MoveKey,
  epoch: number,
  options: AdmitOptions = {},
): Promise<void> {
  const { tenant, moveId } = key;
  const { rows } = await target.query(
    `insert into stampyard.tenant_home as home (tenant, state, epoch, move_id) values ($1, 'importing', $3, $2)
     on conflict (tenant) do update set state = 'importing', epoch = excluded.epoch, move_id = excluded.move_id,
       moved_to = null, deadline = null, changed_at = clock_timestamp()
       where home.epoch < excluded.epoch and home.state in ('importing', 'moved')
     returning move_id`,
    [tenant, moveId, epoch],
  );
  if (rows.length === 0) await requireImporting(target, key);
  // Without a position it was just admitted, or died while it emptied the tables; with one, what was copied stays.
  const copied = await target.query("select 1 from stampyard.move_copied where move_id = $1", [moveId]);
  if (copied.rows.length > 0 && rows.length === 0) return;
  await forgetRows(target, tables, key, "importing", options.mode);
  const start: CopyPosition = { table: 0, ...(options.schema === undefined ? {} : { schema: options.schema }) };
  await inMoverTransaction(target, key, "importing", "plain", () => writePosition(target, moveId, start));
}

/**
 * The way back: the closed copy of the source of an earlier move becomes the target of this one, as it is. What it lacks
 * was captured from the first write on, so it counts as copied.
 */
export async function admitReturn(
  target: MoverDb,
  { tenant, moveId, returns }: MoveKey & { readonly returns: string },
  epoch: number,
  schema: string,
): Promise<void> {
  await target.query("begin");
  try {
    const { rowCount } = await target.query(
      `update stampyard.tenant_home set state = 'importing', epoch = $4, move_id = $2, moved_to = null,
         changed_at = clock_timestamp()
       where tenant = $1 and move_id = $3 and state = 'moved' and epoch < $4`,
      [tenant, moveId, returns, epoch],
    );
    if (rowCount === 1) await writePosition(target, moveId, { table: 0, isDone: true, schema });
    else await requireImporting(target, { tenant, moveId });
    await target.query("commit");
  } catch (caught) {
    if (target.isOpen) await target.query("rollback");
    throw caught;
  }
}

/** This move's own row, from before a crash, is as good as a new one. */
async function requireImporting(target: SqlClient, { tenant, moveId }: MoveKey): Promise<void> {
  const { rows } = await target.query("select state, move_id from stampyard.tenant_home where tenant = $1", [tenant]);
  const home = rows[0];
  if (home?.["state"] === "importing" && home["move_id"] === moveId) return;
  const found = home === undefined ? "unknown" : String(home["state"]);
  throw new StampyardError("WRONG_PHASE", `Tenant ${tenant} is ${found} in the target of its move`, {
    mend: "Finish or abort the other move first (stampyard move list).",
  });
}

export interface ForgottenTable {
  /** `schema.table`. */
  readonly table: string;
  readonly rows: number;
}

/**
 * Removes a tenant's rows from every table, children first, while the tenant's row is in that state by that move.
 * Neighbours' rows are not looked at.
 */
export async function forgetRows(
  db: MoverDb,
  tables: readonly MoveTable[],
  key: MoveKey,
  state: "importing" | "moved",
  mode: WriteMode = "replica",
  onBatch: (table: MoveTable, rows: number) => Promise<void> | void = () => {},
): Promise<readonly ForgottenTable[]> {
  const forgotten: ForgottenTable[] = [];
  for (const table of [...tables].reverse()) {
    const name = qualified(table);
    const mine = ofTenant(table, "t", literal(key.tenant));
    const sql = `delete from ${name} t
      where t.ctid = any (array(select t.ctid from ${name} t where ${mine} limit ${eraseRows})) and ${mine}`;
    let rows = 0;
    for (;;) {
      const { rowCount } = await inMoverTransaction(db, key, state, mode, () => db.query(sql));
      rows += rowCount ?? 0;
      await onBatch(table, rowCount ?? 0);
      if ((rowCount ?? 0) < eraseRows) break;
    }
    forgotten.push({ table: `${table.schema}.${table.table}`, rows });
  }
  return forgotten;
}

/**
 * Opens the tenant on its new home; only after the source has decided. Repeating it is fine (I27).
 * @param watchedBy the way back, under whose id every write is captured from the first on; absent = none
 */
export async function openTenant(
  target: SqlClient,
  { tenant, moveId }: MoveKey,
  epoch: number,
  watchedBy?: string,
): Promise<void> {
  const { rowCount } = await target.query(
    `update stampyard.tenant_home set state = 'active', move_id = $4, watching = $4::text is not null,
       changed_at = clock_timestamp()
     where tenant = $1 and epoch = $3 and state = 'importing' and move_id = $2`,
    [tenant, moveId, epoch, watchedBy ?? null],
  );
  if (rowCount === 1) return;
  // Open already, and whatever has become of it since is not this move's.
  const { rows } = await target.query(
    "select 1 from stampyard.tenant_home where tenant = $1 and epoch >= $2 and state <> 'importing'",
    [tenant, epoch],
  );
  if (rows.length === 1) return;
  throw new StampyardError("WRONG_PHASE", `Tenant ${tenant} is not importing by move ${moveId} in its target`);
}

/** After an abort: the target forgets what it was brought. Never touches a tenant that is open there. */
export async function forgetImport(
  target: MoverDb,
  tables: readonly MoveTable[],
  key: MoveKey,
  mode?: WriteMode,
): Promise<void> {
  const { tenant, moveId } = key;
  const mine = "tenant = $1 and state = 'importing' and move_id = $2";
  const { rows } = await target.query(`select 1 from stampyard.tenant_home where ${mine}`, [tenant, moveId]);
  if (rows.length === 1) {
    await forgetRows(target, tables, key, "importing", mode);
    await target.query(`delete from stampyard.tenant_home where ${mine}`, [tenant, moveId]);
  }
  await forgetNotes(target, moveId);
}

/**
 * After the abort of a way back: the copy is closed again as the earlier move left it, a little newer. Its rows stay, and
 * so do the keys that were captured and not brought.
 */
export async function forgetReturn(
  target: SqlClient,
  { tenant, moveId }: MoveKey,
  earlier: { readonly moveId: string; readonly epoch: number; readonly home: string },
): Promise<void> {
  await target.query(
    `update stampyard.tenant_home set state = 'moved', epoch = $3, move_id = $4, moved_to = $5,
       changed_at = clock_timestamp()
     where tenant = $1 and move_id = $2 and state = 'importing'`,
    [tenant, moveId, earlier.epoch, earlier.moveId, earlier.home],
  );
  await forgetNotes(target, moveId);
}

/** What a move noted down on its target. */
export async function forgetNotes(target: SqlClient, moveId: string): Promise<void> {
  const id = literal(moveId);
  await target.query(
    `delete from stampyard.move_brought where move_id = ${id}; delete from stampyard.move_verified where move_id = ${id};
     delete from stampyard.move_copied where move_id = ${id}`,
  );
}
