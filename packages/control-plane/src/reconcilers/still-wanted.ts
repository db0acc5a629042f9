import { type Stamp, StampyardError } from "@stampyard/domain";
import type { ReconcileDeps } from "./turn.ts";

/**
 * Runs long engine work, and aborts it when the stamp is to become something else meanwhile: nobody waits for the
 * start of what is to be destroyed.
 * @throws StampyardError CANCELLED when it was given up
 */
export async function whileStillWanted<T>(
  deps: Pick<ReconcileDeps, "store">,
  stamp: Stamp,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const changed = new AbortController();
  const look = async () => {
    const now = (await deps.store.stamps.read(stamp.name))?.value;
    if (now?.goal === stamp.goal && now.stampDigest === stamp.stampDigest) return;
    changed.abort(new StampyardError("CANCELLED", `Stamp ${stamp.name} is to be something else now`));
  };
  const unwatch = deps.store.watch((event) => {
    if (event.kind === "fleet" || (event.kind === "stamp" && event.stamp === stamp.name)) look().catch(() => {});
  });
  try {
    return await work(AbortSignal.any([signal, changed.signal]));
  } catch (caught) {
    // Engines word an abort in their own way.
    throw changed.signal.aborted ? changed.signal.reason : caught;
  } finally {
    unwatch();
  }
}
