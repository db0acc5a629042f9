import {
  bringsRules,
  type Digest,
  type Instant,
  isServing,
  type MemberSeen,
  retryDelayMs,
  type Rollout,
  type RolloutMember,
  type RolloutWorld,
  type Stamp,
  StampyardError,
  type StampObservation,
  whatIsLacking,
} from "@stampyard/domain";
import { fleetRules } from "../../rollouts/aims.ts";
import type { ObservedStamp } from "../../store/port.ts";
import { causeOf, isTurnOver } from "../failure.ts";
import type { ReconcileDeps, Turn } from "../turn.ts";
import { readBars } from "./read-bars.ts";

export type WorldDeps = Pick<ReconcileDeps, "store" | "engine" | "clock">;

/** An engine that does not answer in time counts as one that cannot look. */
const observeTimeoutMs = 5_000;
/** Looking is one local request; a whole fleet may be on its way back at once. */
const looksAtATime = 32;

/**
 * What is true of a rollout now. Members of whom something is decided are looked at here and now: by the clock that says
 * when they began, so that neither an old look nor another clock can say that one has arrived.
 */
export async function readWorld(
  deps: WorldDeps,
  rollout: Rollout,
  members: readonly RolloutMember[],
  rows: ReadonlyMap<string, Stamp>,
  turn: Turn,
): Promise<Pick<RolloutWorld, "now" | "members" | "barred" | "pinned">> {
  const [observed, bars] = await Promise.all([
    deps.store.stamps.observations(),
    readBars(deps, rollout, members, rows),
  ]);
  const here = members.filter((member) => rows.has(member.stamp));
  const fresh = await lookAt(
    deps,
    here.filter((member) => isDecisive(rollout, member, deps.clock.now())).map(({ stamp }) => stamp),
    turn,
  );
  const routed = await readRouted(deps, here);
  const seen = new Map<string, MemberSeen>();
  for (const member of here) {
    const row = rows.get(member.stamp);
    if (row === undefined) continue;
    const look = fresh.get(member.stamp) ?? observed.get(member.stamp);
    seen.set(member.stamp, withRouting(seenOf(row, look), row, member, routed));
  }
  return { now: deps.clock.now(), members: seen, ...bars };
}

/** Told to become something, and not yet seen to be it; or of a wave whose bake is over, which only a fresh look ends. */
function isDecisive({ state: rollout }: Rollout, { state, wave }: RolloutMember, now: Instant): boolean {
  if (state.kind === "updating" || state.kind === "returning" || state.kind === "failed") return true;
  return state.kind === "updated" && rollout.kind === "baking" && rollout.wave === wave && now >= rollout.until;
}

interface Routed {
  /** The fleet's rules. */
  readonly rules: Digest | undefined;
  readonly isRouted: boolean;
}

/**
 * Whether every live router goes by the rules that rows say. Asked after the rows were read, so that what it is true of is
 * at least as new; undefined where no member has anything to do with rules.
 */
async function readRouted({ store }: WorldDeps, members: readonly RolloutMember[]): Promise<Routed | undefined> {
  if (!members.some(({ from, to }) => from.routing !== undefined || to.routing !== undefined)) return undefined;
  const fleet = await store.fleet.read();
  const rules = fleetRules(fleet?.value.fleet);
  if (!members.some(isOnItsWay)) return { rules, isRouted: true };
  const { version, pending } = await store.directory.routingVersion();
  return { rules, isRouted: !pending && (await store.routers.allLiveAcked(version)) };
}

/** From one set of rules to another. */
function isOnItsWay({ state, from, to }: RolloutMember): boolean {
  return (state.kind === "updating" || state.kind === "returning") && bringsRules(from, to);
}

function withRouting(seen: MemberSeen, row: Stamp, member: RolloutMember, routed: Routed | undefined): MemberSeen {
  if (routed === undefined) return seen;
  const { rules, isRouted } = routed;
  const routing = row.routing ?? rules;
  const isAwaited = seen.lack === undefined && !isRouted && isOnItsWay(member);
  return {
    ...seen,
    ...(routing === undefined ? {} : { routing }),
    isRouted,
    ...(isAwaited ? { lack: "routers to hear of its routing rules" } : {}),
  };
}

async function lookAt(
  deps: WorldDeps,
  names: readonly string[],
  turn: Turn,
): Promise<ReadonlyMap<string, ObservedStamp>> {
  const fresh = new Map<string, ObservedStamp>();
  const left = [...names];
  const looker = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      // From before the look: what it shows may be older than its end.
      const at = deps.clock.now();
      fresh.set(name, { observation: await observe(deps, name, turn), at });
    }
  };
  await Promise.all(Array.from({ length: Math.min(looksAtATime, names.length) }, looker));
  return fresh;
}

/** Not to be able to look is an answer too, and never the one that was there before. */
async function observe({ engine }: WorldDeps, name: string, turn: Turn): Promise<StampObservation> {
  const signal = AbortSignal.any([turn.signal, AbortSignal.timeout(observeTimeoutMs)]);
  try {
    return await engine.observe(name, signal);
  } catch (caught) {
    if (isTurnOver(caught, turn)) throw caught;
    const reason = signal.aborted ? `no answer in ${observeTimeoutMs} ms` : causeOf(StampyardError.from(caught));
    const nothing = { components: [], endpoints: [], endpointRevision: 0 } as const;
    return { stamp: name, presence: "unknown", host: "none", reason, ...nothing };
  }
}

function seenOf(stamp: Stamp, look: ObservedStamp | undefined): MemberSeen {
  const lack = look === undefined ? "it was not looked at yet" : lackOf(stamp, look.observation);
  const setback = setbackOf(stamp);
  return {
    phase: stamp.state.kind,
    aimed: stamp.stampDigest,
    running: look === undefined ? undefined : runningOf(look.observation),
    observedAt: look?.at ?? 0,
    isWhole: lack === undefined,
    ...(lack === undefined ? {} : { lack }),
    ...(setback === undefined ? {} : { setback }),
    isLeaving: stamp.goal === "absent" || stamp.state.kind === "destroying",
  };
}

/** A host that is down cannot be asked: what it last said is not what is true. */
function runningOf({ presence, host, stampDigest }: StampObservation) {
  return presence === "present" && host === "up" ? stampDigest : undefined;
}

/** Whole in what it runs, whichever that is, and where routers send its tenants. */
function lackOf(stamp: Stamp, seen: StampObservation): string | undefined {
  if (seen.presence === "unknown") return seen.reason ?? "its engine cannot look";
  if (seen.stampDigest === undefined) return "it is on its way from one release to another";
  const lack = whatIsLacking({ stampDigest: seen.stampDigest }, seen);
  if (lack !== undefined || !isServing(stamp.state.kind)) return lack;
  return seen.endpointRevision === stamp.endpointRevision ? undefined : "routers to hear of its new endpoints";
}

function setbackOf({ state }: Stamp): MemberSeen["setback"] {
  if (isServing(state.kind) && "setback" in state && state.setback !== undefined) {
    const { attempt, cause, stampDigest, retryAt } = state.setback;
    return { attempt, cause, stampDigest, at: retryAt - retryDelayMs(attempt) };
  }
  if (state.kind !== "failed" || state.stampDigest === undefined) return undefined;
  const { attempt, cause, stampDigest, retryAt } = state;
  return { attempt, cause, stampDigest, at: retryAt - retryDelayMs(attempt) };
}
