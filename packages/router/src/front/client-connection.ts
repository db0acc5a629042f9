import type { Duplex } from "node:stream";
import type { ChunkSink } from "../http1/chunked.ts";
import { maxHeadBytes } from "../http1/octets.ts";
import { type HeadContext, readRequestHead } from "../http1/request-head.ts";
import { statusLine } from "../http1/status-text.ts";
import type { RefusalReason } from "../refusals.ts";
import { framingLines } from "./answer-lines.ts";
import { lingerMs, longestLingerMs, maxAhead, maxRequests, requestMs, shortBody } from "./client-limits.ts";
import type { AnswerBody, ClientSide, Exchange, PeerFacts } from "./exchange.ts";
import { forwardExchange } from "./forwarding.ts";
import { type Channel, type ChannelEvents, openChannel } from "./io.ts";
import { isShared } from "./lent-reads.ts";
import { refuseHead } from "./record.ts";
import { RequestBody } from "./request-body.ts";
import { firstRequestMs, headContexts, type Serving } from "./serving.ts";
import { type Octets, ShortRead } from "./short-read.ts";
import type { Timed } from "./timer-wheel.ts";

/**
 * - `head` awaits a request or the rest of its head
 * - `body` receives a request's body
 * - `wait` has the whole request and awaits its answer
 * - `tunnel` passes bytes
 * - `linger` has answered for the last time, and reads on for a moment: a reset could overtake the answer
 */
