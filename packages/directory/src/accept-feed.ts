import type { Sha256 } from "@stampyard/domain";
import { chainStart, type DirectoryChange, nextChain } from "./change.ts";
import type { FeedMessage, FeedPosition } from "./feed.ts";
import type { ChangeRefusal, Directory, DirectoryView } from "./directory.ts";

/** Why a router keeps its own table instead of what it was sent. */
export type FeedRefusal =
  | ChangeRefusal
  /** The control plane restored an old store and does not know it yet (D9). */
  | "older-incarnation"
  | "older-version"
  /** Same numbers, another history. */
  | "diverged"
  /** Far smaller than ours, and nobody confirmed that (D8). */
  | "shrinks"
  /** Says less or other than it announced. */
  | "snapshot-broken"
  /** Sent although it said "keep yours". */
  | "recovering"
  /** The control plane is newer and tells something that this version cannot understand; only a newer router can follow. */
  | "unknown-change";

export interface FeedState {
  /** What the table holds. */
  readonly position: FeedPosition;
  readonly mode: "unknown" | "normal" | "recovering";
  /** What this connection was asked for: what follows our position, or everything. */
  readonly asked: "position" | "start";
  /** Head of the control plane as last heard; the difference to `position` is the lag. */
  readonly head: FeedPosition | undefined;
  readonly incoming?: IncomingSnapshot;
  /** The last refused snapshot; cleared when one is applied. */
  readonly refused?: { readonly reason: FeedRefusal; readonly entries: number } & FeedPosition;
  /** Set by `acceptVersion`: an operator has seen the shrink, and a snapshot no smaller than this one may replace ours. */
  readonly accepted?: { readonly version: number; readonly entries: number };
}

/** The one thing here that grows in place: a snapshot of a million tenants is built part by part, not all at its end. */
interface IncomingSnapshot {
  readonly begin: Extract<FeedMessage, { kind: "snapshot-begin" }>;
  readonly directory: Directory;
  readonly count: number;
}

/** What the caller does, in order. */
export type FeedEffect =
  | ({ readonly kind: "apply"; readonly change: DirectoryChange } & FeedPosition)
  | { readonly kind: "replace"; readonly directory: Directory; readonly position: FeedPosition }
  | {
      readonly kind: "keys";
      readonly stamp: string;
      readonly keys: readonly { readonly kid: string; readonly secret: string }[];
    }
  /** Requests of a tenant in a move wait, or wait no more. */
  | { readonly kind: "hold"; readonly tenant: string; readonly moveId: string; readonly ttlMs: number }
  | { readonly kind: "release"; readonly tenant: string; readonly moveId: string }
  /** Send the own table by `POST /v1/directory/report`. */
  | { readonly kind: "report" }
  /** End this connection and ask again: from our position, or from version 0 because ours leads nowhere. */
  | { readonly kind: "resync"; readonly from: "position" | "start"; readonly reason: string }
  /** Keep ours, count it, tell people; end this connection and ask again later. */
  | { readonly kind: "refuse"; readonly reason: FeedRefusal; readonly detail: string };

export interface FeedStep {
  readonly next: FeedState;
  readonly effects: readonly FeedEffect[];
}

/** Where a router without any copy stands. */
export const feedStart: FeedPosition = { incarnation: 0, version: 0, chain: chainStart };

export function newFeedState(position: FeedPosition): FeedState {
  return { position, mode: "unknown", asked: "position", head: undefined };
}

/** To be called for every new connection: half a snapshot of the last one is worth nothing. */
export function reconnected(state: FeedState, asked: FeedState["asked"] = "position"): FeedState {
  const { incoming: _, ...kept } = state;
  return { ...kept, mode: "unknown", asked, head: undefined };
}

/**
 * An operator accepts the refused snapshot of this version. The next snapshot may shrink to what was seen then, and
 * no further. Returns undefined when no snapshot of this version was refused for its size.
 */
export function acceptVersion(state: FeedState, version: number): FeedState | undefined {
  const { refused } = state;
  if (refused === undefined || refused.reason !== "shrinks" || refused.version !== version) return undefined;
  return { ...state, accepted: { version, entries: refused.entries } };
}

/**
 * One message of the feed. Reads the table and never changes it: the effects say what to do to it, so the same code
 * serves a router, a test and a simulation.
 */
export function acceptFeed(state: FeedState, message: FeedMessage, table: DirectoryView, sha256: Sha256): FeedStep {
  switch (message.kind) {
    case "hello":
      return acceptHello(state, message);
    case "keys":
      return { next: state, effects: [{ kind: "keys", stamp: message.stamp, keys: message.keys }] };
    case "hold":
    case "release":
      return { next: state, effects: [message] };
    case "snapshot-begin":
      return acceptBegin(state, message, table);
    case "snapshot-part":
      return acceptPart(state, message, table);
    case "snapshot-end":
      return acceptEnd(state, message, table);
    case "delta":
      return acceptDelta(state, message, table, sha256);
    case "heartbeat":
      return acceptHeartbeat(state, message);
    case "unknown-change":
      return refuseUnknown(state, message);
    case "unknown-message":
      return { next: state, effects: [] };
  }
}

