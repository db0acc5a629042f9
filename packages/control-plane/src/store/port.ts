import type { DirectoryChange, DirectoryReport, FeedAcknowledgement, FeedPosition } from "@stampyard/directory";
import type {
  CampaignSettings,
  Instant,
  Stamp,
  StampObservation,
  StampPhase,
  StampTenants,
  TenantPhase,
} from "@stampyard/domain";
import type { HoldStore } from "./holds.ts";
import type { CapacityStore } from "./capacity.ts";
import type { PlacementStore } from "./placement.ts";
import type { PoolStore } from "./pools.ts";
import type { FenceStep } from "./stamp-fence.ts";
import type { TenantStore } from "./tenant-port.ts";
import type { LoadStore } from "./stamp-loads.ts";
import type { CampaignStore } from "./campaign-port.ts";
import type { FleetStore } from "./fleet-port.ts";
import type { FreezeStore, PinStore } from "./freeze-port.ts";
import type { MoveStore } from "./move-port.ts";
import type { EvidenceStore, RolloutStore } from "./rollout-port.ts";
import type { WebhookStore } from "./webhook-port.ts";
import type {
  AuditRecord,
  AuditVerification,
  ChangesAnswer,
  DirectoryHead,
  DirectorySnapshot,
  HeldBatch,
  HomeClaim,
  HeldKey,
  IdempotencyAnswer,
  Lease,
  ObservedStamp,
  Page,
  PageOptions,
  RecoveryReport,
  Revisioned,
  RotationStep,
  RouterRecord,
  Sequenced,
  StampRouteKey,
  StoreEvent,
  StoreMeta,
  TokenRecord,
  TokenRole,
  UsedPlaces,
  WriteContext,
} from "./records.ts";

export type { LoadSample, LoadStore, StampLoadRecord } from "./stamp-loads.ts";
export type { OverrideRecord, PlacementAnswer, PlacementStore } from "./placement.ts";
export type * from "./records.ts";
export type { AppliedFleet, ApplyFleetInput, FleetGoal, FleetStore } from "./fleet-port.ts";
export type { CampaignCommand, CampaignFilter, CampaignInput, CampaignStore } from "./campaign-port.ts";
export type { MoveFilter, MoveInput, MoveStore } from "./move-port.ts";
export type { FreezeStore, Pin, PinStore } from "./freeze-port.ts";
export type * from "./rollout-port.ts";
export type { Webhook, WebhookMessage, WebhookStore } from "./webhook-port.ts";
export type { TenantStore } from "./tenant-port.ts";
export type { PoolFacts, PoolStore } from "./pools.ts";

export interface GoalOptions {
  readonly revision?: number;
  readonly deadline?: Instant;
  readonly message?: string;
  /** How the tenants of a stamp to be drained are moved: its campaign begins with the goal, or changes. */
  readonly moves?: CampaignSettings;
}

/**
 * The control plane's store. Every function that takes a `WriteContext` is one transaction that also
 * - holds the lease row `FOR KEY SHARE`, and is refused with STALE_LEADER when the token is not its present one (I28),
 * - writes one audit row (I39), and its directory changes, both still unnumbered (decision D10).
 * Errors common to all: STALE_LEADER, STALE_REVISION (I30), RECOVERING for what would change directory or placement,
 * TIMEOUT, INVALID_REQUEST for text that cannot be kept. Reads never need a token and never see half a transaction.
 */
export interface Store extends AsyncDisposable {
  readonly lease: LeaseStore;
  readonly tokens: TokenStore;
  readonly fleet: FleetStore;
  readonly stamps: StampStore;
  readonly tenants: TenantStore;
  readonly directory: DirectoryStore;
  readonly routers: RouterStore;
  readonly holds: HoldStore;
  readonly capacity: CapacityStore;
  readonly pools: PoolStore;
  readonly placement: PlacementStore;
  readonly moves: MoveStore;
  readonly campaigns: CampaignStore;
  readonly rollouts: RolloutStore;
  readonly evidence: EvidenceStore;
  readonly freezes: FreezeStore;
  readonly pins: PinStore;
  readonly webhooks: WebhookStore;
  readonly loads: LoadStore;
  readonly audit: AuditStore;
  readonly idempotency: IdempotencyStore;
  readonly recovery: RecoveryStore;

