import { type Arena, chunkOf, offsetOf } from "./arena.ts";
import type { HashKey, KeyHash } from "./half-sip-hash.ts";
import { entryIs } from "./record.ts";

/**
 * Where each key's entry is: open addressing with linear probing, in 1,024 small tables chosen by the hash's upper bits,
 * so that growing one of them is a matter of a few thousand keys however large the directory is.
 *
 *     ┌─────────────────┬───────────────────────────────┐
 *     │ 8 tags, 1 byte  │ 8 references, 4 bytes         │   a group of 8 slots is 40 bytes: most lookups touch
 *     └─────────────────┴───────────────────────────────┘   one line of the processor's cache here
 *
 * A tag is one byte of the hash, 0 = empty. A reference says where the key's entry is; the whole key is compared there
 * before anything is found.
 *
 * Removing shifts the followers back instead of leaving a tombstone: a table that lived long is as fast as a new one.
 */
export interface KeyIndex {
  readonly shards: Shard[];
  readonly hash: KeyHash;
  readonly hashKey: HashKey;
}

export interface Shard {
  /** The same memory twice: as bytes for the tags, as words for the references. */
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly slots: number;
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

/** Slots come in groups of eight. */
export function shardBytes(slots: number): number {
  return slots * 5;
}

export function newShard(bytes: Uint8Array, used: number): Shard {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  return { bytes, words, slots: bytes.length / 5, used, frozen: false };
}

function tagAt(slot: number): number {
  return (slot >>> 3) * 40 + (slot & 7);
}

function refAt(slot: number): number {
  return (slot >>> 3) * 10 + 2 + (slot & 7);
}

/** One for all tables that were never used. It counts as frozen, so that the first key gets a shard of its own. */
export const emptyShard: Shard = Object.freeze({ ...newShard(new Uint8Array(0), 0), frozen: true });

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
  const { bytes, words, slots } = shard;
  if (slots === 0) return -1;
  const tag = tagOf(hash);
  let slot = placeOf(hash, slots);
  // At least a quarter of the slots is empty; the count only keeps a damaged table from turning for ever.
  for (let probes = 0; probes < slots; probes++) {
    const found = bytes[tagAt(slot)];
    if (found === 0) return -1;
    if (found === tag) {
      const entry = words[refAt(slot)] as number;
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
  if (before.used + 1 > before.slots * mostFull) resize(index, arena, number, before.used + 1);
  const shard = writableShard(index, number);
  place(shard, hash, entry);
  shard.used += 1;
}

export function removeEntry(index: KeyIndex, arena: Arena, entry: number): void {
  const hash = hashOfEntry(index, arena, entry);
  const number = hash >>> placeBits;
  const shard = writableShard(index, number);
  const { bytes, words, slots } = shard;
  const after = (slot: number) => (slot + 1 === slots ? 0 : slot + 1);
  let hole = placeOf(hash, slots);
  while (bytes[tagAt(hole)] !== 0 && words[refAt(hole)] !== entry) hole = after(hole);
  if (bytes[tagAt(hole)] === 0) return;
  for (let next = after(hole); bytes[tagAt(next)] !== 0; next = after(next)) {
    const home = placeOf(hashOfEntry(index, arena, words[refAt(next)] as number), slots);
    // A follower may fill the hole unless its own place lies behind the hole.
    if ((next - home + slots) % slots < (next - hole + slots) % slots) continue;
    bytes[tagAt(hole)] = bytes[tagAt(next)] as number;
    words[refAt(hole)] = words[refAt(next)] as number;
    hole = next;
  }
  bytes[tagAt(hole)] = 0;
  shard.used -= 1;
  if (slots > leastSlots * 2 && shard.used < slots * leastFull) resize(index, arena, number, shard.used);
}

function resize(index: KeyIndex, arena: Arena, number: number, used: number): void {
  const old = index.shards[number] as Shard;
  const slots = Math.ceil(Math.max(leastSlots, used / fullAfterGrowth) / 8) * 8;
  const shard = newShard(new Uint8Array(shardBytes(slots)), old.used);
  for (let slot = 0; slot < old.slots; slot++) {
    if (old.bytes[tagAt(slot)] === 0) continue;
    const entry = old.words[refAt(slot)] as number;
    place(shard, hashOfEntry(index, arena, entry), entry);
  }
  index.shards[number] = shard;
}

function place({ bytes, words, slots }: Shard, hash: number, entry: number): void {
  let slot = placeOf(hash, slots);
  while (bytes[tagAt(slot)] !== 0) slot = slot + 1 === slots ? 0 : slot + 1;
  bytes[tagAt(slot)] = tagOf(hash);
  words[refAt(slot)] = entry;
}

function writableShard(index: KeyIndex, number: number): Shard {
  const shard = index.shards[number] as Shard;
  if (!shard.frozen) return shard;
  const copy = newShard(shard.bytes.slice(), shard.used);
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
