import {
  acceptFeed,
  acceptVersion,
  chainStart,
  type Directory,
  type DirectoryChange,
  type FeedEffect,
  type FeedMessage,
  type FeedPosition,
  type FeedState,
  newFeedState,
  reconnected,
  viewOf,
} from "@stampyard/directory";
import { type Acknowledger, createAcknowledger } from "./acknowledger.ts";
import type { ControlPlane, FeedEnd } from "./control-plane.ts";
import { type CountsTeller, createCountsTeller } from "./counts-teller.ts";
import {
  type DirectoryFiles,
  type LoadedDirectory,
  newDirectory,
  openDirectoryFiles,
  sha256,
} from "./directory-files.ts";
import { createHoldAcknowledger, type HoldAcknowledger } from "./hold-acknowledger.ts";
import { createKeySaver, type KeySaver } from "./key-file.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { StampKeys } from "./route-signer.ts";
import type { DirectorySink, Servers } from "./servers.ts";

export interface FollowerOptions {
  readonly router: string;
  readonly folder: string;
  /** What is served already, with `keys`. */
  readonly loaded: LoadedDirectory;
  readonly keys: Map<string, StampKeys>;
  /** undefined: serve what the disk holds, for ever. */
  readonly controlPlane: ControlPlane | undefined;
  readonly servers: Pick<Servers, keyof DirectorySink | "acknowledgeable" | "inFlightOf" | "counts">;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly backoff: Backoff;
  readonly snapshotEveryMs?: number;
}

/** First and longest pause between two attempts, in milliseconds. */
export interface Backoff {
  readonly firstMs: number;
  readonly mostMs: number;
}

export type FeedPhase = "off" | "connecting" | "following" | "recovering" | "waiting";

export interface FollowerStatus {
  readonly position: FeedPosition;
  /** Everything up to here is on disk. */
  readonly durable: FeedPosition;
  readonly head: FeedPosition | undefined;
  readonly phase: FeedPhase;
  /** Why the last connection ended. */
  readonly lastEnd: string | undefined;
  /** The last snapshot that was not taken; cleared when one is. */
  readonly refused: FeedState["refused"];
  /** Milliseconds since the control plane was last heard; undefined = never. */
  readonly silentMs: number | undefined;
  /** The control plane's history is not ours (D9). */
  readonly diverged: boolean;
  readonly diskTrouble: string | undefined;
}

export interface Follower {
  /** undefined until there is a table. */
  directory(): Directory | undefined;
  status(): FollowerStatus;
  /** Takes the snapshot of this version although it shrinks; false if none of this version was refused for that. */
  accept(version: number): boolean;
  /** Those who serve have applied something: it may be time to acknowledge. */
  applied(): void;
  close(): Promise<void>;
}

interface Following {
  readonly options: FollowerOptions;
  readonly stop: AbortController;
  readonly files: DirectoryFiles;
  readonly acknowledger: Acknowledger;
  readonly holds: HoldAcknowledger;
  readonly counts: CountsTeller;
  readonly saver: KeySaver;
  state: FeedState;
  directory: Directory | undefined;
  durable: FeedPosition;
  phase: FeedPhase;
  lastEnd: string | undefined;
  heardAt: number | undefined;
  diverged: boolean;
  /** The next question is for everything. */
  fromStart: boolean;
  reporting: Promise<void> | undefined;
  wake: (() => void) | undefined;
}

const reportPage = 500;
const mendEveryMs = 2_000;

/** Keeps the router's table: from disk at once, from the feed when there is one (I3). */
export function startFollower(options: FollowerOptions): Follower {
  const { controlPlane } = options;
  const following = prepare(options);
  const mend = setInterval(() => mendDisk(following), mendEveryMs);
  mend.unref();
  const running = controlPlane === undefined ? Promise.resolve() : run(following, controlPlane);
  return {
    directory: () => following.directory,
    status: () => statusOf(following),
    accept(version) {
      const accepted = acceptVersion(following.state, version);
      if (accepted === undefined) return false;
      following.state = accepted;
      options.log("warn", "an operator accepts a smaller directory", { version });
      following.wake?.();
      return true;
    },
    applied: () => following.acknowledger.wake(),
    async close() {
      following.stop.abort();
      clearInterval(mend);
      await running;
      await following.reporting;
      await following.acknowledger.done();
      await following.holds.done();
      await following.counts.done();
      await following.files.close();
      await following.saver.done();
    },
  };
}

