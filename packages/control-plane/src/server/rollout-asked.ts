import type { RolloutPreviewView } from "@stampyard/api";
import { type Digest, type Rollout, type RolloutStrategy, StampyardError } from "@stampyard/domain";
import { overrideStrategy } from "@stampyard/manifest";
import { previewRollout, type RolloutPreview } from "../rollouts/preview-rollout.ts";
import { rulesBrought } from "../rollouts/rules-in-force.ts";
import { type RolloutAsked, startRollout, undoRollout } from "../rollouts/start-rollout.ts";
import { wavePower } from "../rollouts/wave-power.ts";
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
  const preview = await previewRollout(deps, wordsOf(asked));
  return previewView(preview, await rulesBrought(deps.store, preview.plan.planned.members));
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

/** @throws StampyardError INVALID_REQUEST, by the function that it gives */
function wordsOf({ strategy: words, ...asked }: AskedRollout): RolloutAsked {
  if (Object.keys(words).length === 0) return asked;
  return { ...asked, strategy: (base) => overridden(base, words) };
}

function overridden(base: RolloutStrategy, words: AskedRollout["strategy"]): RolloutStrategy {
  const read = overrideStrategy(base, words);
  if (read.ok) return read.strategy;
  const [first, ...more] = read.problems;
  const others = more.length === 0 ? "" : `, and ${more.length} more`;
  throw new StampyardError(
    "INVALID_REQUEST",
    `The strategy is not one: ${first?.message ?? "it cannot be read"}${others}`,
    {
      problems: read.problems,
      mend: "Use the words of rollout: in fleet.yaml (docs/reference/fleet.md).",
    },
  );
}

function previewView(
  { plan, frozen, waysBack, takesMs, behind, notes }: RolloutPreview,
  routing: readonly string[],
): RolloutPreviewView {
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
    ...(routing.length === 0 ? {} : { routing: [...routing] }),
    power: [...wavePower(input.strategy, planned, candidates)],
    frozen: [...frozen],
    waysBack: [...waysBack],
    notes: [...new Set(notes)],
    ...(takesMs === undefined ? {} : { takesMs }),
    ...(behind === undefined ? {} : { behind }),
  };
}
