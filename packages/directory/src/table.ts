import { type Routing, utf8 } from "@stampyard/domain";
import { type Arena, allocate, chunkOf, liveBlocks, newArena, offsetOf, release, writableChunk } from "./arena.ts";
import type { DirectoryChange } from "./change.ts";
import type { ChangeRefusal, Directory, TenantEntry, TenantHome } from "./directory.ts";
import { freezeTable } from "./freeze.ts";
import { type HashKey, halfSipHash, type KeyHash } from "./half-sip-hash.ts";
import { addEntry, findEntry, newIndex, removeEntry } from "./key-index.ts";
import {
  asciiText,
  entriesOf,
  epochOfRecord,
  headBytes,
  type KeyKind,
  kinds,
  type RecordContent,
  recordOfEntry,
  recordSize,
  stampIdOfRecord,
  tenantOfRecord,
  writeEntries,
  writeHead,
} from "./record.ts";
import { addTenantTo, newStampNumbers, takeTenantFrom, tenantsOf } from "./stamp-numbers.ts";
import { countsOf, type TableParts } from "./table-parts.ts";

type TenantPut = Extract<DirectoryChange, { kind: "tenant-put" }>;

export interface DirectoryOptions {
  /**
   * 64 random bits, new for every process that routes for others: who knows them can choose hostnames that make lookups
   * slow (never wrong: whole keys are compared). @default a fixed key, for tests and for tables of trusted names
   */
  readonly hashKey?: HashKey;
  /** For tests with a weak one. @default HalfSipHash-2-4 */
  readonly hash?: KeyHash;
}

const noRouting: Routing = { domains: [] };
const noDetails = new Uint8Array(0);
const fixedKey: HashKey = [0x5741_4d50, 0x5941_5244];

/** An empty table. Tenants and their keys live in typed arrays: about 35 bytes per key, nothing for the garbage collector. */
export function createDirectory(options: DirectoryOptions = {}): Directory {
  const { hashKey = fixedKey, hash = halfSipHash } = options;
  return directoryOf({
    arena: newArena(),
    index: newIndex(hash, hashKey),
    stampNumbers: newStampNumbers(),
    stamps: new Map(),
    routing: undefined,
    tenants: 0,
    hostnames: 0,
    aliases: 0,
  });
}

/** A table on these parts, which it owns from now on. */
export function directoryOf(parts: TableParts): Directory {
  const { arena, index, stampNumbers, stamps } = parts;
  const find = keyFinder(parts);
  const homeAt = (record: number): TenantHome | undefined =>
    record < 0 ? undefined : homeOf(parts, record, tenantOfRecord(arena, record));
  const findIn = (kind: KeyKind, bytes: Uint8Array, start: number, end: number) => {
    const entry = findEntry(index, arena, kind, bytes, start, end);
    return entry < 0 ? -1 : recordOfEntry(arena, entry);
  };
  return {
    lookupTenant(key) {
      const record = find(kinds.tenant, key);
      return record < 0 ? undefined : homeOf(parts, record, key);
    },
    lookupHostname: (host) => homeAt(find(kinds.hostname, host)),
    lookupAlias: (alias) => homeAt(find(kinds.alias, alias)),
    findTenant: (key) => find(kinds.tenant, key),
    // Every request is asked whether its host is somebody's own, and most fleets have none.
    findHostname: (host) => (parts.hostnames === 0 ? -1 : find(kinds.hostname, host)),
    findAlias: (alias) => find(kinds.alias, alias),
    findTenantBytes: (bytes, start, end) => findIn(kinds.tenant, bytes, start, end),
    findHostnameBytes: (bytes, start, end) => findIn(kinds.hostname, bytes, start, end),
    stampAt: (home) => stampNumbers.names[stampIdOfRecord(arena, home)],
    epochAt: (home) => epochOfRecord(arena, home),
    tenantAt: (home) => tenantOfRecord(arena, home),
    detailsAt: (home) => detailsIn(arena, home),
    tierAt(home) {
      const tier = home < 0 ? undefined : detailsIn(arena, home)?.["tier"];
      return typeof tier === "string" ? tier : undefined;
    },
    lookupStamp: (name) => stamps.get(name),
    routing: () => parts.routing ?? noRouting,
    counts: () => countsOf(parts),
    entryCount: () => parts.tenants + stamps.size + (parts.routing === undefined ? 0 : 1),
    tenantCountOf: (stamp) => tenantsOf(stampNumbers, stamp),
    stamps: () => stamps.values(),
    tenants: () => tenantsIn(parts),
    puts: () => putsOf(parts),
    check: (change) => check(parts, find, change),
    successor: () => createDirectory({ hash: index.hash, hashKey: index.hashKey }),
    memory: () => memoryOf(parts),
    freeze: () => freezeTable(parts),
    apply(change) {
      const refusal = check(parts, find, change);
      if (refusal === undefined) applyChecked(parts, find, change);
      return refusal;
    },
  };
}

