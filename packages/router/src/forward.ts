import { type ClientRequest, type IncomingMessage, request as openRequest } from "node:http";
import type { Socket } from "node:net";
import type { Endpoint } from "@stampyard/domain";
import { refusalHeader } from "@stampyard/guard";
import { endAfterRequest, type Exchange, refuseExchange } from "./exchange.ts";
import { responseHeaders } from "./forwarded-headers.ts";
import { guardReasonOf } from "./refusals.ts";
import type { StampPool } from "./stamp-pool.ts";

export interface Timeouts {
  /** Until a connection to a stamp stands, in milliseconds. */
  readonly connectMs: number;
  /** Without a byte in either direction, in milliseconds. */
  readonly idleMs: number;
}

export interface Forwarding {
  readonly exchange: Exchange;
  readonly pool: StampPool;
  /** To try in this order. */
  readonly endpoints: readonly Endpoint[];
  /** Path and query for the stamp. */
  readonly target: string;
  /** From `requestHeaders`. */
  readonly headers: readonly string[];
  readonly timeouts: Timeouts;
}

interface Attempt extends Forwarding {
  readonly index: number;
  /** On a connection of its own, after a kept one turned out to be closed. */
  readonly fresh: boolean;
}

/** Methods that may be sent twice with the effect of once (RFC 9110 section 9.2.2). */
const idempotent = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);
const maxInformational = 16;
const maxResponseHeaders = 200;
const maxDiscarded = 64 * 1024;

/** Sends one request to its stamp and the answer to the client, streaming both. Calls `refuseExchange` where it cannot. */
export function forward(forwarding: Forwarding): void {
  start({ ...forwarding, index: 0, fresh: false });
}

function start(attempt: Attempt): void {
  const { exchange, pool, target, headers, timeouts, index, fresh } = attempt;
  const endpoint = attempt.endpoints[index];
  if (endpoint === undefined) {
    refuseExchange(exchange, "stamp-unreachable");
    return;
  }

  let outgoing: ClientRequest;
  try {
    outgoing = openRequest({
      host: endpoint.host,
      port: endpoint.port,
      method: exchange.request.method ?? "GET",
      path: target,
      headers,
      setHost: false,
      agent: fresh ? false : pool.agent,
      timeout: timeouts.idleMs,
      insecureHTTPParser: false,
      maxHeaderSize: 16 * 1024,
    });
  } catch {
    // Node refuses to write what its own parser let through, for example a byte in the path.
    refuseExchange(exchange, "bad-header");
    return;
  }
  // Counted by us: Node would drop the rest silently.
  outgoing.maxHeadersCount = 0;
  const state = { connected: false, answered: false, refused: false };
  const leave = () => {
    if (!exchange.response.writableFinished) outgoing.destroy();
  };
  exchange.response.once("close", leave);

  outgoing.once("socket", (socket) => {
    whenConnected(socket, outgoing, timeouts.connectMs, () => {
      state.connected = true;
      sendBody(exchange, outgoing);
    });
  });
  const refuseAnswer = () => {
    state.refused = true;
    outgoing.destroy();
    refuseExchange(exchange, "bad-response");
  };
  let informational = 0;
  outgoing.on("information", () => {
    informational += 1;
    if (informational === maxInformational + 1) refuseAnswer();
  });
  // Nobody asked for another protocol; without a listener Node would just hang up.
  outgoing.once("upgrade", (_incoming, socket) => {
    socket.destroy();
    refuseAnswer();
  });
  outgoing.once("timeout", () => outgoing.destroy(Object.assign(new Error("Stamp is silent"), { code: "ESILENT" })));
  outgoing.once("response", (incoming) => {
    if (state.refused) return;
    state.answered = true;
    passAnswer(exchange, outgoing, incoming);
  });
  outgoing.on("error", (error: NodeJS.ErrnoException) => {
    exchange.request.unpipe(outgoing);
    exchange.response.off("close", leave);
    if (state.refused || exchange.response.destroyed || exchange.response.writableEnded) return;
    if (state.answered) return void exchange.response.destroy();
    if (!state.connected) {
      pool.avoid(endpoint);
      // Nothing was sent, so this is still the first time that a stamp hears of the request (I7).
      start({ ...attempt, index: index + 1 });
      return;
    }
    afterBrokenConnection(attempt, outgoing, error);
  });
}

