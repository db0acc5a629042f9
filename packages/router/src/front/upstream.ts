import type { RefusalReason } from "../refusals.ts";
import { type ChunkSink, type ChunkState, isChunkedDone, newChunkState, readChunks } from "../http1/chunked.ts";
import { maxHeadBytes } from "../http1/octets.ts";
import { newResponseHead, type ResponseHead, readResponseHead } from "../http1/response-head.ts";
import { type Channel, type ChannelEvents, connectChannel } from "./io.ts";
import type { Serving } from "./serving.ts";
import type { Octets, ShortRead } from "./short-read.ts";
import type { Lane, StampPool } from "./stamp-pool.ts";
import type { Timed, TimerWheel } from "./timer-wheel.ts";

/** The request that an upstream connection works for. */
export interface UpstreamUser {
  readonly isHead: boolean;
  onConnected(upstream: Upstream): void;
  /** Only one that may pass. */
  onInformational(status: number, lines: string): void;
  /** The final head, with its whole body if that is short and there, as one octet per character. */
  onAnswer(head: ResponseHead, body: string | undefined): void;
  onAnswerBytes(bytes: Buffer): boolean;
  /** Some of the bytes that it was given are still waiting to be sent. */
  holdsBytes(): boolean;
  onAnswerEnd(): void;
  onSwitched(head: ResponseHead, rest: Buffer): void;
  onStampTunnelBytes(bytes: Buffer): boolean;
  onUpstreamDrain(): void;
  /** It is over before the answer was: the connection is dead already. */
  onBroken(cause: UpstreamFault, upstream: Upstream): void;
}

export type UpstreamFault = "not-connected" | "closed" | Extract<RefusalReason, "stamp-timeout" | "bad-response">;

/** Without a byte of a body, and until an answer's head is there; in milliseconds. */
export interface UpstreamTimes {
  readonly idleMs: number;
  /** @default idleMs */
  readonly answerMs?: number;
}

type UpstreamServing = Pick<Serving, "wheel" | "timeouts" | "io">;

type State = "connecting" | "idle" | "head" | "body" | "tunnel" | "dead";

/**
 * Idle connections are given up before a stamp gives them up (Node closes them after 5 s), so that a request is rarely
 * sent into a closing connection.
 */
const keptMs = 4_000;
const tunnelEndMs = 5_000;
const maxInformational = 16;
/** Bodies up to this size leave in one write with their head. */
const shortBody = 8 * 1024;

const head = newResponseHead();

/** One connection to a stamp: one request at a time, and none after anything odd (I10). */
export class Upstream implements ChannelEvents, Timed, ChunkSink {
  deadline = Number.POSITIVE_INFINITY;
  slot = -1;
  /** Carried a request before this one. */
  reused = false;
  /** A byte of the answer has come. */
  heard = false;
  readonly lane: Lane;
  readonly #pool: StampPool;
  readonly #wheel: TimerWheel;
  readonly #channel: Channel;
  #state: State = "connecting";
  #user: UpstreamUser | undefined;
  #idleMs = 0;
  #pending: Buffer | undefined;
  #informational = 0;
  #chunks: ChunkState | undefined;
  /** Bytes of the body to come; -1 = until the connection ends. */
  #left = 0;
  /** The connection may carry another request, as far as the answer goes. */
  #clean = false;
  readonly #counted: boolean;

