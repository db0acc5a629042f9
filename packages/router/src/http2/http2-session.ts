import type { ServerHttp2Session, ServerHttp2Stream, ServerSessionOptions } from "node:http2";
import { constants, performServerHandshake } from "node:http2";
import type { Duplex } from "node:stream";
import type { ClientSide, Exchange, PeerFacts } from "../front/exchange.ts";
import type { Timed, TimerWheel } from "../front/timer-wheel.ts";
import { type HeadContext, type RequestHead, readRequestHead } from "../http1/request-head.ts";
import { problemAnswer, type RefusalReason } from "../refusals.ts";
import { answerFields } from "./answer-fields.ts";
import { createBudget } from "./budget.ts";
import { grpcRefusal, isGrpc } from "./grpc.ts";
import { headText } from "./head-text.ts";
import { serveStream } from "./stream-side.ts";

/** What an HTTP/2 connection needs of the data plane. */
export interface Http2Serving {
  readonly wheel: TimerWheel;
  /** How heads of this peer are read under the present routing. */
  context(address: string): HeadContext;
  open(head: RequestHead, client: ClientSide): Exchange;
  /** A request was answered here, before there was an exchange. */
  refused(refusal: { readonly reason: string; readonly method: string; readonly status: number }): void;
}

export interface Http2Timeouts {
  /** Without an open stream, in milliseconds. @default 60000 */
  readonly idleMs?: number;
  /** Until the first request, in milliseconds. @default 10000 */
  readonly firstMs?: number;
  /** Without a byte where one is waited for, in milliseconds. @default 30000 */
  readonly stallMs?: number;
}

/** A connection that can be ended. */
export interface Http2Connection {
  /** Takes no new requests; ends when the last one has. */
  drain(): void;
  destroy(): void;
}

const maxStreams = 10_000;
/** What a client may do in vain: streams given up before their answer, pings, settings. */
const vainBurst = 200;
const vainPerSecond = 20;
const closeMs = 5_000;

const limits = {
  settings: {
    maxConcurrentStreams: 100,
    initialWindowSize: 64 * 1024,
    maxHeaderListSize: 16 * 1024,
    enablePush: false,
    enableConnectProtocol: false,
  },
  maxHeaderListPairs: 128,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 50,
  maxOutstandingPings: 10,
  maxSettings: 32,
  maxSessionMemory: 8,
  streamResetBurst: vainBurst,
  streamResetRate: vainPerSecond,
} as const satisfies ServerSessionOptions;

/**
 * Speaks HTTP/2 on a connection whose handshake chose it. Every stream becomes an exchange like a request of HTTP/1.1.
 * Everything that a client may have is bounded: streams at once and in all, heads, settings, pings, resets, time.
 * @param onClose called once
 */
export function serveHttp2(
  socket: Duplex,
  peer: PeerFacts,
  serving: Http2Serving,
  onClose: () => void,
  timeouts: Http2Timeouts = {},
): Http2Connection {
  const { idleMs = 60_000, firstMs = 10_000, stallMs = 30_000 } = timeouts;
  const { wheel } = serving;
  const session = performServerHandshake(socket, limits);
  const vain = createBudget(vainBurst, vainPerSecond);
  let open = 0;
  let total = 0;
  let closing = false;
  const timed: Timed = { deadline: Infinity, slot: -1, onDeadline: () => (closing ? session.destroy() : drain()) };

  function drain(): void {
    closing = true;
    if (!session.closed) session.close();
    // A client that does not answer the GOAWAY; one with open streams has the time that they take.
    if (open === 0) wheel.set(timed, closeMs);
  }
  function charge(): void {
    if (!vain.take(performance.now())) session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  session.on("stream", (stream: ServerHttp2Stream, _headers, _flags, fields: string[]) => {
    open += 1;
    total += 1;
    wheel.clear(timed);
    // For streams that end before anybody listens to them.
    stream.on("error", () => {});
    stream.once("close", () => {
      open -= 1;
      // Most whole answers are closed by both sides before the stream hears that its last frame was written. Resets that
      // say NO_ERROR are counted below us (streamResetBurst).
      const { rstCode } = stream;
      const isWhole = stream.writableFinished || (stream.writableEnded && rstCode === constants.NGHTTP2_NO_ERROR);
      // Answers that we had to break off are no fault of the client.
      if (!isWhole && rstCode !== constants.NGHTTP2_INTERNAL_ERROR) charge();
      if (open === 0 && !session.destroyed) wheel.set(timed, closing ? closeMs : idleMs);
    });
    if (total >= maxStreams && !closing) drain();
    receive(stream, fields, peer, serving, stallMs);
  });
  session.on("ping", charge);
  session.on("remoteSettings", charge);
  // Always followed by close.
  session.on("error", () => {});
  session.once("close", () => {
    wheel.clear(timed);
    socket.destroy();
    onClose();
  });
  wheel.set(timed, firstMs);
  return { drain, destroy: () => destroySession(session, socket) };
}

function destroySession(session: ServerHttp2Session, socket: Duplex): void {
  session.destroy();
  socket.destroy();
}

function receive(
  stream: ServerHttp2Stream,
  fields: readonly string[],
  peer: PeerFacts,
  serving: Http2Serving,
  stallMs: number,
): void {
  const said = headText(fields, stream.endAfterHeaders);
  if (said.kind === "refused") {
    refuse(stream, serving, said.reason, said.method);
    return;
  }
  const reading = readRequestHead(said.text, serving.context(peer.address));
  if (reading.kind !== "complete") {
    const reason = reading.kind === "refused" ? reading.reason : "bad-syntax";
    refuse(stream, serving, reason, reading.kind === "refused" ? reading.method : "");
    return;
  }
  const { head } = reading;
  if (isGrpc(head.valuesOf("content-type")[0])) {
    refuseGrpc(stream, serving, head);
    return;
  }
  serveStream({
    stream,
    head,
    peer,
    wheel: serving.wheel,
    stallMs,
    open: (client) => serving.open(head, client),
  });
}

function refuse(stream: ServerHttp2Stream, serving: Http2Serving, reason: RefusalReason, method: string): void {
  const { status, headers, body } = problemAnswer(reason, { jitter: Math.random() });
  answer(stream, status, headers, method === "HEAD" ? "" : body);
  serving.refused({ reason, method, status });
}

function refuseGrpc(stream: ServerHttp2Stream, serving: Http2Serving, head: RequestHead): void {
  answer(stream, 200, grpcRefusal, "");
  serving.refused({ reason: "grpc-unsupported", method: head.method, status: 200 });
}

/** An answer that no stamp had a part in. The request's body, if there is one, is not read. */
function answer(stream: ServerHttp2Stream, status: number, headers: readonly string[], body: string): void {
  if (stream.destroyed || stream.closed) return;
  let lines = "";
  for (let at = 0; at < headers.length; at += 2) lines += `${headers[at]}: ${headers[at + 1]}\r\n`;
  stream.respond(answerFields(status, lines, -1), { endStream: body === "" });
  if (body !== "") stream.end(body);
  if (stream.endAfterHeaders) return void stream.resume();
  const giveUp = () => {
    if (!stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
  };
  if (stream.writableFinished) giveUp();
  else stream.once("finish", giveUp);
}
