import type { ChannelEvents } from "./io.ts";
import { ShortRead } from "./short-read.ts";
import { atTurnEnd } from "./turn.ts";

/** Longer ones are mostly bodies, which are passed on as bytes. */
const longestShort = 4_096;

const fromStamps: Arriving[] = [];
const fromClients: Arriving[] = [];
let isScheduled = false;

/**
 * What arrives on one connection, on its way to whom it is for. A short read that may begin a head is held until all sockets
 * of this turn are read: the system's code runs in a row then, and ours. Whatever else happens to the connection comes
 * behind what it sent before.
 */
export class Arriving {
  readonly #events: ChannelEvents;
  readonly #from: "stamp" | "client";
  #held: ShortRead | undefined;

  constructor(events: ChannelEvents, from: "stamp" | "client") {
    this.#events = events;
    this.#from = from;
  }
  onBytes(bytes: Buffer): void {
    this.give();
    if (bytes.length > longestShort || !this.#events.awaitsHead()) this.#events.onBytes(bytes);
    else {
      this.#held = new ShortRead(bytes.toString("latin1"));
      giveSoon(this, this.#from);
    }
  }
  onEnd(): void {
    this.give();
    this.#events.onEnd();
  }
  onClose(): void {
    this.give();
    this.#events.onClose();
  }
  onDrain(): void {
    this.#events.onDrain();
  }
  /** What is held, now. */
  give(): void {
    const read = this.#held;
    if (read === undefined) return;
    this.#held = undefined;
    this.#events.onShortRead(read);
  }
  /** We ended the connection: nothing of it is looked at any more. */
  drop(): void {
    this.#held = undefined;
  }
}

function giveSoon(one: Arriving, from: "stamp" | "client"): void {
  (from === "stamp" ? fromStamps : fromClients).push(one);
  if (isScheduled) return;
  isScheduled = true;
  atTurnEnd("read", giveAll);
}

/** Answers first: the connections that they leave carry the requests. */
function giveAll(): void {
  isScheduled = false;
  for (let at = 0; at < fromStamps.length; at++) fromStamps[at]?.give();
  fromStamps.length = 0;
  for (let at = 0; at < fromClients.length; at++) fromClients[at]?.give();
  fromClients.length = 0;
}