type Find = (kind: KeyKind, key: string) => number;

/** Looks texts up by way of one buffer that is used again and again. Gives the record, or -1. */
function keyFinder({ index, arena }: TableParts): Find {
  const bytes = new Uint8Array(256);
  return (kind, key) => {
    const { length } = key;
    if (length > 255) return -1;
    for (let at = 0; at < length; at++) {
      const code = key.charCodeAt(at);
      // No key has other characters; cut to a byte one of them could look like a key.
      if (code > 0x7f) return -1;
      bytes[at] = code;
    }
    const entry = findEntry(index, arena, kind, bytes, 0, length);
    return entry < 0 ? -1 : recordOfEntry(arena, entry);
  };
}

function homeOf({ arena, stampNumbers }: TableParts, record: number, tenant: string): TenantHome | undefined {
  const stamp = stampNumbers.names[stampIdOfRecord(arena, record)];
  // Only a table out of a wrongly written file has a record without a stamp; it may not make a route.
  return stamp === undefined ? undefined : { tenant, stamp, epoch: epochOfRecord(arena, record) };
}

function check(parts: TableParts, find: Find, change: DirectoryChange): ChangeRefusal | undefined {
  if (change.kind !== "tenant-put") return undefined;
  const own = find(kinds.tenant, change.tenant);
  if (own >= 0 && change.epoch < epochOfRecord(parts.arena, own)) return "epoch-decreases";
  const isTaken = (kind: KeyKind) => (key: string) => {
    const owner = find(kind, key);
    return owner >= 0 && owner !== own;
  };
  if (change.hostnames.some(isTaken(kinds.hostname))) return "hostname-taken";
  if (change.aliases?.some(isTaken(kinds.alias)) === true) return "alias-taken";
  return undefined;
}

function applyChecked(parts: TableParts, find: Find, change: DirectoryChange): void {
  switch (change.kind) {
    case "stamp-put": {
      const { kind: _, ...entry } = change;
      parts.stamps.set(entry.stamp, entry);
      return;
    }
    case "stamp-remove":
      parts.stamps.delete(change.stamp);
      return;
    case "tenant-put":
      putTenant(parts, find(kinds.tenant, change.tenant), change);
      return;
    case "tenant-remove":
      removeTenant(parts, find(kinds.tenant, change.tenant));
      return;
    case "routing-put":
      parts.routing = change.routing;
      return;
  }
}

function putTenant(parts: TableParts, old: number, put: TenantPut): void {
  const { arena, index, stampNumbers } = parts;
  const content: RecordContent = { ...put, aliases: put.aliases ?? [], details: detailsOf(put) };
  const size = recordSize(content);
  const bytes = new Uint8Array(size);
  writeEntries(bytes, content);
  // First, so that a stamp that keeps its only tenant keeps its number.
  const number = addTenantTo(stampNumbers, put.stamp);
  if (old >= 0 && hasEntries(arena, old, bytes)) {
    // What a move does, and most other changes: the same keys, another home.
    takeTenantFrom(stampNumbers, stampIdOfRecord(arena, old));
    writeHead(arena, old, number, put.epoch);
    return;
  }
  removeTenant(parts, old);
  const record = allocate(arena, size / 4);
  writableChunk(arena, record).bytes.set(bytes.subarray(headBytes), offsetOf(record) + headBytes);
  writeHead(arena, record, number, put.epoch);
  for (const { entry, kind } of entriesOf(arena, record)) if (kind !== kinds.details) addEntry(index, arena, entry);
  parts.tenants += 1;
  parts.hostnames += content.hostnames.length;
  parts.aliases += content.aliases.length;
}

