import type { ControlPlane } from "./control-plane.ts";
import type { Log } from "./log.ts";
import type { Hold } from "./servers.ts";

export interface HoldAcknowledgerOptions {
  readonly controlPlane: Pick<ControlPlane, "acknowledgeHold"> | undefined;
  readonly router: string;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Of all processes; each has applied the hold before it answers. */
  readonly inFlightOf: (tenant: string) => Promise<number>;
}

export interface HoldAcknowledger {
  /** Says that the tenant is held, and again whenever fewer of its requests are on their way, until none is. */
  held(hold: Hold): void;
  released(tenant: string): void;
  done(): Promise<void>;
}

/** Nobody waits longer for a hold than this (decision D13: a mover waits 100 ms). */
const longestMs = 2_000;
const firstPauseMs = 5;
const longestPauseMs = 40;
/** Holds that are followed at the same time; movers do without the others. */
const mostHolds = 64;

export function createHoldAcknowledger(options: HoldAcknowledgerOptions): HoldAcknowledger {
  const { controlPlane, router, log, signal, inFlightOf } = options;
  const running = new Map<string, Promise<void>>();
  const current = new Map<string, Hold>();

  async function follow(hold: Hold, to: Pick<ControlPlane, "acknowledgeHold">): Promise<void> {
    const { tenant, moveId, ttlMs } = hold;
    const until = performance.now() + Math.min(ttlMs, longestMs);
    let said: number | undefined;
    let pauseMs = firstPauseMs;
    while (current.get(tenant) === hold && !signal.aborted && performance.now() < until) {
      const inFlight = await inFlightOf(tenant);
      if (said === undefined || inFlight < said) {
        await to.acknowledgeHold({ router, tenant, moveId, inFlight }, signal);
        said = inFlight;
        if (inFlight === 0) return;
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    }
  }

  return {
    held(hold) {
      if (controlPlane === undefined || (running.size >= mostHolds && !running.has(hold.tenant))) return;
      current.set(hold.tenant, hold);
      const following = follow(hold, controlPlane)
        .catch((caught: unknown) => {
          if (!signal.aborted) log("warn", "hold could not be acknowledged", { reason: String(caught) });
        })
        .finally(() => {
          if (running.get(hold.tenant) === following) running.delete(hold.tenant);
          if (current.get(hold.tenant) === hold) current.delete(hold.tenant);
        });
      running.set(hold.tenant, following);
    },
    released: (tenant) => void current.delete(tenant),
    done: async () => void (await Promise.all(running.values())),
  };
}
