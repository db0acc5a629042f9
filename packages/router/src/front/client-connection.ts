import { randomUUID } from "node:crypto";
import type { Duplex } from "node:stream";
import { type ChunkSink, type ChunkState, isChunkedDone, newChunkState, readChunks } from "../http1/chunked.ts";
import { maxHeadBytes } from "../http1/octets.ts";
import { type HeadContext, readRequestHead } from "../http1/request-head.ts";
import { statusLine } from "../http1/status-text.ts";
import { problemAnswer, type RefusalReason } from "../refusals.ts";
import { answerLines } from "./answer-lines.ts";
import type { AnswerBody, ClientSide, Exchange, PeerFacts } from "./exchange.ts";
import { forwardExchange } from "./forwarding.ts";
import { type Channel, type ChannelEvents, openChannel } from "./io.ts";
import { recordRefusedHead } from "./record.ts";
import { headContexts, type Serving } from "./serving.ts";
import type { Timed } from "./timer-wheel.ts";

/**
 * - `head` awaits a request or the rest of its head
 * - `body` receives a request's body
 * - `wait` has the whole request and awaits its answer
 * - `tunnel` passes bytes
 * - `linger` has answered for the last time, and reads on for a moment: a reset could overtake the answer
 */
type State = "head" | "body" | "wait" | "tunnel" | "linger" | "dead";

const maxRequests = 1_000;
/** What a client may send ahead of its turn before we stop reading. */
const maxAhead = 64 * 1024;
/** Bodies up to this size, if they came with their head, leave in one write with it. */
const shortBody = 8 * 1024;
const lingerMs = 500;
const longestLingerMs = 5_000;
const requestMs = 300_000;

/** One HTTP/1.x connection of a client. Requests are answered one after the other, in their order (I9). */
export class ClientConnection implements ClientSide, ChannelEvents, Timed, ChunkSink {
  deadline = Number.POSITIVE_INFINITY;
  slot = -1;
  readonly peer: PeerFacts;
  readonly #serving: Serving;
  readonly #channel: Channel;
  #state: State = "head";
  #exchange: Exchange | undefined;
  #pending: Buffer | undefined;
  #requests = 0;
  /** Inside `#run`: whoever finishes an answer then must not start it again. */
  #running = false;
  #headBegan = false;
  #paused = false;
  #isHead = false;
  #http10 = false;
  #closing = false;
  #began = false;
  #chunkedAnswer = false;
  #bodyWanted = false;
  #awaitsContinue = false;
  #left = 0;
  #chunks: ChunkState | undefined;
  #since = 0;
  readonly #contextOf: () => HeadContext;

  constructor(serving: Serving, socket: Duplex, peer: PeerFacts) {
    this.#serving = serving;
    this.peer = peer;
    this.#contextOf = headContexts(serving, peer.address);
    this.#channel = openChannel(socket, this);
    serving.connections.add(this);
    serving.wheel.set(this, serving.timeouts.headMs ?? 10_000);
  }

