import type { RolloutDetailView, RolloutMemberView, RolloutView } from "@stampyard/api";
import type { NodeState, ProgressNode } from "../../output/progress-tree.ts";
import { counted, durationText } from "../../output/quantity.ts";
import { hasEnded, progressText, releaseText, spentText, waitsForPerson, wayText } from "./rollout-text.ts";

export interface TreeOptions {
  /** Redrawn in place: then it has running times, too. */
  readonly isLive: boolean;
  readonly nowMs: number;
}

/** More of one wave would fill the screen; the others are counted. */
const mostMembers = 15;
/** Waves to each side of the present one that have a line of their own. */
const mostWavesBeside = 3;

/** The rollout, its waves, the stamps of the wave under way, and what its gate says. */
export function rolloutNode(
  rollout: RolloutDetailView,
  members: readonly RolloutMemberView[],
  options: TreeOptions,
): ProgressNode {
  const name = `${rollout.undoes === undefined ? "rollout" : "undo"} ${rollout.id} of ${releaseText(rollout)}`;
  return {
    label: rollout.hotfix ? `${name} (hotfix)` : name,
    state: stateOf(rollout),
    detail: detailOf(rollout, options),
    children: [
      ...(options.isLive ? lineNodes(rollout) : []),
      ...waveNodes(rollout, members, options),
      ...(rollout.gate === undefined || !isGateAsked(rollout) ? [] : [gateNode(rollout.gate)]),
    ],
  };
}

/** Those about the present wave; the others are counted. All of them where lines are only appended. */
function waveNodes(
  rollout: RolloutDetailView,
  members: readonly RolloutMemberView[],
  options: TreeOptions,
): ProgressNode[] {
  const present = rollout.wave ?? (rollout.phase === "queued" ? 0 : rollout.waves.length - 1);
  const nodes = rollout.waves.map((_, index) => waveNode(rollout, members, index, options));
  if (!options.isLive) return nodes;
  const [from, to] = [Math.max(0, present - mostWavesBeside), present + mostWavesBeside + 1];
  const more = (count: number, state: NodeState): ProgressNode[] =>
    count > 0 ? [{ label: `${counted(count, "wave")} more`, state }] : [];
  return [...more(from, "done"), ...nodes.slice(from, to), ...more(nodes.length - to, "waiting")];
}

/** Before the bake it has nothing to say but no, and when its stamps go back it has said it. */
function isGateAsked({ phase, gate }: RolloutDetailView): boolean {
  return phase === "baking" || phase === "paused" || (phase === "updating" && gate?.verdict === "abort");
}

function stateOf({ phase }: RolloutView): NodeState {
  if (phase === "done") return "done";
  if (phase === "aborted" || phase === "aborting") return "failed";
  return phase === "updating" || phase === "baking" ? "working" : "waiting";
}

/** `baking, until 12:30:05 (4 min); 1 of 3 stamps updated; waits for …`. */
function detailOf(rollout: RolloutDetailView, { isLive, nowMs }: TreeOptions): string {
  const parts = [phaseText(rollout, { isLive, nowMs }), progressText(rollout)];
  if (isLive) return parts.join("; ");
  if (rollout.why !== undefined) parts.push(rollout.why);
  if (!hasEnded(rollout) && rollout.waitingOn !== undefined && rollout.waitingOn !== rollout.why) {
    parts.push(`waiting: ${rollout.waitingOn}`);
  }
  if (hasEnded(rollout)) parts.push(spentText(rollout));
  return parts.join("; ");
}

/** Why, what it waits for, and its time: each in a line of its own, where long lines are cut. */
function lineNodes(rollout: RolloutDetailView): ProgressNode[] {
  const { why, waitingOn } = rollout;
  return [
    ...(why === undefined ? [] : [{ label: "why", state: "waiting", detail: why } as const]),
    ...(hasEnded(rollout) || waitingOn === undefined || waitingOn === why
      ? []
      : [{ label: "waiting", state: "waiting", detail: waitingOn } as const]),
    { label: "time", state: "waiting", detail: spentText(rollout) },
  ];
}