  meta(): Promise<StoreMeta>;
  /** Answers when the database does. @throws StampyardError TIMEOUT or INTERNAL */
  ping(): Promise<void>;
  /**
   * Tells of changes as they are committed: at once in this process, by NOTIFY from another one, and by a poll of 1 s
   * for a lost notification. Events may repeat or be merged; a listener reads the state again and must not throw.
   * @returns a function that ends it
   */
  watch(listener: (event: StoreEvent) => void): () => void;
  /** Everything but leases, idempotency keys, router positions and evidence, as one consistent, checksummed text; secrets stay sealed. */
  backup(): AsyncIterable<Uint8Array>;
  /** Wraps all data keys by the first master key, so that older ones can go. Quick: secrets are not touched. */
  rewrapSecrets(ctx: WriteContext): Promise<number>;
  close(): Promise<void>;
}

export interface LeaseStore {
  /**
   * Takes the lease when it is free or expired, with a token higher than any before; renews it when `holder` has it.
   * `holder` names this process uniquely. Undefined = somebody else has it.
   */
  acquire(holder: string, ttlMs: number): Promise<Lease | undefined>;
  /** @throws StampyardError STALE_LEADER when it was lost */
  renew(holder: string, token: number, ttlMs: number): Promise<Lease>;
  /** Frees it, and makes the token stale. Does nothing when it was lost already. */
  release(holder: string, token: number): Promise<void>;
  /** The present, unexpired one. */
  current(): Promise<Lease | undefined>;
}

export interface TokenStore {
  /**
   * Makes a token: `sy_<role>_` and 256 random bits as base64url. Only its hash is kept; `secret` is shown once, here.
   * `replace` revokes those of the same name in the same transaction (a first token whose file was lost).
   */
  create(
    input: { readonly name: string; readonly role: TokenRole; readonly replace?: boolean },
    ctx: WriteContext,
  ): Promise<{ readonly record: TokenRecord; readonly secret: string }>;
  /** The live token with this secret, or undefined. Notes its use, at most once a minute. */
  verify(secret: string): Promise<TokenRecord | undefined>;
  list(page?: PageOptions): Promise<Page<TokenRecord>>;
  /** @throws StampyardError NOT_FOUND; repeating it changes nothing */
  revoke(id: string, ctx: WriteContext): Promise<TokenRecord>;
}

export interface StampCreate {
  readonly stamp: Stamp;
  /** name → plain value, names as `secretNames(rendered)` lists them. */
  readonly secrets: Readonly<Record<string, string>>;
  /** So many built stamps the pool may have with this one. @default any number */
  readonly most?: number;
}

export interface StampAdopt {
  /** In state `requested`, with its `adoption`. */
  readonly stamp: Stamp;
  /** Sealed like every secret, and never shown. Absent: what was given before stays. */
  readonly databaseUrl?: string;
  /** The key that its application was given to verify route headers with, in place of one that we made. */
  readonly routeKey?: { readonly kid: string; readonly secret: string };
}

/** How far stamp and routers are behind the last step of a rotation (D7). */
export interface RotationFollowed {
  /** Kids of the keys that the running stamp accepts. */
  readonly accepted: ReadonlySet<string>;
  /** Milliseconds after a promotion until the old key may go: routers hear of it meanwhile, and headers run out. */
  readonly dropAfterMs: number;
}

