import { setTimeout as delay } from "node:timers/promises";
import type { FeedPosition } from "@stampyard/directory";
import type { ControlPlane } from "./control-plane.ts";
import type { Log } from "./log.ts";

export interface Acknowledger {
  /** Something became durable, or (`again`) a control plane that restarted may not know what was sent before. */
  wake(again?: boolean): void;
  done(): Promise<void>;
}

/**
 * Each call is a connection of its own, beside requests: the first goes at once, and more changes than this allows share
 * one.
 */
const spacingMs = 20;

/** Sends the newest position that is durable and applied, one call at a time; what could not be sent goes with the next, or at the next hello. */
export function createAcknowledger(options: {
  readonly controlPlane: ControlPlane | undefined;
  readonly router: string;
  /** What may be acknowledged now; undefined = nothing. */
  readonly position: () => FeedPosition | undefined;
  readonly signal: AbortSignal;
  readonly log: Log;
}): Acknowledger {
  const { controlPlane, router, position: current, signal, log } = options;
  let sent: FeedPosition | undefined;
  let sending: Promise<void> | undefined;
  let sentAt = Number.NEGATIVE_INFINITY;

  async function send(plane: ControlPlane): Promise<void> {
    while (!isSame(current(), sent) && !signal.aborted) {
      try {
        const earlyMs = sentAt + spacingMs - performance.now();
        if (earlyMs > 0) await delay(earlyMs, undefined, { signal });
        const position = current();
        if (position === undefined) return;
        sentAt = performance.now();
        await plane.acknowledge({ ...position, router }, signal);
        sent = position;
      } catch (caught) {
        if (!signal.aborted) log("warn", "position could not be acknowledged", { reason: String(caught) });
        return;
      }
    }
  }

  return {
    wake(again = false) {
      if (controlPlane === undefined || signal.aborted) return;
      if (again) sent = undefined;
      sending ??= send(controlPlane).finally(() => {
        sending = undefined;
      });
    },
    done: async () => await sending,
  };
}

function isSame(left: FeedPosition | undefined, right: FeedPosition | undefined): boolean {
  return left?.incarnation === right?.incarnation && left?.version === right?.version && left?.chain === right?.chain;
}
