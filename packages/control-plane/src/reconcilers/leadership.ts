import { type Clock, type FencingToken, StampyardError } from "@stampyard/domain";
import type { Lease, Store } from "../store/port.ts";
import type { Log } from "./turn.ts";

export interface LeadershipOptions {
  readonly store: Pick<Store, "lease">;
  readonly clock: Clock;
  /** Names this process uniquely, also among its earlier lives. */
  readonly holder: string;
  readonly log: Log;
  /** Ends it, and gives the lease back. */
  readonly signal: AbortSignal;
  /** What a leader does, until its signal; the lease is given back after it has ended. */
  readonly lead: (token: FencingToken, signal: AbortSignal) => Promise<void>;
  /** @default 5000 */
  readonly ttlMs?: number;
}

export interface Leadership {
  /** The present token, or undefined while this process stands by. */
  token(): FencingToken | undefined;
  /** Resolves after the options' signal, when everything has ended. */
  readonly ended: Promise<void>;
}

/** Takes the lease whenever it is free, leads while it holds, and stands by otherwise (decision D10). */
export function runLeadership(options: LeadershipOptions): Leadership {
  const ttlMs = options.ttlMs ?? 5_000;
  const { clock, signal, log } = options;
  let present: FencingToken | undefined;

  async function term(lease: Lease): Promise<void> {
    const over = new AbortController();
    present = lease.token;
    log.info({ token: lease.token }, "leading");
    const ending = AbortSignal.any([signal, over.signal]);
    const work = options.lead(lease.token, ending).catch((caught: unknown) => {
      if (!ending.aborted) log.error({ err: caught }, "leadership ended by a failure");
    });
    // Leading that ends by itself is a failure of its own: somebody else, or a new term, begins afresh.
    void work.finally(() => over.abort(new StampyardError("NOT_LEADER", "The leader's work has ended")));
    await renewUntilLost(lease, ending);
    present = undefined;
    over.abort(new StampyardError("STALE_LEADER", "This control plane has lost the lease"));
    await work;
    await options.store.lease.release(options.holder, lease.token).catch(() => {});
  }

  async function renewUntilLost(lease: Lease, ending: AbortSignal): Promise<void> {
    // By our own clock, from before the call and with a margin: we stop before the database lets another one start.
    const holdMs = ttlMs * 0.9;
    let heldUntil = clock.now() + holdMs;
    while (!ending.aborted) {
      await pause(clock, Math.min(ttlMs / 5, Math.max(1, heldUntil - clock.now())), ending);
      if (ending.aborted) return;
      const asked = clock.now();
      if (asked >= heldUntil) return log.warn({}, "lease ran out before it could be renewed");
      try {
        await within(options.store.lease.renew(options.holder, lease.token, ttlMs), clock, heldUntil - asked);
        heldUntil = asked + holdMs;
      } catch (caught) {
        const error = StampyardError.from(caught);
        log.warn({ code: error.code, err: error }, "lease could not be renewed");
        if (error.code === "STALE_LEADER") return;
      }
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        const lease = await options.store.lease.acquire(options.holder, ttlMs);
        if (lease !== undefined) await term(lease);
      } catch (caught) {
        log.warn({ err: caught }, "lease could not be asked for");
      }
      await pause(clock, ttlMs / 10, signal);
    }
  }

  return { token: () => present, ended: run() };
}

async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await clock.sleep(ms, signal).catch(() => {});
}

async function within<T>(work: Promise<T>, clock: Clock, ms: number): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(ms, done.signal).then(() => {
    throw new StampyardError("TIMEOUT", "The store did not answer in time");
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => {});
    done.abort();
  }
}
