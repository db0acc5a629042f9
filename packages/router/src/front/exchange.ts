import type { RequestHead } from "../http1/request-head.ts";

/** Who the client is, for every request of its connection. */
export interface PeerFacts {
  /** Plain address, IPv4 not mapped. */
  readonly address: string;
  readonly scheme: "http" | "https";
  /** Whether this connection may carry requests for that host; absent = every host. False is answered with 421. */
  readonly allowsHost?: (hostName: string) => boolean;
}

/** How the body of an answer ends: after so many bytes, when we say so, or there is none. */
export type AnswerBody = { readonly kind: "length"; readonly length: number } | { readonly kind: "open" | "none" };

/**
 * Where an answer goes, and where the request's body comes from: an HTTP/1.1 connection or an HTTP/2 stream. The exchange
 * calls `begin` once, then `write` and `end`, or `cut` at any time.
 */
export interface ClientSide {
  readonly peer: PeerFacts;
  /** 103 only. */
  inform(status: number, lines: string): void;
  /**
   * @param lines `name: value CR LF` each, canonical, without framing and connection fields
   * @param length of a body that is not sent, for answers to HEAD and for 304; -1 = not known
   */
  begin(status: number, lines: string, body: AnswerBody, length: number): void;
  /**
   * The bytes are the receiver's until `holdsBytes` says no more; without that, for ever. False = wait for
   * `Exchange.onClientDrain`.
   */
  write(bytes: Buffer): boolean;
  /** Whether something that was given to `write` or `tunnelBytes` is not sent yet. */
  holdsBytes?(): boolean;
  /** Head and body in one: the same as `begin`, `write`, `end`. */
  whole(status: number, lines: string, body: string): void;
  end(): void;
  /** The answer is broken off; the client must be able to see that. */
  cut(): void;
  /** The stamp is there: the body may come, and a client that waits for 100 is told so. */
  wantBody(): void;
  pauseBody(): void;
  resumeBody(): void;
  /** 101: from now on bytes pass as they are, by `tunnelBytes` and `Exchange.onTunnelBytes`. Never called for HTTP/2. */
  openTunnel(lines: string): void;
  tunnelBytes(bytes: Buffer): boolean;
  /** Nothing more goes to the client. */
  endTunnel(): void;
}

/** One request on its way, as its client side sees it. */
export interface Exchange {
  readonly head: RequestHead;
  /** Routes the request, and may answer it before this returns. `body`: all of it, when it is there already and short. */
  start(body: Buffer | undefined): void;
  /** False = stop reading until `resumeBody`. The bytes are the exchange's until `holdsBody` says no more. */
  onBodyBytes(bytes: Buffer): boolean;
  /** Whether something that was given to `onBodyBytes` is not sent yet. */
  holdsBody(): boolean;
  onBodyEnd(): void;
  /** The body is not valid; answered with 400 if there was no answer yet. */
  onBodyBroken(reason: "bad-framing" | "request-timeout"): void;
  onClientDrain(): void;
  /** The client went away; nothing is written to it any more. */
  onClientGone(): void;
  onTunnelBytes(bytes: Buffer): boolean;
  onTunnelEnd(): void;
}
