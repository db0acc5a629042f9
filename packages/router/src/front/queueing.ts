import type { Serving } from "./serving.ts";
import type { StampPool, Waiting } from "./stamp-pool.ts";

/** Less than clients and their proxies wait, more than a burst takes. */
const defaultQueueMs = 5_000;

/**
 * Waits for a connection to a stamp that has as many as it may. Either `onFree` or `onLate` is called, once.
 * @returns ends the wait; must be called when it is over, however it ended
 */
export function waitForConnection(
  pool: StampPool,
  waiting: Waiting,
  { wheel, timeouts }: Pick<Serving, "wheel" | "timeouts">,
  onLate: () => void,
): () => void {
  const patience = { deadline: 0, slot: -1, onDeadline: onLate };
  pool.waiting.add(waiting);
  wheel.set(patience, timeouts.queueMs ?? defaultQueueMs);
  return () => {
    pool.waiting.delete(waiting);
    wheel.clear(patience);
  };
}
