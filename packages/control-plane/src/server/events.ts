import type { EventView, MoveProgressView } from "@stampyard/api";
import type { Clock } from "@stampyard/domain";
import type { Store } from "../store/port.ts";

type WithoutTime<E> = E extends unknown ? Omit<E, "at"> : never;
/** What reconcilers tell; the bus adds the time. */
export type NewEvent = WithoutTime<EventView>;

export interface EventBus {
  /** Never throws and never waits: telling is not part of the work. */
  publish(event: NewEvent): void;
  /** Events from now on; `undefined` once in a while, as a sign of life. Ends with the signal. */
  subscribe(signal: AbortSignal): AsyncIterable<EventView | undefined>;
  /** Readers at the moment. */
  readonly readers: number;
  /** What was told last of a move that is at work; another control plane's moves are not known here. */
  progressOf(move: string): MoveProgressNote | undefined;
}

/** Too short-lived for the store, and all that `move show` needs of it. */
export interface MoveProgressNote {
  readonly at: string;
  readonly progress: MoveProgressView;
}

/** What a reader may be behind; then its oldest events are dropped: it reads the resources, events only say when. */
const maxBehind = 1_000;
const aliveMs = 10_000;
/** Moves whose latest progress is kept; the oldest go first. */
const mostMoves = 1_000;
/** A move that says nothing for so long is not at work, or not here. */
const staleMs = 60_000;

export function createEventBus(clock: Clock): EventBus {
  const queues = new Set<{ events: EventView[]; wake: () => void }>();
  const latest = new Map<string, MoveProgressNote>();

  function note(event: EventView): void {
    if (event.kind !== "move-progress") return;
    latest.delete(event.move);
    latest.set(event.move, { at: event.at, progress: event.progress });
    const oldest = latest.keys().next().value;
    if (latest.size > mostMoves && oldest !== undefined) latest.delete(oldest);
  }

  async function* subscribe(signal: AbortSignal): AsyncGenerator<EventView | undefined> {
    let wake = () => {};
    const queue = { events: [] as EventView[], wake: () => wake() };
    queues.add(queue);
    try {
      while (!signal.aborted) {
        const event = queue.events.shift();
        if (event !== undefined) {
          yield event;
          continue;
        }
        const told = await new Promise<boolean>((resolve) => {
          const waiting = new AbortController();
          wake = () => {
            waiting.abort();
            resolve(true);
          };
          signal.addEventListener("abort", wake, { signal: waiting.signal });
          clock.sleep(aliveMs, waiting.signal).then(
            () => {
              waiting.abort();
              resolve(false);
            },
            () => {},
          );
        });
        if (!told) yield undefined;
      }
    } finally {
      queues.delete(queue);
    }
  }

  return {
    publish(event) {
      const told: EventView = { ...event, at: new Date(clock.now()).toISOString() };
      note(told);
      for (const queue of queues) {
        queue.events.push(told);
        if (queue.events.length > maxBehind) queue.events.shift();
        queue.wake();
      }
    },
    subscribe,
    get readers() {
      return queues.size;
    },
    progressOf(move) {
      const known = latest.get(move);
      return known === undefined || clock.now() - Date.parse(known.at) > staleMs ? undefined : known;
    },
  };
}

/** Phase changes and directory versions, as the store commits them; so reconcilers tell only progress and waits. */
export function publishStoreEvents(store: Pick<Store, "watch">, bus: EventBus): () => void {
  return store.watch((event) => {
    switch (event.kind) {
      case "stamp": {
        const { stamp, phase, cause } = event;
        return bus.publish({ kind: "stamp-phase", stamp, phase, ...(cause === undefined ? {} : { cause }) });
      }
      case "tenant": {
        const { tenant, phase, stamp } = event;
        return bus.publish({ kind: "tenant-phase", tenant, phase, ...(stamp === undefined ? {} : { stamp }) });
      }
      case "move": {
        const { kind: _, move, tenant, phase, waitingOn } = event;
        const why = waitingOn === undefined ? {} : { waitingOn };
        return bus.publish({ kind: "move-phase", move, tenant, phase, ...why });
      }
      case "rollout": {
        const { rollout, phase, waitingOn } = event;
        const why = waitingOn === undefined ? {} : { waitingOn };
        return bus.publish({ kind: "rollout-phase", rollout, phase, ...why });
      }
      case "freeze":
        return bus.publish({ kind: "freeze" });
      case "directory":
        return bus.publish({ kind: "directory", version: event.head.version });
      default:
        return undefined;
    }
  });
}
