import type { OpenMover, Stamp, StampSpec } from "@stampyard/domain";
import type { ReconcileDeps, Turn } from "../turn.ts";
import type { MoveLoad } from "./move-load.ts";

/** What one turn of a move works with, beside what every reconciler has. */
export interface MoveDeps extends ReconcileDeps {
  readonly openMover: OpenMover;
  /** Puts the declared fence on the tables of a stamp; idempotent. */
  readonly ensureFence: (stamp: Stamp, spec: StampSpec, turn: Turn) => Promise<void>;
  readonly moveLoad: MoveLoad;
}

/** Beside `ReconcileDeps`: what the process that leads gives to moves. */
export type MoveParts = Pick<MoveDeps, "openMover" | "ensureFence">;
