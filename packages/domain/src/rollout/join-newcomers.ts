import { byName, byTraffic, type RolloutCandidate } from "./rollout-candidate.ts";
import type { Rollout, RolloutMember, Wave } from "./rollout.ts";

/**
 * The rollout's waves with a last one for stamps that were built or came while it was under way, and its new members.
 * Those that are members already are left as they are, so that a repeat changes nothing.
 */
export function joinNewcomers(
  { waves, strategy }: Pick<Rollout, "waves" | "strategy">,
  members: readonly Pick<RolloutMember, "stamp">[],
  candidates: readonly RolloutCandidate[],
): { readonly waves: readonly Wave[]; readonly members: readonly RolloutMember[] } {
  const known = new Set(members.map(({ stamp }) => stamp));
  const fresh = [...candidates].sort(byName).filter(({ stamp }) => !known.has(stamp));
  if (fresh.length === 0) return { waves, members: [] };
  const last = waves.at(-1);
  const wave: Wave = {
    name: "newcomers",
    bakeMs: strategy.bakeMs,
    maxUnavailable: strategy.maxUnavailable,
    approval: false,
    ...(last?.promoted === true ? { promoted: true } : {}),
  };
  const joined = fresh.sort(byTraffic).map(({ stamp, from, to, skip }, place): RolloutMember => {
    const state = skip === undefined ? ({ kind: "waiting" } as const) : ({ kind: "skipped", why: skip } as const);
    return { stamp, wave: waves.length, place, from, to, state };
  });
  return { waves: [...waves, wave], members: joined };
}
