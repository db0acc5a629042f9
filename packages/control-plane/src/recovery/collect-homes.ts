import { type FencingToken, isServing, type Stamp, StampyardError } from "@stampyard/domain";
import { closeStrays } from "./close-strays.ts";
import { causeOf } from "../reconcilers/failure.ts";
import { type ReconcileDeps, type TenantHomeRow, type Turn, writeContext } from "../reconcilers/turn.ts";

const lookAgainMs = 1_000;

export type RecoveryDeps = Pick<ReconcileDeps, "store" | "engine" | "homes" | "specOf" | "clock" | "log">;

/**
 * While the store is recovering (decision D9): asks every stamp whom it serves, again and again until each has answered,
 * and finishes by itself once nothing is missing and nothing is in conflict. Routers report through the API.
 * What needs a person waits for one: `recovery.report()` says what.
 */
export async function runRecovery(deps: RecoveryDeps, token: FencingToken, signal: AbortSignal): Promise<void> {
  const turn = { token, signal };
  let mustLookForStrays = true;
  let wake = () => {};
  const unwatch = deps.store.watch((event) => {
    if (event.kind === "mode") wake();
  });
  try {
    while (!signal.aborted) {
      try {
        if ((await deps.store.meta()).mode === "recovering") {
          mustLookForStrays = true;
          await recoverOnce(deps, turn);
        } else if (mustLookForStrays) {
          mustLookForStrays = !(await closeStrays(deps, turn));
        }
      } catch (caught) {
        const error = StampyardError.from(caught);
        if (signal.aborted || error.code === "STALE_LEADER") throw error;
        deps.log.warn({ code: error.code, err: error }, "recovery goes on later");
      }
      await new Promise<void>((resolve) => {
        const woken = new AbortController();
        wake = () => woken.abort();
        deps.clock.sleep(lookAgainMs, AbortSignal.any([signal, woken.signal])).then(resolve, () => resolve());
      });
    }
  } finally {
    unwatch();
  }
}

async function recoverOnce(deps: RecoveryDeps, turn: Turn): Promise<void> {
  const before = await deps.store.recovery.report();
  const answered = new Set(before.reports.filter((report) => report.complete).map((report) => report.source));
  const rows = await deps.store.stamps.all();
  // An adopted one has no record of its tenants: routers and this store remember them.
  const silent = rows
    .map((row) => row.value)
    .filter((stamp) => stamp.origin === "built" && !answered.has(`stamp/${stamp.name}`));
  await Promise.all(silent.map((stamp) => collect(deps, stamp, turn)));

  const after = await deps.store.recovery.report();
  if (after.waitingOn.length > 0 || after.conflicts.length > 0) return;
  const done = await deps.store.recovery.finish({ incomplete: false }, writeContext(turn, "every source has answered"));
  deps.log.info({ adopted: done.adopt.length }, "recovery finished");
}

async function collect(deps: RecoveryDeps, stamp: Stamp, turn: Turn): Promise<void> {
  try {
    const homes = await homesOf(deps, stamp, turn);
    await deps.store.recovery.saveStampHomes(stamp.name, homes, writeContext(turn));
  } catch (caught) {
    if (turn.signal.aborted) throw caught;
    const error = StampyardError.from(caught);
    if (error.code === "STALE_LEADER") throw error;
    deps.log.warn({ stamp: stamp.name, why: causeOf(error) }, "a stamp cannot say yet whom it serves");
  }
}

async function homesOf(deps: RecoveryDeps, stamp: Stamp, turn: Turn): Promise<readonly TenantHomeRow[]> {
  // One that was never built serves nobody. A serving one that is not there is another matter: its disk may come back.
  if (!isServing(stamp.state.kind)) {
    const seen = await deps.engine.observe(stamp.name, turn.signal);
    if (seen.presence === "absent") return [];
  }
  return await deps.homes.list(await deps.specOf(stamp), turn.signal);
}