  /** Ends the connection now if it is idle, else after the answer that is on its way. */
  drain(): void {
    if (this.#state === "head" && this.#pending === undefined) this.#endNow();
    this.#closing = true;
  }
  destroy(): void {
    this.#channel.destroy();
  }

  onBytes(bytes: Buffer): void {
    switch (this.#state) {
      case "tunnel":
        if (this.#exchange?.onTunnelBytes(bytes) === false) this.#pause();
        return;
      case "linger":
        this.#lingerOn();
        return;
      case "dead":
        return;
      default:
        this.#runSafely(this.#pending === undefined ? bytes : Buffer.concat([this.#pending, bytes]));
    }
  }

  /** A mistake of ours in one request costs its connection, never the process that serves all the others. */
  #runSafely(bytes: Buffer): void {
    try {
      this.#run(bytes);
    } catch (caught) {
      this.#serving.metrics.count("failures", caught instanceof Error ? caught.name : "unknown");
      this.#channel.destroy();
    }
  }

  onDrain(): void {
    if (this.#state === "wait" || this.#state === "tunnel") this.#serving.wheel.clear(this);
    this.#exchange?.onClientDrain();
  }

  onEnd(): void {
    switch (this.#state) {
      case "tunnel":
        this.#exchange?.onTunnelEnd();
        return;
      case "linger":
        if (this.#channel.unsent() === 0) this.#channel.destroy();
        return;
      case "head":
        this.#endNow();
        return;
      default:
        // As nginx and Node see it: a client that ends its side while we work for it has left.
        this.#channel.destroy();
    }
  }

  onClose(): void {
    this.#state = "dead";
    this.#serving.wheel.clear(this);
    this.#serving.connections.delete(this);
    this.#pending = undefined;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.onClientGone();
  }

  onDeadline(): void {
    switch (this.#state) {
      case "head":
        if (this.#headBegan) this.#refuse("request-timeout", "");
        else this.#endNow();
        return;
      case "body":
        if (this.#bodyWanted) this.#exchange?.onBodyBroken("request-timeout");
        else this.#channel.destroy();
        return;
      case "linger":
        if (this.#channel.unsent() > 0 && performance.now() - this.#since < this.#serving.timeouts.idleMs) {
          this.#serving.wheel.set(this, lingerMs);
        } else this.#channel.destroy();
        return;
      default:
        // The client takes nothing of its answer.
        this.#channel.destroy();
    }
  }

  onChunkData(bytes: Buffer, from: number, to: number): void {
    if (this.#exchange?.onBodyBytes(bytes.subarray(from, to)) === false) this.pauseBody();
  }

  inform(status: number, lines: string): void {
    if (!this.#http10) this.#channel.write(`${statusLine(status)}${lines}\r\n`);
  }

  begin(status: number, lines: string, body: AnswerBody, length: number): void {
    this.#channel.write(this.#answerHead(status, lines, body, length));
  }

  whole(status: number, lines: string, body: string): void {
    const kind = { kind: "length", length: body.length } as const;
    const bodiless = status === 204 || status === 304;
    const head = this.#answerHead(status, lines, bodiless ? { kind: "none" } : kind, -1);
    this.#channel.write(this.#isHead || bodiless ? head : head + body);
    this.end();
  }

  write(bytes: Buffer): boolean {
    let flows: boolean;
    if (this.#chunkedAnswer) {
      this.#channel.cork();
      this.#channel.write(`${bytes.length.toString(16)}\r\n`);
      this.#channel.writeBytes(bytes);
      flows = this.#channel.write("\r\n");
      this.#channel.uncork();
    } else flows = this.#channel.writeBytes(bytes);
    if (!flows) this.#serving.wheel.set(this, this.#serving.timeouts.idleMs);
    return flows;
  }

  holdsBytes(): boolean {
    return this.#channel.unsent() > 0;
  }

  end(): void {
    if (this.#chunkedAnswer) this.#channel.write("0\r\n\r\n");
    this.#exchange = undefined;
    if (this.#closing) {
      this.#endNow();
      return;
    }
    this.#state = "head";
    this.#headBegan = false;
    this.#began = false;
    this.#serving.wheel.set(this, this.#serving.timeouts.keepAliveMs ?? 65_000);
    this.#resume();
    if (this.#pending === undefined || this.#running) return;
    const ahead = this.#pending;
    // Not from here: answers that are at hand could otherwise nest as deep as requests were sent ahead.
    setImmediate(() => {
      if (this.#state === "head" && this.#pending === ahead) this.#runSafely(ahead);
    });
  }

  cut(): void {
    this.#exchange = undefined;
    // Without a length only a reset shows that something is missing.
    if (this.#http10 && this.#began) this.#channel.reset();
    else this.#channel.destroy();
  }

  wantBody(): void {
    if (this.#state !== "body" || this.#bodyWanted) return;
    this.#bodyWanted = true;
    if (this.#awaitsContinue) this.#channel.write("HTTP/1.1 100 Continue\r\n\r\n");
    this.#awaitsContinue = false;
    this.#serving.wheel.set(this, this.#serving.timeouts.bodyIdleMs ?? 30_000);
    this.#resume();
    const pending = this.#pending;
    if (pending !== undefined && !this.#running) this.#run(pending);
  }
  pauseBody(): void {
    // The stamp is slow, not the client.
    this.#serving.wheel.clear(this);
    this.#pause();
  }
  resumeBody(): void {
    if (this.#state === "body") this.#serving.wheel.set(this, this.#serving.timeouts.bodyIdleMs ?? 30_000);
    this.#resume();
  }

  openTunnel(lines: string): void {
    this.#state = "tunnel";
    this.#serving.wheel.clear(this);
    this.#channel.write(`${statusLine(101)}${lines}connection: Upgrade\r\nupgrade: websocket\r\n\r\n`);
    const early = this.#pending;
    this.#pending = undefined;
    this.#resume();
    if (early !== undefined && this.#exchange?.onTunnelBytes(early) === false) this.#pause();
  }
  tunnelBytes(bytes: Buffer): boolean {
    return this.#channel.writeBytes(bytes);
  }
  endTunnel(): void {
    this.#exchange = undefined;
    this.#endNow();
  }

  #run(bytes: Buffer): void {
    this.#pending = undefined;
    this.#running = true;
    let at = 0;
    while (at < bytes.length && at >= 0) {
      if (this.#state === "head") at = this.#readHead(bytes, at);
      else if (this.#state === "body" && this.#bodyWanted) at = this.#readBody(bytes, at);
      else break;
    }
    this.#running = false;
    if (at < 0 || at >= bytes.length) return;
    const rest = at === 0 ? bytes : bytes.subarray(at);
    if (this.#state === "head" || this.#state === "wait" || this.#state === "body") this.#pending = rest;
    if (this.#state === "body" || rest.length > maxAhead) this.#pause();
  }

  /** Where the next request or this one's body begins; -1 = nothing more is read from these bytes. */
  #readHead(bytes: Buffer, at: number): number {
    const text = bytes.toString("latin1", at, Math.min(bytes.length, at + maxHeadBytes + 4));
    const found = readRequestHead(text, this.#contextOf());
    if (found.kind === "incomplete") {
      this.#pending = at === 0 ? bytes : bytes.subarray(at);
      // From the first byte, however slowly the others come.
      if (!this.#headBegan) this.#serving.wheel.set(this, this.#serving.timeouts.headMs ?? 10_000);
      this.#headBegan = true;
      return -1;
    }
    this.#requests += 1;
    if (found.kind === "refused") {
      this.#refuse(found.reason, found.method);
      return -1;
    }
    const { head, end } = found;
    const bodyAt = at + end;
    this.#http10 = head.http10;
    this.#isHead = head.method === "HEAD";
    // Who wanted to leave HTTP and may not: what follows may be meant for another protocol already.
    const leaving = head.webSocketKey !== "";
    this.#closing = !head.keepAlive || leaving || this.#requests >= maxRequests || this.#serving.draining;
    this.#bodyWanted = false;
    this.#awaitsContinue = head.awaitsContinue;
    this.#serving.wheel.clear(this);
    const exchange = forwardExchange(this.#serving, this, head, this.#contextOf().peerTrusted);
    this.#exchange = exchange;
    const short = head.body === "length" && head.length <= shortBody && bytes.length - bodyAt >= head.length;
    if (head.body === "none" || short) {
      this.#state = "wait";
      exchange.start(short && head.length > 0 ? bytes.subarray(bodyAt, bodyAt + head.length) : undefined);
      return short ? bodyAt + head.length : bodyAt;
    }
    this.#state = "body";
    this.#since = performance.now();
    this.#left = head.length;
    this.#chunks = head.body === "chunked" ? newChunkState() : undefined;
    exchange.start(undefined);
    return bodyAt;
  }

  #readBody(bytes: Buffer, at: number): number {
    const exchange = this.#exchange;
    if (performance.now() - this.#since > requestMs) {
      exchange?.onBodyBroken("request-timeout");
      return -1;
    }
    this.#serving.wheel.set(this, this.#serving.timeouts.bodyIdleMs ?? 30_000);
    let end: number;
    if (this.#chunks === undefined) {
      end = at + Math.min(this.#left, bytes.length - at);
      this.#left -= end - at;
      this.onChunkData(bytes, at, end);
      if (this.#left > 0) return end;
    } else {
      end = readChunks(this.#chunks, bytes, at, bytes.length, this);
      if (end < 0) {
        exchange?.onBodyBroken("bad-framing");
        return -1;
      }
      if (!isChunkedDone(this.#chunks)) return end;
    }
    // An answer that came early may have ended all this meanwhile.
    if (this.#exchange !== exchange || this.#state !== "body") return end;
    this.#state = "wait";
    this.#serving.wheel.clear(this);
    exchange?.onBodyEnd();
    return end;
  }

  #answerHead(status: number, lines: string, body: AnswerBody, length: number): string {
    // An answer before the whole request was read: nothing that follows it could be told apart from its body (I10).
    if (this.#state === "body" || this.#serving.draining) this.#closing = true;
    this.#began = true;
    let framing = "";
    this.#chunkedAnswer = false;
    if (body.kind === "length") framing = `content-length: ${body.length}\r\n`;
    else if (body.kind === "none") framing = length >= 0 ? `content-length: ${length}\r\n` : "";
    else if (this.#http10) this.#closing = true;
    else {
      this.#chunkedAnswer = true;
      framing = "transfer-encoding: chunked\r\n";
    }
    return `${statusLine(status)}${lines}${framing}${this.#closing ? "connection: close\r\n\r\n" : "\r\n"}`;
  }

  /** Answers a head that could not be read. Its end may be another than we think: nothing follows it. */
  #refuse(reason: RefusalReason, method: string): void {
    const requestId = randomUUID();
    const { status, headers, body } = problemAnswer(reason, { requestId, jitter: Math.random() });
    recordRefusedHead(this.#serving, { reason, status, method, requestId });
    this.#closing = true;
    this.#http10 = false;
    this.#isHead = method === "HEAD";
    this.whole(status, answerLines(headers), body);
  }

  #pause(): void {
    this.#paused = true;
    this.#channel.pause();
  }
  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#channel.resume();
  }

  #endNow(): void {
    if (this.#state === "dead" || this.#state === "linger") return;
    this.#state = "linger";
    this.#pending = undefined;
    this.#since = performance.now();
    this.#serving.wheel.set(this, lingerMs);
    this.#channel.end();
    this.#resume();
  }

  #lingerOn(): void {
    if (performance.now() - this.#since > longestLingerMs) this.#channel.destroy();
    else this.#serving.wheel.set(this, lingerMs);
  }
}
