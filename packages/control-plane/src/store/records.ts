import type {
  CampaignPhase,
  Capacity,
  Digest,
  ErasureCertificate,
  FencingToken,
  Fleet,
  Instant,
  MovePhase,
  RolloutPhase,
  StampObservation,
  StampPhase,
  Template,
  TenantPhase,
} from "@stampyard/domain";
import type { DirectoryChange, FeedPosition } from "@stampyard/directory";
import type { HoldEvent } from "./holds.ts";

/** What the store keeps and answers: plain data, beside the words of `domain`. Times are `Instant` (ms since 1970). */

/** A row with the number that rises at every write of it; a write names the one it read (I30). */
export interface Revisioned<T> {
  readonly value: T;
  readonly revision: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
}

/** Who writes, and under which lease. A token that is not the lease's present one is refused with STALE_LEADER (I28). */
export interface WriteContext {
  /** E.g. `token:tok_1a2b`, `reconciler`, `system`. At most 200 characters. */
  readonly actor: string;
  readonly token: FencingToken;
  /** Free text for the audit, at most 1,000 characters. */
  readonly reason?: string;
  readonly requestId?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Pass it back as `cursor`; absent on the last page. */
  readonly nextCursor?: string;
}

export interface PageOptions {
  /** 1 to 1,000. @default 100 */
  readonly limit?: number;
  readonly cursor?: string;
}

export interface Lease {
  readonly holder: string;
  readonly token: FencingToken;
  /** By the database's clock. */
  readonly expiresAt: Instant;
}

export type StoreMode = "normal" | "recovering";

export interface StoreMeta {
  /** Random, made with the store; tells one fleet's store from another's. */
  readonly fleetId: string;
  /** Rises at every restore and at every recovery (decision D9). */
  readonly incarnation: number;
  readonly mode: StoreMode;
  /** Why it is recovering. */
  readonly modeReason?: string;
  readonly schemaVersion: number;
}

export type TokenRole = "admin" | "operator" | "viewer" | "router";

export interface TokenRecord {
  /** `tok_…`; no secret. */
  readonly id: string;
  readonly name: string;
  readonly role: TokenRole;
  readonly createdAt: Instant;
  readonly createdBy: string;
  /** Within a minute. */
  readonly lastUsedAt?: Instant;
  readonly revokedAt?: Instant;
}

/** One immutable version of the template; writing the same digest again changes nothing. */
export interface ReleaseInput {
  readonly digest: Digest;
  readonly version: string;
  readonly template: Template;
  /** Text of `stamp.yaml` as applied. */
  readonly source: string;
  /** Where `workdir` and relative commands start from. */
  readonly sourceDir: string;
  /** Digest of the files that its components run from; absent where it runs none of ours, e.g. images only. */
  readonly content?: Digest;
  readonly notes?: string;
}

export interface Release extends ReleaseInput {
  readonly createdBy: string;
  readonly createdAt: Instant;
}

export interface FleetRecord {
  readonly fleet: Fleet;
  readonly release: Digest;
}

export interface UsedPlaces {
  readonly tenants: number;
  readonly units: Readonly<Record<string, number>>;
}

export interface ObservedStamp {
  readonly observation: StampObservation;
  /** When it was looked at, by the database's clock. */
  readonly at: Instant;
}

/** A stamp's route-header key (decision D7). `secret` is 32 bytes as base64url, the form that guard reads. */
export interface StampRouteKey {
  readonly kid: string;
  readonly secret: string;
  readonly state: "current" | "next" | "old";
}

/** `added` = the stamp learns the next key; `promoted` = routers sign with it; `dropped` = the old one is no more. */
export type RotationStep = "added" | "promoted" | "dropped";

export interface TenantInput {
  readonly key: string;
  /** @default the stamp's pool, or the fleet's only pool */
  readonly pool?: string;
  /** @default "standard" */
  readonly tier?: string;
  /** @default any region */
  readonly residency?: readonly string[];
  /** @default `{tenants: 1}` */
  readonly weight?: Readonly<Record<string, number>>;
  readonly hostnames?: readonly string[];
  /** Its home, when the caller knows it (adoption). Checked for room like any other placement. */
  readonly stamp?: string;
  /** @default what its pool is */
  readonly tenancy?: "shared" | "dedicated";
  /** @default any */
  readonly channel?: string;
}

