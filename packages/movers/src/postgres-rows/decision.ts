import { type Clock, StampyardError } from "@stampyard/domain";
import { announceMoveSql } from "./fence-sql.ts";
import { atRestSql, fenceLockSpace, holdsTablesSql, mostMovesAtOnce } from "./fence-words.ts";
import { type Blocker, describeBlocker } from "./install-fence.ts";
import { qualified, type SqlClient, sqlStateOf, type TableName } from "./sql.ts";

/**
 * The one decision record of a move: the tenant's row in the source's own database (decision D12, I19, I41).
 *
 *     active ──arm──► active, with a move ──fence──► fenced ──flip──► moved
 *        ▲                 │                           │
 *        └──────abort──────┴───abort, or the first ────┘
 *                              writer after the deadline
 *
 * After a flip the new home is opened *watched*: active, with the id of the way back, and captured without any lock. The
 * move back arms that row, and where this drawing ends `active` its row ends watched again. `unwatch` ends it for good.
 *
 * Every step is one UPDATE that must hit one row, so of an abort and a flip exactly one happens, whoever is faster.
 */
export interface MoveKey {
  readonly tenant: string;
  readonly moveId: string;
}

/**
 * Captures the tenant's writes from now on. A row that this move watches already becomes armed: until `waitForOldWriters`
 * returns, some of its writers still capture without the lock.
 * @throws StampyardError WRONG_PHASE when the tenant is not at home here at this epoch, or too many moves are on
 */
export async function armMove(db: SqlClient, { tenant, moveId }: MoveKey, epoch: number): Promise<void> {
  await db.query("begin");
  try {
    await db.query("select pg_advisory_xact_lock($1, -1)", [fenceLockSpace]);
    const { rows } = await db.query(
      `select count(*)::int as moves from stampyard.tenant_home h where ${holdsTablesSql("h")}`,
    );
    if (Number(rows[0]?.["moves"]) >= mostMovesAtOnce) {
      throw new StampyardError("WRONG_PHASE", `Tenant ${tenant} cannot move now: ${mostMovesAtOnce} moves are on`, {
        mend: "Wait for one of them to end.",
      });
    }
    await db.query(announceMoveSql);
    const armed = await db.query(
      `update stampyard.tenant_home set move_id = $2, is_way_back = is_way_back or watching, watching = false,
         changed_at = clock_timestamp()
       where tenant = $1 and state = 'active' and epoch = $3 and (move_id is null or move_id = $2)`,
      [tenant, moveId, epoch],
    );
    if (armed.rowCount !== 1) throw notAtHome(tenant, `active at epoch ${epoch}`);
    await db.query("commit");
  } catch (caught) {
    await db.query("rollback");
    throw caught;
  }
}

/** A transaction that may have written the tenant's rows before it could know of the move. */
export interface OldWriter extends Blocker {
  readonly transaction: string;
}

/**
 * Transactions that hold, or wait for, a lock to change any of these tables. Taken after `armMove` it lists every writer
 * that may have read the tenant's row before; whoever locks a table later reads the row as it is now. They are waited
 * for, never blocked: once all have ended, each change of the tenant is captured. Movers write no tenant but their own,
 * and only where nobody else may.
 */
export async function oldWriters(db: SqlClient, tables: readonly TableName[]): Promise<readonly OldWriter[]> {
  const { rows } = await db.query(
    `select distinct l.virtualtransaction as transaction, coalesce(l.pid, 0) as pid, a.application_name as application,
       a.state, (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::float8 as age
     from pg_locks l left join pg_stat_activity a on a.pid = l.pid
     where l.locktype = 'relation' and l.pid is distinct from pg_backend_pid()
       and a.usename is distinct from 'stampyard_mover'
       and l.database = (select oid from pg_database where datname = current_database())
       and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
       and l.relation in (select p.relid from unnest($1::text[]) as name, pg_partition_tree(name::regclass) as p
         union select name::regclass from unnest($1::text[]) as name)`,
    [tables.map(qualified)],
  );
  return rows.map((row) => ({
    transaction: String(row["transaction"]),
    pid: Number(row["pid"]),
    ...(typeof row["application"] === "string" && row["application"] !== "" ? { application: row["application"] } : {}),
    ...(typeof row["state"] === "string" ? { state: row["state"] } : {}),
    ...(typeof row["age"] === "number" ? { ageMs: Math.round(row["age"]) } : {}),
  }));
}

