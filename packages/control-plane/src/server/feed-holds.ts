import { encodeFrame } from "@stampyard/directory";
import type { Clock } from "@stampyard/domain";
import type { Store } from "../store/port.ts";

/** More than these and the oldest are forgotten: a hold is an optimisation (D13), the memory of this process is not. */
const mostWaiting = 1_000;

export interface HoldTeller {
  /** Everything that was told until now, as frames; a hold with the time that is left of it. */
  take(): Uint8Array[];
  end(): void;
}

/** What one reader of the feed has yet to hear of holds. */
export function createHoldTeller(store: Pick<Store, "watch">, clock: Clock, onNews: () => void): HoldTeller {
  let waiting: { readonly frame: (now: number) => Uint8Array | undefined }[] = [];
  const unwatch = store.watch((event) => {
    if (event.kind === "hold") {
      const { tenant, moveId, ttlMs } = event;
      const until = clock.now() + ttlMs;
      const frame = (now: number) =>
        until <= now ? undefined : encodeFrame({ kind: "hold", tenant, moveId, ttlMs: Math.ceil(until - now) });
      waiting.push({ frame });
    } else if (event.kind === "release") {
      const { tenant, moveId } = event;
      waiting.push({ frame: () => encodeFrame({ kind: "release", tenant, moveId }) });
    } else return;
    if (waiting.length > mostWaiting) waiting.shift();
    onNews();
  });
  return {
    take() {
      const told = waiting;
      waiting = [];
      return told.flatMap(({ frame }) => frame(clock.now()) ?? []);
    },
    end: unwatch,
  };
}
