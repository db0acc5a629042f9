import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Arriving } from "./arriving.ts";
import type { DirectWriter } from "./direct-io.ts";
import type { Channel } from "./io.ts";
import type { LentReads } from "./lent-reads.ts";
import { type Batched, flushSoon } from "./write-batch.ts";

/** A channel over a stream of Node's. */
export class NodeChannel implements Channel, Batched {
  readonly lends: boolean;
  readonly #socket: Duplex;
  readonly #reads: LentReads | undefined;
  readonly #to: "stamp" | "client";
  readonly #arriving: Arriving;
  /** Leaves at the end of this turn. */
  #text = "";
  #corked = false;
  #direct: DirectWriter | undefined;

  /** @param to who is at the other end. @param reads where its socket reads, if that is lent */
  constructor(socket: Duplex, to: "stamp" | "client", arriving: Arriving, reads: LentReads | undefined) {
    this.#socket = socket;
    this.#to = to;
    this.#arriving = arriving;
    this.#reads = reads;
    this.lends = reads !== undefined;
  }
  /** From now on short texts go past the stream. */
  writeBy(direct: DirectWriter | undefined): void {
    this.#direct = direct;
  }
  write(text: string): boolean {
    if (this.#corked) return this.#socket.write(text, "latin1");
    const first = this.#text === "";
    this.#text += text;
    // Last, because it may flush at once.
    if (first) flushSoon(this, this.#to);
    return !this.#socket.writableNeedDrain && !this.#isDirectFull();
  }
  writeBytes(bytes: Buffer): boolean {
    if (this.#text === "") return this.#socket.write(bytes);
    this.#socket.cork();
    this.#flushToStream();
    const flows = this.#socket.write(bytes);
    this.#socket.uncork();
    return flows;
  }
  flush(): void {
    const text = this.#text;
    if (text === "") return;
    if (this.#direct !== undefined && !this.#socket.destroyed && this.#direct.write(text)) this.#text = "";
    else this.#flushToStream();
  }
  cork(): void {
    this.#socket.cork();
    this.#flushToStream();
    this.#corked = true;
  }
  uncork(): void {
    this.#corked = false;
    this.#socket.uncork();
  }
  readFor(what: "head" | "body"): void {
    this.#reads?.readFor(what);
  }
  keep(): void {
    this.#reads?.keep();
  }
  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }
  giveRead(): void {
    this.#arriving.give();
  }
  end(): void {
    this.flush();
    this.#socket.end();
  }
  destroy(): void {
    this.#arriving.drop();
    this.#text = "";
    this.#socket.destroy();
  }
  unsent(): number {
    return this.#text.length + this.#socket.writableLength + (this.#direct?.unsent() ?? 0);
  }
  reset(): void {
    this.#arriving.drop();
    this.flush();
    const { resetAndDestroy } = this.#socket as Partial<Socket>;
    if (resetAndDestroy === undefined) this.#socket.destroy();
    else resetAndDestroy.call(this.#socket);
  }
  #flushToStream(): void {
    const text = this.#text;
    this.#text = "";
    if (text !== "" && !this.#socket.destroyed) this.#socket.write(text, "latin1");
  }
  #isDirectFull(): boolean {
    return this.#direct !== undefined && this.#direct.unsent() > 0;
  }
}
