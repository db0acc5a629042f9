import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { unmapped } from "../trusted-peers.ts";
import { ClientConnection } from "./client-connection.ts";
import type { PeerFacts } from "./exchange.ts";
import { type Listener, listenOn } from "./io.ts";
import type { Serving } from "./serving.ts";

/** What accepts connections and serves HTTP/1.x on them. */
export interface Front {
  /**
   * Resolves with the port. Several may be listened on.
   * @param onSocket serves a connection instead of the front, which it may come back to by `admit` and `serveSocket`
   * @throws what `listen` says, e.g. EADDRINUSE
   */
  listen(
    at: { readonly host: string; readonly port: number; readonly reusePort: boolean },
    onSocket?: (socket: Socket) => void,
  ): Promise<number>;
  /** Serves a connection that somebody else has accepted; it is counted by `admit` already, or not at all. */
  serveSocket(socket: Duplex, peer: PeerFacts): void;
  /** Counts a connection until it closes; false = its client, or all together, have too many, and it is destroyed. */
  admit(socket: Duplex, address: string): boolean;
  close(drainMs: number): Promise<void>;
}

export function openFront(serving: Serving): Front {
  const listeners: Listener[] = [];
  const front: Front = {
    async listen(at, onSocket = (socket) => accept(front, socket)) {
      const listener = await listenOn(at, onSocket);
      listeners.push(listener);
      return listener.port;
    },
    serveSocket(socket, peer) {
      void new ClientConnection(serving, socket, peer);
    },
    admit(socket, address) {
      if (!serving.caps.enter(address)) {
        socket.destroy();
        return false;
      }
      socket.once("close", () => serving.caps.leave(address));
      return true;
    },
    close: (drainMs) => close(serving, listeners, drainMs),
  };
  return front;
}

function accept(front: Front, socket: Socket): void {
  const address = unmapped(socket.remoteAddress ?? "");
  if (front.admit(socket, address)) front.serveSocket(socket, { address, scheme: "http" });
}

async function close(serving: Serving, listeners: readonly Listener[], drainMs: number): Promise<void> {
  serving.draining = true;
  const closed = Promise.all(listeners.map((listener) => listener.close()));
  for (const connection of [...serving.connections]) connection.drain();
  // Their clients come again, to another router.
  for (const open of [...serving.longLived.values()]) for (const one of [...open]) one.leave();
  const end = setTimeout(() => {
    for (const connection of [...serving.connections]) connection.destroy();
  }, drainMs);
  await closed;
  clearTimeout(end);
  serving.pools.close();
  serving.wheel.stop();
}
