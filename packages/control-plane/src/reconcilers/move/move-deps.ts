import type { OpenMover } from "@stampyard/domain";
import type { ReconcileDeps } from "../turn.ts";
import type { MoveLoad } from "./move-load.ts";

/** What one turn of a move works with, beside what every reconciler has. */
export interface MoveDeps extends ReconcileDeps {
  readonly openMover: OpenMover;
  readonly moveLoad: MoveLoad;
}

/** Beside `ReconcileDeps`: what the process that leads gives to moves. */
export type MoveParts = Pick<MoveDeps, "openMover">;
