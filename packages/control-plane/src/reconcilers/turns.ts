import type { Clock, Instant, Random } from "@stampyard/domain";
import type { TurnEnd } from "./turn.ts";

export interface TurnsOptions {
  /** One turn of the object with this id. A throw backs off; planned retries come as `rest.until`. */
  readonly turn: (id: string) => Promise<TurnEnd>;
  readonly concurrency: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends everything: nothing new begins, and the running turns see the same signal. */
  readonly signal: AbortSignal;
  readonly onError: (id: string, caught: unknown) => void;
}

export interface Turns {
  /** Asks for a turn; asked during one, another follows. Cheap, and never wrong: a turn finds out what there is to do. */
  wake(id: string): void;
  /** Resolves when no turn is running; after an abort, none will. */
  idle(): Promise<void>;
}

const firstBackoffMs = 200;
const longestBackoffMs = 30_000;

/** Turns of many objects: one at a time for each, several objects at once, with back-off for each that fails. */
export function createTurns(options: TurnsOptions): Turns {
  const { clock, signal } = options;
  const ready = new Set<string>();
  const running = new Set<string>();
  const askedAgain = new Set<string>();
  const failures = new Map<string, { readonly count: number; readonly until: Instant }>();
  const timers = new Map<string, Instant>();
  const onIdle: (() => void)[] = [];

  function wake(id: string): void {
    if (signal.aborted) return;
    const failure = failures.get(id);
    if (running.has(id)) askedAgain.add(id);
    // Whatever woke it, what failed just now fails again; its own writes must not become a storm.
    else if (failure !== undefined && clock.now() < failure.until) wakeAt(id, failure.until);
    else {
      ready.add(id);
      pump();
    }
  }

  function pump(): void {
    for (const id of ready) {
      if (running.size >= options.concurrency || signal.aborted) return;
      ready.delete(id);
      running.add(id);
      void run(id).finally(() => {
        running.delete(id);
        if (askedAgain.delete(id)) wake(id);
        pump();
        if (running.size === 0) for (const resolve of onIdle.splice(0)) resolve();
      });
    }
  }

  async function run(id: string): Promise<void> {
    try {
      const end = await options.turn(id);
      failures.delete(id);
      if (end.kind === "again") askedAgain.add(id);
      else if (end.until !== undefined) wakeAt(id, end.until);
    } catch (caught) {
      if (signal.aborted) return;
      const count = (failures.get(id)?.count ?? 0) + 1;
      const until = clock.now() + jittered(backoffMs(count), options.random);
      failures.set(id, { count, until });
      askedAgain.delete(id);
      wakeAt(id, until);
      options.onError(id, caught);
    }
  }

  /** One timer for each id, the earliest. */
  function wakeAt(id: string, at: Instant): void {
    const planned = timers.get(id);
    if (signal.aborted || (planned !== undefined && planned <= at)) return;
    timers.set(id, at);
    clock.sleep(Math.max(1, at - clock.now()), signal).then(
      () => {
        if (timers.get(id) !== at) return;
        timers.delete(id);
        wake(id);
      },
      () => {},
    );
  }

  return {
    wake,
    async idle() {
      if (running.size > 0) await new Promise<void>((resolve) => onIdle.push(resolve));
    },
  };
}

function backoffMs(count: number): number {
  return Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(count - 1, 10));
}

/** Half of it for certain, half by chance: objects that failed together do not come back together. */
function jittered(ms: number, random: Random): number {
  return Math.round(ms / 2 + (ms / 2) * ((random.bytes(1)[0] ?? 0) / 255));
}
