import {
  adoptedDatabaseSecret,
  findComponent,
  type StampEngine,
  StampyardError,
  type StampSpec,
} from "@stampyard/domain";
import pg from "pg";
import { countRows } from "./count-rows.ts";
import type { TenantHomeRow, TenantHomes } from "./turn.ts";

const connectTimeoutMs = 5_000;
const statementTimeoutMs = 5_000;
/** Connections stay for a burst of tenants, not longer: a stamp's connections belong to its application. */
const idleMs = 3_000;

/** The `tenant_home` tables of stamps, written as their mover role (decision D4), in every database of a stamp. */
export function createTenantHomes(engine: Pick<StampEngine, "operatorUrl">): TenantHomes & AsyncDisposable {
  const pools = new Map<string, pg.Pool>();

  function poolOf(url: string): pg.Pool {
    const found = pools.get(url);
    if (found !== undefined) return found;
    const pool = new pg.Pool({
      connectionString: url,
      max: 2,
      idleTimeoutMillis: idleMs,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: statementTimeoutMs,
      statement_timeout: statementTimeoutMs,
      application_name: "stampyard",
    });
    // An idle connection that dies with its stamp is no news; the next call finds out by itself.
    pool.on("error", () => {});
    pools.set(url, pool);
    return pool;
  }

  async function inEveryDatabase<T>(
    spec: StampSpec,
    signal: AbortSignal,
    work: (pool: pg.Pool, database: string) => Promise<T>,
  ): Promise<T[]> {
    const stamp = spec.rendered.identity.name;
    const results: T[] = [];
    const adopted = spec.secrets[adoptedDatabaseSecret];
    const names = findComponent(spec.rendered, "postgres").map((component) => component.name);
    for (const name of adopted === undefined ? names : ["its database"]) {
      signal.throwIfAborted();
      const url = adopted ?? (await engine.operatorUrl(spec, name, signal));
      if (url === undefined) continue;
      try {
        results.push(await work(poolOf(url), name));
      } catch (caught) {
        if (caught instanceof StampyardError) throw caught;
        throw new StampyardError("STAMP_UNREACHABLE", `Cannot work in ${name} of stamp ${stamp}: ${reasonOf(caught)}`, {
          cause: caught,
        });
      }
    }
    return results;
  }

  return {
    async open(spec, tenant, epoch, signal) {
      await inEveryDatabase(spec, signal, async (pool) => {
        await pool.query(openSql, [tenant, epoch]);
        await requireState(pool, spec, { tenant, epoch, state: "active" });
      });
    },
    async suspend(spec, tenant, epoch, signal) {
      await inEveryDatabase(spec, signal, async (pool) => {
        await pool.query(suspendSql, [tenant, epoch]);
        await requireState(pool, spec, { tenant, epoch, state: "suspended" });
      });
    },
    async close(spec, tenant, epoch, signal) {
      await inEveryDatabase(spec, signal, (pool) => pool.query(closeSql, [tenant, epoch]));
    },
    async forget(spec, tenant, epoch, signal) {
      await inEveryDatabase(spec, signal, (pool) => pool.query(forgetSql, [tenant, epoch]));
    },
    count(spec, tenant, column, signal) {
      return inEveryDatabase(spec, signal, async (pool, component) => ({
        component,
        tables: await countRows(pool, column, tenant),
      }));
    },
    async list(spec, signal) {
      const perDatabase = await inEveryDatabase(spec, signal, async (pool) => {
        // As JSON, because a stamp that was not brought up to date lacks the newest column.
        const { rows } = await pool.query<HomeRow>(
          `select tenant, state, epoch, move_id, moved_to, coalesce((to_jsonb(home) ->> 'watching')::boolean, false) as watching
           from stampyard.tenant_home as home order by tenant`,
        );
        return rows.map(toHome);
      });
      return strongest(perDatabase.flat());
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...pools.values()].map((pool) => pool.end()));
      pools.clear();
    },
  };
}

interface HomeRow {
  readonly tenant: string;
  readonly state: string;
  readonly epoch: string;
  readonly move_id: string | null;
  readonly moved_to: string | null;
  readonly watching: boolean;
}

function toHome({ tenant, state, epoch, move_id, moved_to, watching }: HomeRow): TenantHomeRow {
  return {
    tenant,
    state,
    epoch: Number(epoch),
    ...(move_id === null ? {} : { moveId: move_id }),
    ...(moved_to === null ? {} : { movedTo: moved_to }),
    ...(watching ? { isWatched: true } : {}),
  };
}

/**
 * Never lowers an epoch, and never opens what a move has fenced or is bringing: that row decides the move (D12). What a
 * move took away stays closed at its epoch; a later one is of a tenant that was placed here again by the same key, which
 * the store allows only when no move needs the old row any more.
 */
const openSql = `
insert into stampyard.tenant_home as home (tenant, state, epoch) values ($1, 'active', $2)
on conflict (tenant) do update
  set state = 'active', epoch = excluded.epoch, changed_at = clock_timestamp(), moved_to = null,
    move_id = case when home.state = 'moved' then null else home.move_id end
  where (home.state in ('active', 'moved') and home.epoch < excluded.epoch)
     or (home.state in ('suspended', 'deleting') and home.epoch <= excluded.epoch)`;

/** As `openSql`: what a move has fenced or taken away stays as it is. */
const suspendSql = `
insert into stampyard.tenant_home as home (tenant, state, epoch) values ($1, 'suspended', $2)
on conflict (tenant) do update
  set state = 'suspended', epoch = excluded.epoch, changed_at = clock_timestamp()
  where home.state = 'active' and home.epoch <= excluded.epoch`;

const closeSql = `
update stampyard.tenant_home set state = 'deleting', changed_at = clock_timestamp()
where tenant = $1 and epoch <= $2 and state in ('active', 'suspended')`;

const forgetSql = "delete from stampyard.tenant_home where tenant = $1 and epoch <= $2 and state = 'deleting'";

async function requireState(pool: pg.Pool, spec: StampSpec, wanted: TenantHomeRow): Promise<void> {
  const { rows } = await pool.query<{ state: string; epoch: string }>(
    "select state, epoch from stampyard.tenant_home where tenant = $1",
    [wanted.tenant],
  );
  const row = rows[0];
  if (row?.state === wanted.state && Number(row.epoch) === wanted.epoch) return;
  const stamp = spec.rendered.identity.name;
  const what = row === undefined ? "no longer" : `as ${row.state} at epoch ${row.epoch}`;
  const not = `not as ${wanted.state} at ${wanted.epoch}`;
  throw new StampyardError("WRONG_PHASE", `Stamp ${stamp} knows tenant ${wanted.tenant} ${what}, ${not}`);
}

/** One row per tenant where a stamp has several databases: the one with the highest epoch, and any that is not active. */
function strongest(rows: readonly TenantHomeRow[]): readonly TenantHomeRow[] {
  const best = new Map<string, TenantHomeRow>();
  for (const row of rows) {
    const other = best.get(row.tenant);
    const wins =
      other === undefined || row.epoch > other.epoch || (row.epoch === other.epoch && row.state !== "active");
    if (wins) best.set(row.tenant, row);
  }
  return [...best.values()];
}

/** PostgreSQL's own words, or the socket's; neither holds a password. */
function reasonOf(caught: unknown): string {
  if (caught instanceof AggregateError) return reasonOf(caught.errors[0]);
  return caught instanceof Error ? caught.message : String(caught);
}