/** Those of them that have not ended. A serializable transaction's predicate locks outlive it and do not count. */
export async function stillOpen(db: SqlClient, writers: readonly OldWriter[]): Promise<readonly OldWriter[]> {
  if (writers.length === 0) return [];
  const { rows } = await db.query(
    "select distinct virtualtransaction as transaction from pg_locks where virtualtransaction = any ($1) and mode <> 'SIReadLock'",
    [writers.map((writer) => writer.transaction)],
  );
  const open = new Set(rows.map((row) => row["transaction"]));
  return writers.filter((writer) => open.has(writer.transaction));
}

/**
 * Waits until the old writers have ended.
 * @throws StampyardError WRONG_PHASE for a prepared transaction, which nobody may ever end; TIMEOUT names the oldest
 */
export async function waitForOldWriters(
  db: SqlClient,
  tables: readonly TableName[],
  options: { readonly clock: Clock; readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const until = options.clock.now() + options.deadlineMs;
  let open = await oldWriters(db, tables);
  const prepared = open.find((writer) => writer.transaction.startsWith("-1/"));
  if (prepared !== undefined) {
    throw new StampyardError("WRONG_PHASE", `Prepared transaction ${prepared.transaction} holds a table of the move`, {
      mend: "Commit or roll it back (see pg_prepared_xacts).",
    });
  }
  for (;;) {
    open = await stillOpen(db, open);
    if (open.length === 0) return;
    if (options.clock.now() >= until) throw waitedFor(open);
    await options.clock.sleep(20, options.signal);
  }
}

export interface FenceOptions {
  readonly clock: Clock;
  /** The fence opens by itself after this, by the source's clock. */
  readonly maxPauseMs: number;
  /** @default 50 */
  readonly lockTimeoutMs?: number;
  /** @default 8 */
  readonly attempts?: number;
  readonly signal?: AbortSignal;
}

/** A holder this old will not end within our wait, and new writers would queue behind us (decision D13). */
const tooOldMs = 200;

/**
 * Closes the tenant for writes: after this returns, every change of it is committed and captured, and no new one can be
 * made. Never queues long, because writers queue behind it.
 * @throws StampyardError TIMEOUT naming who holds the tenant; WRONG_PHASE when the move is not armed any more
 */
export async function closeFence(db: SqlClient, { tenant, moveId }: MoveKey, options: FenceOptions): Promise<void> {
  const attempts = options.attempts ?? 8;
  let holders: readonly Blocker[] = [];
  for (let attempt = 1; attempt <= attempts; attempt++) {
    if (attempt > 1) await options.clock.sleep(25 * 2 ** Math.min(attempt, 5), options.signal);
    holders = await holdersOfTenant(db, tenant);
    if (holders.some((holder) => (holder.ageMs ?? 0) > tooOldMs)) continue;
    if (await tryClose(db, { tenant, moveId }, options)) return;
  }
  const who = holders[0] === undefined ? "its writers do not pause" : `held by ${describeBlocker(holders[0])}`;
  throw new StampyardError("TIMEOUT", `Tenant ${tenant} could not be fenced in ${attempts} attempts: ${who}`, {
    mend: "The move was not begun. Repeat it when that transaction has ended.",
  });
}

async function tryClose(db: SqlClient, { tenant, moveId }: MoveKey, options: FenceOptions): Promise<boolean> {
  await db.query("begin");
  try {
    await db.query("select set_config('lock_timeout', $1, true)", [`${options.lockTimeoutMs ?? 50}ms`]);
    await db.query("select pg_advisory_xact_lock($1, hashtext($2))", [fenceLockSpace, tenant]);
    const closed = await db.query(
      `update stampyard.tenant_home
       set state = 'fenced', deadline = clock_timestamp() + make_interval(secs => $3::float8 / 1000),
         changed_at = clock_timestamp()
       where tenant = $1 and state = 'active' and move_id = $2`,
      [tenant, moveId, options.maxPauseMs],
    );
    if (closed.rowCount !== 1) throw notAtHome(tenant, `active and in move ${moveId}`);
    await db.query("commit");
    return true;
  } catch (caught) {
    await db.query("rollback");
    // Timed out, or chosen to end a circle of waits.
    if (sqlStateOf(caught) === "55P03" || sqlStateOf(caught) === "40P01") return false;
    throw caught;
  }
}

async function holdersOfTenant(db: SqlClient, tenant: string): Promise<readonly Blocker[]> {
  const { rows } = await db.query(
    `select l.pid, a.application_name as application, a.state,
       (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::float8 as age
     from pg_locks l left join pg_stat_activity a on a.pid = l.pid
     where l.locktype = 'advisory' and l.granted and l.classid = $1::int::oid
       and l.objid = (hashtext($2)::bigint & 4294967295)::oid and l.objsubid = 2
       and l.database = (select oid from pg_database where datname = current_database())
     order by a.xact_start nulls last`,
    [fenceLockSpace, tenant],
  );
  return rows.map((row) => ({
    pid: Number(row["pid"]),
    ...(typeof row["application"] === "string" && row["application"] !== "" ? { application: row["application"] } : {}),
    ...(typeof row["age"] === "number" ? { ageMs: Math.round(row["age"]) } : {}),
  }));
}

/**
 * The point of no return: from here on the tenant lives on `target`, at the next epoch. False = the fence has opened
 * meanwhile, by its deadline or by an abort, and nothing was changed.
 */
export async function flip(db: SqlClient, { tenant, moveId }: MoveKey, target: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `update stampyard.tenant_home
     set state = 'moved', moved_to = $3, epoch = epoch + 1, deadline = null, is_way_back = false,
       changed_at = clock_timestamp()
     where tenant = $1 and move_id = $2 and state = 'fenced' and deadline > clock_timestamp()`,
    [tenant, moveId, target],
  );
  return rowCount === 1;
}

