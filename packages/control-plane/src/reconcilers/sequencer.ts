import { type Clock, type FencingToken, StampyardError } from "@stampyard/domain";
import type { Store } from "../store/port.ts";
import type { Log } from "./turn.ts";

/** For what another process committed, or a notification that was lost. */
const pollMs = 250;
const afterFailureMs = 500;

/**
 * Numbers and chains committed changes and audit rows while this process leads (decision D10): at once when this
 * process wrote them, else within a poll.
 */
export async function runSequencer(
  deps: { readonly store: Store; readonly clock: Clock; readonly log: Log },
  token: FencingToken,
  signal: AbortSignal,
): Promise<void> {
  let wake = () => {};
  let isAsked = false;
  const unwatch = deps.store.watch((event) => {
    if (event.kind !== "pending") return;
    isAsked = true;
    wake();
  });
  try {
    while (!signal.aborted) {
      isAsked = false;
      const hasMore = await sequenceOnce(deps, token, signal);
      if (hasMore || isAsked || signal.aborted) continue;
      await new Promise<void>((resolve) => {
        const woken = new AbortController();
        wake = () => woken.abort();
        deps.clock.sleep(pollMs, AbortSignal.any([signal, woken.signal])).then(resolve, () => resolve());
      });
    }
  } finally {
    unwatch();
  }
}

/** @throws StampyardError STALE_LEADER, which ends the leadership */
async function sequenceOnce(
  deps: { readonly store: Store; readonly clock: Clock; readonly log: Log },
  token: FencingToken,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const done = await deps.store.directory.sequence({ actor: "sequencer", token });
    if (done.held > 0) deps.log.warn({ held: done.held }, "a bulk change of the directory waits for a confirmation");
    return done.more;
  } catch (caught) {
    const error = StampyardError.from(caught);
    if (error.code === "STALE_LEADER") throw error;
    deps.log.error({ code: error.code, err: error }, "sequencing failed");
    await deps.clock.sleep(afterFailureMs, signal).catch(() => {});
    return false;
  }
}
