import { constants, type ServerHttp2Stream } from "node:http2";
import type { AnswerBody, ClientSide, Exchange, PeerFacts } from "../front/exchange.ts";
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

/** Serves one stream of an HTTP/2 connection as an exchange. */
export function serveStream(options: StreamSideOptions): void {
  new StreamSide(options).start();
}

/**
 * The client side of an exchange whose client is a stream. What goes wrong with an answer is a RST_STREAM, never the end of
 * the stream: a client must not take half a body for a whole one.
 */
class StreamSide implements ClientSide, Timed {
  deadline = Number.POSITIVE_INFINITY;
  slot = -1;
  readonly peer: PeerFacts;
  readonly #stream: ServerHttp2Stream;
  readonly #head: RequestHead;
  readonly #wheel: TimerWheel;
  readonly #stallMs: number;
  readonly #exchange: Exchange;
  /** Nothing more is written, or may be. */
  #over = false;
  #wanted = false;
  #bodyOver: boolean;
  #received = 0;

  constructor({ stream, head, peer, wheel, stallMs, open }: StreamSideOptions) {
    this.peer = peer;
    this.#stream = stream;
    this.#head = head;
    this.#wheel = wheel;
    this.#stallMs = stallMs;
    this.#bodyOver = head.body === "none" || (head.body === "length" && head.length === 0);
    this.#exchange = open(this);
  }

  start(): void {
    const stream = this.#stream;
    stream.on("data", (bytes: Buffer) => this.#onData(bytes));
    stream.on("end", () => this.#onEnd());
    stream.on("drain", () => {
      if (this.#over) return;
      this.#wheel.clear(this);
      this.#exchange.onClientDrain();
    });
    // Always followed by close.
    stream.on("error", () => {});
    stream.on("close", () => {
      // Of these there is one for each request: those that are over must not wait for their deadline.
      this.#wheel.forget(this);
      if (this.#over) return;
      this.#over = true;
      this.#exchange.onClientGone();
    });
    // A stream whose end nobody reads never closes.
    if (this.#bodyOver) stream.resume();
    else stream.pause();
    this.#exchange.start(undefined);
  }

  inform(status: number, lines: string): void {
    if (this.#over || this.#stream.headersSent || this.#stream.destroyed) return;
    this.#stream.additionalHeaders(answerFields(status, lines, -1));
  }
  begin(status: number, lines: string, body: AnswerBody, length: number): void {
    this.#respond(status, lines, body.kind === "length" ? body.length : length, body.kind === "none");
  }
  write(bytes: Buffer): boolean {
    if (this.#over || this.#stream.destroyed) return true;
    const more = this.#stream.write(bytes);
    if (!more) this.#wheel.set(this, this.#stallMs);
    return more;
  }
  whole(status: number, lines: string, body: string): void {
    const bytes = Buffer.from(body, "latin1");
    const noLength = status === 204 || status === 304;
    const bodiless = noLength || this.#head.method === "HEAD";
    this.#respond(status, lines, noLength ? -1 : bytes.length, bodiless);
    if (this.#over) return;
    if (!bodiless) this.#stream.write(bytes);
    this.end();
  }
  end(): void {
    if (this.#over) return;
    this.#over = true;
    const stream = this.#stream;
    // What is left of a request that nobody reads is given up, without an error, once the answer is out.
    const giveUp = () => {
      if (!this.#bodyOver && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
    };
    if (stream.writableFinished) giveUp();
    else stream.once("finish", giveUp);
    this.#wheel.set(this, this.#stallMs);
    stream.end();
  }
  cut(): void {
    if (this.#over) return;
    this.#over = true;
    this.#wheel.clear(this);
    this.#breakOff();
  }

  wantBody(): void {
    if (this.#bodyOver || this.#over || this.#stream.destroyed) return;
    this.#wanted = true;
    if (this.#head.awaitsContinue && !this.#stream.headersSent) this.#stream.additionalHeaders({ ":status": 100 });
    this.resumeBody();
  }
  pauseBody(): void {
    // The stamp is slow, not the client.
    this.#wheel.clear(this);
    this.#stream.pause();
  }
  resumeBody(): void {
    if (!this.#wanted || this.#bodyOver || this.#over) return;
    this.#wheel.set(this, this.#stallMs);
    this.#stream.resume();
  }

  openTunnel(): void {
    this.cut();
  }
  tunnelBytes(): boolean {
    return true;
  }
  endTunnel(): void {
    this.cut();
  }

  onDeadline(): void {
    const stream = this.#stream;
    // The answer is written and the client does not take it.
    if (this.#over) this.#breakOff();
    else if (this.#wanted && !this.#bodyOver && !stream.isPaused()) {
      this.#bodyOver = true;
      this.#exchange.onBodyBroken("request-timeout");
    } else if (stream.writableNeedDrain) {
      this.cut();
      this.#exchange.onClientGone();
    }
  }

  #onData(bytes: Buffer): void {
    if (this.#bodyOver) return;
    this.#received += bytes.length;
    // The frames must carry what the length said, or two readers see two bodies.
    if (this.#head.body === "length" && this.#received > this.#head.length) {
      this.#breakBody();
      return;
    }
    this.#wheel.set(this, this.#stallMs);
    if (!this.#exchange.onBodyBytes(bytes)) this.pauseBody();
  }
  #onEnd(): void {
    const stream = this.#stream;
    // Also said after a reset, where it is not the end of the body.
    if (this.#bodyOver || stream.aborted || stream.destroyed) return;
    if (this.#head.body === "length" && this.#received < this.#head.length) {
      this.#breakBody();
      return;
    }
    this.#bodyOver = true;
    if (!stream.writableNeedDrain && !this.#over) this.#wheel.clear(this);
    this.#exchange.onBodyEnd();
  }
  #breakBody(): void {
    this.#bodyOver = true;
    this.#stream.pause();
    this.#exchange.onBodyBroken("bad-framing");
  }

  #respond(status: number, lines: string, length: number, endStream: boolean): void {
    const stream = this.#stream;
    if (this.#over || stream.headersSent || stream.destroyed) return;
    try {
      stream.respond(answerFields(status, lines, length), { endStream });
    } catch {
      // A field that HTTP/2 does not know how to say, such as two content types.
      this.cut();
    }
  }
  /** RST_STREAM and nothing before it: `close()` would end the stream first, and half a body would look whole. */
  #breakOff(): void {
    this.#stream.destroy(new Error("Answer is broken off"));
  }
}