/**
 * Opens the tenant on its source: at rest, or watched again with its keys if the move was a way back. False = the flip
 * came first, or the move was over already.
 */
export async function abortMove(db: SqlClient, { tenant, moveId }: MoveKey): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    await db.query("begin");
    try {
      await db.query("select set_config('lock_timeout', $1, true)", [attempt < mostAborts ? "250ms" : "5s"]);
      // Writers that keep their snapshot share the row of an armed tenant, one after the other: the lock lets none follow.
      if (attempt > 1) await db.query("select pg_advisory_xact_lock($1, hashtext($2))", [fenceLockSpace, tenant]);
      const { rowCount } = await db.query(
        `update stampyard.tenant_home h
         set state = 'active', deadline = null, changed_at = clock_timestamp(), ${atRestSql("h")}
         where tenant = $1 and move_id = $2 and state in ('active', 'fenced') and not watching`,
        [tenant, moveId],
      );
      await db.query("commit");
      return rowCount === 1;
    } catch (caught) {
      await db.query("rollback");
      const isBusy = ["55P03", "40P01"].includes(sqlStateOf(caught) ?? "");
      if (!isBusy || attempt >= mostAborts) throw caught;
    }
  }
}

const mostAborts = 8;

/**
 * Ends the watch for a way back: nothing is captured any more, and what was is forgotten. A writer that is still open may
 * leave a key behind; `forgetLate` waits for it. False = nothing was watched under this id.
 */
export async function unwatch(db: SqlClient, { tenant, moveId }: MoveKey): Promise<boolean> {
  const { rowCount } = await db.query(
    `update stampyard.tenant_home set move_id = null, watching = false, changed_at = clock_timestamp()
     where tenant = $1 and move_id = $2 and watching`,
    [tenant, moveId],
  );
  await forgetCaptured(db);
  return rowCount === 1;
}

/**
 * Forgets what writers captured that saw the move when they began, and ended after it. One that does not end within the
 * deadline is not waited for: its keys go with those of a later move.
 */
export async function forgetLate(
  db: SqlClient,
  tables: readonly TableName[],
  options: { readonly clock: Clock; readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  await waitForOldWriters(db, tables, options).catch((caught: unknown) => {
    if (!(caught instanceof StampyardError) || !["TIMEOUT", "WRONG_PHASE"].includes(caught.code)) throw caught;
  });
  await forgetCaptured(db);
}

/** Captured keys that no row asks for any more: of moves that ended while a writer was still open (I22). */
export async function forgetCaptured(db: SqlClient): Promise<number> {
  const { rowCount } = await db.query(
    `delete from stampyard.move_change c where c.move_id in (
       select m.move_id from (select distinct move_id from stampyard.move_change) m
       where not exists (select from stampyard.tenant_home h where h.move_id = m.move_id))`,
  );
  return rowCount ?? 0;
}

function notAtHome(tenant: string, wanted: string): StampyardError {
  return new StampyardError("WRONG_PHASE", `Tenant ${tenant} is not ${wanted} in its source`, {
    mend: "Look at the tenant and at its moves: stampyard tenant show, stampyard move list.",
  });
}

function waitedFor(open: readonly OldWriter[]): StampyardError {
  const oldest = [...open].sort((a, b) => (b.ageMs ?? 0) - (a.ageMs ?? 0))[0];
  const who = oldest === undefined ? "an unknown transaction" : describeBlocker(oldest);
  return new StampyardError("TIMEOUT", `The move waited in vain for ${open.length} older transactions, first ${who}`, {
    mend: "Nothing was blocked by the wait. End that transaction, then repeat the move.",
  });
}
