import type { Instant, Move, MoveMode, MovePhase, VerifyPolicy } from "@stampyard/domain";
import type { Page, PageOptions, Revisioned, WriteContext } from "./records.ts";

export interface MoveInput {
  readonly tenant: string;
  /** Either the stamp, or the pool in which placement finds one. Neither: the tenant's own pool, another stamp. */
  readonly to?: string;
  readonly toPool?: string;
  /** @default "capture" */
  readonly mode?: MoveMode;
  /** @default "incremental" */
  readonly verify?: VerifyPolicy;
  /** @default defaultMaxPauseMs */
  readonly maxPauseMs?: number;
  /** @default defaultRestMs */
  readonly restMs?: number;
  readonly campaign?: string;
}

export interface MoveFilter {
  readonly tenant?: string;
  /** Source or target. */
  readonly stamp?: string;
  readonly phase?: MovePhase;
  readonly campaign?: string;
  /** Only those that have not ended. */
  readonly isOpen?: boolean;
}

/** Moves of tenants; see `Store` for what every write has in common. */
export interface MoveStore {
  read(id: string): Promise<Revisioned<Move> | undefined>;
  /** Newest first. */
  list(options?: PageOptions & MoveFilter): Promise<Page<Revisioned<Move>>>;
  /**
   * What `request` would do now: the target that it would take, or why not. Changes nothing.
   * @throws StampyardError as `request`
   */
  propose(input: MoveInput): Promise<{ readonly from: string; readonly to: string; readonly epoch: number }>;
  /**
   * Registers a move, reserves the tenant's place on the target and makes the tenant `moving`, in one transaction.
   * @throws StampyardError TENANT_NOT_FOUND, STAMP_NOT_FOUND, POOL_NOT_FOUND; WRONG_PHASE for a tenant that is not
   *   active, whose last move is still resting (naming `move finish`), or a target that takes no tenants now; POOL_FULL
   *   for one without room; MOVE_REFUSED for what the rules have against it (residency, tier, tenancy, a pin), in the
   *   words of `tenant explain`; INVALID_REQUEST for the stamp it is on, a mode that is not built, or bounds
   */
  request(input: MoveInput, ctx: WriteContext): Promise<Revisioned<Move>>;
  /** Sets goal `abort`. Idempotent. @throws StampyardError WRONG_PHASE once it has been decided, naming `move rollback` */
  abort(id: string, options: { readonly revision?: number }, ctx: WriteContext): Promise<Revisioned<Move>>;
  /**
   * Ends the way back now. `accept`: copies that differ, or that could not be compared, are accepted, and no way back is
   * kept after it. Deleting the tenant does the same.
   * @throws StampyardError WRONG_PHASE unless it is resting, disputed (with `accept`), or already past that
   */
  finish(
    id: string,
    options: { readonly accept?: boolean; readonly revision?: number },
    ctx: WriteContext,
  ): Promise<Revisioned<Move>>;
  /**
   * Registers the move that takes the tenant back with its new writes: id `wayBackOf(id)`, `returns: id`, on the place
   * that the source has kept. Repeating it answers the same move; after an aborted return it begins again.
   * @throws StampyardError WRONG_PHASE unless it is resting or disputed, with a way back
   */
  rollback(
    id: string,
    options: { readonly maxPauseMs?: number; readonly restMs?: number },
    ctx: WriteContext,
  ): Promise<Revisioned<Move>>;
  /**
   * Writes state, setback, waitingOn and report. A new phase must follow `moveNext` (WRONG_PHASE). With the phase:
   * - `verifying` and `aborted`: the tenant is `active` again, and an aborted move gives its place back;
   * - `done`, `returned`: the source's place is given back (of `returned` the way back has it).
   * When only setback, waitingOn or report differ, no audit row is written.
   */
  write(move: Move, revision: number, ctx: WriteContext): Promise<Revisioned<Move>>;
  /**
   * While `opening`: the tenant's home is the target, at the next epoch, in its pool; the directory follows in the same
   * transaction, and the place kept is the source's from now on. Repeating it changes nothing, and answers the version
   * of the directory that says so once the sequencer has numbered it.
   */
  land(id: string, ctx: WriteContext): Promise<{ readonly version?: number }>;
  /**
   * Ids whose turn it is: all that have not ended, but those that rest, or wait for a retry, until after `now`. What is
   * disputed waits for a person's word, which the deletion of its tenant is too, and what another move takes back for
   * that one's decision.
   */
  due(now: Instant, limit?: number): Promise<readonly string[]>;
  /** Moves that hold a stamp: not ended, with it as source or target; `resting` ones apart. */
  holding(stamp: string): Promise<{ readonly moving: readonly string[]; readonly resting: readonly string[] }>;
  /** Copying or switching now, by stamp, as source or target: for caps. */
  atWork(): Promise<ReadonlyMap<string, number>>;
}