export interface TenantFilter {
  readonly pool?: string;
  readonly stamp?: string;
  readonly phase?: TenantPhase;
}

/** Tenants of a pool that have this home; without one, those that wait for a place. */
export interface TenantCount {
  readonly pool: string;
  readonly stamp?: string;
  readonly tenants: number;
}

export interface ImportPlan {
  readonly create: readonly string[];
  readonly unchanged: readonly string[];
  /** How many of `create` each stamp gets; the rest waits for a place. */
  readonly placed: ReadonlyMap<string, number>;
  readonly conflicts: readonly { readonly key: string; readonly why: string }[];
}

export interface ImportResult extends ImportPlan {
  /** False while anything is in conflict: an import is done as a whole or not at all. */
  readonly applied: boolean;
}

/** A certificate with its place in the audit, and whose word began the deletion. */
export interface CertificateRecord {
  readonly certificate: ErasureCertificate;
  /** Absent until the sequencer has numbered the row (up to 1 s). */
  readonly audit?: { readonly number: number; readonly chain: string };
  readonly ordered?: { readonly by: string; readonly reason?: string; readonly at: Instant };
}

export interface TenantEvent {
  readonly at: Instant;
  /**
   * `created`, `placed`, `vacated`, `phase`, `hostname-added`, `hostname-removed`, `delete-requested`,
   * `suspend-requested`, `resume-requested`, `gone`, `adopted`, `changed`, `move-requested`, `moved`, `move-landed`,
   * `move-aborted`.
   */
  readonly event: string;
  readonly phase: TenantPhase;
  readonly stamp?: string;
  readonly epoch: number;
  readonly actor: string;
  readonly detail?: string;
}

/** Where a tenant was served at a time: only while it was active, or still leaving. */
export interface TenantWhere {
  readonly stamp?: string;
  readonly epoch?: number;
  /** Since when it had this home and epoch. */
  readonly since?: Instant;
}

export interface DirectoryHead extends FeedPosition {
  readonly mode: StoreMode;
  /** When the head was numbered; absent at version 0. */
  readonly at?: Instant;
  /** Highest version that a confirmed bulk change made, else 0 (decision D8). */
  readonly confirmedVersion: number;
  /** Changes that wait for their number, without the held ones. */
  readonly pending: number;
}

/** A transaction whose directory changes wait for a person (the producer's guard of decision D8). */
export interface HeldBatch {
  /** Pass it to `confirm`. */
  readonly id: number;
  readonly why: string;
  readonly changes: number;
  readonly actor: string;
  readonly since: Instant;
  /** Batches that wait behind this one, because they touch the same entries. */
  readonly behind: number;
}

export interface DirectoryVersionRow {
  readonly incarnation: number;
  readonly version: number;
  readonly chain: string;
  readonly change: DirectoryChange;
  readonly at: Instant;
  /** Who confirmed the bulk change that it belongs to. */
  readonly confirmedBy?: string;
}

export type ChangesAnswer =
  | { readonly kind: "changes"; readonly changes: readonly DirectoryVersionRow[]; readonly head: FeedPosition }
  /** The position is older than what is kept (or a new router): send a snapshot. */
  | { readonly kind: "snapshot"; readonly head: FeedPosition }
  /** The position is not of this history, or above the head: `409 diverged` (decision D9). */
  | { readonly kind: "diverged"; readonly head: FeedPosition };

/** The whole directory at one version: stamps first, then routing, then tenants. Consume the pages, or dispose of it. */
export interface DirectorySnapshot extends AsyncDisposable {
  readonly position: FeedPosition;
  /** Count of puts in all pages. */
  readonly entries: number;
  readonly confirmedVersion: number;
  readonly pages: AsyncIterable<readonly DirectoryChange[]>;
}

export interface Sequenced {
  /** Directory changes numbered by this call. */
  readonly versions: number;
  /** Changes that would have changed nothing and got no number. */
  readonly skipped: number;
  readonly audits: number;
  /** Transactions newly held by the change-rate guard. */
  readonly held: number;
  /** True when a full batch was done: call again at once. */
  readonly more: boolean;
  readonly head: FeedPosition;
}

