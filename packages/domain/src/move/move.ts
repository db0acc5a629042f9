import type { Instant } from "../ports.ts";

/** Taking a tenant from one stamp to another (decisions D12–D15). */
export type MoveState =
  | { readonly kind: "requested" }
  /** Both databases are read, and nothing is changed. */
  | { readonly kind: "checking" }
  /** The source captures changes; rows are copied, then followed until little is left. */
  | { readonly kind: "copying" }
  /** Requests are held, writes fenced, the last changes brought, and the source asked to decide. */
  | { readonly kind: "switching"; readonly attempt: number; readonly retryAt: Instant }
  /** The source has decided: the target opens, the directory follows, requests go on. There is no way but forward. */
  | { readonly kind: "opening" }
  | { readonly kind: "verifying" }
  /** The source keeps its closed copy until then, as proof and as a way back. */
  | { readonly kind: "resting"; readonly until: Instant }
  | { readonly kind: "erasing" }
  | { readonly kind: "done" }
  /** What was wrong with the rows after the flip; a person decides, and nothing is erased. */
  | { readonly kind: "disputed"; readonly cause: string }
  | { readonly kind: "aborting"; readonly cause: string }
  | { readonly kind: "aborted"; readonly cause: string };
export type MovePhase = MoveState["kind"];

/**
 * Where a move may go next. Everything up to `switching` can abort; `opening` can be reached from an abort too, because
 * the source may have decided before the abort reached it.
 */
export const moveNext = {
  requested: ["checking", "aborting"],
  checking: ["copying", "aborting"],
  copying: ["switching", "opening", "aborting"],
  switching: ["copying", "opening", "aborting"],
  opening: ["verifying"],
  verifying: ["resting", "disputed"],
  resting: ["erasing"],
  erasing: ["done"],
  done: [],
  disputed: ["verifying"],
  aborting: ["aborted", "opening"],
  aborted: [],
} as const satisfies Record<MovePhase, readonly MovePhase[]>;

export interface Move {
  /** `mv-…`; names everything that the move makes, so that a repeat finds it. */
  readonly id: string;
  readonly tenant: string;
  readonly from: string;
  readonly to: string;
  /** The tenant's epoch on the source; the target opens at the next one. */
  readonly epoch: number;
  readonly goal: "finish" | "abort";
  readonly state: MoveState;
  /** Longest write pause; the fence opens by itself after it (I23, I41). */
  readonly maxPauseMs: number;
  /** How long the source keeps its copy. */
  readonly restMs: number;
  readonly waitingOn?: string;
}

/** A tenant's row in one stamp's database. `unknown` = could not look, which is not the same as absent. */
export type HomeSeen =
  | { readonly kind: "unknown"; readonly why: string }
  | { readonly kind: "absent" }
  | {
      readonly kind: "present";
      readonly state: "importing" | "active" | "suspended" | "fenced" | "moved" | "deleting";
      readonly epoch: number;
      readonly moveId?: string;
    };

/** What is true now, read before every turn. */
export interface MoveSeen {
  readonly source: HomeSeen;
  readonly target: HomeSeen;
  /** Everything has been copied once; what changed since is captured. */
  readonly isCopied: boolean;
  /** Captured changes that the target lacks. */
  readonly lag: number;
  /** The directory names the target at the next epoch, and every live router has that version. */
  readonly isPublished: boolean;
  /** Of the compare after the flip; undefined = not made yet. */
  readonly isEqual?: boolean;
  readonly isErased: boolean;
  /** Why neither stamp may be touched now, e.g. a rollout or a freeze. */
  readonly heldBack?: string;
}

export type MoveAction =
  /** Preflight: refuses with problems, and reserves the place on the target. */
  | { readonly kind: "check" }
  /** Target: the tenant's row as `importing`, and none of its rows. */
  | { readonly kind: "admit" }
  /** Source: changes are captured from now on; then waits for older writers. */
  | { readonly kind: "arm" }
  | { readonly kind: "copy" }
  /** Brings captured changes until few are left. */
  | { readonly kind: "follow" }
  /**
   * One bounded try of the switch: hold, fence, last changes, compare if asked for, flip. Ends decided, or with the fence
   * open again.
   */
  | { readonly kind: "switch" }
  | { readonly kind: "open" }
  | { readonly kind: "publish" }
  | { readonly kind: "release" }
  | { readonly kind: "compare" }
  | { readonly kind: "erase" }
  /** Source: the row opens again, unless it has decided; then captured keys are forgotten. */
  | { readonly kind: "reopen" }
  /** Target: what was brought is forgotten, and the place given back. */
  | { readonly kind: "forget" };

export interface MovePlan {
  /** The state once the actions have succeeded; without actions it is recorded at once (I26). */
  readonly next: MoveState;
  /** In order; the first failure ends the turn, and each may be repeated (I27). */
  readonly actions: readonly MoveAction[];
  readonly waitingOn?: string;
}

/** A switch that failed so often has a cause that time does not mend. */
export const mostSwitches = 8;