function prepare(options: FollowerOptions): Following {
  const { loaded, keys, folder, log, router, controlPlane, snapshotEveryMs, servers } = options;
  const stop = new AbortController();
  const following: Following = {
    options,
    stop,
    files: openDirectoryFiles(folder, loaded.files, {
      ...(snapshotEveryMs === undefined ? {} : { snapshotEveryMs }),
      onDurable(position) {
        following.durable = position;
        following.acknowledger.wake();
      },
      onTrouble: (reason) => log("error", "directory cannot be written to disk", { reason }),
    }),
    acknowledger: createAcknowledger({
      controlPlane,
      router,
      log,
      signal: stop.signal,
      // Keys too: a router that starts again with the table and without its keys would refuse what it served before.
      position: () => (following.saver.busy() ? undefined : options.servers.acknowledgeable(following.durable)),
    }),
    holds: createHoldAcknowledger({
      controlPlane,
      router,
      log,
      signal: stop.signal,
      inFlightOf: (tenant) => options.servers.inFlightOf(tenant),
    }),
    counts: createCountsTeller({ controlPlane, router, log, signal: stop.signal, counts: () => servers.counts() }),
    saver: createKeySaver(
      folder,
      keys,
      (reason) => log("error", "route keys cannot be written to disk", { reason }),
      () => following.acknowledger.wake(),
    ),
    state: newFeedState(loaded.position),
    directory: loaded.directory,
    durable: loaded.position,
    phase: controlPlane === undefined ? "off" : "connecting",
    lastEnd: undefined,
    heardAt: undefined,
    diverged: false,
    fromStart: false,
    reporting: undefined,
    wake: undefined,
  };
  if (loaded.directory !== undefined) {
    // A clean generation to write behind, whatever the last process left.
    following.files.snapshot(loaded.directory, loaded.position);
  }
  // Keys of stamps that are gone end here; the feed brings all that are valid.
  for (const stamp of keys.keys()) if (loaded.directory?.lookupStamp(stamp) === undefined) keys.delete(stamp);
  return following;
}

function statusOf(following: Following): FollowerStatus {
  const { state, durable, phase, lastEnd, heardAt, diverged, files } = following;
  return {
    position: state.position,
    durable,
    head: state.head,
    phase,
    lastEnd,
    refused: state.refused,
    silentMs: heardAt === undefined ? undefined : performance.now() - heardAt,
    diverged,
    diskTrouble: files.trouble(),
  };
}

/** After a failed write the journal has a hole; a new generation closes it as soon as the disk takes one. */
function mendDisk({ files, directory, state }: Following): void {
  if (files.trouble() !== undefined && directory !== undefined) files.snapshot(directory, state.position);
}

async function run(following: Following, controlPlane: ControlPlane): Promise<void> {
  const { stop, options } = following;
  let failures = 0;
  while (!stop.signal.aborted) {
    following.phase = "connecting";
    following.state = reconnected(following.state, following.fromStart ? "start" : "position");
    const { position } = following.state;
    const from = following.fromStart ? { incarnation: position.incarnation, version: 0, chain: chainStart } : position;
    let heard = 0;
    const onMessage = (message: FeedMessage) => {
      heard += 1;
      return accept(following, message);
    };
    const end = await controlPlane.follow(from, { onMessage }, stop.signal);
    if (stop.signal.aborted) break;
    // More than the hello and what we refused: the control plane is well, so the next attempt may come soon.
    failures = heard > 2 && end.kind === "closed" && end.reason !== "ended by us" ? 1 : failures + 1;
    onEnd(following, end);
    following.phase = "waiting";
    await pause(following, backoffMs(failures, options.backoff));
  }
  following.phase = "off";
}

function onEnd(following: Following, end: FeedEnd): void {
  const { log, metrics } = following.options;
  const reason = "reason" in end ? end.reason : end.kind === "refused" ? `status ${end.status}` : end.kind;
  if (reason !== following.lastEnd) log("warn", "feed ended", { kind: end.kind, reason });
  following.lastEnd = reason;
  metrics.count("feed_ends", end.kind);
  if (end.kind !== "diverged") return;
  following.diverged = true;
  // Its history is newer than ours: then a snapshot of it is welcome. Otherwise ours may be all there is.
  const { incarnation } = following.state.position;
  if (end.incarnation !== undefined && end.incarnation > incarnation) following.fromStart = true;
}