type State = "head" | "body" | "wait" | "tunnel" | "linger" | "dead";

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
  /** What `#run` reads now stays valid; false = it was lent to us for this call. */
  #owned = true;
  #headBegan = false;
  #paused = false;
  #isHead = false;
  #http10 = false;
  #closing = false;
  #began = false;
  #chunkedAnswer = false;
  #bodyWanted = false;
  #awaitsContinue = false;
  #body: RequestBody | undefined;
  #since = 0;
  readonly #contextOf: () => HeadContext;

  constructor(serving: Serving, socket: Duplex, peer: PeerFacts) {
    this.#serving = serving;
    this.peer = peer;
    this.#contextOf = headContexts(serving, peer.address);
    this.#channel = openChannel(socket, this, serving.io);
    serving.connections.add(this);
    serving.wheel.set(this, serving.timeouts.headMs ?? 10_000);
  }

  /** Ends the connection now if it is idle, else after the answer that is on its way. */
  drain(): void {
    this.#channel.giveRead();
    this.#closing = true;
    if (this.#state !== "head" || this.#pending !== undefined) return;
    // The first request of a new connection is on its way: clients connect when they have something to ask.
    if (this.#requests === 0) this.#serving.wheel.set(this, firstRequestMs);
    else this.#endNow();
  }
  destroy(): void {
    this.#channel.destroy();
  }

  awaitsHead(): boolean {
    return this.#state === "head" && this.#pending === undefined;
  }
  onShortRead(read: ShortRead): void {
    this.#runSafely(read, true);
  }
  onBytes(bytes: Buffer): void {
    switch (this.#state) {
      case "tunnel":
        if (this.#exchange?.onTunnelBytes(this.#channel.lends ? Buffer.from(bytes) : bytes) === false) this.#pause();
        return;
      case "linger":
        if (this.#serving.wheel.now() - this.#since > longestLingerMs) this.#channel.destroy();
        else this.#serving.wheel.set(this, lingerMs);
        return;
      case "dead":
        return;
      default:
        if (this.#pending === undefined) this.#runSafely(bytes, !this.#channel.lends);
        else this.#runSafely(Buffer.concat([this.#pending, bytes]), true);
    }
  }

  /** A mistake of ours in one request costs its connection, never the process that serves all the others. */
  #runSafely(bytes: Octets, owned: boolean): void {
    try {
      this.#run(bytes, owned);
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
        if (this.#channel.unsent() > 0 && this.#serving.wheel.now() - this.#since < this.#serving.timeouts.idleMs) {
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
    this.#channel.readFor("head");
    this.#headBegan = false;
    this.#began = false;
    this.#serving.wheel.set(this, this.#serving.timeouts.keepAliveMs ?? 65_000);
    this.#resume();
    if (this.#pending === undefined || this.#running) return;
    const ahead = this.#pending;
    // Not from here: answers that are at hand could otherwise nest as deep as requests were sent ahead.
    setImmediate(() => {
      if (this.#state === "head" && this.#pending === ahead) this.#runSafely(ahead, true);
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
    if (pending !== undefined && !this.#running) this.#run(pending, true);
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

  #run(read: Octets, owned: boolean): void {
    this.#pending = undefined;
    this.#running = true;
    this.#owned = owned;
    let bytes = read;
    let at = 0;
    while (at < bytes.length && at >= 0) {
      if (this.#state === "head") at = this.#readHead(bytes, at);
      else if (this.#state === "body" && this.#bodyWanted) {
        // The stamp's connection may hold parts of a body for long.
        if (bytes instanceof ShortRead || isShared(bytes)) {
          bytes = this.#rest(bytes, at);
          at = 0;
        }
        const exchange = this.#exchange;
        at = this.#readBody(bytes, at);
        if (!this.#owned && (this.#exchange !== exchange || exchange?.holdsBody() !== false)) this.#channel.keep();
      } else break;
    }
    this.#running = false;
    if (at < 0 || at >= bytes.length) return;
    const rest = this.#rest(bytes, at);
    if (this.#state === "head" || this.#state === "wait" || this.#state === "body") this.#pending = rest;
    if (this.#state === "body" || rest.length > maxAhead) this.#pause();
  }

  /** Where the next request or this one's body begins; -1 = nothing more is read from these bytes. */
  #readHead(bytes: Octets, at: number): number {
    const text = bytes.toString("latin1", at, Math.min(bytes.length, at + maxHeadBytes + 4));
    const found = readRequestHead(text, this.#contextOf());
    if (found.kind === "incomplete") {
      this.#pending = this.#rest(bytes, at);
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
      const bodyEnd = short ? bodyAt + head.length : bodyAt;
      const body = bodyEnd === bodyAt ? undefined : bytes.subarray(bodyAt, bodyEnd);
      exchange.start(body === undefined || this.#owned ? body : Buffer.from(body));
      return bodyEnd;
    }
    this.#state = "body";
    this.#channel.readFor("body");
    this.#since = this.#serving.wheel.now();
    this.#body = new RequestBody(head);
    exchange.start(undefined);
    return bodyAt;
  }

  /** What is not read yet, to be kept. */
  #rest(bytes: Octets, at: number): Buffer {
    const rest = this.#owned ? bytes.subarray(at) : Buffer.from(bytes.subarray(at));
    this.#owned = true;
    return rest;
  }

  #readBody(bytes: Buffer, at: number): number {
    const exchange = this.#exchange;
    if (this.#serving.wheel.now() - this.#since > requestMs) {
      exchange?.onBodyBroken("request-timeout");
      return -1;
    }
    this.#serving.wheel.set(this, this.#serving.timeouts.bodyIdleMs ?? 30_000);
    const end = this.#body?.read(bytes, at, this) ?? -1;
    if (end < 0) {
      exchange?.onBodyBroken("bad-framing");
      return -1;
    }
    if (this.#body?.isDone() !== true) return end;
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
    if (body.kind === "open" && this.#http10) this.#closing = true;
    this.#began = true;
    this.#chunkedAnswer = body.kind === "open" && !this.#http10;
    const framing = framingLines(body, length, this.#chunkedAnswer);
    return `${statusLine(status)}${lines}${framing}${this.#closing ? "connection: close\r\n\r\n" : "\r\n"}`;
  }

  /** Answers a head that could not be read. Its end may be another than we think: nothing follows it. */
  #refuse(reason: RefusalReason, method: string): void {
    const { status, lines, body } = refuseHead(this.#serving, reason, method);
    this.#closing = true;
    this.#http10 = false;
    this.#isHead = method === "HEAD";
    this.whole(status, lines, body);
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
    this.#since = this.#serving.wheel.now();
    this.#serving.wheel.set(this, lingerMs);
    this.#channel.end();
    this.#resume();
  }
}
