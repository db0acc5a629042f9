import type { DirectoryChange, FeedMessage, FeedPosition } from "@stampyard/directory";
import { encodeFrame, feedStart } from "@stampyard/directory";
import { canonicalJson, type Json, StampyardError } from "@stampyard/domain";
import type { DirectorySnapshot, StoreEvent } from "../store/port.ts";
import type { Actor } from "./call.ts";
import { type ServerDeps, writeContext } from "./deps.ts";
import { createHoldTeller } from "./feed-holds.ts";
import { changesAfter } from "./feed-reads.ts";

/** Versions read and sent at a time: bounds what one reader holds in memory. */
const batchSize = 500;
/** Characters of puts in one `snapshot-part`, a quarter of what a frame may be. */
const partSize = 262_144;
/** Keys are compared again after so many heartbeats, should a notification be lost. */
const beatsPerKeyCheck = 6;

export interface FeedReader {
  readonly router: string;
  readonly peer: string | undefined;
  readonly admin: string | undefined;
  /** Where clients enter it. */
  readonly entrance?: string | undefined;
  readonly actor: Actor;
  readonly requestId: string;
}

export interface FeedConnection {
  readonly signal: AbortSignal;
  readonly cut: () => void;
}

/**
 * The feed of one router from its position on (D8). The stream is pulled by its reader: what a slow router has not
 * taken stays in the store, not in our memory, and one that takes nothing at all is cut.
 * @throws StampyardError DIVERGED when the position is not of our history (D9); a leader then starts to recover
 */
export async function openFeed(
  deps: ServerDeps,
  reader: FeedReader,
  position: FeedPosition,
  connection: FeedConnection,
): Promise<AsyncIterable<Uint8Array>> {
  const why = deps.whyHeld?.();
  if (why !== undefined) {
    throw new StampyardError("RECOVERING", `No version is served: ${why}`, {
      mend: "Keep the own table and ask again; a recovery begins as soon as there is a leader.",
    });
  }
  const head = await deps.store.directory.head();
  await deps.store.routers.seen(seenOf(reader));
  let from = position;
  if (head.mode === "normal") {
    const first = await deps.store.directory.changesAfter(position, 1);
    if (first.kind === "diverged") {
      if (position.incarnation >= first.head.incarnation) throw await diverged(deps, reader, position, first.head);
      // It slept through a recovery, which has settled what is true: it begins anew, with a snapshot.
      from = feedStart;
    }
  }
  return untilStalled(deps, runFeed(deps, reader, from, connection.signal), connection.cut);
}

async function* runFeed(
  deps: ServerDeps,
  reader: FeedReader,
  from: FeedPosition,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { store, clock, feed } = deps;
  const heartbeatMs = feed?.heartbeatMs ?? 5_000;
  const told = createTeller(store, signal);
  const holds = createHoldTeller(store, clock, told.tell);
  try {
    const head = await store.directory.head();
    const { mode } = head;
    yield encodeFrame({ kind: "hello", mode, heartbeatMs, ...only(head) });
    const keys = createKeyTeller(store);
    let at = from;
    let beats: number = beatsPerKeyCheck;
    let beatAt = clock.now() + heartbeatMs;
    for (;;) {
      if (mode === "normal") {
        if (told.take("keys") || beats >= beatsPerKeyCheck) {
          beats = 0;
          yield* keys.changed();
        }
        // Taken before the changes are read: what was committed before a release is sent before it, and a hold never
        // overtakes the epoch that it is about.
        const news = holds.take();
        const next = yield* sendNew(deps, at, keys);
        if (next === undefined) return;
        at = next;
        if (news.length > 0) yield join(news);
      }
      await told.wait(clock, beatAt - clock.now());
      if (signal.aborted) return;
      // Another mode begins with another hello, on another connection. What the store tells may be old news.
      if (told.take("mode") && (await store.directory.head()).mode !== mode) return;
      if (clock.now() >= beatAt) {
        beats++;
        beatAt = clock.now() + heartbeatMs;
        await store.routers.seen(seenOf(reader));
        yield encodeFrame({ kind: "heartbeat", ...(mode === "normal" ? at : only(head)) });
      }
    }
  } finally {
    holds.end();
    told.end();
  }
}

/** Everything after `at`; the new position, or undefined when this stream cannot go on from there. */
async function* sendNew(
  { store }: ServerDeps,
  from: FeedPosition,
  keys: KeyTeller,
): AsyncGenerator<Uint8Array, FeedPosition | undefined> {
  let at = from;
  for (;;) {
    const answer = await changesAfter(store, at, batchSize);
    if (answer.kind === "diverged") return undefined;
    if (answer.kind === "snapshot") {
      await using snapshot = await store.directory.snapshot();
      yield* keys.changed();
      yield* snapshotFrames(snapshot, at);
      at = only(snapshot.position);
      continue;
    }
    const { changes } = answer;
    if (changes.some(({ change }) => change.kind === "stamp-put" && !keys.knows(change.stamp))) yield* keys.changed();
    if (changes.length > 0) yield join(changes.map((version) => encodeFrame({ kind: "delta", ...deltaOf(version) })));
    const last = changes.at(-1);
    if (last !== undefined) at = only(last);
    if (changes.length < batchSize) return at;
  }
}

async function* snapshotFrames(snapshot: DirectorySnapshot, from: FeedPosition): AsyncGenerator<Uint8Array> {
  const position = only(snapshot.position);
  const { entries } = snapshot;
  yield encodeFrame({
    kind: "snapshot-begin",
    entries,
    shrinkConfirmed: isShrinkConfirmed(snapshot, from),
    ...position,
  });
  for await (const page of snapshot.pages) {
    for (const changes of partsOf(page)) yield encodeFrame({ kind: "snapshot-part", changes });
  }
  yield encodeFrame({ kind: "snapshot-end", entries, ...position });
}

