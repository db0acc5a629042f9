import {
  gatePower,
  type PlannedWaves,
  powerWords,
  type RolloutCandidate,
  type RolloutStrategy,
} from "@stampyard/domain";

/**
 * What the gate could see of each wave at the traffic there is, a line a wave. Members of earlier waves stand beside the
 * siblings, as they do when the gate judges.
 */
export function wavePower(
  { gate }: RolloutStrategy,
  { waves, members }: Pick<PlannedWaves, "waves" | "members">,
  candidates: readonly RolloutCandidate[],
): readonly string[] {
  const traffic = new Map(candidates.map(({ stamp, perMinute }) => [stamp, perMinute ?? 0]));
  const all = candidates.reduce((sum, { perMinute }) => sum + (perMinute ?? 0), 0);
  return waves.flatMap(({ name, bakeMs }, index) => {
    const updating = members.filter(({ wave, state }) => wave === index && state.kind === "waiting");
    if (updating.length === 0) return [];
    if (bakeMs === 0) return [`${name}: it does not bake, so nothing is judged`];
    const updatedPerMinute = updating.reduce((sum, { stamp }) => sum + (traffic.get(stamp) ?? 0), 0);
    const beside = { updatedPerMinute, siblingsPerMinute: Math.max(0, all - updatedPerMinute), bakeMs };
    return [`${name}: ${powerWords(gatePower(gate, beside, { index, of: waves.length }))}`];
  });
}
