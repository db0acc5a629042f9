import type { Clock, Stamp, StampSpec } from "@stampyard/domain";
import {
  bringFence,
  describeBlocker,
  type FenceMode,
  installFence,
  type InstallOptions,
  readTables,
  tablesToFence,
} from "@stampyard/movers";
import type { EventBus } from "../server/events.ts";
import { type Log, type Turn, writeContext } from "../reconcilers/turn.ts";
import { registerHomes } from "./adopted-homes.ts";
import { type FenceDatabase, fenceDatabases, type FenceDeps, withAdmin } from "./fence-database.ts";

export interface EnsureFenceDeps extends FenceDeps {
  readonly clock: Clock;
  readonly events: Pick<EventBus, "publish">;
  readonly log: Log;
}

/** Longer waits are the next attempt's: a reconciler has other stamps to look at. About seven seconds per table. */
const attemptsPerTable = 8;

/**
 * Puts the fence that the template declares on every table of tenants of a stamp, and takes it off those that are none any
 * more. Repeating it is fine, and costs two queries per database where nothing differs. A database of which nothing is
 * declared is left as it is; an adopted stamp, of which no template says anything, gets it enforced when a move needs it.
 * @throws StampyardError TIMEOUT naming the table and who holds it; WRONG_PHASE naming tenants without a home; STAMP_UNREACHABLE
 */
export async function ensureFence(deps: EnsureFenceDeps, stamp: Stamp, spec: StampSpec, turn: Turn): Promise<void> {
  for (const database of await fenceDatabases(deps, stamp, spec, turn.signal)) {
    const mode = database.declared ?? (stamp.origin === "adopted" ? "enforce" : undefined);
    if (mode === undefined || database.url === undefined) continue;
    await applyFence(deps, stamp, database, mode, turn.signal);
    if (stamp.origin !== "adopted" || stamp.adoption?.capabilities.fence === true) continue;
    await deps.store.stamps.fence(stamp.name, { mode, isDone: true }, writeContext(turn));
    // Whoever came while it was installed.
    await applyFence(deps, stamp, database, mode, turn.signal);
  }
}

/** Brings one database to one mode, with progress that names whoever holds a table. */
export async function applyFence(
  deps: Pick<EnsureFenceDeps, "clock" | "events" | "log" | "store">,
  { name: stamp, origin }: Stamp,
  { name, policy, url = "" }: FenceDatabase,
  mode: FenceMode | "off",
  signal: AbortSignal,
): Promise<void> {
  await withAdmin(stamp, name, url, async (db) => {
    const { tables } = tablesToFence(await readTables(db), policy);
    const options: InstallOptions = {
      clock: deps.clock,
      signal,
      attempts: attemptsPerTable,
      onWait: ({ table, attempt, blockers }) => {
        const who = blockers[0] === undefined ? "" : `, held by ${describeBlocker(blockers[0])}`;
        const detail = `attempt ${attempt} for ${table.schema}.${table.table}${who}`;
        deps.events.publish({ kind: "progress", stamp, component: name, step: "fence", state: "begin", detail });
      },
    };
    if (origin === "adopted" && mode !== "off") {
      // Makes the table of homes, and no table is touched yet.
      await installFence(db, [], mode, options);
      await registerHomes(db, deps.store, stamp);
    }
    const { installed, removed } = await bringFence(db, tables, mode, options);
    if (installed.length + removed.length === 0) return;
    const detail = `${mode}: ${installed.length} tables changed, ${removed.length} without it now`;
    deps.log.info({ stamp, component: name, mode, installed, removed }, "fence");
    deps.events.publish({ kind: "progress", stamp, component: name, step: "fence", state: "end", detail });
  });
}

/** Whether the template says anything of a fence; most turns of most stamps end here. */
export function declaresFence(spec: StampSpec): boolean {
  return spec.rendered.stages.some((stage) =>
    stage.components.some((component) => component.kind === "postgres" && component.fence !== undefined),
  );
}
