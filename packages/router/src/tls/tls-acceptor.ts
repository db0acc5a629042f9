import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { parseHost } from "../host.ts";
import { tlsOptions } from "./certificate-pair.ts";
import type { CertificateStore } from "./certificate-store.ts";

export interface SecureConnection {
  readonly socket: TLSSocket;
  /** The client's address, as `accept` was told. */
  readonly address: string;
  /** What the client named in its handshake, normalised. */
  readonly serverName: string | undefined;
  readonly protocol: "h2" | "http/1.1";
}

export interface TlsAcceptor {
  /** Begins a handshake on a connection; it is destroyed if there comes none that is good. */
  accept(socket: Socket, address: string): void;
}

export interface TlsEvents {
  /** @param socket as `accept` got it */
  onSecure(connection: SecureConnection, socket: Socket): void;
  onFailed(): void;
}

const handshakeMs = 10_000;

/**
 * Does TLS handshakes with the certificates of a store. No session is ever resumed: a ticket that one host's handshake
 * gave would be taken by another's, whose identity was then never proven.
 */
export function createTlsAcceptor(store: CertificateStore, events: TlsEvents): TlsAcceptor {
  const pending = new Map<string, { readonly socket: Socket; readonly address: string }>();
  const server = createServer({
    ...tlsOptions,
    ...store.lookup(undefined)?.options,
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: handshakeMs,
    secureOptions:
      constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_CIPHER_SERVER_PREFERENCE,
    SNICallback(serverName, answer) {
      // A throw here would end the process, and the name is whatever the client likes.
      try {
        const pair = store.lookup(serverName);
        if (pair === undefined) answer(new Error("No certificate for this host"));
        else answer(null, pair.context());
      } catch (caught) {
        answer(caught instanceof Error ? caught : new Error("No certificate for this host"));
      }
    },
  });
  // Clients that name no host get the default certificate; those that do, the one of the callback.
  store.onChange = () => server.setSecureContext({ ...tlsOptions, ...store.lookup(undefined)?.options });
  server.on("tlsClientError", (_error, socket) => {
    socket.destroy();
    events.onFailed();
  });
  server.on("secureConnection", (socket) => {
    // Always followed by close.
    socket.on("error", () => {});
    const key = keyOf(socket);
    const accepted = pending.get(key);
    pending.delete(key);
    if (accepted === undefined) return void socket.destroy();
    // The method of a plain socket, which a TLS one inherits, knows only plain handles.
    socket.resetAndDestroy = () => {
      accepted.socket.resetAndDestroy();
      return socket.destroy();
    };
    const name = typeof socket.servername === "string" ? parseHost(socket.servername)?.name : undefined;
    const protocol = socket.alpnProtocol === "h2" ? "h2" : "http/1.1";
    events.onSecure({ socket, address: accepted.address, serverName: name, protocol }, accepted.socket);
  });

  return {
    accept(socket, address) {
      const key = keyOf(socket);
      pending.set(key, { socket, address });
      socket.on("error", () => {});
      socket.once("close", () => {
        if (pending.get(key)?.socket === socket) pending.delete(key);
      });
      server.emit("connection", socket);
    },
  };
}

/** Of one connection, as long as it stands. */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
