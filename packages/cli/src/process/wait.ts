import { setTimeout as sleep } from "node:timers/promises";

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Between two looks. @default 50 */
  readonly everyMs?: number;
}

/** Looks until `look` finds something. Waits for a state, not for an event: one that passed unseen costs only time. */
export async function waitFor<T>(
  look: () => T | undefined | Promise<T | undefined>,
  options: WaitOptions,
): Promise<T | undefined> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    options.signal.throwIfAborted();
    const found = await look();
    if (found !== undefined) return found;
    const left = deadline - performance.now();
    if (left <= 0) return undefined;
    await sleep(Math.min(left, options.everyMs ?? 50), undefined, { signal: options.signal });
  }
}
