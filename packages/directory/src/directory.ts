import type { Endpoint, Routing } from "@stampyard/domain";
import type { DirectoryChange } from "./change.ts";

/** Who serves a tenant. */
export interface TenantHome {
  readonly tenant: string;
  readonly stamp: string;
  readonly epoch: number;
}

export interface TenantEntry extends TenantHome {
  readonly hostnames: readonly string[];
  /** Absent when there are none, as in the change. */
  readonly aliases?: readonly string[];
}

export interface StampEntry {
  readonly stamp: string;
  readonly pool: string;
  readonly region: string;
  readonly endpoints: readonly Endpoint[];
  readonly endpointRevision: number;
}

/** Why a change may not be applied. */
export type ChangeRefusal =
  /** A route epoch never falls (I2). */
  | "epoch-decreases"
  /** Another tenant has one of these hostnames (I1, I5). */
  | "hostname-taken"
  /** Another tenant has one of these aliases. */
  | "alias-taken";

export interface DirectoryCounts {
  readonly tenants: number;
  readonly stamps: number;
  readonly hostnames: number;
  readonly aliases: number;
}

/** A tenant's place in the table: valid until the next change of the table, never to be kept. -1 = not there. */
export type HomeRef = number;

/** What is read from the table; all that a decision needs. */
export interface DirectoryView {
  lookupTenant(key: string): TenantHome | undefined;
  /** Custom hostnames only; subdomains are a matter of routing. */
  lookupHostname(host: string): TenantHome | undefined;
  /** Any other key that leads to a tenant, as the change gave it. */
  lookupAlias(alias: string): TenantHome | undefined;

  /** The same three without making an object, for the path that every request takes. */
  findTenant(key: string): HomeRef;
  findHostname(host: string): HomeRef;
  findAlias(alias: string): HomeRef;
  /** From the bytes of a request's head, which must be normalised already (lower case, no port). */
  findTenantBytes(bytes: Uint8Array, start: number, end: number): HomeRef;
  findHostnameBytes(bytes: Uint8Array, start: number, end: number): HomeRef;
  /** Makes no string: names of stamps are kept. Undefined only for a place that is not valid. */
  stampAt(home: HomeRef): string | undefined;
  epochAt(home: HomeRef): number;
  tenantAt(home: HomeRef): string;
  /**
   * Fields of the tenant's change beside its home and its keys, those that only a newer version knows among them. Parsed
   * at every call.
   */
  detailsAt(home: HomeRef): Readonly<Record<string, unknown>> | undefined;
  /** Absent for the standard one. Parsed at every call. */
  tierAt(home: HomeRef): string | undefined;

  lookupStamp(name: string): StampEntry | undefined;
  routing(): Routing;
  counts(): DirectoryCounts;
  /** Number of puts a snapshot of it holds. */
  entryCount(): number;
  tenantCountOf(stamp: string): number;
  stamps(): Iterable<StampEntry>;
  /** The table must not change while this is read. */
  tenants(): Iterable<TenantEntry>;
  /** Everything as puts: routing and stamps before tenants. The table must not change while this is read. */
  puts(): Iterable<DirectoryChange>;
  /** Why `apply` would refuse this change, or undefined. */
  check(change: DirectoryChange): ChangeRefusal | undefined;
  /** An empty table under the same secret hash key. */
  successor(): Directory;
  memory(): DirectoryMemory;
  /** The table as it is now, for a snapshot that is written while the table goes on changing. */
  freeze(): FrozenDirectory;
}

export interface Directory extends DirectoryView {
  /** Applies one valid change. A refused change changes nothing. Applying one twice is the same as once. */
  apply(change: DirectoryChange): ChangeRefusal | undefined;
}

/** In bytes. */
export interface DirectoryMemory {
  /** Records: keys, epochs, homes. */
  readonly records: number;
  /** Of these, room that removed records left and new ones will take. */
  readonly free: number;
  readonly index: number;
}

/**
 * A moment of a table. Taking one costs microseconds; what changes afterwards is copied first, a megabyte at a time, until
 * `release` is called. Holding one therefore costs at most the table's size once more.
 */
export interface FrozenDirectory {
  /** For the snapshot's header; see snapshot.ts. */
  readonly state: FrozenState;
  /** Shards of the index, then chunks of the arena, in order. */
  readonly pieces: readonly Uint8Array[];
  release(): void;
}

export interface FrozenState {
  readonly hashKey: readonly [number, number];
  readonly counts: DirectoryCounts;
  readonly routing: Routing | undefined;
  readonly stamps: readonly StampEntry[];
  /** By number, as records name them; null = free. */
  readonly stampNames: readonly (string | null)[];
  readonly stampTenants: readonly number[];
  /** Slots and used slots of each shard of the index. */
  readonly shards: readonly (readonly [slots: number, used: number])[];
  /** Used bytes of each chunk of the arena. */
  readonly chunks: readonly number[];
  /** Size in words and first block of each list of free blocks. */
  readonly free: readonly (readonly [words: number, ref: number])[];
  readonly freeBytes: number;
}
