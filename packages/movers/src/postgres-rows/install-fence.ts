import { type Clock, StampyardError } from "@stampyard/domain";
import {
  dropFenceObjectsSql,
  type FenceMode,
  fenceObjectsSql,
  fenceTableSql,
  rowTrigger,
  type TenantTable,
  unfenceTableSql,
} from "./fence-sql.ts";
import { identifier, qualified, type SqlClient, sqlStateOf, type TableName } from "./sql.ts";

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

/**
 * Puts the fence on tables of a live database: objects first, then one table per transaction, each waiting for its lock
 * only a moment at a time. Run it as a role that owns the tables and may act as `stampyard`. Repeating it is fine.
 * `enforce` fails closed, so it is refused until every tenant that the data names has a home here.
 * @throws StampyardError WRONG_PHASE naming tenants without a home; TIMEOUT naming the table and who holds it; what was
 * done until then stays, and a repeat goes on from there
 */
export async function installFence(
  db: SqlClient,
  tables: readonly TenantTable[],
  mode: FenceMode,
  options: InstallOptions,
): Promise<void> {
  const columns = tables.map((table) => table.tenantColumn);
  await inTransaction(db, options, fenceObjectsSql(columns));
  if (mode === "enforce") await requireHomes(db, tables);
  for (const table of tables) await onTable(db, table, fenceTableSql(table, mode), options);
}

/** The way out: triggers off every table that has them, then our functions. Homes stay. */
export async function removeFence(db: SqlClient, options: InstallOptions): Promise<void> {
  for (const table of await fencedTables(db)) await onTable(db, table, unfenceTableSql(table), options);
  await inTransaction(db, options, dropFenceObjectsSql);
}

/** What is installed on each of these tables. */
export async function fenceStatus(db: SqlClient, tables: readonly TableName[]): Promise<FenceStatus> {
  const fenced = new Map((await fencedTables(db)).map((table) => [qualified(table), table.mode]));
  return {
    tables: tables.map(({ schema, table }) => ({
      schema,
      table,
      mode: fenced.get(qualified({ schema, table })) ?? "off",
    })),
  };
}

async function fencedTables(db: SqlClient): Promise<(TableName & { readonly mode: FenceMode })[]> {
  const { rows } = await db.query(
    `select n.nspname as schema, c.relname as "table",
       case when f.proname like 'enforce\\_%' then 'enforce' else 'report' end as mode
     from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
       join pg_proc f on f.oid = t.tgfoid
     where t.tgname = $1 and t.tgparentid = 0 and t.tgenabled <> 'D' order by 1, 2`,
    [rowTrigger],
  );
  return rows as unknown as (TableName & { readonly mode: FenceMode })[];
}

/** A tenant without a home could not write any more from the first moment of `enforce`. */
async function requireHomes(db: SqlClient, tables: readonly TenantTable[]): Promise<void> {
  for (const table of tables) {
    const column = `t.${identifier(table.tenantColumn)}::text`;
    const { rows } = await db.query(
      `select distinct ${column} as tenant from ${qualified(table)} t
       where not exists (select from stampyard.tenant_home h where h.tenant = ${column}) order by 1 limit 6`,
    );
    if (rows.length === 0) continue;
    const names = rows.slice(0, 5).map((row) => String(row["tenant"] ?? "(none)"));
    const more = rows.length > 5 ? " and more" : "";
    throw new StampyardError(
      "WRONG_PHASE",
      `Table ${table.schema}.${table.table} has rows of tenants without a home here: ${names.join(", ")}${more}`,
      { mend: "Register them first (stampyard tenant import --stamp), or install the fence in report mode." },
    );
  }
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
    await db.query("select set_config('lock_timeout', $1, true)", [`${options.lockTimeoutMs ?? 200}ms`]);
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
