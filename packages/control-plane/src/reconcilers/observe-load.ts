import {
  type FencingToken,
  findComponent,
  isServing,
  type Stamp,
  StampyardError,
  type UnitVector,
} from "@stampyard/domain";
import pg from "pg";
import type { LoadSample } from "../store/port.ts";
import { ratesBetween, readReportedCount, readRouterCount, type RouterCount } from "./router-rates.ts";
import type { ReconcileDeps } from "./turn.ts";

type Deps = Pick<ReconcileDeps, "store" | "engine" | "specOf" | "clock" | "log">;

/** What the last turn knew; forgetting it costs one sample of `rps`. */
export interface LoadMemory {
  readonly routers: Map<string, RouterCount>;
  /** Stamps that were over a limit, so that it is said once. */
  readonly over: Map<string, string>;
}

const everyMs = 60_000;
const pruneEveryTurns = 60;
const databaseWithinMs = 5_000;
const stampsAtATime = 8;
const gibibyte = 2 ** 30;

/** Measures what stamps carry, once a minute, while this process leads (decision D19). */
export async function runLoads(deps: Deps, token: FencingToken, signal: AbortSignal): Promise<void> {
  const memory: LoadMemory = { routers: new Map(), over: new Map() };
  for (let turn = 1; !signal.aborted; turn++) {
    try {
      await observeLoads(deps, memory, token, signal);
      if (turn % pruneEveryTurns === 0) await deps.store.loads.prune();
    } catch (caught) {
      if (signal.aborted) return;
      const error = StampyardError.from(caught);
      if (error.code === "STALE_LEADER") throw error;
      deps.log.warn({ code: error.code, err: error }, "measuring stamps failed");
    }
    await deps.clock.sleep(everyMs, signal).catch(() => {});
  }
}

/** One turn: every unit that a serving stamp declares and that can be measured, in one write. */
export async function observeLoads(
  deps: Deps,
  memory: LoadMemory,
  token: FencingToken,
  signal: AbortSignal,
): Promise<readonly LoadSample[]> {
  const rates = await requestRates(deps, memory, signal);
  const stamps = (await deps.store.stamps.all()).map((row) => row.value).filter(isMeasured);
  const samples: LoadSample[] = [];
  const queue = [...stamps];
  const work = async () => {
    for (let stamp = queue.shift(); stamp !== undefined && !signal.aborted; stamp = queue.shift()) {
      const amounts = { ...rpsOf(stamp, rates), ...(await databaseUse(deps, stamp, signal)) };
      const declared = Object.entries(amounts).filter(([unit]) => Object.hasOwn(stamp?.capacity.units ?? {}, unit));
      if (declared.length > 0) samples.push({ stamp: stamp.name, amounts: Object.fromEntries(declared) });
    }
  };
  await Promise.all(Array.from({ length: Math.min(stampsAtATime, stamps.length) }, work));
  signal.throwIfAborted();
  await deps.store.loads.record(samples, { actor: "observe-load", token });
  await tellOver(deps, memory);
  return samples;
}

function isMeasured({ state, capacity }: Stamp): boolean {
  return isServing(state.kind) && Object.keys(capacity.units).length > 0;
}

/** A stamp that no router counted requests for had none. */
function rpsOf(stamp: Stamp, rates: ReadonlyMap<string, number> | undefined): UnitVector {
  return rates === undefined ? {} : { rps: rates.get(stamp.name) ?? 0 };
}

/** Sum over all live routers; undefined while one of them cannot be asked, because then it is not the whole. */
async function requestRates(
  deps: Deps,
  memory: LoadMemory,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number> | undefined> {
  const live = (await deps.store.routers.list()).filter((router) => router.live);
  const reports = new Map((await deps.store.evidence.reports()).map((report) => [report.router, report]));
  const sum = new Map<string, number>();
  let isWhole = live.length > 0;
  for (const router of live) {
    // One that does not tell by itself is asked, where it can be.
    const told = readReportedCount(reports.get(router.name));
    const count = told ?? (await readRouterCount(router, deps.clock.now, signal));
    const before = memory.routers.get(router.name);
    if (count === undefined) memory.routers.delete(router.name);
    else memory.routers.set(router.name, count);
    // The same report again is a router that has fallen silent.
    const isNews = before !== undefined && count !== undefined && before.life === count.life && count.at > before.at;
    isWhole &&= isNews;
    if (count === undefined || before === undefined) continue;
    for (const [stamp, rate] of ratesBetween(before, count)) sum.set(stamp, (sum.get(stamp) ?? 0) + rate);
  }
  return isWhole ? sum : undefined;
}

/** Size and connections of a stamp's databases together; nothing for one that has none, or does not answer. */
async function databaseUse(deps: Deps, stamp: Stamp, signal: AbortSignal): Promise<UnitVector> {
  const { units } = stamp.capacity;
  if (!Object.hasOwn(units, "gib") && !Object.hasOwn(units, "connections")) return {};
  try {
    const spec = await deps.specOf(stamp);
    let bytes = 0;
    let connections = 0;
    let databases = 0;
    for (const { name } of findComponent(spec.rendered, "postgres")) {
      const url = await deps.engine.operatorUrl(spec, name, signal);
      if (url === undefined) continue;
      const use = await askDatabase(url);
      bytes += use.bytes;
      connections += use.connections;
      databases += 1;
    }
    return databases === 0 ? {} : { gib: bytes / gibibyte, connections };
  } catch {
    // It is away or going; its reconciler says so.
    return {};
  }
}

async function askDatabase(url: string): Promise<{ readonly bytes: number; readonly connections: number }> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: databaseWithinMs,
    query_timeout: databaseWithinMs,
    statement_timeout: databaseWithinMs,
    application_name: "stampyard load",
  });
  client.on("error", () => {});
  try {
    await client.connect();
    // Ours is not part of what the application uses.
    const { rows } = await client.query<{ bytes: string; connections: string }>(
      `select pg_database_size(current_database()) as bytes,
         (select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()) as connections`,
    );
    return { bytes: Number(rows[0]?.bytes ?? 0), connections: Number(rows[0]?.connections ?? 0) };
  } finally {
    await client.end().catch(() => {});
  }
}

/** Growth past a limit is not placement's doing: it stops placing there, and somebody should hear of it. */
async function tellOver({ store, log }: Deps, { over }: LoadMemory): Promise<void> {
  const now = new Map<string, string>();
  for (const candidate of await store.placement.candidates()) {
    const units = unitsOver(candidate);
    if (units.length > 0) now.set(candidate.name, units.join(", "));
  }
  for (const [stamp, units] of now) {
    if (over.get(stamp) === units) continue;
    log.warn({ stamp, units }, "a stamp carries more than its limits allow: nobody is placed there");
  }
  over.clear();
  for (const [stamp, units] of now) over.set(stamp, units);
}

/** Units of which more is used than the stamp may hold. */
export function unitsOver({ used, limits }: { readonly used: UnitVector; readonly limits: UnitVector }): string[] {
  return Object.keys(limits)
    .filter((unit) => (used[unit] ?? 0) > (limits[unit] ?? 0) + 1e-9)
    .sort();
}