function acceptHello(state: FeedState, hello: Extract<FeedMessage, { kind: "hello" }>): FeedStep {
  const next: FeedState = { ...state, mode: hello.mode, head: positionOf(hello) };
  if (hello.mode === "recovering") return { next, effects: [{ kind: "report" }] };
  const own = state.position;
  // Even the same chain is another life of the store: only its snapshot says that it is whole, and moves us into it.
  if (hello.incarnation > own.incarnation && own.version > 0 && state.asked === "position") {
    return resync(next, "start", `incarnation ${hello.incarnation} begins`);
  }
  return { next, effects: refuseHead(own, hello) };
}

function acceptBegin(
  state: FeedState,
  begin: Extract<FeedMessage, { kind: "snapshot-begin" }>,
  table: DirectoryView,
): FeedStep {
  const own = state.position;
  if (state.mode === "recovering") return refuse(state, "recovering", "a snapshot while the control plane recovers");
  if (begin.incarnation < own.incarnation) {
    return refuseSnapshot(state, begin, "older-incarnation", `${begin.incarnation} after ${own.incarnation}`);
  }
  if (begin.incarnation === own.incarnation && begin.version < own.version) {
    return refuseSnapshot(state, begin, "older-version", `${begin.version} after ${own.version}`);
  }
  const entries = table.entryCount();
  if (!begin.shrinkConfirmed && isShrinking(entries, begin.entries) && !isAccepted(state, begin)) {
    return refuseSnapshot(state, begin, "shrinks", `${begin.entries} entries instead of ${entries}`);
  }
  return { next: { ...state, incoming: { begin, directory: table.successor(), count: 0 } }, effects: [] };
}

function acceptPart(
  state: FeedState,
  part: Extract<FeedMessage, { kind: "snapshot-part" }>,
  table: DirectoryView,
): FeedStep {
  const { incoming } = state;
  if (incoming === undefined) return resync(state, "position", "a part of a snapshot that did not begin");
  const count = incoming.count + part.changes.length;
  if (count > incoming.begin.entries) return broken(state, `more than the ${incoming.begin.entries} entries announced`);
  if (part.changes.some((change) => !change.kind.endsWith("-put"))) return broken(state, "a part removes something");
  for (const change of part.changes) {
    if (change.kind === "tenant-put") {
      const own = table.findTenant(change.tenant);
      if (own >= 0 && change.epoch < table.epochAt(own)) {
        return refuseSnapshot(state, incoming.begin, "epoch-decreases", `of tenant ${change.tenant}`);
      }
    }
    const refusal = incoming.directory.apply(change);
    if (refusal !== undefined) return broken(state, refusal);
  }
  return { next: { ...state, incoming: { ...incoming, count } }, effects: [] };
}

function acceptEnd(
  state: FeedState,
  end: Extract<FeedMessage, { kind: "snapshot-end" }>,
  table: DirectoryView,
): FeedStep {
  const { incoming } = state;
  if (incoming === undefined) return resync(state, "position", "the end of a snapshot that did not begin");
  const { begin, count, directory } = incoming;
  if (!samePosition(begin, end) || begin.entries !== end.entries || count !== end.entries) {
    return broken(state, `${count} of ${begin.entries} entries`);
  }
  if (directory.entryCount() !== count) return broken(state, "an entry is there twice");
  // Counted together with stamps an empty tenant table could pass; it may not without a word of an operator (I14).
  const lost = table.counts().tenants > 0 && directory.counts().tenants === 0;
  if (lost && !begin.shrinkConfirmed && !isAccepted(state, begin)) {
    return refuseSnapshot(state, begin, "shrinks", "no tenant is left");
  }
  const { incoming: _i, refused: _r, accepted: _a, ...kept } = state;
  const position = positionOf(end);
  return { next: { ...kept, position }, effects: [{ kind: "replace", directory, position }] };
}

