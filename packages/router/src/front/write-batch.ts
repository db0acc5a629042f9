import { atTurnEnd } from "./turn.ts";

/** Somebody with something to write. */
export interface Batched {
  /** Called once for every `flushSoon`. Must not throw. */
  flush(): void;
}

/** Above this, what waits is written at once: the first of a long turn must not wait for the last. */
const mostWaiting = 64;

/** What is to be written in this turn, on its way to stamps and to clients. */
let waiting = newBatch();
let spare = newBatch();
let isScheduled = false;

interface Batch {
  readonly toStamps: Batched[];
  readonly toClients: Batched[];
}

/**
 * Flushes at the end of this turn of the event loop, behind all that has arrived. One write after the other costs the
 * system less than writes between which other work is done: whom they wake stays awake, and the processor's caches stay
 * warm for one kind of work at a time. Measured, it is a sixth of all a small request costs. What goes to stamps leaves
 * first, for the same reason: few processes read it, and it is work for them while the answers leave.
 */
export function flushSoon(one: Batched, to: "stamp" | "client"): void {
  (to === "stamp" ? waiting.toStamps : waiting.toClients).push(one);
  if (waiting.toStamps.length + waiting.toClients.length >= mostWaiting) flushAll();
  else if (!isScheduled) {
    isScheduled = true;
    atTurnEnd("write", onTurnEnd);
  }
}

function onTurnEnd(): void {
  isScheduled = false;
  flushAll();
}

function flushAll(): void {
  const batch = waiting;
  waiting = spare;
  // Whoever flushes may be the first of the next batch, and that may be full before this one has ended.
  spare = newBatch();
  flushEach(batch.toStamps);
  flushEach(batch.toClients);
  spare = batch;
}

function flushEach(batch: Batched[]): void {
  for (let at = 0; at < batch.length; at++) batch[at]?.flush();
  batch.length = 0;
}

function newBatch(): Batch {
  return { toStamps: [], toClients: [] };
}
