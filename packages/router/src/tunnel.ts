import { createHash } from "node:crypto";
import { type IncomingMessage, request as openRequest, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Endpoint } from "@stampyard/domain";
import { refusalHeader } from "@stampyard/guard";
import { responseHeaders } from "./forwarded-headers.ts";
import { guardReasonOf, type ProblemAnswer, type RefusalReason } from "./refusals.ts";

/** Whether a request may become a WebSocket (RFC 6455 section 4.1); everything else is served as if it had not asked. */
export function isWebSocketRequest(request: IncomingMessage): boolean {
  const { headers } = request;
  return (
    request.method === "GET" &&
    request.httpVersion === "1.1" &&
    headers.upgrade?.toLowerCase() === "websocket" &&
    headers["sec-websocket-version"] === "13" &&
    /^[A-Za-z0-9+/]{22}==$/.test(headers["sec-websocket-key"] ?? "") &&
    headers["content-length"] === undefined &&
    headers["transfer-encoding"] === undefined
  );
}

export interface Tunnelling {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What the client sent behind its request already. */
  readonly head: Buffer;
  readonly requestId: string;
  readonly endpoints: readonly Endpoint[];
  readonly target: string;
  readonly headers: readonly string[];
  readonly connectMs: number;
  readonly answerMs: number;
  readonly refuse: (reason: RefusalReason, detail?: string) => void;
  /** The handshake ended with this status; 101 = the tunnel stands. */
  readonly settled: (status: number) => void;
}

/** Opens a tunnel to the stamp: not one byte goes either way before a valid 101 (I11). */
export function openTunnel(tunnelling: Tunnelling, index = 0): void {
  const { request, socket, endpoints, refuse } = tunnelling;
  const endpoint = endpoints[index];
  if (endpoint === undefined) {
    refuse("stamp-unreachable");
    return;
  }
  const { host, port } = endpoint;
  const { target: path, headers } = tunnelling;
  let connected = false;
  let answered = false;
  // A connection of its own, which ends with the tunnel.
  const outgoing = openRequest({ host, port, path, headers, method: "GET", setHost: false, agent: false });
  const timer = setTimeout(() => outgoing.destroy(new Error("No answer")), tunnelling.connectMs);
  const leave = () => outgoing.destroy();
  socket.once("close", leave);

  outgoing.once("socket", (upstream) => {
    upstream.once("connect", () => {
      connected = true;
      clearTimeout(timer);
      upstream.setTimeout(tunnelling.answerMs, () => outgoing.destroy(new Error("No answer")));
    });
  });
  outgoing.once("upgrade", (incoming, upstream, upstreamHead) => {
    answered = true;
    if (!isValidSwitch(request, incoming)) {
      upstream.destroy();
      refuse("bad-response");
      return;
    }
    upstream.setTimeout(0);
    join(tunnelling, incoming, upstream, upstreamHead);
  });
  outgoing.once("response", (incoming) => {
    answered = true;
    passRefusedUpgrade(tunnelling, incoming);
  });
  outgoing.on("error", () => {
    clearTimeout(timer);
    socket.off("close", leave);
    if (socket.destroyed || answered) return void socket.destroy();
    if (!connected) {
      openTunnel(tunnelling, index + 1);
      return;
    }
    refuse("stamp-closed");
  });
  outgoing.end();
}

/** The answer must prove that it understood this very request (RFC 6455 section 4.2.2). */
function isValidSwitch(request: IncomingMessage, incoming: IncomingMessage): boolean {
  const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash("sha1").update(key).digest("base64");
  return (
    incoming.statusCode === 101 &&
    incoming.headers.upgrade?.toLowerCase() === "websocket" &&
    incoming.headers["sec-websocket-accept"] === accept
  );
}

function join(tunnelling: Tunnelling, incoming: IncomingMessage, upstream: Duplex, upstreamHead: Buffer): void {
  const { socket, head, refuse } = tunnelling;
  const kept = responseHeaders(incoming.rawHeaders, tunnelling.requestId);
  if (kept === undefined) {
    upstream.destroy();
    refuse("bad-response");
    return;
  }
  socket.write(rawHead(101, [...kept, "connection", "Upgrade", "upgrade", "websocket"]), "latin1");
  if (upstreamHead.length > 0) socket.write(upstreamHead);
  if (head.length > 0) upstream.write(head);
  const end = () => {
    socket.destroy();
    upstream.destroy();
  };
  for (const side of [socket, upstream]) {
    side.on("error", end);
    side.on("close", end);
  }
  socket.pipe(upstream);
  upstream.pipe(socket);
  tunnelling.settled(101);
}

/** The stamp answered the request as such, for example with 403: the client gets that, and the connection ends. */
function passRefusedUpgrade(tunnelling: Tunnelling, incoming: IncomingMessage): void {
  const { socket, refuse, settled } = tunnelling;
  const refusal = incoming.headers[refusalHeader];
  const status = incoming.statusCode ?? 0;
  const kept = status >= 200 && status <= 599 ? responseHeaders(incoming.rawHeaders, tunnelling.requestId) : undefined;
  if (refusal !== undefined || kept === undefined) {
    incoming.destroy();
    if (refusal === undefined) refuse("bad-response");
    else refuse("route-refused", guardReasonOf(String(refusal)));
    return;
  }
  socket.write(rawHead(status, [...kept, "connection", "close"]), "latin1");
  incoming.once("close", () => (incoming.complete ? socket.end() : socket.destroy()));
  incoming.on("error", () => socket.destroy());
  incoming.pipe(socket, { end: false });
  settled(status);
}

/** Writes an answer of ours to a connection that Node no longer speaks HTTP on, and ends it. */
export function endWithAnswer(socket: Duplex, { status, headers, body }: ProblemAnswer): void {
  if (!socket.writable) return void socket.destroy();
  socket.end(`${rawHead(status, [...headers, "connection", "close"])}${body}`, "latin1");
}

/** Values come from Node's parser or from us, so they hold no line breaks. */
function rawHead(status: number, headers: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Answer"}\r\n`;
  for (let index = 0; index < headers.length; index += 2) text += `${headers[index]}: ${headers[index + 1]}\r\n`;
  return `${text}\r\n`;
}
