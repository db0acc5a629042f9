import { atTurnEnd } from "./turn.ts";

/** Something that ends if nothing happens for too long. */
export interface Timed {
  /** When, by the wheel's clock; Infinity = never. Owned by the wheel. */
  deadline: number;
  /** Where the wheel keeps it; -1 = nowhere. Owned by the wheel. */
  slot: number;
  onDeadline(): void;
}

export interface TimerWheel {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Calls `onDeadline` once, `ms` from now at the earliest and one tick later at the latest, unless it is set again. */
  set(timed: Timed, ms: number): void;
  /** It may be set again: its place is kept until that comes round. */
  clear(timed: Timed): void;
  /** It is over, and the wheel holds it no longer. */
  forget(timed: Timed): void;
  stop(): void;
}

const tickMs = 50;
const slots = 2_048;

/**
 * One timer for all connections. Postponing a deadline, which every byte does, is one assignment: the entry stays in its
 * slot and is looked at again when that slot comes round.
 */
export function startTimerWheel(clock: () => number): TimerWheel {
  const wheel = Array.from({ length: slots }, () => new Set<Timed>());
  let now = clock();
  let at = Math.floor(now / tickMs);

  function place(timed: Timed): void {
    const ticks = Math.max(at + 1, Math.min(Math.ceil(timed.deadline / tickMs), at + slots - 1));
    timed.slot = ticks;
    wheel[ticks % slots]?.add(timed);
  }

  function turn(): void {
    now = clock();
    const until = Math.floor(now / tickMs);
    while (at < until) {
      at += 1;
      const due = wheel[at % slots];
      if (due === undefined || due.size === 0) continue;
      const entries = [...due];
      due.clear();
      for (const timed of entries) {
        timed.slot = -1;
        if (timed.deadline === Infinity) continue;
        if (timed.deadline > now) place(timed);
        else {
          timed.deadline = Infinity;
          timed.onDeadline();
        }
      }
    }
  }

  // Behind what has arrived meanwhile: after a pause of the process an answer may have waited longer than its deadline.
  const timer = setInterval(() => atTurnEnd("write", turn), tickMs);
  timer.unref();
  return {
    now: clock,
    set(timed, ms) {
      // Not the time of the last turn: after a pause of the process that would be long ago.
      timed.deadline = clock() + ms;
      if (timed.slot < 0) place(timed);
      else if (timed.deadline < timed.slot * tickMs) {
        wheel[timed.slot % slots]?.delete(timed);
        place(timed);
      }
    },
    clear(timed) {
      timed.deadline = Infinity;
    },
    forget(timed) {
      timed.deadline = Infinity;
      if (timed.slot >= 0) wheel[timed.slot % slots]?.delete(timed);
      timed.slot = -1;
    },
    stop: () => clearInterval(timer),
  };
}
