import type { ClientSide } from "./exchange.ts";
import type { Timed, TimerWheel } from "./timer-wheel.ts";
import { createFrameFollower, restartFrame } from "./websocket.ts";

/** The side of a WebSocket that goes from the stamp to the client. */
export interface Tunnel {
  /** False = the client is slow. */
  fromStamp(bytes: Buffer): boolean;
  /** Ends it between two frames, with a close that asks the client to come again; without one if no frame ends in time. */
  leave(): void;
  /** It ended. */
  ended(): void;
}

/** How long a tunnel may take to come to the end of a frame when it has to end, in milliseconds. */
const leavingMs = 2_000;

/** @param end ends both sides */
export function openTunnel(client: ClientSide, wheel: TimerWheel, end: () => void): Tunnel {
  const frames = createFrameFollower();
  const timed: Timed = { deadline: Number.POSITIVE_INFINITY, slot: -1, onDeadline: end };
  let leaving = false;
  const sayGoodbye = () => {
    // Nothing may follow the stamp's own goodbye.
    if (!frames.closed()) client.tunnelBytes(restartFrame());
    end();
  };
  return {
    fromStamp(bytes) {
      if (!leaving) {
        frames.follow(bytes);
        return client.tunnelBytes(bytes);
      }
      const at = frames.followToEnd(bytes);
      const flows = client.tunnelBytes(at < 0 ? bytes : bytes.subarray(0, at));
      if (at >= 0) sayGoodbye();
      return flows;
    },
    leave() {
      if (leaving) return;
      leaving = true;
      if (frames.between()) sayGoodbye();
      else wheel.set(timed, leavingMs);
    },
    ended: () => wheel.clear(timed),
  };
}
