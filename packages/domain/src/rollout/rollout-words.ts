import type { Instant } from "../ports.ts";
import type { Rollout, RolloutState } from "./rollout.ts";

export interface RolloutWords {
  /** What it waits for, in words; absent after its end. */
  readonly waitsFor?: string;
  /** Until when at most, where that is known. */
  readonly until?: Instant;
}

/** What a rollout waits for as far as its state tells. A turn, which has looked at the stamps, knows more of it. */
export function rolloutWords({ id, state, waves, strategy }: WordsOf, now: Instant): RolloutWords {
  const name = (index: number) => waves[index]?.name ?? String(index);
  switch (state.kind) {
    case "queued":
      return { waitsFor: "its turn" };
    case "updating":
      return { waitsFor: `the members of wave ${name(state.wave)}` };
    case "baking":
      return now < state.until
        ? { waitsFor: `the end of the bake of wave ${name(state.wave)}`, until: state.until }
        : { waitsFor: `a verdict on wave ${name(state.wave)}`, until: state.until + strategy.gate.waitMs };
    case "approval":
      return { waitsFor: `a person, for wave ${name(state.wave)}: stampyard rollout approve ${id}` };
    case "paused":
      return { waitsFor: `a person: stampyard rollout resume ${id}, or promote, retry, abort` };
    case "aborting":
      return { waitsFor: "its members to run again what they ran before" };
    default:
      return {};
  }
}

type WordsOf = Pick<Rollout, "id" | "waves"> & {
  readonly state: RolloutState;
  readonly strategy: { readonly gate: { readonly waitMs: number } };
};