  /** @param counted false for a tunnel, which has a bound of its own */
  constructor(pool: StampPool, lane: Lane, serving: UpstreamServing, user: UpstreamUser, counted: boolean) {
    const { wheel, timeouts, io } = serving;
    this.#pool = pool;
    this.lane = lane;
    this.#wheel = wheel;
    this.#user = user;
    this.#counted = counted;
    if (counted) pool.connections += 1;
    wheel.set(this, timeouts.connectMs);
    this.#channel = connectChannel(lane, this, io, () => {
      if (this.#state !== "connecting") return;
      this.#state = "idle";
      this.#user?.onConnected(this);
    });
  }

  /**
   * Begins a request; the upstream must be connected and idle.
   * @param whole nothing of it follows, so its answer is waited for
   */
  send(user: UpstreamUser, text: string, { idleMs, answerMs = idleMs }: UpstreamTimes, whole: boolean): void {
    this.#user = user;
    this.#state = "head";
    this.#idleMs = idleMs;
    this.heard = false;
    this.#informational = 0;
    this.#wheel.set(this, whole ? answerMs : idleMs);
    this.#channel.write(text);
  }

  /** The rest of the request is sent. An answer that began before it was goes on as it did. */
  awaitAnswer({ idleMs, answerMs = idleMs }: UpstreamTimes): void {
    if (this.#state === "head") this.#wheel.set(this, answerMs);
  }

  /** False = wait for `onUpstreamDrain`. */
  writeText(text: string): boolean {
    this.#wheel.set(this, this.#idleMs);
    return this.#channel.write(text);
  }
  writeBytes(bytes: Buffer): boolean {
    this.#wheel.set(this, this.#idleMs);
    return this.#channel.writeBytes(bytes);
  }
  /** Some of the bytes that it was given are still waiting to be sent. */
  holdsBytes(): boolean {
    return this.#channel.unsent() > 0;
  }
  cork(): void {
    this.#channel.cork();
  }
  uncork(): void {
    this.#channel.uncork();
  }
  pause(): void {
    // A slow client is not the stamp's fault.
    this.#wheel.clear(this);
    this.#channel.pause();
  }
  resume(): void {
    if (this.#state !== "tunnel") this.#wheel.set(this, this.#idleMs);
    this.#channel.resume();
  }

  /** The exchange is over. @param sent the whole request was sent, so the connection may be kept */
  release(sent: boolean): void {
    if (this.#state === "dead") return;
    this.#user = undefined;
    if (!sent || !this.#clean || this.#pending !== undefined) {
      this.destroy();
      return;
    }
    this.#clean = false;
    this.#channel.readFor("head");
    this.#state = "idle";
    this.reused = true;
    this.#wheel.set(this, keptMs);
    this.#pool.keep(this.lane, this);
    this.#next();
  }

  /** Ends it without a word to its user. */
  destroy(): void {
    if (this.#state === "dead") return;
    const wasIdle = this.#state === "idle";
    this.#state = "dead";
    this.#user = undefined;
    this.#pending = undefined;
    this.#wheel.clear(this);
    if (wasIdle) this.#pool.forget(this.lane, this);
    this.#channel.destroy();
    if (!this.#counted) return;
    this.#pool.connections -= 1;
    this.#next();
  }

  /** Ends our direction; the stamp's ends soon, or is ended. */
  endTunnel(): void {
    this.#wheel.set(this, tunnelEndMs);
    this.#channel.end();
  }

  awaitsHead(): boolean {
    return this.#state === "head" && this.#pending === undefined;
  }
  onShortRead(read: ShortRead): void {
    this.#readHead(read);
  }
  onBytes(bytes: Buffer): void {
    switch (this.#state) {
      case "head":
        this.#readHead(this.#pending === undefined ? bytes : Buffer.concat([this.#pending, bytes]));
        return;
      case "body":
        this.#wheel.set(this, this.#idleMs);
        this.#readBody(bytes, 0);
        return;
      case "tunnel":
        if (this.#user?.onStampTunnelBytes(bytes) === false) this.#channel.pause();
        this.#keepIfHeld();
        return;
      default:
        // Nobody asked: whatever it says would be taken for the answer to the next request (I9).
        this.#break("bad-response");
    }
  }
  onDrain(): void {
    this.#user?.onUpstreamDrain();
  }
  onEnd(): void {
    if (this.#state === "body" && this.#left === -1) {
      this.#user?.onAnswerEnd();
      return;
    }
    this.#break("closed");
  }
  onClose(): void {
    this.#break(this.#state === "connecting" ? "not-connected" : "closed");
  }
  onDeadline(): void {
    this.#break(this.#state === "connecting" ? "not-connected" : "stamp-timeout");
  }
  onChunkData(bytes: Buffer, from: number, to: number): void {
    if (this.#user?.onAnswerBytes(bytes.subarray(from, to)) === false) this.pause();
    this.#keepIfHeld();
  }

  /** Bytes that the client's connection has not taken yet must not be read over. */
  #keepIfHeld(): void {
    if (this.#user?.holdsBytes() !== false) this.#channel.keep();
  }

  #break(cause: UpstreamFault): void {
    if (this.#state === "dead") return;
    const user = this.#user;
    this.destroy();
    user?.onBroken(cause, this);
  }

  /** One connection less, or one that is free: who waits longest goes on. */
  #next(): void {
    for (const one of this.#pool.waiting) {
      this.#pool.waiting.delete(one);
      one.onFree();
      return;
    }
  }

  #readHead(bytes: Octets): void {
    this.heard = true;
    this.#pending = undefined;
    let at = 0;
    for (;;) {
      const text = bytes.toString("latin1", at, Math.min(bytes.length, at + maxHeadBytes + 4));
      const found = readResponseHead(text, head);
      if (found === "incomplete") {
        this.#pending = Buffer.from(bytes.subarray(at));
        return;
      }
      if (found === "bad") {
        this.#break("bad-response");
        return;
      }
      if (head.status >= 200) {
        this.#begin(bytes, at, text);
        return;
      }
      at += head.end;
      if (head.status === 101) {
        this.#state = "tunnel";
        this.#wheel.clear(this);
        this.#channel.readFor("body");
        this.#user?.onSwitched(head, Buffer.from(bytes.subarray(at)));
        return;
      }
      this.#informational += 1;
      if (this.#informational > maxInformational) {
        this.#break("bad-response");
        return;
      }
      if (head.status === 103) this.#user?.onInformational(103, head.lines);
      if (at === bytes.length) return;
    }
  }

  #begin(bytes: Octets, at: number, text: string): void {
    const user = this.#user;
    if (user === undefined) return;
    const bodyAt = at + head.end;
    const there = bytes.length - bodyAt;
    this.#clean = !head.closes && !head.http10;
    const { length, status } = head;
    if (user.isHead || status === 204 || status === 304) {
      if (there > 0) this.#clean = false;
      user.onAnswer(head, "");
      return;
    }
    if (!head.chunked && length >= 0 && there >= length && length <= shortBody && head.end + length <= text.length) {
      if (there > length) this.#clean = false;
      user.onAnswer(head, text.slice(head.end, head.end + length));
      return;
    }
    if (head.chunked && there <= shortBody && this.#takeShortChunks(bytes.subarray(bodyAt), user)) return;
    this.#state = "body";
    this.#chunks = head.chunked ? newChunkState() : undefined;
    this.#left = head.chunked ? 0 : length;
    this.#wheel.set(this, this.#idleMs);
    if (length < 0 && !head.chunked) this.#clean = false;
    this.#channel.readFor("body");
    user.onAnswer(head, undefined);
    // A body's parts wait for a slow client; what was read with the head was only lent.
    if (this.#user === user) this.#readBody(Buffer.from(bytes.subarray(bodyAt)), 0);
  }

  /** A short chunked body that is all there leaves with its length instead: one write, and nothing to decode. */
  #takeShortChunks(bytes: Buffer, user: UpstreamUser): boolean {
    const chunks = newChunkState();
    const body = { text: "" };
    const end = readChunks(chunks, bytes, 0, bytes.length, {
      onChunkData(from, start, to) {
        body.text += from.toString("latin1", start, to);
      },
    });
    if (end < 0 || !isChunkedDone(chunks)) return false;
    if (end < bytes.length) this.#clean = false;
    user.onAnswer(head, body.text);
    return true;
  }

  #readBody(bytes: Buffer, at: number): void {
    const user = this.#user;
    if (user === undefined) return;
    if (this.#chunks !== undefined) {
      const end = readChunks(this.#chunks, bytes, at, bytes.length, this);
      if (this.#user !== user) return;
      if (end < 0) {
        this.#break("bad-response");
        return;
      }
      if (!isChunkedDone(this.#chunks)) return;
      if (end < bytes.length) this.#clean = false;
      user.onAnswerEnd();
      return;
    }
    const there = bytes.length - at;
    const take = this.#left < 0 ? there : Math.min(this.#left, there);
    if (this.#left > 0) this.#left -= take;
    if (take > 0) this.onChunkData(bytes, at, at + take);
    if (this.#left !== 0 || this.#user !== user) return;
    if (there > take) this.#clean = false;
    user.onAnswerEnd();
  }
}
