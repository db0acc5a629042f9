/**
 * Records in chunks of 1 MiB, one behind the other. A reference is the place of a record's first byte over all chunks:
 *
 *      chunk 0                                 chunk 1
 *     ┌──────────┬──────┬───────┬──────────┐  ┌─────────┬───────────
 *     │ record   │ free │ record│ free     │  │ record  │ not used yet
 *     └──────────┴──────┴───────┴──────────┘  └─────────┴───────────
 *
 * Every block, in use or free, begins with a word that holds its size, so that the chunks can be walked. Free blocks of
 * one size are linked through themselves; a block is given again to the next record of its size, or cut for a smaller one.
 * Nothing is ever moved, so no change takes longer because the table is large.
 */
export interface Arena {
  readonly chunks: Chunk[];
  /** First free block per size in words. */
  readonly free: Map<number, number>;
  freeBytes: number;
}

export interface Chunk {
  bytes: Uint8Array;
  words: Uint32Array;
  /** Bytes behind it hold nothing yet. */
  used: number;
  /** Somebody is writing these bytes to disk: they are copied before they change. */
  frozen: boolean;
}

export const chunkBits = 20;
export const chunkBytes = 1 << chunkBits;
const offsetMask = chunkBytes - 1;
const firstChunkBytes = 4_096;
/** 4 GiB, what a reference can reach. */
const maxChunks = 4_096;

/** Low 20 bits of a block's first word: its size in words. */
export const sizeMask = 0xfffff;
export const deadBit = 0x100000;
const noBlock = 0xffffffff;

export function newArena(): Arena {
  return { chunks: [], free: new Map(), freeBytes: 0 };
}

export function newChunk(bytes: Uint8Array, used: number): Chunk {
  return { bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2), used, frozen: false };
}

/** The chunk of a reference, to read. A reference out of a damaged file may lead nowhere. */
export function chunkOf(arena: Arena, ref: number): Chunk | undefined {
  return arena.chunks[ref >>> chunkBits];
}

export function offsetOf(ref: number): number {
  return ref & offsetMask;
}

/** The chunk of a reference that exists, to change. */
export function writableChunk(arena: Arena, ref: number): Chunk {
  const chunk = chunkOf(arena, ref) as Chunk;
  if (chunk.frozen) moveTo(chunk, chunk.bytes.length);
  return chunk;
}

/**
 * Room for a record; its first word is set to its size.
 * @throws RangeError when the table would need more than 4 GiB of records
 */
export function allocate(arena: Arena, words: number): number {
  const reused = takeFree(arena, words);
  if (reused !== undefined) return reused;
  const size = words * 4;
  let chunk = arena.chunks.at(-1);
  if (chunk === undefined || chunk.used + size > chunkBytes) {
    if (chunk !== undefined) giveUpRest(arena, chunk);
    if (arena.chunks.length === maxChunks) throw new RangeError("A directory holds at most 4 GiB of records");
    const first = arena.chunks.length === 0 ? firstChunkBytes : chunkBytes;
    chunk = newChunk(new Uint8Array(Math.max(first, size)), 0);
    arena.chunks.push(chunk);
  }
  if (chunk.used + size > chunk.bytes.length) {
    moveTo(chunk, Math.min(chunkBytes, Math.max(chunk.bytes.length * 2, chunk.used + size)));
  } else if (chunk.frozen) moveTo(chunk, chunk.bytes.length);
  const offset = chunk.used;
  chunk.used += size;
  chunk.words[offset >>> 2] = words;
  return (arena.chunks.length - 1) * chunkBytes + offset;
}

export function release(arena: Arena, ref: number): void {
  const chunk = writableChunk(arena, ref);
  const at = offsetOf(ref) >>> 2;
  linkFree(arena, chunk, ref, (chunk.words[at] as number) & sizeMask);
}

/** Every block in use, in order of its place. The arena must not change meanwhile. */
export function* liveBlocks(arena: Arena): Iterable<number> {
  for (let index = 0; index < arena.chunks.length; index++) {
    const { words, used } = arena.chunks[index] as Chunk;
    for (let offset = 0; offset < used; ) {
      const head = words[offset >>> 2] as number;
      const size = (head & sizeMask) * 4;
      if (size === 0) break;
      if ((head & deadBit) === 0) yield index * chunkBytes + offset;
      offset += size;
    }
  }
}

function takeFree(arena: Arena, words: number): number | undefined {
  if (arena.freeBytes < words * 4) return undefined;
  const exact = arena.free.get(words);
  if (exact !== undefined) return unlinkFree(arena, exact, words);
  // While little is free it is left for records of its own size; cutting it early would leave only crumbs.
  if (arena.freeBytes * 8 < arena.chunks.length * chunkBytes && arena.freeBytes < chunkBytes) return undefined;
  let best: number | undefined;
  for (const size of arena.free.keys()) {
    if (size >= words + 2 && (best === undefined || size < best)) best = size;
  }
  const first = best === undefined ? undefined : arena.free.get(best);
  if (best === undefined || first === undefined) return undefined;
  const ref = unlinkFree(arena, first, best);
  const chunk = writableChunk(arena, ref);
  linkFree(arena, chunk, ref + words * 4, best - words);
  chunk.words[offsetOf(ref) >>> 2] = words;
  return ref;
}

function unlinkFree(arena: Arena, ref: number, words: number): number {
  const chunk = writableChunk(arena, ref);
  const at = offsetOf(ref) >>> 2;
  const next = chunk.words[at + 1] as number;
  if (next === noBlock) arena.free.delete(words);
  else arena.free.set(words, next);
  arena.freeBytes -= words * 4;
  chunk.words[at] = words;
  return ref;
}

function linkFree(arena: Arena, chunk: Chunk, ref: number, words: number): void {
  const at = offsetOf(ref) >>> 2;
  chunk.words[at] = words | deadBit;
  // One word alone has no room for the link; it stays dead, which only ever happens at the end of a chunk.
  if (words < 2) return;
  chunk.words[at + 1] = arena.free.get(words) ?? noBlock;
  arena.free.set(words, ref);
  arena.freeBytes += words * 4;
}

/** What is left of a chunk becomes free blocks, so that a walk over the chunk meets nothing unknown. */
function giveUpRest(arena: Arena, chunk: Chunk): void {
  const rest = (chunkBytes - chunk.used) >>> 2;
  if (rest === 0) return;
  if (chunk.frozen || chunk.bytes.length < chunkBytes) moveTo(chunk, chunkBytes);
  const ref = (arena.chunks.length - 1) * chunkBytes + chunk.used;
  chunk.used = chunkBytes;
  linkFree(arena, chunk, ref, rest);
}

function moveTo(chunk: Chunk, length: number): void {
  const bytes = new Uint8Array(length);
  bytes.set(chunk.bytes.subarray(0, chunk.used));
  chunk.bytes = bytes;
  chunk.words = new Uint32Array(bytes.buffer);
  chunk.frozen = false;
}