/** False ends the connection. */
function accept(following: Following, message: FeedMessage): boolean {
  following.heardAt = performance.now();
  const step = acceptFeed(following.state, message, following.directory ?? newDirectory(), sha256);
  following.state = step.next;
  if (message.kind === "hello") {
    following.phase = message.mode === "recovering" ? "recovering" : "following";
    // A control plane without history and a router without one agree on an empty table.
    const empty = following.directory === undefined && message.mode === "normal" && message.version === 0;
    if (empty) take(following, newDirectory(), following.state.position);
    following.acknowledger.wake(true);
    following.counts.wake();
  }
  let goOn = true;
  for (const effect of step.effects) goOn = perform(following, effect) && goOn;
  return goOn;
}

function perform(following: Following, effect: FeedEffect): boolean {
  const { keys, servers, metrics, log } = following.options;
  switch (effect.kind) {
    case "apply": {
      const { incarnation, version, chain } = effect;
      apply(following, effect.change, { incarnation, version, chain });
      return true;
    }
    case "replace":
      take(following, effect.directory, effect.position);
      return true;
    case "keys":
      if (effect.keys.length === 0) keys.delete(effect.stamp);
      else keys.set(effect.stamp, effect.keys);
      servers.setKeys(effect.stamp, effect.keys);
      following.saver.save();
      return true;
    case "hold":
      metrics.count("holds", "hold");
      servers.hold({ tenant: effect.tenant, moveId: effect.moveId, ttlMs: effect.ttlMs });
      following.holds.held(effect);
      return true;
    case "release":
      metrics.count("holds", "release");
      servers.release(effect);
      following.holds.released(effect.tenant);
      return true;
    case "report":
      following.reporting ??= report(following).finally(() => {
        following.reporting = undefined;
      });
      return true;
    case "resync":
      metrics.count("feed_resyncs", effect.from);
      log("warn", "feed is asked again", { from: effect.from, reason: effect.reason });
      if (effect.from === "start") following.fromStart = true;
      return false;
    case "refuse":
      metrics.count("feed_refusals", effect.reason);
      if (effect.reason === "diverged") following.diverged = true;
      log("error", "directory of the control plane is refused, ours is kept", {
        reason: effect.reason,
        detail: effect.detail,
      });
      return false;
  }
}

function apply(following: Following, change: DirectoryChange, position: FeedPosition): void {
  const { options, files } = following;
  if (following.directory === undefined) {
    // The first change of all: before it there was an empty table.
    take(following, newDirectory(), { ...position, version: 0, chain: chainStart });
  }
  const directory = following.directory;
  if (directory === undefined) return;
  directory.apply(change);
  options.servers.directoryChanged(change, position);
  following.diverged = false;
  files.append({ ...position, change });
  if (files.wantsSnapshot()) files.snapshot(directory, position);
}

function take(following: Following, next: Directory, position: FeedPosition): void {
  const { options, files } = following;
  following.directory = next;
  following.diverged = false;
  following.fromStart = false;
  options.servers.replaceDirectory(next, position);
  files.snapshot(next, position);
  options.log("info", "directory is replaced by a snapshot", { version: position.version, ...next.counts() });
}

/** Sends our own table in pages to a control plane that recovers (decision D9). */
async function report(following: Following): Promise<void> {
  const { options, directory, state, stop } = following;
  const { controlPlane, router, log } = options;
  if (controlPlane === undefined || directory === undefined) return;
  // One moment, page by page: what is applied meanwhile belongs to a later position.
  const frozen = directory.freeze();
  const table = viewOf(frozen);
  const entries = table.entryCount();
  const parts = Math.max(1, Math.ceil(entries / reportPage));
  const puts = table.puts()[Symbol.iterator]();
  try {
    for (let part = 0; part < parts; part++) {
      const changes: DirectoryChange[] = [];
      for (let put = puts.next(); !put.done; put = puts.next()) {
        if (changes.push(put.value) === reportPage) break;
      }
      const last = part === parts - 1;
      await controlPlane.report({ ...state.position, router, part, last, changes }, stop.signal);
    }
    log("info", "own directory is reported to the recovering control plane", { entries });
  } catch (caught) {
    if (!stop.signal.aborted) log("warn", "own directory could not be reported", { reason: String(caught) });
  } finally {
    frozen.release();
  }
}

/** Ends early when an operator accepts something, or at the end of all. */
function pause(following: Following, ms: number): Promise<void> {
  const { signal } = following.stop;
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      following.wake = undefined;
      resolve();
    }
    following.wake = done;
    signal.addEventListener("abort", done);
  });
}

/** Doubles up to the most, and takes a random half of it: routers that lost one control plane do not return as one. */
function backoffMs(failures: number, { firstMs, mostMs }: Backoff): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 10));
  return full / 2 + (Math.random() * full) / 2;
}
