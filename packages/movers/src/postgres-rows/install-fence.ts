import { type Clock, StampyardError, stampSchemaSql } from "@stampyard/domain";
import { installsSetting } from "./fence-ddl-sql.ts";
import { homelessIn } from "./fence-plan.ts";
import { type FenceSeen, hasObjects, isFenced, readFence } from "./fence-seen.ts";
import { dropFenceObjectsSql, fenceObjectsSql, fenceTableSql, unfenceTableSql } from "./fence-sql.ts";
import type { FenceTable } from "./fence-via-sql.ts";
import type { FenceMode } from "./fence-words.ts";
import { qualified, type SqlClient, sqlStateOf, type TableName } from "./sql.ts";

export interface InstallOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** Longest wait for a table's lock in one attempt; writers queue behind it meanwhile. @default 200 */
  readonly lockTimeoutMs?: number;
  /** Attempts per table. @default 20 */
  readonly attempts?: number;
  readonly onWait?: (wait: {
    readonly table: TableName;
    readonly attempt: number;
    readonly blockers: Blocker[];
  }) => void;
}

/** Who holds what an installation waits for. Text columns are absent when our role may not see them. */
export interface Blocker {
  readonly pid: number;
  readonly application?: string;
  readonly state?: string;
  /** Age of its transaction. */
  readonly ageMs?: number;
}

export interface FenceStatus {
  readonly tables: readonly (TableName & { readonly mode: FenceMode | "off" })[];
}

const lockNotAvailable = "55P03";
const mostBetweenMs = 2_000;
const homes: TableName = { schema: "stampyard", table: "tenant_home" };

/** What an installation changed; nothing where nothing differed. */
export interface FenceChange {
  readonly installed: readonly TableName[];
  readonly removed: readonly TableName[];
}

/**
 * Puts the fence on tables of a live database: objects first, then one table per transaction, each waiting for its lock
 * only a moment at a time. Run it as a role that owns the tables and may act as `stampyard`. Repeating it is fine, and
 * quick where nothing differs. `enforce` fails closed, so it is refused until every tenant that the data names has a home
 * here.
 * @throws StampyardError WRONG_PHASE naming tenants without a home; TIMEOUT naming the table and who holds it; what was
 * done until then stays, and a repeat goes on from there
 */
export async function installFence(
  db: SqlClient,
  tables: readonly FenceTable[],
  mode: FenceMode,
  options: InstallOptions,
): Promise<FenceChange> {
  return await install(db, await readFence(db), tables, mode, options);
}

/** The same, and takes it off every other table: afterwards exactly these have it. `off` takes it off all. */
export async function bringFence(
  db: SqlClient,
  tables: readonly FenceTable[],
  mode: FenceMode | "off",
  options: InstallOptions,
): Promise<FenceChange> {
  const seen = await readFence(db);
  if (mode === "off") {
    if (seen.version === undefined && seen.tables.length === 0) return { installed: [], removed: [] };
    return { installed: [], removed: await removeFence(db, options) };
  }
  const { installed } = await install(db, seen, tables, mode, options);
  const wanted = new Set(tables.map(qualified));
  const removed = seen.tables.filter((table) => !wanted.has(qualified(table)));
  if (removed.length > 0) await requireNoMoves(db, seen);
  for (const table of removed) await onTable(db, table, unfenceTableSql(table), options);
  return { installed, removed };
}

async function install(
  db: SqlClient,
  seen: FenceSeen,
  tables: readonly FenceTable[],
  mode: FenceMode,
  options: InstallOptions,
): Promise<FenceChange> {
  if (!seen.hasHomes) await onTable(db, homes, prepareSql, options);
  if (!hasObjects(seen, tables)) await onTable(db, homes, fenceObjectsSql(tables), options);
  const differing = tables.filter((table) => !isFenced(seen, table, mode));
  if (differing.length === 0) return { installed: [], removed: [] };
  if (mode === "enforce") await requireHomes(db, differing);
  else await requireNoMoves(db, seen);
  for (const table of differing) await onTable(db, table, fenceTableSql(table, mode), options);
  return { installed: differing, removed: [] };
}

/** The way out: triggers off every table that has them, then our functions. Homes stay. */
export async function removeFence(db: SqlClient, options: InstallOptions): Promise<readonly TableName[]> {
  const seen = await readFence(db);
  await requireNoMoves(db, seen);
  const { tables } = seen;
  for (const table of tables) await onTable(db, table, unfenceTableSql(table), options);
  await onTable(db, homes, dropFenceObjectsSql, options);
  return tables;
}

/** What is installed on each of these tables. */
export async function fenceStatus(db: SqlClient, tables: readonly TableName[]): Promise<FenceStatus> {
  const fenced = new Map((await readFence(db)).tables.map((table) => [qualified(table), table.mode]));
  return {
    tables: tables.map(({ schema, table }) => ({
      schema,
      table,
      mode: fenced.get(qualified({ schema, table })) ?? "off",
    })),
  };
}