export interface RouterRecord {
  readonly name: string;
  /** What it acknowledged last; 0 before the first. */
  readonly incarnation: number;
  readonly version: number;
  readonly chain: string;
  readonly lastSeenAt: Instant;
  /** Peer address of its feed connection. */
  readonly address?: string;
  /** Where its admin listener answers. */
  readonly admin?: string;
  /** Where clients enter it, e.g. `http://127.0.0.1:8080`. */
  readonly entrance?: string;
  /** Seen within the last 15 s, by the database's clock. */
  readonly live: boolean;
}

export interface AuditRecord {
  /** Gapless from 1; absent until the sequencer has numbered the row (up to 1 s). */
  readonly number?: number;
  readonly chain?: string;
  readonly at: Instant;
  readonly actor: string;
  /** E.g. `tenant.create`. */
  readonly action: string;
  /** `tenant/acme`, `stamp/shared-1`, `fleet`, … */
  readonly subject: string;
  readonly reason?: string;
  readonly requestId?: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AuditVerification {
  readonly ok: boolean;
  readonly rows: number;
  /** First number whose chain value does not follow. */
  readonly brokenAt?: number;
}

/** An Idempotency-Key, and the request that comes with it. */
export interface HeldKey {
  /** Id of the token that sent it. */
  readonly principal: string;
  readonly key: string;
  /** As in the `WriteContext` of what the request writes. */
  readonly requestId: string;
}

/** What an Idempotency-Key means for this request. `done` and `abandon` end a `new` one. */
export type IdempotencyAnswer =
  | { readonly kind: "new" }
  /** The first request with this key is still running. */
  | { readonly kind: "running" }
  | { readonly kind: "replay"; readonly status: number; readonly body: unknown };

export type StoreEvent =
  /** Changes or audit rows wait for the sequencer (this process only). */
  | { readonly kind: "pending" }
  /** The directory's head moved, or its mode did. */
  | { readonly kind: "directory"; readonly head: FeedPosition }
  | { readonly kind: "mode"; readonly mode: StoreMode }
  /** A router has a newer version (this process only; others look). */
  | { readonly kind: "acknowledged"; readonly router: string }
  /** Any store process on this database. */
  | HoldEvent
  | { readonly kind: "keys"; readonly stamp: string }
  /** Written by this process. */
  | { readonly kind: "fleet" }
  | { readonly kind: "stamp"; readonly stamp: string; readonly phase: StampPhase; readonly cause?: string }
  | { readonly kind: "tenant"; readonly tenant: string; readonly phase: TenantPhase; readonly stamp?: string }
  | {
      readonly kind: "move";
      readonly move: string;
      readonly tenant: string;
      readonly phase: MovePhase;
      readonly waitingOn?: string;
    }
  | {
      readonly kind: "campaign";
      readonly campaign: string;
      readonly phase: CampaignPhase;
      readonly waitingOn?: string;
    }
  | { readonly kind: "rollout"; readonly rollout: string; readonly phase: RolloutPhase; readonly waitingOn?: string }
  /** A freeze or a pin began or ended (any process). */
  | { readonly kind: "freeze" };

/** A row of a stamp's `stampyard.tenant_home`. */
export interface HomeClaim {
  readonly tenant: string;
  /** `active`, `suspended` and `fenced` own the tenant, and `moved` says who does; of all others the epoch counts. */
  readonly state: string;
  readonly epoch: number;
  readonly moveId?: string;
  /** Of `moved`: the stamp. */
  readonly movedTo?: string;
  /** Captured for a way back. */
  readonly isWatched?: boolean;
}

export interface RecoveryReport {
  readonly mode: StoreMode;
  readonly reason?: string;
  /** `stamp/<name>` and `router/<name>`. */
  readonly reports: readonly { readonly source: string; readonly complete: boolean; readonly tenants: number }[];
  /** What finishing would write. */
  readonly adopt: readonly {
    readonly tenant: string;
    readonly stamp: string;
    readonly epoch: number;
    readonly why: string;
  }[];
  readonly conflicts: readonly {
    readonly tenant: string;
    readonly why: string;
    readonly claims: readonly { readonly stamp: string; readonly epoch: number; readonly source: string }[];
  }[];
  readonly waitingOn: readonly string[];
}

export interface PoolUse {
  readonly pool: string;
  /** Stamps that are to stay, by phase. */
  readonly stamps: Readonly<Record<string, number>>;
  readonly used: UsedPlaces;
  /** Sum over active stamps that are to stay. */
  readonly capacity: Capacity;
}
