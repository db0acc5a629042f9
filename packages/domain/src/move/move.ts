import type { Instant } from "../ports.ts";
import type { MoveReport } from "./report.ts";

/** Taking a tenant from one stamp to another (decisions D12–D15). */
export type MoveState =
  | { readonly kind: "requested" }
  /** Both databases are read, and nothing of the tenant is changed. */
  | { readonly kind: "checking" }
  /** The source captures changes; rows are copied, then followed until little is left. */
  | { readonly kind: "copying" }
  /** Requests are held, writes fenced, the last changes brought, and the source asked to decide. */
  | { readonly kind: "switching"; readonly attempt: number; readonly retryAt: Instant }
  /** The source has decided: the target opens, the directory follows, requests go on. There is no way but forward. */
  | { readonly kind: "opening" }
  | { readonly kind: "verifying" }
  /** The source keeps its closed copy until then, as a way back. */
  | { readonly kind: "resting"; readonly until: Instant }
  | { readonly kind: "erasing" }
  | { readonly kind: "done" }
  /** What was wrong with the rows after the flip; a person decides, and nothing is erased. */
  | { readonly kind: "disputed"; readonly cause: string }
  | { readonly kind: "aborting"; readonly cause: string }
  | { readonly kind: "aborted"; readonly cause: string }
  /** Another move has taken the tenant back; its rows on the source are that move's. */
  | { readonly kind: "returned" };
export type MovePhase = MoveState["kind"];

/**
 * Where a move may go next. Everything up to `switching` can abort; `opening` can be reached from an abort too, because
 * the source may have decided before the abort reached it.
 */
export const moveNext = {
  requested: ["checking", "opening", "aborting"],
  checking: ["copying", "opening", "aborting"],
  copying: ["switching", "opening", "aborting"],
  switching: ["copying", "opening", "aborting"],
  opening: ["verifying"],
  verifying: ["resting", "disputed"],
  resting: ["erasing", "returned"],
  erasing: ["done"],
  done: [],
  disputed: ["verifying", "erasing", "returned"],
  aborting: ["aborted", "opening"],
  aborted: [],
  returned: [],
} as const satisfies Record<MovePhase, readonly MovePhase[]>;

/** Phases that nothing leaves. */
export const endedMoves: readonly MovePhase[] = ["done", "aborted", "returned"];
/** Phases in which the tenant is `moving`: until it is served by one stamp again, and no move may begin. */
export const movingPhases: readonly MovePhase[] = [
  "requested",
  "checking",
  "copying",
  "switching",
  "opening",
  "aborting",
];

/** How rows travel: `capture` writes changed keys down and brings those rows again; `stream` is not built yet. */
export type MoveMode = "capture" | "stream";
/**
 * When the copies are compared: `incremental` before the flip, and inside the pause only what changed since (D15);
 * `before` wholly inside the pause; `after` once the tenant is served by its target.
 */
export type VerifyPolicy = "incremental" | "before" | "after";

export const defaultMaxPauseMs = 2_000;
/** Bounds of a write pause that may be asked for; routers hold a request no longer than the upper one. */
export const maxPauseBounds = { least: 100, most: 30_000 } as const;
export const defaultRestMs = 3_600_000;

export interface Move {
  /** `mv-…`, at most 64 of `[a-z0-9-]`; names everything that the move makes, so that a repeat finds it. */
  readonly id: string;
  readonly tenant: string;
  readonly from: string;
  readonly to: string;
  /** The tenant's epoch on the source; the target opens at the next one. */
  readonly epoch: number;
  readonly mode: MoveMode;
  readonly verify: VerifyPolicy;
  readonly goal: "finish" | "abort";
  readonly state: MoveState;
  /** Longest write pause; the fence opens by itself after it (I23, I41). */
  readonly maxPauseMs: number;
  /** How long the source keeps its copy, and the target captures what is written: the way back. 0 = no way back. */
  readonly restMs: number;
  /** The move that this one takes back. */
  readonly returns?: string;
  /** The campaign that asked for it. */
  readonly campaign?: string;
  /** A person has accepted copies that differ, or that could not be compared. */
  readonly isAccepted?: boolean;
  /** What failed last, and when it is tried again. */
  readonly setback?: MoveSetback;
  readonly waitingOn?: string;
  readonly report: MoveReport;
}

export interface MoveSetback {
  readonly attempt: number;
  readonly cause: string;
  readonly retryAt: Instant;
}

/** Id of the move that would take it back: the target captures under it from its first write. */
export function wayBackOf(moveId: string): string {
  return `${moveId}-back`;
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
      /** Active, and captured for a way back; nothing holds it. */
      readonly isWatched?: boolean;
    };

/** What a mover sees in both databases. */
export interface MoverSight {
  readonly source: HomeSeen;
  readonly target: HomeSeen;
  /** Everything has been copied once; what changed since is captured. */
  readonly isCopied: boolean;
  /** Captured changes that the target lacks. */
  readonly lag: number;
  /** Every row was found equal once, and few have changed since; only `incremental` asks for it. */
  readonly isCompared: boolean;
  /** Of the compare after the flip; undefined = not made yet. */
  readonly isEqual?: boolean;
  readonly isErased: boolean;
}

/** What is true now, read before every turn. */
export interface MoveSeen extends MoverSight {
  /** The directory names the target at the next epoch, and every live router has that version. */
  readonly isPublished: boolean;
  /** What is wanted of the tenant; `leaving` = to be suspended or deleted. */
  readonly tenant: "staying" | "leaving" | "gone";
  /** The move that takes this one back: `live` until its own source has decided. */
  readonly wayBack?: "live" | "decided";
  /** Why neither stamp may be touched now, e.g. a rollout, a freeze, or too many moves at once. */
  readonly heldBack?: string;
}

export type MoveAction =
  /** Preflight: refuses with problems, and changes nothing but the declared fence. */
  | { readonly kind: "check" }
  /** Target: the tenant's row as `importing`, and none of its rows. */
  | { readonly kind: "admit" }
  /** Source: changes are captured from now on; then waits for older writers. */
  | { readonly kind: "arm" }
  | { readonly kind: "copy" }
  /** Brings captured changes until few are left. */
  | { readonly kind: "follow" }
  /** Compares range by range while changes go on. */
  | { readonly kind: "verify" }
  /**
   * One bounded try of the switch: drain hook, hold, fence, last changes, compare if asked for, flip. Ends decided, or
   * with the fence open again.
   */
  | { readonly kind: "switch" }
  | { readonly kind: "open" }
  | { readonly kind: "publish" }
  | { readonly kind: "release" }
  | { readonly kind: "compare" }
  /** Source: its copy goes. Target: captures no more. */
  | { readonly kind: "erase" }
  /** Source: the row opens again, unless it has decided; then captured keys are forgotten. */
  | { readonly kind: "reopen" }
  /** Target: what was brought is forgotten. */
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
/** Before the flip, a step that failed so often in a row ends the move: about three minutes. */
export const mostSetbacks = 12;
