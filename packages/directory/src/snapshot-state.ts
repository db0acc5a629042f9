import { chunkBytes, newChunk } from "./arena.ts";
import type { Directory, DirectoryView, FrozenDirectory, FrozenState, StampEntry } from "./directory.ts";
import type { FeedPosition } from "./feed.ts";
import { type HashKey, halfSipHash, type KeyHash } from "./half-sip-hash.ts";
import { emptyShard, newShard, shardCount } from "./key-index.ts";
import { arrayOf, changeOf, integerOf, isRecord, reading, Unreadable } from "./read-change.ts";
import { readPosition } from "./read-message.ts";
import { newStampNumbers } from "./stamp-numbers.ts";
import { directoryOf } from "./table.ts";

const maxSlots = 1 << 24;
const maxChunks = 4_096;
const most32 = 0xffffffff;

interface ReadState {
  readonly state: FrozenState;
  readonly position: FeedPosition;
}

/** The head's JSON, with everything checked that later code relies on; or what is wrong. */
export function readState(bytes: Uint8Array): ReadState | string {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return "head is not UTF-8 JSON";
  }
  const position = readPosition(value);
  if (!position.ok) return position.problem;
  const state = reading(() => stateOf(value));
  return state.ok ? { state: state.value, position: position.value } : state.problem;
}

/** A table whose typed arrays are these pieces. */
export function openTable(state: FrozenState, pieces: readonly Uint8Array[], hash: KeyHash = halfSipHash): Directory {
  let next = 0;
  const take = () => pieces[next++] as Uint8Array;
  const shards = state.shards.map(([slots, used]) => (slots === 0 ? emptyShard : newShard(take(), used)));
  const chunks = state.chunks.map((used) => newChunk(take(), used));
  const { tenants, hostnames, aliases } = state.counts;
  return directoryOf({
    arena: { chunks, free: new Map(state.free), freeBytes: state.freeBytes },
    index: { shards, hash, hashKey: state.hashKey },
    stampNumbers: newStampNumbers(state.stampNames, state.stampTenants),
    stamps: new Map(state.stamps.map((stamp) => [stamp.stamp, stamp])),
    routing: state.routing,
    tenants,
    hostnames,
    aliases,
  });
}

/** Reads a moment of a table, without copying it, until it is released; e.g. to tell all of it in pages. */
export function viewOf(frozen: FrozenDirectory): DirectoryView {
  return openTable(frozen.state, frozen.pieces);
}

function stateOf(value: unknown): FrozenState {
  if (!isRecord(value)) throw new Unreadable("head is not an object");
  const counts = isRecord(value["counts"]) ? value["counts"] : {};
  const [low, high] = listOf(value["hashKey"], "hashKey", (word) => below(word, most32, "hashKey"));
  const stampNames = listOf(value["stampNames"], "stampNames", (name) => {
    if (name === null || typeof name === "string") return name;
    throw new Unreadable("stampNames holds something that is no name");
  });
  const shards = listOf(value["shards"], "shards", (shard) => pairOf(shard, maxSlots, "shards"));
  const chunks = listOf(value["chunks"], "chunks", (used) => below(used, chunkBytes, "chunks"));
  if (low === undefined || high === undefined) throw new Unreadable("hashKey is missing");
  if (shards.length !== shardCount) throw new Unreadable("shards are of another number");
  if (shards.some(([slots, used]) => slots % 8 !== 0 || used > slots || (slots > 0 && used === slots))) {
    throw new Unreadable("a shard is over-full");
  }
  if (
    chunks.length > maxChunks ||
    chunks.some((used, index) => used % 4 !== 0 || (index < chunks.length - 1 && used !== chunkBytes))
  ) {
    throw new Unreadable("chunks have a hole");
  }
  const state: FrozenState = {
    hashKey: [low, high] satisfies HashKey,
    counts: {
      tenants: integerOf(counts["tenants"], 0, "counts.tenants"),
      stamps: integerOf(counts["stamps"], 0, "counts.stamps"),
      hostnames: integerOf(counts["hostnames"], 0, "counts.hostnames"),
      aliases: integerOf(counts["aliases"], 0, "counts.aliases"),
    },
    routing: value["routing"] === undefined ? undefined : routingOf(value["routing"]),
    stamps: listOf(value["stamps"], "stamps", stampOf),
    stampNames,
    stampTenants: listOf(value["stampTenants"], "stampTenants", (count) => integerOf(count, 0, "stampTenants")),
    shards,
    chunks,
    free: listOf(value["free"], "free", (list) => pairOf(list, most32, "free")),
    freeBytes: integerOf(value["freeBytes"], 0, "freeBytes"),
  };
  agree(state);
  return state;
}

/** Numbers that must say the same. */
function agree({ counts, shards, stampTenants, stampNames, stamps }: FrozenState): void {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  const keys = counts.tenants + counts.hostnames + counts.aliases;
  if (sum(shards.map(([, used]) => used)) !== keys) throw new Unreadable("the index holds another number of keys");
  if (sum(stampTenants) !== counts.tenants) throw new Unreadable("stamps have another number of tenants");
  if (stampTenants.length !== stampNames.length) throw new Unreadable("stamps have no names");
  if (stamps.length !== counts.stamps) throw new Unreadable("stamps are of another number");
}

function routingOf(value: unknown): FrozenState["routing"] {
  const change = changeOf({ kind: "routing-put", routing: value }, "routing");
  return change.kind === "routing-put" ? change.routing : undefined;
}

function stampOf(value: unknown): StampEntry {
  const change = changeOf({ ...(isRecord(value) ? value : {}), kind: "stamp-put" }, "stamps[]");
  if (change.kind !== "stamp-put") throw new Unreadable("stamps[] is no stamp");
  const { kind: _, ...entry } = change;
  return entry;
}

function listOf<T>(value: unknown, at: string, read: (item: unknown) => T): T[] {
  return arrayOf(value, 1 << 22, at).map(read);
}

function pairOf(value: unknown, most: number, at: string): readonly [number, number] {
  const [first, second] = arrayOf(value, 2, at);
  return [below(first, most, at), below(second, most, at)];
}

function below(value: unknown, most: number, at: string): number {
  const number = integerOf(value, 0, at);
  if (number > most) throw new Unreadable(`${at} is above ${most}`);
  return number;
}
