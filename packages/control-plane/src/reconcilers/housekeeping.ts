import { type Clock, type FencingToken, StampyardError } from "@stampyard/domain";
import type { Contents } from "../rollouts/content.ts";
import type { Store, WriteContext } from "../store/port.ts";
import type { Log } from "./turn.ts";

const everyMs = 60_000;
/** Routers behind this get a snapshot; each has its own disk copy anyway. */
const keepVersions = 100_000;
const keepVersionsMs = 7 * 24 * 60 * 60_000;
const forgetRoutersAfterMs = 7 * 24 * 60 * 60_000;
/** A large fleet with many releases a day writes gigabytes of members in that time. */
const keepRolloutsMs = 90 * 24 * 60 * 60_000;
const keepRollouts = 200;

/** Beside those that somebody may have to go back to. */
const keepOtherReleases = 10;

/** Counters are kept by triggers and cannot drift; that they did not is worth an hourly look. */
const recountEveryTurns = 60;

export interface HousekeepingDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** Files of releases. @default none is kept, so none is removed */
  readonly contents?: Pick<Contents, "prune">;
}

/** Forgets what nobody needs any more, now and then. Idempotency keys are pruned by the store itself. */
export async function runHousekeeping(deps: HousekeepingDeps, token: FencingToken, signal: AbortSignal): Promise<void> {
  for (let turn = 1; !signal.aborted; turn++) {
    try {
      const ctx = { actor: "housekeeping", token };
      await deps.store.directory.prune({ keepVersions, keepMs: keepVersionsMs }, ctx);
      await deps.store.routers.forget(forgetRoutersAfterMs);
      if (turn % recountEveryTurns === 1) {
        await deps.store.rollouts.prune({ keepMs: keepRolloutsMs, keepRollouts }, ctx);
        await pruneFiles(deps);
      }
      if (turn % recountEveryTurns === 0) await checkCounters(deps, ctx);
    } catch (caught) {
      const error = StampyardError.from(caught);
      if (error.code === "STALE_LEADER") throw error;
      deps.log.warn({ code: error.code, err: error }, "housekeeping failed");
    }
    await deps.clock.sleep(everyMs, signal).catch(() => {});
  }
}

/** A release that goes over a fleet a day keeps hundreds of megabytes each time. Its record stays. */
export async function pruneFiles({ store, clock, log, contents }: HousekeepingDeps): Promise<void> {
  // While a store is being recovered it may know less than the stamps do.
  if (contents === undefined || (await store.meta()).mode !== "normal") return;
  const removed = await contents.prune(await store.rollouts.wantedContents(keepOtherReleases), clock.now());
  if (removed.length > 0) log.info({ contents: removed }, "files of releases that nobody needs were removed");
}

async function checkCounters(
  { store, log }: { readonly store: Store; readonly log: Log },
  ctx: WriteContext,
): Promise<void> {
  const differences = await store.placement.counterDifferences();
  if (differences.length === 0) return;
  log.error({ differences: differences.slice(0, 10), count: differences.length }, "counters of places were wrong");
  await store.placement.recount(ctx);
}
