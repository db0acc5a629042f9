import type { GateReport, Instant, Rollout, RolloutCandidate, RolloutMember } from "@stampyard/domain";
import type { WriteContext } from "../../store/port.ts";
import type { ReconcileDeps } from "../turn.ts";
import type { GateMemory } from "./ask-gate.ts";
import type { RolloutHooks } from "./rollout-hooks.ts";

/** Beside `ReconcileDeps`: what the process that leads gives to rollouts. */
export interface RolloutParts {
  readonly judge: JudgeRollout;
  readonly candidates: FindCandidates;
}

/** Gathers what there is of the wave under way, and judges it. What is missing is part of the report (I35). */
export type JudgeRollout = (
  rollout: Rollout,
  members: readonly RolloutMember[],
  now: Instant,
  signal: AbortSignal,
) => Promise<GateReport>;

/** What each of these stamps runs by its row now, and what this rollout would bring it. Those that are gone are left out. */
export type FindCandidates = (
  rollout: Rollout,
  stamps: readonly string[],
  ctx: WriteContext,
) => Promise<readonly RolloutCandidate[]>;

export interface RolloutDeps
  extends Pick<ReconcileDeps, "store" | "engine" | "clock" | "log" | "events">,
    RolloutParts {
  readonly rolloutHooks: RolloutHooks;
  readonly gateMemory: GateMemory;
  /** When each rollout was written last by this process, by its own clock. */
  readonly writtenAt: Map<string, Instant>;
}
