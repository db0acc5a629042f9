import type { Instant } from "../ports.ts";

/** What a move has measured so far: kept with its row, shown by `move show`, and never needed to go on. */
export interface MoveReport {
  /** Estimates of the preflight. */
  readonly expected?: { readonly tables: number; readonly rows: number; readonly bytes: number };
  readonly copied?: { readonly rows: number; readonly bytes: number; readonly ms: number };
  /** Captured changes brought since the copy began, and in how many rounds. */
  readonly followed?: { readonly changes: number; readonly rounds: number };
  readonly compared?: MoveCompared;
  /** Every try of the switch; the last is the one that decided. */
  readonly switches?: readonly SwitchReport[];
  /** Of the drain hook on the source, reported apart (D16). */
  readonly drainMs?: number;
  /** Of the hook that makes derived data again on the target. It is tried until it succeeds, and nobody waits for it. */
  readonly rebuild?: RebuildReport;
  readonly erased?: {
    readonly at: Instant;
    readonly tables: readonly { readonly table: string; readonly rows: number }[];
  };
}

export interface RebuildReport {
  readonly attempts: number;
  /** Of the call that succeeded; absent before that. */
  readonly ms?: number;
  /** Why the last call failed, and when the next one is made. */
  readonly cause?: string;
  readonly retryAt?: Instant;
}

export interface SwitchReport {
  readonly at: Instant;
  readonly outcome: "decided" | "opened-again";
  /** Why it was given up. */
  readonly cause?: string;
  /** Between the order to hold and the answers of all live routers. */
  readonly holdMs: number;
  /** Between the closed fence and the decision, or its end. */
  readonly fencedMs: number;
  /**
   * The write pause as the control plane saw it: from the order to hold, until every live router knew the new home, or
   * until the source was open again.
   */
  readonly pauseMs?: number;
  /** Rows compared and rows brought inside the pause. */
  readonly rows: number;
}

export interface MoveCompared {
  readonly policy: "incremental" | "before" | "after";
  readonly rows: number;
  readonly isEqual: boolean;
  /** First rows that differ, by table. */
  readonly differences: readonly {
    readonly table: string;
    readonly key: string;
    readonly what: "missing" | "extra" | "different";
  }[];
}

/** Where a move stands now; published while it works, and too short-lived to keep. */
export interface MoveProgress {
  readonly step: "copy" | "follow" | "verify" | "erase";
  /** `schema.table` at work, and how many of all are done. */
  readonly table?: string;
  readonly tablesDone: number;
  readonly tables: number;
  readonly rows: number;
  readonly bytes: number;
  /** Estimates. */
  readonly ofRows: number;
  readonly ofBytes: number;
  readonly rowsPerSecond: number;
  /** Absent while nothing was measured. */
  readonly etaMs?: number;
  /** Captured changes that the target lacks. */
  readonly lag?: number;
  /** E.g. a load on the source above its limit. */
  readonly waitingOn?: string;
}

/** What stands in a move's way, or should be known before it. */
export interface MoveProblem {
  /** E.g. `table public.notes`, `stamp shared-2`, `tenant acme`. */
  readonly where: string;
  readonly what: string;
  /** What to do; SQL where SQL is what mends it. */
  readonly mend: string;
}

/** What a preflight found. Nothing was changed. */
export interface MoveCheck {
  /** The move is refused while there is any. */
  readonly problems: readonly MoveProblem[];
  readonly warnings: readonly MoveProblem[];
  readonly tables: readonly CheckedTable[];
  /** Of this tenant. */
  readonly rows: number;
  readonly bytes: number;
}

export interface CheckedTable {
  /** `schema.table`. */
  readonly table: string;
  readonly kind: "tenant" | "reference" | "ignored";
  /** Of this tenant, as far as counted. */
  readonly rows: number;
  readonly bytes: number;
  /** Tables between it and the one that has the tenant column. */
  readonly via?: readonly string[];
}