export interface StampStore {
  read(name: string): Promise<Revisioned<Stamp> | undefined>;
  /** By name; the gone are not kept. */
  list(
    options?: PageOptions & { readonly pool?: string; readonly phase?: StampPhase },
  ): Promise<Page<Revisioned<Stamp>>>;
  /** All at once, by name: a fleet has hundreds. */
  all(): Promise<readonly Revisioned<Stamp>[]>;
  /** Names of destroyed stamps that tenants still call home: `create` refuses them. */
  reservedNames(): Promise<readonly string[]>;
  /**
   * One more stamp, its secrets and its first route key.
   * @throws StampyardError ALREADY_EXISTS also while tenants still name a destroyed stamp of this name as their home;
   *   POOL_FULL when the pool has its `most`, also when two ask at once
   */
  create(input: StampCreate, ctx: WriteContext): Promise<Revisioned<Stamp>>;
  /**
   * Writes state, goal, endpoints, endpointRevision and waitingOn; what a release decides is left alone (`fleet.apply`).
   * A new phase must follow `stampNext` (WRONG_PHASE). `gone` removes the row, its secrets, keys and observation. Writing
   * what is there already changes nothing; when only attempt, retryAt, cause or waitingOn differ, no audit row is written.
   */
  write(
    stamp: Stamp,
    revision: number,
    options: { readonly changes?: readonly DirectoryChange[]; readonly action?: string },
    ctx: WriteContext,
  ): Promise<Revisioned<Stamp>>;
  /**
   * Sets goal `absent`. Idempotent.
   * @throws StampyardError STAMP_NOT_EMPTY unless `force`, which is audited with the number of tenants (I31)
   */
  remove(
    name: string,
    options: { readonly force: boolean; readonly overridesFreeze?: boolean; readonly revision?: number },
    ctx: WriteContext,
  ): Promise<Revisioned<Stamp>>;
  /**
   * `cordoned`, `drained`, or `present` again. Idempotent: the same wish twice writes one audit row.
   * @throws StampyardError WRONG_PHASE when it is to be destroyed, or the campaign of its last drain is being cancelled
   */
  setGoal(
    name: string,
    goal: Exclude<Stamp["goal"], "absent">,
    options: GoalOptions,
    ctx: WriteContext,
  ): Promise<Revisioned<Stamp>>;
  /** Ends the wait for the next attempt. @throws StampyardError WRONG_PHASE when there is none */
  retry(name: string, options: { readonly revision?: number }, ctx: WriteContext): Promise<Revisioned<Stamp>>;
  /**
   * Registers what runs already, touching nothing; repeating it changes endpoints, capabilities and capacity.
   * @throws StampyardError ALREADY_EXISTS for the name of a built stamp, or another pool or region
   */
  adopt(input: StampAdopt, ctx: WriteContext): Promise<Revisioned<Stamp>>;
  /** Writes down what is done to its fence by hand; an adopted stamp has the capability once it is enforced. */
  fence(name: string, step: FenceStep, ctx: WriteContext): Promise<Revisioned<Stamp>>;
  /** What the engine saw last. Cheap, not audited, no revision. @throws StampyardError STALE_LEADER */
  observe(observation: StampObservation, ctx: WriteContext): Promise<void>;
  observation(name: string): Promise<ObservedStamp | undefined>;
  observations(): Promise<ReadonlyMap<string, ObservedStamp>>;
  /** Names whose turn it is: not active, to be removed, or last observed before `observedBefore`. */
  due(observedBefore: Instant, limit?: number): Promise<readonly string[]>;
  /** Places taken per stamp, also by tenants still preparing or leaving. Stamps without tenants are absent. */
  used(names?: readonly string[]): Promise<ReadonlyMap<string, UsedPlaces>>;
  /** Whose home it is, with the first few keys; of those preparing or leaving, too. */
  tenants(name: string): Promise<StampTenants>;
  /** Opened, for the engine call only: never log, never answer. */
  secrets(name: string): Promise<Readonly<Record<string, string>>>;
  /** Seals missing names and leaves existing ones (a release that adds a component). */
  addSecrets(name: string, secrets: Readonly<Record<string, string>>, ctx: WriteContext): Promise<void>;
  /** The current one first, then next, then old: the order that `formatRouteKeys` and the feed want. */
  routeKeys(name: string): Promise<readonly StampRouteKey[]>;
  allRouteKeys(): Promise<ReadonlyMap<string, readonly StampRouteKey[]>>;
  /**
   * One step on: added → promoted → dropped → added …
   * @throws StampyardError WRONG_PHASE while stamp or routers have not followed the last step (D7)
   */
  rotateRouteKeys(name: string, ctx: WriteContext, followed: RotationFollowed): Promise<RotationStep>;
  /** Non-gone stamps per phase. */
  counts(): Promise<Readonly<Record<string, number>>>;
}

