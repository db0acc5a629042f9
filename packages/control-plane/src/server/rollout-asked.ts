import type { RolloutPreviewView } from "@stampyard/api";
import { type Digest, type Rollout, StampyardError } from "@stampyard/domain";
import type { Revisioned, WriteContext } from "../store/port.ts";
import type { ServerDeps } from "./deps.ts";

/** What a person asks for; the rest is the fleet's strategy. */
export interface AskedRollout {
  /** Absent = what was applied last. */
  readonly release?: Digest;
  /** Empty = all. */
  readonly components: readonly string[];
  /** Over the fleet's strategy, in the words of `rollout:` of fleet.yaml. */
  readonly strategy: Readonly<Record<string, unknown>>;
  readonly hotfix: boolean;
  /** The reason for which it passes freezes. */
  readonly overridesFreeze?: string;
}

const notYet = () => new StampyardError("INTERNAL", "Rollouts cannot be started yet");

export async function startAsked(_: ServerDeps, __: AskedRollout, ___: WriteContext): Promise<Revisioned<Rollout>> {
  throw notYet();
}

export async function previewAsked(_: ServerDeps, __: AskedRollout): Promise<RolloutPreviewView> {
  throw notYet();
}

/** A new rollout whose members get what they ran before the one that it takes back. */
export async function undoAsked(
  _: ServerDeps,
  __: Rollout,
  ___: { readonly overridesFreeze?: string },
  ____: WriteContext,
): Promise<Revisioned<Rollout>> {
  throw notYet();
}