/**
 * A database that we did not make has neither our roles nor our schema. Its application is one role or several, which
 * nobody tells us, so everybody may read homes; nobody but us may write them.
 */
const prepareSql = `
do $body$
declare r text;
begin
  foreach r in array array['stampyard', 'stampyard_owner', 'stampyard_app', 'stampyard_mover'] loop
    if not exists (select from pg_roles where rolname = r) then
      execute format('create role %I nologin', r);
    end if;
  end loop;
  foreach r in array array['stampyard', 'stampyard_mover'] loop
    if not pg_has_role(current_user, r, 'member') then
      execute format('grant %I to current_user', r);
    end if;
  end loop;
end $body$;
${stampSchemaSql}
grant usage on schema stampyard to public;
grant select on stampyard.tenant_home to public;`;

/** A tenant without a home could not write any more from the first moment of `enforce`. */
async function requireHomes(db: SqlClient, tables: readonly FenceTable[]): Promise<void> {
  const [first] = await homelessIn(db, await readFence(db), tables);
  if (first === undefined) return;
  const more = first.tenants.length > 5 ? " and more" : "";
  throw new StampyardError(
    "WRONG_PHASE",
    `Table ${first.schema}.${first.table} has rows of tenants without a home here: ${first.tenants.slice(0, 5).join(", ")}${more}`,
    { mend: "Register them first (stampyard tenant import --stamp), or install the fence in report mode." },
  );
}

/**
 * Whoever moves, or is watched for a way back, needs every write captured and the fence's refusal.
 * @throws StampyardError WRONG_PHASE
 */
async function requireNoMoves(db: SqlClient, seen: FenceSeen): Promise<void> {
  if (!seen.hasHomes || seen.version === undefined) return;
  const { rows } = await db.query(
    "select tenant from stampyard.tenant_home where move_id is not null and state <> 'moved' order by tenant limit 1",
  );
  if (rows[0] === undefined) return;
  throw new StampyardError("WRONG_PHASE", `The fence is needed: tenant ${String(rows[0]["tenant"])} moves`, {
    mend: "Wait for the end of the move and of its way back (stampyard move list), then repeat.",
  });
}

async function onTable(db: SqlClient, table: TableName, sql: string, options: InstallOptions): Promise<void> {
  const attempts = options.attempts ?? 20;
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(db, options, sql);
    } catch (caught) {
      if (sqlStateOf(caught) !== lockNotAvailable) throw caught;
      const blockers = await holdersOf(db, table);
      options.onWait?.({ table, attempt, blockers });
      if (attempt >= attempts) throw stillHeld(table, attempts, blockers);
      await options.clock.sleep(Math.min(mostBetweenMs, 50 * 2 ** Math.min(attempt, 6)), options.signal);
    }
  }
}

async function inTransaction(db: SqlClient, options: InstallOptions, sql: string): Promise<void> {
  options.signal?.throwIfAborted();
  await db.query("begin");
  try {
    await db.query("select set_config('lock_timeout', $1, true), set_config($2, 'on', true)", [
      `${options.lockTimeoutMs ?? 200}ms`,
      installsSetting,
    ]);
    await db.query(sql);
    await db.query("commit");
  } catch (caught) {
    await db.query("rollback");
    throw caught;
  }
}

/** Oldest transaction first. */
export async function holdersOf(db: SqlClient, table: TableName): Promise<Blocker[]> {
  const { rows } = await db.query(
    `select distinct l.pid, a.application_name as application, a.state, a.xact_start,
       (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::float8 as age
     from pg_locks l left join pg_stat_activity a on a.pid = l.pid
     where l.relation = to_regclass($1) and l.granted and l.pid <> pg_backend_pid() order by a.xact_start nulls last`,
    [qualified(table)],
  );
  return rows.map((row) => ({
    pid: Number(row["pid"]),
    ...(typeof row["application"] === "string" && row["application"] !== "" ? { application: row["application"] } : {}),
    ...(typeof row["state"] === "string" ? { state: row["state"] } : {}),
    ...(typeof row["age"] === "number" ? { ageMs: Math.round(row["age"]) } : {}),
  }));
}

export function describeBlocker({ pid, application, state, ageMs }: Blocker): string {
  const who = application === undefined ? `pid ${pid}` : `pid ${pid} (${application})`;
  const age = ageMs === undefined ? "" : ` for ${ageMs} ms`;
  return state === undefined ? `${who}${age}` : `${who}, ${state}${age}`;
}

function stillHeld(table: TableName, attempts: number, blockers: readonly Blocker[]): StampyardError {
  const holder = blockers[0] === undefined ? "" : `: held by ${describeBlocker(blockers[0])}`;
  return new StampyardError(
    "TIMEOUT",
    `Table ${table.schema}.${table.table} could not be locked in ${attempts} attempts${holder}`,
    { mend: "End that transaction or choose a quieter hour, then repeat the command: it goes on where it stopped." },
  );
}