function phaseText({ phase, since, until }: RolloutView, { isLive, nowMs }: TreeOptions): string {
  const words = phase === "approval" ? "waits for an approval" : phase;
  const ends = until === undefined ? "" : ` until ${until.slice(11, 19)} UTC`;
  if (!isLive) return `${words}${ends}`;
  const left = until === undefined ? undefined : Date.parse(until) - nowMs;
  const time =
    left === undefined
      ? `for ${durationText(Math.max(0, nowMs - Date.parse(since)))}`
      : `${durationText(Math.max(0, left))} left`;
  return `${words}${ends} (${time})`;
}

function waveNode(
  rollout: RolloutDetailView,
  members: readonly RolloutMemberView[],
  index: number,
  options: TreeOptions,
): ProgressNode {
  const wave = rollout.waves[index];
  const mine = members.filter((member) => member.wave === index);
  const taking = mine.filter(({ phase }) => phase !== "skipped");
  const arrived = taking.filter(({ phase }) => phase === "updated").length;
  const goesBack = taking.filter(({ phase }) => phase === "returning" || phase === "returned");
  const isNow = rollout.wave === index || goesBack.length > 0 || mine.some(({ phase }) => phase === "updating");
  const back = goesBack.filter(({ phase }) => phase === "returned").length;
  const detail =
    goesBack.length > 0
      ? `${back} of ${goesBack.length} back on what they ran`
      : [
          `${arrived} of ${taking.length} updated`,
          ...(wave?.approval === true && rollout.wave !== undefined && rollout.wave <= index
            ? ["wants an approval"]
            : []),
          ...(wave?.bakeMs === undefined || wave.bakeMs === 0 ? [] : [`bakes ${durationText(wave.bakeMs)}`]),
        ].join(", ");
  const shown = isNow ? mine.filter(({ phase }) => phase !== "skipped" || hasEnded(rollout)) : [];
  const few = shown
    .sort((a, b) => interest.indexOf(a.phase) - interest.indexOf(b.phase))
    .slice(0, mostMembers)
    .map((member) => memberNode(member, options));
  const more = shown.length - few.length;
  return {
    label: `wave ${wave?.name ?? index + 1}`,
    state:
      goesBack.length > 0
        ? back < goesBack.length
          ? "working"
          : "failed"
        : waveState(rollout, index, taking.length > 0 && arrived === taking.length),
    detail,
    children: more > 0 ? [...few, { label: `and ${more} more`, state: "waiting" }] : few,
  };
}

function waveState(rollout: RolloutView, index: number, isWhole: boolean): NodeState {
  if (rollout.phase === "done") return "done";
  if (rollout.wave === undefined) return isWhole ? "done" : "waiting";
  if (index !== rollout.wave) return index < rollout.wave ? "done" : "waiting";
  return waitsForPerson(rollout) ? "waiting" : "working";
}

/** Those that something happens to come first. */
const interest: readonly RolloutMemberView["phase"][] = [
  "failed",
  "returning",
  "updating",
  "returned",
  "updated",
  "waiting",
  "skipped",
];

const memberStates: Readonly<Record<RolloutMemberView["phase"], NodeState>> = {
  waiting: "waiting",
  updating: "working",
  updated: "done",
  failed: "failed",
  returning: "working",
  returned: "done",
  skipped: "waiting",
};

function memberNode(member: RolloutMemberView, { isLive, nowMs }: TreeOptions): ProgressNode {
  const { phase, since, why, from, to } = member;
  if (phase === "waiting") return { label: member.stamp, state: "waiting" };
  const way = phase === "returning" || phase === "returned" ? wayText(to, from) : wayText(from, to);
  const isMoving = phase === "updating" || phase === "returning";
  const time =
    isLive && isMoving && since !== undefined ? `, for ${durationText(Math.max(0, nowMs - Date.parse(since)))}` : "";
  return {
    label: member.stamp,
    state: memberStates[phase],
    detail: `${phase}, ${way}${time}${why === undefined ? "" : `: ${why}`}`,
  };
}

function gateNode(gate: NonNullable<RolloutDetailView["gate"]>): ProgressNode {
  const state: Readonly<Record<typeof gate.verdict, NodeState>> = {
    go: "done",
    abort: "failed",
    inconclusive: "waiting",
  };
  const enough = gate.enoughInMs === undefined ? "" : `, enough to tell in about ${durationText(gate.enoughInMs)}`;
  return {
    label: "gate",
    state: state[gate.verdict],
    detail: `${gate.verdict}${enough}`,
    children: gate.checks.map((check) => ({ label: check.name, state: state[check.verdict], detail: check.text })),
  };
}