function removeTenant(parts: TableParts, record: number): void {
  if (record < 0) return;
  const { arena, index, stampNumbers } = parts;
  for (const { entry, kind } of entriesOf(arena, record)) {
    if (kind === kinds.details) continue;
    removeEntry(index, arena, entry);
    if (kind === kinds.hostname) parts.hostnames -= 1;
    if (kind === kinds.alias) parts.aliases -= 1;
  }
  takeTenantFrom(stampNumbers, stampIdOfRecord(arena, record));
  release(arena, record);
  parts.tenants -= 1;
}

/** Whether the record holds these entries, byte for byte. */
function hasEntries(arena: Arena, record: number, entries: Uint8Array): boolean {
  const chunk = chunkOf(arena, record);
  const offset = offsetOf(record);
  if (chunk === undefined || ((chunk.words[offset >>> 2] as number) & 0xfffff) * 4 !== entries.length) return false;
  for (let at = headBytes; at < entries.length; at++) if (chunk.bytes[offset + at] !== entries[at]) return false;
  return true;
}

/** Fields of a newer format are kept as they came, so that a snapshot of this version loses nothing for the next. */
function detailsOf(put: TenantPut): Uint8Array {
  const { kind: _k, tenant: _t, stamp: _s, epoch: _e, hostnames: _h, aliases: _a, ...rest } = put;
  return Object.keys(rest).length === 0 ? noDetails : utf8(JSON.stringify(rest));
}

interface Content {
  readonly hostnames: string[];
  readonly aliases: string[];
  readonly details: Readonly<Record<string, unknown>> | undefined;
}

function contentOf(arena: Arena, record: number): Content {
  const hostnames: string[] = [];
  const aliases: string[] = [];
  let hasDetails = false;
  for (const { kind, bytes, start, end } of entriesOf(arena, record)) {
    if (kind === kinds.hostname) hostnames.push(asciiText(bytes, start, end));
    else if (kind === kinds.alias) aliases.push(asciiText(bytes, start, end));
    else if (kind === kinds.details) hasDetails = true;
  }
  return { hostnames, aliases, details: hasDetails ? detailsIn(arena, record) : undefined };
}

function detailsIn(arena: Arena, record: number): Content["details"] {
  const pieces: number[] = [];
  for (const { kind, bytes, start, end } of entriesOf(arena, record)) {
    if (kind === kinds.details) pieces.push(...bytes.subarray(start, end));
  }
  return pieces.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(Uint8Array.from(pieces)));
}

function* tenantsIn(parts: TableParts): Iterable<TenantEntry> {
  const { arena } = parts;
  for (const record of liveBlocks(arena)) {
    const home = homeOf(parts, record, tenantOfRecord(arena, record));
    if (home === undefined) continue;
    const { hostnames, aliases, details } = contentOf(arena, record);
    yield { ...details, ...home, hostnames, ...(aliases.length === 0 ? {} : { aliases }) };
  }
}

function* putsOf(parts: TableParts): Iterable<DirectoryChange> {
  if (parts.routing !== undefined) yield { kind: "routing-put", routing: parts.routing };
  for (const stamp of parts.stamps.values()) yield { kind: "stamp-put", ...stamp };
  for (const tenant of tenantsIn(parts)) yield { kind: "tenant-put", ...tenant };
}

function memoryOf({ arena, index }: TableParts) {
  let records = 0;
  for (const { bytes } of arena.chunks) records += bytes.length;
  let slots = 0;
  for (const shard of index.shards) slots += shard.slots;
  return { records, free: arena.freeBytes, index: slots * 5 };
}