function acceptDelta(
  state: FeedState,
  delta: Extract<FeedMessage, { kind: "delta" }>,
  table: DirectoryView,
  sha256: Sha256,
): FeedStep {
  const own = startOf(state.position, delta.incarnation);
  if (state.mode === "recovering") return refuse(state, "recovering", "a delta while the control plane recovers");
  if (state.incoming !== undefined) return broken(state, "a delta inside a snapshot");
  if (delta.incarnation < own.incarnation) {
    return refuse(state, "older-incarnation", `${delta.incarnation} after ${own.incarnation}`);
  }
  if (delta.incarnation > own.incarnation) return resync(state, "start", `incarnation ${delta.incarnation} begins`);
  // Sent again: what we have of that number is what we applied, and the head's chain is compared at every heartbeat.
  if (delta.version < own.version) return { next: state, effects: [] };
  if (delta.version === own.version) {
    return delta.chain === own.chain
      ? { next: state, effects: [] }
      : refuse(state, "diverged", `version ${delta.version}`);
  }
  if (delta.version > own.version + 1)
    return resync(state, "position", `version ${delta.version} after ${own.version}`);
  if (delta.chain !== nextChain(own.chain, delta.change, sha256)) {
    return resync(state, "position", `version ${delta.version} does not follow from ours`);
  }
  const refusal = table.check(delta.change);
  if (refusal !== undefined) return refuse(state, refusal, `version ${delta.version}`);
  const position = positionOf(delta);
  return { next: { ...state, position }, effects: [{ kind: "apply", change: delta.change, ...position }] };
}

function acceptHeartbeat(state: FeedState, beat: Extract<FeedMessage, { kind: "heartbeat" }>): FeedStep {
  const { position: own, head: before } = state;
  const next: FeedState = { ...state, head: positionOf(beat) };
  if (state.mode === "recovering" || state.incoming !== undefined) return { next, effects: [] };
  const refused = refuseHead(own, beat);
  if (refused.length > 0) return { next, effects: refused };
  // A head may run ahead of its deltas for one beat. Still behind the head of the beat before: something was lost.
  const missed = before !== undefined && before.incarnation === own.incarnation && before.version > own.version;
  return missed && beat.incarnation === own.incarnation
    ? resync(next, "position", `version ${before.version} never arrived`)
    : { next, effects: [] };
}

/** A router without any copy has no history to defend: version 0 is the same in every incarnation. */
function startOf(own: FeedPosition, incarnation: number): FeedPosition {
  return own.version === 0 && own.incarnation < incarnation ? { ...own, incarnation } : own;
}

/** A head that cannot be a future of ours. */
function refuseHead(own: FeedPosition, head: FeedPosition): FeedEffect[] {
  if (head.incarnation < own.incarnation) {
    const detail = `${head.incarnation} after ${own.incarnation}`;
    return [{ kind: "refuse", reason: "older-incarnation", detail }];
  }
  if (head.incarnation > own.incarnation) return [];
  if (head.version < own.version) {
    return [{ kind: "refuse", reason: "older-version", detail: `${head.version} after ${own.version}` }];
  }
  if (head.version === own.version && head.chain !== own.chain) {
    return [{ kind: "refuse", reason: "diverged", detail: `version ${own.version}` }];
  }
  return [];
}

/** More than 20% and more than 50 entries less, or nothing at all. */
function isShrinking(ownEntries: number, newEntries: number): boolean {
  const lost = ownEntries - newEntries;
  return (lost > 50 && lost > ownEntries / 5) || (ownEntries > 0 && newEntries === 0);
}

function isAccepted(state: FeedState, begin: FeedPosition & { readonly entries: number }): boolean {
  const { accepted } = state;
  return accepted !== undefined && begin.version >= accepted.version && begin.entries >= accepted.entries;
}

/** Clean and clear: ours stays, the connection ends, and the reason says what only an upgrade can change. */
function refuseUnknown(state: FeedState, unknown: Extract<FeedMessage, { kind: "unknown-change" }>): FeedStep {
  const where = unknown.position === undefined ? "the snapshot" : `version ${unknown.position.version}`;
  const detail = `${where} holds a change of kind ${unknown.name}, which only a newer router understands`;
  if (state.incoming !== undefined) return refuseSnapshot(state, state.incoming.begin, "unknown-change", detail);
  return refuse(state, "unknown-change", detail);
}

function refuseSnapshot(
  state: FeedState,
  begin: Extract<FeedMessage, { kind: "snapshot-begin" }>,
  reason: FeedRefusal,
  detail: string,
): FeedStep {
  const step = refuse(state, reason, detail);
  return { ...step, next: { ...step.next, refused: { reason, entries: begin.entries, ...positionOf(begin) } } };
}

function broken(state: FeedState, detail: string): FeedStep {
  return state.incoming === undefined
    ? refuse(state, "snapshot-broken", detail)
    : refuseSnapshot(state, state.incoming.begin, "snapshot-broken", detail);
}

function refuse(state: FeedState, reason: FeedRefusal, detail: string): FeedStep {
  const { incoming: _, ...next } = state;
  return { next, effects: [{ kind: "refuse", reason, detail }] };
}

function resync(state: FeedState, from: "position" | "start", reason: string): FeedStep {
  const { incoming: _, ...next } = state;
  return { next, effects: [{ kind: "resync", from, reason }] };
}

function positionOf({ incarnation, version, chain }: FeedPosition): FeedPosition {
  return { incarnation, version, chain };
}

function samePosition(left: FeedPosition, right: FeedPosition): boolean {
  return left.incarnation === right.incarnation && left.version === right.version && left.chain === right.chain;
}
