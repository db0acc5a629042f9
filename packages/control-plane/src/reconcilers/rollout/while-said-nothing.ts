import { type Rollout, StampyardError } from "@stampyard/domain";
import type { Revisioned, Store } from "../../store/port.ts";
import type { Turn } from "../turn.ts";

/**
 * Runs what takes a while, and gives it up as soon as somebody writes the rollout meanwhile: an abort waits for no probe.
 * @throws StampyardError CANCELLED when it was given up
 */
export async function whileSaidNothing<T>(
  store: Pick<Store, "watch" | "rollouts">,
  { value: { id }, revision }: Revisioned<Rollout>,
  turn: Turn,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const changed = new AbortController();
  const look = async () => {
    if ((await store.rollouts.read(id))?.revision === revision) return;
    changed.abort(new StampyardError("CANCELLED", `Rollout ${id} was changed meanwhile`));
  };
  const unwatch = store.watch((event) => {
    if (event.kind === "rollout" && event.rollout === id) look().catch(() => {});
  });
  try {
    return await work(AbortSignal.any([turn.signal, changed.signal]));
  } catch (caught) {
    throw changed.signal.aborted ? changed.signal.reason : caught;
  } finally {
    unwatch();
  }
}
