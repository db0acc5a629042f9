import { type Arena, chunkOf, offsetOf } from "./arena.ts";
import type { HashKey, KeyHash } from "./half-sip-hash.ts";
import { entryIs } from "./record.ts";

/**
 * Where each key's entry is: open addressing with linear probing, in 1,024 small tables chosen by the hash's upper bits,
 * so that growing one of them is a matter of a few thousand keys however large the directory is.
 *
 *     tags   │ 0 │ 7f│ 03│ 7f│ 0 │    one byte of the hash; 0 = empty. Most probes touch only these.
 *     refs   │   │ ● │ ● │ ● │   │    where the key's entry is; the whole key is compared there before it is found.
 *
 * Removing shifts the followers back instead of leaving a tombstone: a table that lived long is as fast as a new one.
 */
export interface KeyIndex {
  readonly shards: Shard[];
  readonly hash: KeyHash;
  readonly hashKey: HashKey;
}

export interface Shard {
  refs: Uint32Array;
  tags: Uint8Array;
  used: number;
  /** Somebody is writing these bytes to disk: they are copied before they change. */
  frozen: boolean;
}

const shardBits = 10;
export const shardCount = 1 << shardBits;
const placeBits = 32 - shardBits;
const placeMask = 2 ** placeBits - 1;
const leastSlots = 8;
const mostFull = 0.75;
const fullAfterGrowth = 0.55;
const leastFull = 0.2;

export function newIndex(hash: KeyHash, hashKey: HashKey): KeyIndex {
  return { shards: Array.from({ length: shardCount }, () => emptyShard), hash, hashKey };
}

/** Bytes of a shard with this many slots: the references, then the tags. */
export function shardBytes(slots: number): number {
  return (slots * 5 + 3) & ~3;
}

export function newShard(buffer: ArrayBuffer, slots: number, used: number): Shard {
  return {
    refs: new Uint32Array(buffer, 0, slots),
    tags: new Uint8Array(buffer, slots * 4, slots),
    used,
    frozen: false,
  };
}

/** One for all tables that were never used. It counts as frozen, so that the first key gets a shard of its own. */
export const emptyShard: Shard = Object.freeze({ ...newShard(new ArrayBuffer(0), 0, 0), frozen: true });

/** The entry of a key, or -1. */
export function findEntry(
  index: KeyIndex,
  arena: Arena,
  kind: number,
  key: Uint8Array,
  start: number,
  end: number,
): number {
  const hash = index.hash(key, start, end, kind, index.hashKey);
  const shard = index.shards[hash >>> placeBits] as Shard;
  const { tags, refs } = shard;
  const slots = tags.length;
  if (slots === 0) return -1;
  const tag = tagOf(hash);
  let slot = placeOf(hash, slots);
  // At least a quarter of the slots is empty; the count only keeps a damaged table from turning for ever.
  for (let probes = 0; probes < slots; probes++) {
    const found = tags[slot];
    if (found === 0) return -1;
    if (found === tag) {
      const entry = refs[slot] as number;
      if (entryIs(arena, entry, kind, key, start, end)) return entry;
    }
    slot = slot + 1 === slots ? 0 : slot + 1;
  }
  return -1;
}

/** Adds an entry whose key is not there yet. */
export function addEntry(index: KeyIndex, arena: Arena, entry: number): void {
  const hash = hashOfEntry(index, arena, entry);
  const number = hash >>> placeBits;
  const before = index.shards[number] as Shard;
  if (before.used + 1 > before.tags.length * mostFull) resize(index, arena, number, before.used + 1);
  const shard = writableShard(index, number);
  place(shard, hash, entry);
  shard.used += 1;
}

export function removeEntry(index: KeyIndex, arena: Arena, entry: number): void {
  const hash = hashOfEntry(index, arena, entry);
  const number = hash >>> placeBits;
  const shard = writableShard(index, number);
  const { tags, refs } = shard;
  const slots = tags.length;
  let hole = placeOf(hash, slots);
  while (refs[hole] !== entry || tags[hole] === 0) {
    if (tags[hole] === 0) return;
    hole = hole + 1 === slots ? 0 : hole + 1;
  }
  for (let next = (hole + 1) % slots; tags[next] !== 0; next = (next + 1) % slots) {
    const home = placeOf(hashOfEntry(index, arena, refs[next] as number), slots);
    // A follower may fill the hole unless its own place lies behind the hole.
    if ((next - home + slots) % slots < (next - hole + slots) % slots) continue;
    tags[hole] = tags[next] as number;
    refs[hole] = refs[next] as number;
    hole = next;
  }
  tags[hole] = 0;
  shard.used -= 1;
  if (slots > leastSlots * 2 && shard.used < slots * leastFull) resize(index, arena, number, shard.used);
}

function resize(index: KeyIndex, arena: Arena, number: number, used: number): void {
  const old = index.shards[number] as Shard;
  const slots = Math.max(leastSlots, Math.ceil(used / fullAfterGrowth));
  const shard = newShard(new ArrayBuffer(shardBytes(slots)), slots, old.used);
  for (let slot = 0; slot < old.tags.length; slot++) {
    if (old.tags[slot] === 0) continue;
    const entry = old.refs[slot] as number;
    place(shard, hashOfEntry(index, arena, entry), entry);
  }
  index.shards[number] = shard;
}

function place({ tags, refs }: Shard, hash: number, entry: number): void {
  const slots = tags.length;
  let slot = placeOf(hash, slots);
  while (tags[slot] !== 0) slot = slot + 1 === slots ? 0 : slot + 1;
  tags[slot] = tagOf(hash);
  refs[slot] = entry;
}

function writableShard(index: KeyIndex, number: number): Shard {
  const shard = index.shards[number] as Shard;
  if (!shard.frozen) return shard;
  const copy = newShard(shard.refs.buffer.slice(0) as ArrayBuffer, shard.tags.length, shard.used);
  index.shards[number] = copy;
  return copy;
}

function hashOfEntry(index: KeyIndex, arena: Arena, entry: number): number {
  const bytes = chunkOf(arena, entry)?.bytes;
  if (bytes === undefined) return 0;
  const at = offsetOf(entry);
  const start = at + 4;
  return index.hash(bytes, start, start + (bytes[at] as number), (bytes[at + 3] as number) >>> 4, index.hashKey);
}

/** The bits that choose the place are the ones that choose the shard's; the lowest eight, the tag, hardly matter to it. */
function placeOf(hash: number, slots: number): number {
  return (((hash & placeMask) * slots) / 2 ** placeBits) >>> 0;
}

function tagOf(hash: number): number {
  return hash & 0xff || 1;
}
