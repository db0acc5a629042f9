import type { ServerHttp2Stream } from "node:http2";
import { constants } from "node:http2";
import type { ClientSide, Exchange, PeerFacts } from "../front/exchange.ts";
import type { Timed, TimerWheel } from "../front/timer-wheel.ts";
import type { RequestHead } from "../http1/request-head.ts";
import { answerFields } from "./answer-fields.ts";

export interface StreamSideOptions {
  readonly stream: ServerHttp2Stream;
  readonly head: RequestHead;
  readonly peer: PeerFacts;
  readonly wheel: TimerWheel;
  /** Longest time in which a client that we wait for sends nothing or takes nothing, in milliseconds. */
  readonly stallMs: number;
  open(client: ClientSide): Exchange;
}

/**
 * One stream of an HTTP/2 connection as the client side of an exchange. What goes wrong with an answer is a RST_STREAM, never the
 * end of the stream: a client must not take half a body for a whole one.
 */
export function serveStream(options: StreamSideOptions): void {
  const { stream, head, peer, wheel, stallMs } = options;
  let over = false;
  let wanted = false;
  let bodyOver = head.body === "none" || (head.body === "length" && head.length === 0);
  let received = 0;
  const timed: Timed = { deadline: Infinity, slot: -1, onDeadline: onStall };

  function begin(status: number, lines: string, length: number, endStream: boolean): void {
    if (over || stream.headersSent || stream.destroyed) return;
    try {
      stream.respond(answerFields(status, lines, length), { endStream });
    } catch {
      // A field that HTTP/2 does not know how to say, such as two content types.
      cut();
    }
  }
  function cut(): void {
    if (over) return;
    over = true;
    wheel.clear(timed);
    breakOff(stream);
  }
  function finish(): void {
    if (over) return;
    over = true;
    wheel.clear(timed);
    // What is left of a request that nobody reads is given up, without an error, once the answer is out.
    const giveUp = () => {
      if (!bodyOver && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
    };
    if (stream.writableFinished) giveUp();
    else stream.once("finish", giveUp);
    stream.end();
    wheel.set(timed, stallMs);
  }
  function onStall(): void {
    // The answer is written and the client does not take it.
    if (over) return breakOff(stream);
    if (wanted && !bodyOver && !stream.isPaused()) {
      bodyOver = true;
      exchange.onBodyBroken("request-timeout");
    } else if (stream.writableNeedDrain) {
      cut();
      exchange.onClientGone();
    }
  }
  function breakBody(): void {
    bodyOver = true;
    stream.pause();
    exchange.onBodyBroken("bad-framing");
  }

  const client: ClientSide = {
    peer,
    inform(status, lines) {
      if (over || stream.headersSent || stream.destroyed) return;
      stream.additionalHeaders(answerFields(status, lines, -1));
    },
    begin(status, lines, body, length) {
      begin(status, lines, body.kind === "length" ? body.length : length, body.kind === "none");
    },
    write(bytes) {
      if (over || stream.destroyed) return true;
      const more = stream.write(bytes);
      if (!more) wheel.set(timed, stallMs);
      return more;
    },
    whole(status, lines, body) {
      const bytes = Buffer.from(body, "latin1");
      const bodiless = head.method === "HEAD" || status === 204 || status === 304;
      begin(status, lines, status === 204 || status === 304 ? -1 : bytes.length, bodiless);
      if (over) return;
      if (!bodiless) stream.write(bytes);
      finish();
    },
    end: finish,
    cut,
    wantBody() {
      if (bodyOver || over || stream.destroyed) return;
      wanted = true;
      if (head.awaitsContinue && !stream.headersSent) stream.additionalHeaders({ ":status": 100 });
      wheel.set(timed, stallMs);
      stream.resume();
    },
    pauseBody: () => stream.pause(),
    resumeBody() {
      if (!wanted || bodyOver || over) return;
      wheel.set(timed, stallMs);
      stream.resume();
    },
    openTunnel: cut,
    tunnelBytes: () => true,
    endTunnel: () => {},
  };

  const exchange = options.open(client);
  stream.on("data", (bytes: Buffer) => {
    if (bodyOver) return;
    received += bytes.length;
    // The frames must carry what the length said, or two readers see two bodies.
    if (head.body === "length" && received > head.length) return breakBody();
    wheel.set(timed, stallMs);
    if (!exchange.onBodyBytes(bytes)) stream.pause();
  });
  stream.pause();
  if (bodyOver) stream.resume();
  stream.on("end", () => {
    // Also said after a reset, where it is not the end of the body.
    if (bodyOver || stream.aborted || stream.destroyed) return;
    if (head.body === "length" && received < head.length) return breakBody();
    bodyOver = true;
    if (!stream.writableNeedDrain) wheel.clear(timed);
    exchange.onBodyEnd();
  });
  stream.on("drain", () => {
    if (over) return;
    wheel.clear(timed);
    exchange.onClientDrain();
  });
  // Always followed by close.
  stream.on("error", () => {});
  stream.on("close", () => {
    wheel.clear(timed);
    if (over) return;
    over = true;
    exchange.onClientGone();
  });
  exchange.start(undefined);
}

/** RST_STREAM and nothing before it: `close()` would end the stream first, and half a body would look whole. */
function breakOff(stream: ServerHttp2Stream): void {
  stream.destroy(new Error("Answer is broken off"));
}
