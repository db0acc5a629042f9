import type { Clock, Instant } from "@stampyard/domain";

export interface ManualClock extends Clock {
  /** Moves time forward and wakes every sleeper that is due, in the order of their times. */
  advance(ms: number): Promise<void>;
  /** How many sleeps are pending. */
  sleepers(): number;
}

interface Sleeper {
  readonly at: Instant;
  readonly wake: () => void;
}

/** Time that moves only when a test says so. @default start 2026-01-01T00:00:00Z */
export function createManualClock(start: Instant = Date.UTC(2026, 0, 1)): ManualClock {
  let now = start;
  const sleepers = new Set<Sleeper>();

  const dueFirst = (until: Instant): Sleeper | undefined =>
    [...sleepers].filter((sleeper) => sleeper.at <= until).sort((a, b) => a.at - b.at)[0];

  return {
    now: () => now,
    sleepers: () => sleepers.size,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason);
        const abort = () => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        const wake = () => {
          sleepers.delete(sleeper);
          signal?.removeEventListener("abort", abort);
          resolve();
        };
        const sleeper = { at: now + ms, wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", abort, { once: true });
      });
    },
    async advance(ms) {
      const until = now + ms;
      // Who was called just now may not have gone to sleep yet.
      await settle();
      for (let next = dueFirst(until); next !== undefined; next = dueFirst(until)) {
        now = Math.max(now, next.at);
        next.wake();
        // Whoever woke may sleep again within this advance.
        await settle();
      }
      now = until;
      await settle();
    },
  };
}

/** Lets every promise that can go on without I/O go on. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