function afterBrokenConnection(attempt: Attempt, outgoing: ClientRequest, error: NodeJS.ErrnoException): void {
  const { exchange, fresh } = attempt;
  const method = exchange.request.method ?? "";
  if (error.code === "ESILENT") {
    refuseExchange(exchange, "stamp-timeout");
    return;
  }
  if (error.code?.startsWith("HPE_") === true) {
    refuseExchange(exchange, "bad-response");
    return;
  }
  // A kept connection that ends before any answer was most likely ending already; only what may be repeated is (I7).
  const repeatable = idempotent.has(method) && exchange.accepted.body.kind === "none";
  if (repeatable && outgoing.reusedSocket && !fresh) {
    start({ ...attempt, fresh: true });
    return;
  }
  refuseExchange(exchange, repeatable ? "stamp-unreachable" : "stamp-closed");
}

/** The body is read from the client only once there is somebody to give it to, so another endpoint can still be tried. */
function sendBody(exchange: Exchange, outgoing: ClientRequest): void {
  if (exchange.accepted.body.kind === "none") return void outgoing.end();
  if (exchange.awaitsContinue) exchange.response.writeContinue();
  exchange.request.pipe(outgoing);
}

function whenConnected(socket: Socket, outgoing: ClientRequest, connectMs: number, then: () => void): void {
  if (!socket.connecting) {
    then();
    return;
  }
  const timer = setTimeout(() => outgoing.destroy(new Error("Stamp accepts no connection")), connectMs);
  const stop = () => clearTimeout(timer);
  socket.once("connect", () => {
    stop();
    then();
  });
  socket.once("close", stop);
}

function passAnswer(exchange: Exchange, outgoing: ClientRequest, incoming: IncomingMessage): void {
  const { request, response } = exchange;
  const status = incoming.statusCode ?? 0;
  const refusal = incoming.headers[refusalHeader];
  if (refusal !== undefined) {
    discard(outgoing, incoming);
    refuseExchange(exchange, "route-refused", guardReasonOf(String(refusal)));
    return;
  }
  const readable = status >= 200 && status <= 599 && incoming.rawHeaders.length <= 2 * maxResponseHeaders;
  const version = incoming.httpVersion === "1.1" || incoming.httpVersion === "1.0";
  const headers = readable && version ? responseHeaders(incoming.rawHeaders, exchange.requestId) : undefined;
  // An answer before the whole request was read: neither connection is in a state to carry another request (I10).
  const early = exchange.accepted.body.kind !== "none" && !request.complete;
  if (headers !== undefined && early) headers.push("connection", "close");
  try {
    if (headers === undefined) throw new RangeError("Unreadable answer");
    response.writeHead(status, headers);
  } catch {
    outgoing.destroy();
    refuseExchange(exchange, "bad-response");
    return;
  }
  // The head leaves with the first bytes of the body, or alone if there are none yet: event streams begin with silence.
  setImmediate(() => {
    if (!response.writableEnded && !response.destroyed) response.flushHeaders();
  });
  incoming.once("end", () => {
    if (!early && outgoing.writableFinished) return;
    request.unpipe(outgoing);
    outgoing.destroy();
    if (early) endAfterRequest(request, response);
  });
  incoming.once("close", () => {
    // A body that was cut off must look cut off to the client too.
    if (!incoming.complete) response.destroy();
  });
  // Always followed by close.
  incoming.on("error", () => {});
  incoming.pipe(response, { end: !early });
}

/** A refusal's body is short, or its connection is not worth keeping. */
function discard(outgoing: ClientRequest, incoming: IncomingMessage): void {
  let bytes = 0;
  incoming.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxDiscarded) outgoing.destroy();
  });
  incoming.on("error", () => {});
}
