import type { RolloutPreviewView } from "@stampyard/api";
import { type Digest, type Rollout, StampyardError } from "@stampyard/domain";
import { previewRollout, type RolloutPreview } from "../rollouts/preview-rollout.ts";
import { type RolloutAsked, startRollout, undoRollout } from "../rollouts/start-rollout.ts";
import type { Revisioned, WriteContext } from "../store/port.ts";
import type { ServerDeps } from "./deps.ts";
import { strategyView } from "./strategy-view.ts";

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

/** @throws StampyardError as `startRollout`; INVALID_REQUEST for what a strategy does not know */
export async function startAsked(
  deps: ServerDeps,
  asked: AskedRollout,
  ctx: WriteContext,
): Promise<Revisioned<Rollout>> {
  return await startRollout(deps, wordsOf(asked), ctx);
}

export async function previewAsked(deps: ServerDeps, asked: AskedRollout): Promise<RolloutPreviewView> {
  return previewView(await previewRollout(deps, wordsOf(asked)));
}

/** A new rollout whose members get what they ran before the one that it takes back. */
export async function undoAsked(
  deps: ServerDeps,
  undone: Rollout,
  options: { readonly overridesFreeze?: string },
  ctx: WriteContext,
): Promise<Revisioned<Rollout>> {
  return await undoRollout(deps, undone, options, ctx);
}

function wordsOf({ strategy, ...asked }: AskedRollout): RolloutAsked {
  if (Object.keys(strategy).length === 0) return asked;
  throw new StampyardError("INVALID_REQUEST", "A strategy cannot be given with a rollout yet", {
    mend: "Write it under rollout in fleet.yaml, and apply it.",
  });
}

function previewView({ plan, frozen, waysBack, takesMs, behind, notes }: RolloutPreview): RolloutPreviewView {
  const { planned, candidates, input, release } = plan;
  const traffic = new Map(candidates.map(({ stamp, perMinute }) => [stamp, perMinute]));
  const { canary } = planned;
  return {
    release: release.digest,
    version: release.version,
    components: [...input.components],
    hotfix: input.hotfix,
    strategy: strategyView(input.strategy),
    waves: planned.waves.map((wave, index) => ({
      ...wave,
      members: planned.members
        .filter((member) => member.wave === index && member.state.kind === "waiting")
        .map(({ stamp, from, to }) => {
          const perMinute = traffic.get(stamp);
          return { stamp, from: from.release, to: to.release, ...(perMinute === undefined ? {} : { perMinute }) };
        }),
    })),
    ...(canary === undefined ? {} : { canary: { stamp: canary.stamp, why: canary.why } }),
    skipped: planned.members.flatMap(({ stamp, state }) =>
      state.kind === "skipped" ? [{ stamp, why: state.why }] : [],
    ),
    power: [],
    frozen: [...frozen],
    waysBack: [...waysBack],
    notes: [...notes],
    ...(takesMs === undefined ? {} : { takesMs }),
    ...(behind === undefined ? {} : { behind }),
  };
}
