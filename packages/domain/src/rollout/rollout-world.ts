import type { Digest, Instant } from "../ports.ts";
import type { StampPhase } from "../stamp.ts";
import type { GateReport } from "./evidence.ts";
import type { MemberState, RolloutState } from "./rollout.ts";
import type { RolloutHookPoint } from "./strategy.ts";

/** All that a turn of a rollout is decided by. */
export interface RolloutWorld {
  /** Taken after everything else in here was read. */
  readonly now: Instant;
  /** One for every member that still has a stamp. */
  readonly members: ReadonlyMap<string, MemberSeen>;
  /** Why nothing may begin in a stamp now, by stamp: a freeze, a move that works with it. It is waited for. */
  readonly barred: ReadonlyMap<string, string>;
  /** Why a stamp is to stay as it is, by stamp: a pin. When its wave comes it is left out, and keeps nobody waiting. */
  readonly pinned?: ReadonlyMap<string, string>;
  /** The gate of the wave under way, judged just now; absent = it was not asked. */
  readonly gate?: GateReport;
  /** Hooks that failed for good since the last turn, with what their rule says. */
  readonly hookFailures?: readonly {
    readonly name: string;
    readonly verdict: "abort" | "pause";
    readonly cause: string;
  }[];
  /** A newer rollout of the same components waits, and this one's strategy or that one's says that it makes way. */
  readonly newer?: string;
  /** Why a queued one may not begin: another one is under way, named. */
  readonly behind?: string;
}

export interface MemberSeen {
  readonly phase: StampPhase;
  /** What its row says it should run. */
  readonly aimed: Digest;
  /** Digest of what it runs, of an observation made at `observedAt`; undefined = it cannot be looked at. */
  readonly running: Digest | undefined;
  readonly observedAt: Instant;
  /** Every component healthy, host up. */
  readonly isWhole: boolean;
  /** What is lacking, in words. */
  readonly lack?: string;
  /** The rules of routing that its row says hold for its tenants. */
  readonly routing?: Digest;
  /** Every live router is known to go by the rules that rows say. Absent = it was not asked. */
  readonly isRouted?: boolean;
  /** The last failed attempt to bring it to `aimed`. */
  readonly setback?: {
    readonly attempt: number;
    readonly cause: string;
    readonly stampDigest: Digest;
    /** When it failed. */
    readonly at: Instant;
  };
  /** A restored or moved stamp that is to be destroyed. */
  readonly isLeaving: boolean;
}

export type RolloutAction =
  /** The stamp's row is aimed at the member's `to`, in the transaction that writes the member's state. */
  | { readonly kind: "update"; readonly stamp: string }
  /** … at its `from`. */
  | { readonly kind: "return"; readonly stamp: string }
  /**
   * The stamp is aimed elsewhere than the waiting member's `from` says, e.g. by the rollout before: its `from` becomes
   * what its row says now, and its `to`, where that is composed of both, is composed again. The next turn goes on.
   */
  | { readonly kind: "refresh"; readonly stamp: string }
  /** The hooks of a point that are not done yet; their names go into `hooksDone` once they have answered. Wave 0 for those of the whole rollout. */
  | { readonly kind: "hook"; readonly point: RolloutHookPoint; readonly wave: number };

export interface RolloutPlan {
  readonly next: RolloutState;
  /** Members whose state differs. */
  readonly members: readonly { readonly stamp: string; readonly state: MemberState }[];
  readonly actions: readonly RolloutAction[];
  readonly waitingOn?: string;
  /** Look again no later than this, if nothing happens before. */
  readonly lookAt?: Instant;
  /** Whether the gate has to be asked in the next turn. */
  readonly needsGate: boolean;
  /** A look of the gate that counts was taken. */
  readonly tookLook: boolean;
}
