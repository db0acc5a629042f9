import type { GateReportView, RolloutDetailView, RolloutMemberView, RolloutView } from "@stampyard/api";
import {
  type Aim,
  type Digest,
  type GateReport,
  type MemberPhase,
  type Rollout,
  type RolloutMember,
  type RolloutState,
  rolloutWords,
} from "@stampyard/domain";
import type { Revisioned, Store } from "../store/port.ts";
import { strategyView } from "./strategy-view.ts";
import { time } from "./views.ts";

/** The name that a template gives a release; absent for one that is not known any more. */
export type VersionOf = (release: Digest) => string | undefined;

const noMembers: Record<MemberPhase, number> = {
  waiting: 0,
  updating: 0,
  updated: 0,
  failed: 0,
  returning: 0,
  returned: 0,
  skipped: 0,
};

export async function readVersions(store: Pick<Store, "fleet">, releases: Iterable<Digest>): Promise<VersionOf> {
  const found = await Promise.all([...new Set(releases)].map(async (digest) => store.fleet.release(digest)));
  const versions = new Map(
    found.flatMap((release) => (release === undefined ? [] : [[release.digest, release.version]])),
  );
  return (release) => versions.get(release);
}

/** Rollouts with what has to be read beside them: counts of members, and names of releases. */
export async function readRolloutViews(
  store: Pick<Store, "fleet" | "rollouts">,
  rows: readonly Revisioned<Rollout>[],
  now: number,
): Promise<RolloutView[]> {
  const [counts, versionOf] = await Promise.all([
    store.rollouts.counts(rows.map(({ value }) => value.id)),
    readVersions(
      store,
      rows.map(({ value }) => value.release),
    ),
  ]);
  return rows.map((row) => rolloutView(row, counts.get(row.value.id), versionOf, now));
}

function rolloutView(
  row: Revisioned<Rollout>,
  counts: Readonly<Record<string, number>> | undefined,
  versionOf: VersionOf,
  now: number,
): RolloutView {
  const { value: rollout, revision, createdAt, updatedAt } = row;
  const { id, release, state, undoes, overridesFreeze, reason, fleetRevision, waitingOn } = rollout;
  const version = versionOf(release);
  const wave = waveOf(state);
  const { until } = rolloutWords(rollout, now);
  return {
    id,
    release,
    ...(version === undefined ? {} : { version }),
    components: [...rollout.components],
    phase: state.kind,
    ...(wave === undefined ? {} : { wave }),
    waves: rollout.waves.map((one) => ({ ...one })),
    since: time("since" in state ? state.since : state.at),
    ...(until === undefined ? {} : { until: time(until) }),
    ...(waitingOn === undefined ? {} : { waitingOn }),
    ...whyOf(state),
    members: { ...noMembers, ...counts },
    hotfix: rollout.hotfix,
    ...(undoes === undefined ? {} : { undoes }),
    ...(overridesFreeze === undefined ? {} : { overridesFreeze }),
    ...(reason === undefined ? {} : { reason }),
    startedBy: rollout.by,
    ...(fleetRevision === undefined ? {} : { fleetRevision }),
    spent: spentWith(rollout, now),
    revision,
    createdAt: time(createdAt),
    updatedAt: time(updatedAt),
  };
}

/** @param routing what it changes about routing rules, in words */
export function rolloutDetailView(view: RolloutView, rollout: Rollout, routing: readonly string[]): RolloutDetailView {
  const { strategy, gate, looks, hooksDone } = rollout;
  return {
    ...view,
    strategy: strategyView(strategy),
    ...(routing.length === 0 ? {} : { routing: [...routing] }),
    ...(gate === undefined ? {} : { gate: gateReportView(gate) }),
    looks,
    hooksDone: [...hooksDone],
  };
}

export function gateReportView({ at, verdict, checks, enoughInMs }: GateReport): GateReportView {
  return {
    at: time(at),
    verdict,
    checks: checks.map((check) => ({ ...check })),
    ...(enoughInMs === undefined ? {} : { enoughInMs }),
  };
}

export function memberView(member: RolloutMember, versionOf: VersionOf): RolloutMemberView {
  const { stamp, wave, place, from, to, state } = member;
  const why = "cause" in state ? state.cause : "why" in state ? state.why : undefined;
  return {
    stamp,
    wave,
    place,
    phase: state.kind,
    ...("since" in state ? { since: time(state.since) } : {}),
    ...("at" in state ? { at: time(state.at) } : {}),
    ...(why === undefined ? {} : { why }),
    from: aimView(from, versionOf),
    to: aimView(to, versionOf),
  };
}

function aimView(
  { release, stampDigest, parameters, capacity, routing }: Aim,
  versionOf: VersionOf,
): RolloutMemberView["from"] {
  const version = versionOf(release);
  return {
    release,
    ...(version === undefined ? {} : { version }),
    stampDigest,
    parameters: { ...parameters },
    capacity: { ...capacity, units: { ...capacity.units } },
    ...(routing === undefined ? {} : { routing }),
  };
}

function waveOf(state: RolloutState): number | undefined {
  return state.kind === "paused" ? waveOf(state.was) : "wave" in state ? state.wave : undefined;
}

function whyOf(state: RolloutState): { why?: string; endedBy?: string } {
  if (state.kind === "superseded") return { endedBy: state.by };
  if (state.kind === "paused") return { why: state.why, endedBy: state.by };
  if (state.kind === "aborting" || state.kind === "aborted") return { why: state.cause, endedBy: state.by };
  return {};
}

/** What was spent, with the phase under way. */
function spentWith({ spent, state }: Rollout, now: number): RolloutView["spent"] {
  const since = "since" in state ? Math.max(0, now - state.since) : 0;
  const { activeMs, bakingMs, waitingMs } = spent;
  switch (state.kind) {
    case "updating":
    case "aborting":
      return { activeMs: activeMs + since, bakingMs, waitingMs };
    case "baking":
      return { activeMs, bakingMs: bakingMs + since, waitingMs };
    case "queued":
    case "approval":
    case "paused":
      return { activeMs, bakingMs, waitingMs: waitingMs + since };
    default:
      return { activeMs, bakingMs, waitingMs };
  }
}
