import type {
  Digest,
  EvidenceBucket,
  Instant,
  Rollout,
  RolloutCommand,
  RolloutMember,
  RolloutPhase,
  RolloutStrategy,
  Wave,
} from "@stampyard/domain";
import type { Page, PageOptions, Revisioned, WriteContext } from "./records.ts";

export interface RolloutInput {
  readonly release: Digest;
  readonly components: readonly string[];
  readonly strategy: RolloutStrategy;
  readonly waves: readonly Wave[];
  /** Each in state `waiting` or `skipped`. */
  readonly members: readonly RolloutMember[];
  /** Secrets of components that the release adds, by stamp; existing names keep their value. */
  readonly secrets?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly hotfix: boolean;
  readonly undoes?: string;
  readonly overridesFreeze?: string;
  readonly fleetRevision?: number;
}

export interface RolloutFilter {
  readonly phase?: RolloutPhase;
  readonly release?: Digest;
  /** Only those in which this stamp is a member. */
  readonly stamp?: string;
  /** Only those that have not ended. */
  readonly isOpen?: boolean;
}

/** Rollouts; see `Store` for what every write has in common. */
export interface RolloutStore {
  read(id: string): Promise<Revisioned<Rollout> | undefined>;
  /** Newest first. */
  list(options?: PageOptions & RolloutFilter): Promise<Page<Revisioned<Rollout>>>;
  /** By wave and place. */
  members(id: string): Promise<readonly RolloutMember[]>;
  /** Members per rollout and phase. */
  counts(ids: readonly string[]): Promise<ReadonlyMap<string, Readonly<Record<string, number>>>>;
  /**
   * Records it as `queued`, with strategy, waves and members as they are now. By `onNewer: batch` a queued one whose
   * components it all brings becomes `superseded` in the same transaction. One that undoes another, and names no fleet's
   * revision, gets the goal that the fleet was before that one.
   * @throws StampyardError INVALID_REQUEST for a strategy out of bounds or a hotfix without a reason, RELEASE_NOT_FOUND,
   *   STAMP_NOT_FOUND; NOT_FOUND and WRONG_PHASE of the one that it undoes
   */
  start(input: RolloutInput, ctx: WriteContext): Promise<Revisioned<Rollout>>;
  /**
   * Writes state, waves, gate, looks, spent, hooksDone, waitingOn and the members that differ or are new, and aims the
   * stamps whose members become `updating` (at `to`) or `returning` (at `from`), all in one transaction; `from` of a
   * waiting member becomes what its stamp is aimed at just then. A rollout that becomes `done` makes its release, and the
   * fleet's revision that it carries, the fleet's own in the same transaction. Two rollouts are never in a running phase
   * at once, nor two waves of one: what would begin the second is refused with WRONG_PHASE (I34).
   * @throws StampyardError WRONG_PHASE for what the tables do not allow, and for a member of a part of the stamp whose
   *   release is not `from` any more; STALE_REVISION, STAMP_NOT_FOUND
   */
  write(
    rollout: Rollout,
    revision: number,
    members: readonly RolloutMember[],
    ctx: WriteContext,
  ): Promise<Revisioned<Rollout>>;
  /**
   * A person's word, in force at once: it changes the state itself (I36). Idempotent.
   * @throws StampyardError NOT_FOUND; WRONG_PHASE where it has no meaning
   */
  command(
    id: string,
    command: RolloutCommand,
    options: { readonly revision?: number },
    ctx: WriteContext,
  ): Promise<Revisioned<Rollout>>;
  /** Ids of all that have not ended, oldest first. */
  open(): Promise<readonly string[]>;
  /** What each stamp ran last that a finished rollout, or its building, found good (I37), newest first. */
  lastGood(): Promise<ReadonlyMap<string, readonly Digest[]>>;
  /**
   * Digests of the files that a stamp, a rollout, an undoing, a pin or the fleet may start from (I37), and those of so many
   * of the newest other releases.
   */
  wantedContents(others: number): Promise<ReadonlySet<Digest>>;
  /**
   * Forgets those that ended longer ago than `keepMs`, but not the newest `keepRollouts`, and fleets that none of them was
   * to make true. Releases stay. @returns the number of rollouts forgotten
   */
  prune(limits: { readonly keepMs: number; readonly keepRollouts: number }, ctx: WriteContext): Promise<number>;
}

/** What routers have counted, as cumulative numbers since each started; they tell it by themselves. */
export interface RouterCounts {
  readonly router: string;
  /** Random, made when the router started: other counts begin with another one. */
  readonly life: string;
  /** Rises with every report of one life. */
  readonly number: number;
  /** When it was counted, by the router's clock, and when it came, by the database's. */
  readonly countedAt: Instant;
  readonly receivedAt: Instant;
  readonly stamps: Readonly<Record<string, StampCount>>;
  /** Tenants that fail, by their last few dozen requests: at most 20 of each watched stamp, and the worst of others. */
  readonly failing: readonly {
    readonly stamp: string;
    readonly tenant: string;
    readonly requests: number;
    readonly errors: number;
    /** How long a third of its requests or more have failed, when it was counted. Milliseconds. */
    readonly forMs: number;
  }[];
}

export interface StampCount {
  readonly requests: number;
  readonly errors: number;
  readonly latency: readonly number[];
}

export interface EvidenceStore {
  /** Keeps the newest report of a router. @returns stamps that are under watch now */
  report(counts: Omit<RouterCounts, "receivedAt">): Promise<readonly string[]>;
  /** The newest report of every live router. */
  reports(): Promise<readonly RouterCounts[]>;
  /** Stamps that rollouts look at, each until an instant; replaces what was said before. */
  watch(stamps: readonly string[], until: Instant, ctx: WriteContext): Promise<void>;
  /** Repeating a bucket replaces it. Not audited. */
  saveBuckets(buckets: readonly EvidenceBucket[], ctx: WriteContext): Promise<void>;
  buckets(stamps: readonly string[], from: Instant): Promise<readonly EvidenceBucket[]>;
  prune(keepMs: number): Promise<number>;
}
