import type { Socket } from "node:net";
import type { DirectoryView } from "@stampyard/directory";
import type { Front } from "./front/front.ts";
import { type Http2Serving, serveHttp2 } from "./http2/http2-session.ts";
import { takeProxyHeader } from "./proxy-header.ts";
import { isAllowedHost } from "./tls/allowed-host.ts";
import type { CertificateStore } from "./tls/certificate-store.ts";
import { createTlsAcceptor, type SecureConnection, type TlsAcceptor } from "./tls/tls-acceptor.ts";
import { type TrustedPeers, unmapped } from "./trusted-peers.ts";

export interface EntranceOptions {
  readonly front: Pick<Front, "serveSocket" | "admit">;
  readonly exchanges: Http2Serving;
  /** Connections to be ended with the front; those that are not its own yet, or never are, are put there. */
  readonly connections: Set<{ drain(): void; destroy(): void }>;
  /** Peers that begin every connection with a PROXY protocol header. Nobody else may. */
  readonly proxyPeers: TrustedPeers;
  readonly directory: () => DirectoryView | undefined;
  /** A connection was ended before its first request. */
  readonly refused: (cause: "proxy-header" | "tls") => void;
}

/** What happens to a connection between the system's accept and the front that reads its requests. */
export interface Entrance {
  plain(socket: Socket): void;
  /** Opens a door for TLS; it ends with the connections. */
  secure(store: CertificateStore): (socket: Socket) => void;
}

export function createEntrance(options: EntranceOptions): Entrance {
  const { front, connections } = options;

  /** Counted by the address that counts: the client's, which a balancer has yet to say. */
  function enter(socket: Socket, then: (address: string) => void): void {
    const peer = unmapped(socket.remoteAddress ?? "");
    const admitted = (address: string) => {
      if (front.admit(socket, address)) then(address);
    };
    if (!options.proxyPeers(peer)) {
      admitted(peer);
      return;
    }
    const untrack = track(connections, socket);
    takeProxyHeader(
      socket,
      peer,
      (address) => {
        untrack();
        admitted(address);
      },
      () => options.refused("proxy-header"),
    );
  }

  function serve(store: CertificateStore, connection: SecureConnection): void {
    const { socket, address, serverName, protocol } = connection;
    const allowsHost = (hostName: string) => isAllowedHost(store, options.directory(), serverName, hostName);
    const peer = { address, scheme: "https", allowsHost } as const;
    if (protocol === "http/1.1") {
      front.serveSocket(socket, peer);
      return;
    }
    const http2 = serveHttp2(socket, peer, options.exchanges, () => connections.delete(http2));
    connections.add(http2);
  }

  return {
    plain: (socket) =>
      enter(socket, (address) => {
        front.serveSocket(socket, { address, scheme: "http" });
        // Held since its header was taken off; what came behind it is still there.
        socket.resume();
      }),
    secure(store) {
      const untracks = new WeakMap<Socket, () => void>();
      const acceptor: TlsAcceptor = createTlsAcceptor(store, {
        onSecure(connection, socket) {
          untracks.get(socket)?.();
          serve(store, connection);
        },
        onFailed: () => options.refused("tls"),
      });
      return (socket) =>
        enter(socket, (address) => {
          untracks.set(socket, track(connections, socket));
          acceptor.accept(socket, address);
        });
    },
  };
}

/** Until it has a front of its own, a connection just ends when its router does. */
function track(connections: EntranceOptions["connections"], socket: Socket): () => void {
  const end = () => void socket.destroy();
  const entry = { drain: end, destroy: end };
  const untrack = () => void connections.delete(entry);
  connections.add(entry);
  socket.once("close", untrack);
  return untrack;
}
