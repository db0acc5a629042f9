import type { EventView } from "@stampyard/api";
import type { Client } from "./connection.ts";

export interface Nudges {
  /** Resolves when something is told that was asked for. */
  next(): Promise<void>;
  /** Resolves when nothing is listened to any more. */
  readonly ended: Promise<void>;
}

/** Events as a reason to look at once; a lost one costs only the time until the next look. */
export function nudges(client: Client, isOfIt: (event: EventView) => boolean, signal: AbortSignal): Nudges {
  let wake = () => {};
  const ended = (async () => {
    try {
      for await (const event of await client.events({ signal })) if (isOfIt(event)) wake();
    } catch {
      // Looking now and then is enough.
    }
  })();
  signal.addEventListener("abort", () => wake(), { once: true });
  const next = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  return { next, ended };
}