/** Whether a person confirmed a bulk change that this router has not applied yet, so that far fewer entries are right. */
function isShrinkConfirmed({ confirmedVersion, position }: DirectorySnapshot, from: FeedPosition): boolean {
  return from.incarnation === position.incarnation ? confirmedVersion > from.version : confirmedVersion > 0;
}

function* partsOf(page: readonly DirectoryChange[]): Generator<readonly DirectoryChange[]> {
  let part: DirectoryChange[] = [];
  let size = 0;
  for (const change of page) {
    const length = JSON.stringify(change).length;
    if (part.length > 0 && (part.length >= batchSize || size + length > partSize)) {
      yield part;
      part = [];
      size = 0;
    }
    part.push(change);
    size += length;
  }
  if (part.length > 0) yield part;
}

interface KeyTeller {
  /** Frames for the stamps whose keys this reader has not got as they are now. */
  changed(): AsyncGenerator<Uint8Array>;
  knows(stamp: string): boolean;
}

/** Route keys leave the control plane here and nowhere else (D7, I33). */
function createKeyTeller(store: ServerDeps["store"]): KeyTeller {
  const sent = new Map<string, string>();
  return {
    knows: (stamp) => sent.has(stamp),
    async *changed() {
      const all = await store.stamps.allRouteKeys();
      for (const stamp of sent.keys()) if (!all.has(stamp)) sent.delete(stamp);
      for (const [stamp, rows] of all) {
        const keys = rows.map(({ kid, secret }) => ({ kid, secret }));
        const text = canonicalJson(keys as unknown as Json);
        if (keys.length === 0 || sent.get(stamp) === text) continue;
        sent.set(stamp, text);
        yield encodeFrame({ kind: "keys", stamp, keys });
      }
    },
  };
}

interface Teller {
  /** Until something is told, or so many milliseconds have passed. */
  wait(clock: ServerDeps["clock"], ms: number): Promise<void>;
  /** Whether an event of this kind came since it was last asked. */
  take(kind: "keys" | "mode"): boolean;
  /** Something else is to be looked at. */
  tell(): void;
  end(): void;
}

/** What the store tells, kept until somebody looks: an event between two looks is never lost. */
function createTeller(store: ServerDeps["store"], signal: AbortSignal): Teller {
  const seen = new Set<StoreEvent["kind"]>();
  let news = false;
  let wake = () => {};
  const tell = () => {
    news = true;
    wake();
  };
  const unwatch = store.watch((event) => {
    if (event.kind !== "directory" && event.kind !== "keys" && event.kind !== "mode") return;
    seen.add(event.kind);
    tell();
  });
  signal.addEventListener("abort", tell);
  return {
    async wait(clock, ms) {
      if (!news && !signal.aborted && ms > 0) {
        const sleeping = new AbortController();
        wake = () => sleeping.abort();
        await clock.sleep(ms, sleeping.signal).catch(() => {});
      }
      news = false;
    },
    take: (kind) => seen.delete(kind),
    tell,
    end() {
      unwatch();
      signal.removeEventListener("abort", tell);
    },
  };
}

/** Cuts a reader that leaves a chunk untaken for too long: it would keep a snapshot of the store open (I13). */
async function* untilStalled(
  { clock, feed }: ServerDeps,
  chunks: AsyncIterable<Uint8Array>,
  cut: () => void,
): AsyncGenerator<Uint8Array> {
  const stallMs = feed?.stallMs ?? 30_000;
  for await (const chunk of chunks) {
    const taken = new AbortController();
    clock.sleep(stallMs, taken.signal).then(cut, () => {});
    try {
      yield chunk;
    } finally {
      taken.abort();
    }
  }
}

/**
 * A router that holds versions which this store never made is the only witness of a restored store (I42): stop serving
 * versions until it is known what is true.
 */
async function diverged(
  deps: ServerDeps,
  reader: FeedReader,
  position: FeedPosition,
  head: FeedPosition,
): Promise<StampyardError> {
  const { router } = reader;
  const told = `Router ${router} holds version ${position.version} of incarnation ${position.incarnation}`;
  const ours = `the head here is ${head.version} of ${head.incarnation}`;
  if (deps.leadership() !== undefined) {
    await deps.store.recovery.enter(
      `${told}, which is not of this store's history; ${ours}`,
      writeContext(deps, reader),
      { newTerm: true, incarnationAtLeast: position.incarnation + 1 },
    );
  }
  return new StampyardError("DIVERGED", `${told}; ${ours}, and they do not follow from each other`, {
    mend: "Keep the own table and ask again; the control plane recovers first (stampyard status shows what it waits for).",
  });
}

function seenOf({ router, peer, admin, entrance }: FeedReader) {
  return {
    name: router,
    ...(peer === undefined ? {} : { address: peer }),
    ...(admin === undefined ? {} : { admin }),
    ...(entrance === undefined ? {} : { entrance }),
  };
}

function deltaOf({ change, ...position }: { readonly change: DirectoryChange } & FeedPosition) {
  return { ...only(position), change } satisfies Omit<Extract<FeedMessage, { kind: "delta" }>, "kind">;
}

function only({ incarnation, version, chain }: FeedPosition): FeedPosition {
  return { incarnation, version, chain };
}

function join(frames: readonly Uint8Array[]): Uint8Array {
  return frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames);
}
