import { type Arena, chunkBits, chunkOf, offsetOf, sizeMask, writableChunk } from "./arena.ts";

/**
 * One tenant in the arena, numbers little-endian:
 *
 *     0        4        8        12
 *     ┌────────┬────────┬────────┬──────────────┬───────────────┬─────
 *     │ size   │ epoch  │ stamp  │ entry: key   │ entry: a host │ … up to a multiple of 4
 *     │ + bits │ low    │ + bits │ of the tenant│ name          │
 *     └────────┴────────┴────────┴──────────────┴───────────────┴─────
 *     entry = length (1 byte) · distance to byte 0 of the record (20 bits) · kind (4 bits) · text
 *
 * Size takes 20 bits (words), then one says "free", stamp takes 22; the 21 bits that an epoch has above 32 share what is
 * left of both words. Hostnames and aliases point back to their record, so the index leads to any of them directly.
 */
export const headBytes = 12;
const entryHeadBytes = 4;
export const maxText = 255;
/** Most stamps with tenants at one time. */
export const maxStampIds = 1 << 22;

/** Kinds of keys share one index and never meet in it: each is hashed and compared with its kind. */
export const kinds = { tenant: 0, hostname: 1, alias: 2, details: 3 } as const;
export type KeyKind = 0 | 1 | 2;

export interface RecordContent {
  readonly tenant: string;
  readonly hostnames: readonly string[];
  readonly aliases: readonly string[];
  /** UTF-8 of JSON, possibly empty. */
  readonly details: Uint8Array;
}

/** Bytes that a record takes, a multiple of 4. */
export function recordSize({ tenant, hostnames, aliases, details }: RecordContent): number {
  let size = headBytes + entryHeadBytes + tenant.length;
  for (const hostname of hostnames) size += entryHeadBytes + hostname.length;
  for (const alias of aliases) size += entryHeadBytes + alias.length;
  size += details.length + Math.ceil(details.length / maxText) * entryHeadBytes;
  return (size + 3) & ~3;
}

/** Writes the entries behind the head; texts are ASCII of 1 to 255 characters. */
export function writeEntries(target: Uint8Array, { tenant, hostnames, aliases, details }: RecordContent): void {
  let at = writeEntry(target, headBytes, kinds.tenant, tenant);
  for (const hostname of hostnames) at = writeEntry(target, at, kinds.hostname, hostname);
  for (const alias of aliases) at = writeEntry(target, at, kinds.alias, alias);
  for (let from = 0; from < details.length; from += maxText) {
    const piece = details.subarray(from, from + maxText);
    writeEntryHead(target, at, kinds.details, piece.length);
    target.set(piece, at + entryHeadBytes);
    at += entryHeadBytes + piece.length;
  }
  target.fill(0, at, (at + 3) & ~3);
}

function writeEntry(target: Uint8Array, at: number, kind: number, text: string): number {
  writeEntryHead(target, at, kind, text.length);
  for (let index = 0; index < text.length; index++) target[at + entryHeadBytes + index] = text.charCodeAt(index);
  return at + entryHeadBytes + text.length;
}

function writeEntryHead(target: Uint8Array, at: number, kind: number, length: number): void {
  target[at] = length;
  target[at + 1] = at & 0xff;
  target[at + 2] = (at >>> 8) & 0xff;
  target[at + 3] = (at >>> 16) | (kind << 4);
}

export function writeHead(arena: Arena, record: number, stampId: number, epoch: number): void {
  const { words } = writableChunk(arena, record);
  const at = offsetOf(record) >>> 2;
  const high = Math.floor(epoch / 2 ** 32);
  words[at] = ((words[at] as number) & sizeMask) | ((high & 0x7ff) << 21);
  words[at + 1] = epoch >>> 0;
  words[at + 2] = stampId | ((high >>> 11) << 22);
}

export function epochOfRecord(arena: Arena, record: number): number {
  const words = chunkOf(arena, record)?.words;
  if (words === undefined) return 0;
  const at = offsetOf(record) >>> 2;
  const high = ((words[at] as number) >>> 21) | (((words[at + 2] as number) >>> 22) << 11);
  return high * 2 ** 32 + (words[at + 1] as number);
}

export function stampIdOfRecord(arena: Arena, record: number): number {
  return ((chunkOf(arena, record)?.words[(offsetOf(record) >>> 2) + 2] ?? 0) & (maxStampIds - 1)) >>> 0;
}

/** The record that an entry belongs to. */
export function recordOfEntry(arena: Arena, entry: number): number {
  const bytes = chunkOf(arena, entry)?.bytes;
  const at = offsetOf(entry);
  if (bytes === undefined) return entry;
  const back = (bytes[at + 1] as number) | ((bytes[at + 2] as number) << 8) | (((bytes[at + 3] as number) & 0xf) << 16);
  return entry - back;
}

/** Whether the entry is this key: kind, length and every byte. */
export function entryIs(
  arena: Arena,
  entry: number,
  kind: number,
  key: Uint8Array,
  start: number,
  end: number,
): boolean {
  const chunk = arena.chunks[entry >>> chunkBits];
  if (chunk === undefined) return false;
  const { bytes } = chunk;
  const at = offsetOf(entry);
  if (bytes[at] !== end - start || (bytes[at + 3] as number) >>> 4 !== kind) return false;
  for (let from = start, to = at + entryHeadBytes; from < end; from++, to++) {
    if (bytes[to] !== key[from]) return false;
  }
  return true;
}

export interface EntryPlace {
  readonly entry: number;
  readonly kind: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Every entry of a record, the tenant's own key first. */
export function* entriesOf(arena: Arena, record: number): Iterable<EntryPlace> {
  const chunk = chunkOf(arena, record);
  if (chunk === undefined) return;
  const { bytes, words } = chunk;
  const from = offsetOf(record);
  const last = from + ((words[from >>> 2] as number) & sizeMask) * 4;
  for (let at = from + headBytes; at + entryHeadBytes < last; ) {
    const start = at + entryHeadBytes;
    const end = start + (bytes[at] as number);
    if (end === start) return;
    yield { entry: record + at - from, kind: (bytes[at + 3] as number) >>> 4, bytes, start, end };
    at = end;
  }
}

/** Text of the tenant's own key. */
export function tenantOfRecord(arena: Arena, record: number): string {
  const bytes = chunkOf(arena, record)?.bytes;
  if (bytes === undefined) return "";
  const at = offsetOf(record) + headBytes;
  return asciiText(bytes, at + entryHeadBytes, at + entryHeadBytes + (bytes[at] as number));
}

export function asciiText(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode.apply(undefined, bytes.subarray(start, end) as unknown as number[]);
}