export interface DirectoryStore {
  head(): Promise<DirectoryHead>;
  /**
   * Numbers and chains what is committed: directory changes (but held ones, and none while recovering) and audit rows,
   * one batch of each, then notifies. Two at once are serialised. Most callers want `runSequencer`.
   */
  sequence(ctx: WriteContext): Promise<Sequenced>;
  /** Versions after a router's position, at most `limit` (@default 1,000), after checking that it is of our history. */
  changesAfter(position: FeedPosition, limit?: number): Promise<ChangesAnswer>;
  /** A consistent copy at one version, read in pages without holding up writers. */
  snapshot(): Promise<DirectorySnapshot>;
  /** Version of the directory's routing; `pending` while a newer one waits for its number. */
  routingVersion(): Promise<{ readonly version: number; readonly pending: boolean }>;
  /** Version of the entry that the directory has of a tenant; `pending` while a newer change waits for its number. */
  tenantVersion(key: string): Promise<{ readonly version: number; readonly pending: boolean } | undefined>;
  held(): Promise<readonly HeldBatch[]>;
  /** Lets a held batch go, and records in its versions who said so. @throws StampyardError NOT_FOUND */
  confirm(id: number, ctx: WriteContext): Promise<void>;
  /** Forgets versions older than both limits; a router behind them gets a snapshot. @returns the number forgotten */
  prune(limits: { readonly keepVersions: number; readonly keepMs: number }, ctx: WriteContext): Promise<number>;
}

export interface RouterStore {
  /** Feed connection opened, or its heartbeat passed. */
  seen(router: {
    readonly name: string;
    readonly address?: string;
    readonly admin?: string;
    readonly entrance?: string;
  }): Promise<void>;
  /** Never takes a router's acknowledgement back within an incarnation. */
  acknowledge(ack: FeedAcknowledgement): Promise<void>;
  list(): Promise<readonly RouterRecord[]>;
  /** Whether every live router has this version of the present incarnation; true when none is live. */
  allLiveAcked(version: number): Promise<boolean>;
  /** Forgets those not seen for so long. */
  forget(notSeenForMs: number): Promise<number>;
}

export interface AuditStore {
  /** Oldest first; unnumbered rows last. `after` is a number. */
  list(options?: PageOptions & { readonly subject?: string; readonly after?: number }): Promise<Page<AuditRecord>>;
  verify(): Promise<AuditVerification>;
}

/** Answers are sealed at rest, because one of them shows a new token. Kept 24 h. */
export interface IdempotencyStore {
  /**
   * @throws StampyardError IDEMPOTENCY_MISMATCH when the key came with another request before; ALREADY_EXISTS, naming what
   *   was made, when that one was carried out and its answer is lost
   */
  begin(key: HeldKey & { readonly requestHash: string }): Promise<IdempotencyAnswer>;
  done(key: HeldKey, answer: { readonly status: number; readonly body: unknown }): Promise<void>;
  /** The request ended without an answer to keep: its key is free again, unless the audit says that it was carried out. */
  abandon(key: HeldKey): Promise<void>;
}

export interface RecoveryEntry {
  /** The new incarnation is at least this: one above the highest that anybody has seen, if known. */
  readonly incarnationAtLeast?: number;
  /**
   * Also ends the present leader's term, whose token may be one that an earlier life gave out already: the next token
   * is above them all. The caller's context is stale after it.
   * @default false
   */
  readonly newTerm?: boolean;
}

/** Learns what is true after a restore or a fork, before one version is served again (decision D9, I42, I25). */
export interface RecoveryStore {
  /** Mode recovering and incarnation + 1. Repeating it while recovering changes nothing. */
  enter(reason: string, ctx: WriteContext, options?: RecoveryEntry): Promise<StoreMeta>;
  /** One page of a router's own table. Part 0 starts it over. Ignored in mode normal. */
  saveRouterReport(report: DirectoryReport): Promise<void>;
  /** All of a stamp's `tenant_home`; replaces what was saved of it. */
  saveStampHomes(stamp: string, homes: readonly HomeClaim[], ctx: WriteContext): Promise<void>;
  /** What is known and missing, and what finishing would do. */
  report(): Promise<RecoveryReport>;
  /** A person's word on conflicts. Without `stamp` the tenant is forgotten. */
  resolve(decisions: readonly { readonly tenant: string; readonly stamp?: string }[], ctx: WriteContext): Promise<void>;
  /**
   * Adopts the truth, brings the directory in line with it, and returns to normal, in one transaction.
   * `incomplete` = a person accepts that some stamp could not be read.
   * @throws StampyardError WRONG_PHASE while a conflict is open, or a source is missing and `incomplete` is false
   */
  finish(options: { readonly incomplete: boolean }, ctx: WriteContext): Promise<RecoveryReport>;
}

/** Re-exported so that callers name phases without another import. */
export type { StampPhase, TenantPhase };
