import type { FeedPosition } from "@stampyard/directory";
import type { ControlPlane } from "./control-plane.ts";
import type { Log } from "./log.ts";

export interface Acknowledger {
  /** Something became durable, or (`again`) a control plane that restarted may not know what was sent before. */
  wake(again?: boolean): void;
  done(): Promise<void>;
}

/** Sends the newest durable position, one call at a time; what could not be sent goes with the next, or at the next hello. */
export function createAcknowledger(options: {
  readonly controlPlane: ControlPlane | undefined;
  readonly router: string;
  readonly durable: () => FeedPosition;
  readonly signal: AbortSignal;
  readonly log: Log;
}): Acknowledger {
  const { controlPlane, router, durable, signal, log } = options;
  let sent: FeedPosition | undefined;
  let sending: Promise<void> | undefined;

  async function send(plane: ControlPlane): Promise<void> {
    for (let position = durable(); position !== sent && !signal.aborted; position = durable()) {
      try {
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
