import type { GateReportView, RolloutDetailView, RolloutMemberView, RolloutView } from "@stampyard/api";
import { counted, durationText } from "../../output/quantity.ts";
import { age, fields, table } from "../../output/table.ts";

export function rolloutTable(rollouts: readonly RolloutView[], nowMs: number): string {
  if (rollouts.length === 0) return "No rollouts\n";
  return table(
    ["rollout", "release", "components", "phase", "wave", "updated", "failed", "to go", "age", "waiting on"],
    rollouts.map((rollout) => [
      rollout.id,
      releaseText(rollout),
      rollout.components.join(","),
      rollout.hotfix ? `${rollout.phase} (hotfix)` : rollout.phase,
      waveText(rollout),
      rollout.members.updated,
      rollout.members.failed,
      rollout.members.waiting + rollout.members.updating,
      age(Date.parse(rollout.createdAt), nowMs),
      rollout.phase === "superseded" ? `made way for ${rollout.endedBy}` : (rollout.why ?? rollout.waitingOn),
    ]),
  );
}

/** `2.1.0`, or the beginning of its digest. */
export function releaseText({ release, version }: { readonly release: string; readonly version?: string | undefined }) {
  return version ?? shortDigest(release);
}

type Named = Parameters<typeof releaseText>[0] & { readonly routing?: string | undefined };

/** `1.0.0 to 1.1.0`, or `1.0.0 with other routing rules`; of two releases of one version, such as one with a part of another, by their digests. */
export function wayText(from: Named, to: Named): string {
  const bringsRules = from.routing !== undefined && to.routing !== undefined && from.routing !== to.routing;
  if (bringsRules && from.release === to.release) return `${releaseText(from)} with other routing rules`;
  const isOneName = releaseText(from) === releaseText(to) && from.release !== to.release;
  const nameOf = (one: Named) => `${releaseText(one)}${isOneName ? ` (${shortDigest(one.release).slice(0, 6)})` : ""}`;
  return `${nameOf(from)} to ${nameOf(to)}`;
}

export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, 12);
}

/** `canary (1 of 3)`. */
function waveText({ wave, waves }: Pick<RolloutView, "wave" | "waves">): string | undefined {
  const at = wave === undefined ? undefined : waves[wave];
  return wave === undefined || at === undefined ? undefined : `${at.name} (${wave + 1} of ${waves.length})`;
}

export function hasEnded({ phase }: Pick<RolloutView, "phase">): boolean {
  return phase === "done" || phase === "aborted" || phase === "superseded";
}

/** It goes on only when a person says so. */
export function waitsForPerson({ phase }: Pick<RolloutView, "phase">): boolean {
  return phase === "paused" || phase === "approval";
}

/** `3 of 8 updated, 1 under way, 1 failed`. */
export function progressText({ members }: Pick<RolloutView, "members">): string {
  const { updated, updating, failed, returning, returned, skipped } = members;
  const all = Object.values(members).reduce((sum, count) => sum + count, 0) - skipped;
  return [
    `${updated} of ${counted(all, "stamp")} updated`,
    ...(updating > 0 ? [`${updating} under way`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(returning > 0 ? [`${returning} going back`] : []),
    ...(returned > 0 ? [`${returned} back on what they ran`] : []),
    ...(skipped > 0 ? [`${skipped} left out`] : []),
  ].join(", ");
}

/** `active 3 min, baking 12 min, waiting 0 ms`: for a person, or for its turn. */
export function spentText({ spent }: Pick<RolloutView, "spent">): string {
  const { activeMs, bakingMs, waitingMs } = spent;
  return `active ${durationText(activeMs)}, baking ${durationText(bakingMs)}, waiting ${durationText(waitingMs)}`;
}

export function rolloutText(rollout: RolloutDetailView, members: readonly RolloutMemberView[], nowMs: number): string {
  const { components, reason, undoes, overridesFreeze, until } = rollout;
  const head = fields([
    ["Rollout", rollout.id],
    ["Release", `${releaseText(rollout)} (${shortDigest(rollout.release)})`],
    ["Components", components.length === 0 ? undefined : components.join(", ")],
    ["Routing", rollout.routing?.join(", ")],
    ["Takes back", undoes],
    ["Phase", rollout.hotfix ? `${rollout.phase}, a hotfix` : rollout.phase],
    ["Wave", waveText(rollout)],
    ["Why", rollout.why],
    ["By", rollout.endedBy],
    ["Waiting on", hasEnded(rollout) ? undefined : rollout.waitingOn],
    ["Since", `${rollout.since} (${age(Date.parse(rollout.since), nowMs)})`],
    ["Until", until === undefined ? undefined : `${until} (${leftText(until, nowMs)})`],
    ["Progress", progressText(rollout)],
    ["Time", spentText(rollout)],
    ["Overrides freezes", overridesFreeze],
    ["Reason", reason],
    ["Started", `${rollout.createdAt} by ${rollout.startedBy}`],
  ]);
  const waves = table(
    ["wave", "stamps", "bake", "at a time", "approval"],
    rollout.waves.map((wave, index) => [
      wave.name,
      members.filter((member) => member.wave === index).length,
      durationText(wave.bakeMs),
      wave.maxUnavailable,
      wave.approval ? "wanted" : undefined,
    ]),
  );
  const gate = rollout.gate === undefined ? "" : `\n${gateText(rollout.gate)}`;
  return `${head}\n${waves}\n${memberTable(rollout, members)}${gate}`;
}

function leftText(until: string, nowMs: number): string {
  const left = Date.parse(until) - nowMs;
  return left > 0 ? `in ${durationText(left)}` : "now";
}

export function memberTable(rollout: Pick<RolloutView, "waves">, members: readonly RolloutMemberView[]): string {
  return table(
    ["stamp", "wave", "phase", "release", "why"],
    members.map((member) => [
      member.stamp,
      rollout.waves[member.wave]?.name,
      member.phase,
      wayText(member.from, member.to),
      member.why,
    ]),
  );
}

export function gateText(gate: GateReportView): string {
  const rows = gate.checks.map((check) => [check.name, check.verdict, check.text]);
  const enough = gate.enoughInMs === undefined ? "" : `; enough to tell in about ${durationText(gate.enoughInMs)}`;
  return `Gate: ${gate.verdict} at ${gate.at}${enough}\n${table(["check", "verdict", "because"], rows)}`;
}
