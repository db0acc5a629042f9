import { isDeepStrictEqual } from "node:util";
import {
  afterPlan,
  endedRollouts,
  type GateReport,
  planRollout,
  type Rollout,
  type RolloutMember,
  type RolloutPlan,
  type RolloutWorld,
  StampyardError,
  whoTakesOver,
} from "@stampyard/domain";
import type { Revisioned } from "../../store/port.ts";
import { isTurnOver } from "../failure.ts";
import { again, rest, type Turn, type TurnEnd, writeContext } from "../turn.ts";
import { askGate } from "./ask-gate.ts";
import { refreshed, withNewcomers } from "./newcomers.ts";
import { type Others, readOthers } from "./read-others.ts";
import { readWorld } from "./read-world.ts";
import type { RolloutDeps } from "./rollout-deps.ts";

/** Observations, traffic, windows and what a lost event would have told are looked at this often. */
const lookEveryMs = { working: 1_000, waiting: 5_000 };
/** A time that has come and changed nothing. */
const leastRestMs = 250;
/** Words and figures that change at every look are written down at most so often. */
const showEveryMs = 5_000;

/**
 * One turn of a rollout: read, look, plan, and write state, members and the aims of their stamps in one transaction. All
 * that is done to a stamp is done by its own reconciler, so a turn that dies anywhere costs only time (I26, I27), and a
 * person's word that came meanwhile refuses the write (I36).
 */
export async function reconcileRollout(deps: RolloutDeps, id: string, turn: Turn): Promise<TurnEnd> {
  if ((await deps.store.meta()).mode === "recovering") return rest;
  const found = await deps.store.rollouts.read(id);
  if (found === undefined || endedRollouts.includes(found.value.state.kind)) return forget(deps, id);
  try {
    return await takeTurn(deps, found, turn);
  } catch (caught) {
    if (isTurnOver(caught, turn)) throw caught;
    // Somebody said something meanwhile, and it wins; or a stamp has gone.
    if (passing.has(StampyardError.from(caught).code)) return again;
    throw caught;
  }
}

const passing: ReadonlySet<string> = new Set(["STALE_REVISION", "CANCELLED", "STAMP_NOT_FOUND"]);

function forget({ rolloutHooks, gateMemory, writtenAt }: RolloutDeps, id: string): TurnEnd {
  rolloutHooks.drop(id);
  gateMemory.delete(id);
  writtenAt.delete(id);
  return rest;
}

async function takeTurn(deps: RolloutDeps, found: Revisioned<Rollout>, turn: Turn): Promise<TurnEnd> {
  const { store, rolloutHooks, clock } = deps;
  const { id, state } = found.value;
  const others = await readOthers(store, found.value);
  if (isStillBehind(found.value, others)) return { kind: "rest", until: clock.now() + lookEveryMs.waiting };
  const [recorded, stamps] = await Promise.all([store.rollouts.members(id), store.stamps.all()]);
  const rows = new Map(stamps.map(({ value }) => [value.name, value]));
  const answers = rolloutHooks.answers(id);
  const answered = { ...found.value, hooksDone: [...found.value.hooksDone, ...answers.done] };
  const { rollout, members } = await withNewcomers(deps, answered, recorded, [...rows.values()], turn);
  const newer = whoTakesOver(found.value, recorded, others.open);
  const seen = await readWorld(deps, rollout, members, rows, turn);
  const failures = answers.failures.length === 0 ? {} : { hookFailures: answers.failures };
  const around = {
    ...(others.behind === undefined ? {} : { behind: others.behind }),
    ...(newer === undefined ? {} : { newer }),
  };
  const { plan, world } = await planWithGate(deps, found, rollout, members, { ...around, ...seen, ...failures }, turn);
  const fresh = await refreshed(deps, rollout, members, rows, world.members, plan, turn);
  const next = afterPlan(rollout, members, plan, world);
  const wanted: Wanted = {
    rollout: next.rollout,
    // In the order of the states that they have: a newcomer may begin at once.
    members: latest(members.slice(recorded.length), next.members, fresh),
  };
  const row = await record(deps, found, wanted, turn);
  rolloutHooks.settle(id, answers);
  const points = plan.actions.flatMap((action) => (action.kind === "hook" ? [action] : []));
  rolloutHooks.ask(row.value, members, points);
  if (endedRollouts.includes(row.value.state.kind)) return forget(deps, id);
  if (wanted.members.length > 0 || !isDeepStrictEqual(row.value.state, state)) return again;
  const isWorking = row.value.state.kind !== "paused" && row.value.state.kind !== "approval";
  const every = isWorking ? lookEveryMs.working : lookEveryMs.waiting;
  const now = clock.now();
  return { kind: "rest", until: Math.max(now + leastRestMs, Math.min(plan.lookAt ?? Infinity, now + every)) };
}

/** Thirty may wait in a line, and each has every stamp of the fleet as a member: only the first need be looked at. */
function isStillBehind(rollout: Rollout, { behind, open }: Others): boolean {
  const isSaid = behind !== undefined && rollout.waitingOn?.includes(behind) === true;
  return rollout.state.kind === "queued" && isSaid && whoTakesOver(rollout, [], open) === undefined;
}

/** The gate is asked only where the plan wants it: gathering what it judges by takes a while. */
async function planWithGate(
  deps: RolloutDeps,
  found: Revisioned<Rollout>,
  rollout: Rollout,
  members: readonly RolloutMember[],
  world: RolloutWorld,
  turn: Turn,
): Promise<{ readonly plan: RolloutPlan; readonly world: RolloutWorld }> {
  const plan = planRollout(rollout, members, world);
  if (!plan.needsGate) return { plan, world };
  const judged = { ...world, gate: await askGate(deps, found, rollout, members, world.now, turn) };
  return { plan: planRollout(rollout, members, judged), world: judged };
}

interface Wanted {
  readonly rollout: Rollout;
  /** Those that differ. */
  readonly members: readonly RolloutMember[];
}

function latest(...parts: readonly (readonly RolloutMember[])[]): readonly RolloutMember[] {
  return [...new Map(parts.flat().map((member) => [member.stamp, member])).values()];
}

async function record(
  deps: RolloutDeps,
  found: Revisioned<Rollout>,
  { rollout, members }: Wanted,
  turn: Turn,
): Promise<Revisioned<Rollout>> {
  const { id, state, waitingOn } = rollout;
  const now = deps.clock.now();
  const last = deps.writtenAt.get(id);
  // Of a clock that was set back, too.
  const isDue = last === undefined || now - last >= showEveryMs || now < last;
  if (members.length === 0 && !isWorthWriting(found.value, rollout, isDue)) return found;
  deps.writtenAt.set(id, now);
  const row = await deps.store.rollouts.write(rollout, found.revision, members, writeContext(turn, reasonOf(rollout)));
  if (waitingOn !== undefined && wordsOf(waitingOn) !== wordsOf(found.value.waitingOn)) {
    deps.events.publish({ kind: "waiting", subject: `rollout/${id}`, why: waitingOn });
  }
  if (!isDeepStrictEqual(state, found.value.state)) {
    const wave = "wave" in state ? { wave: rollout.waves[state.wave]?.name } : {};
    const cause = "cause" in state ? { cause: state.cause } : {};
    deps.log.info({ rollout: id, phase: state.kind, ...wave, ...cause }, `rollout ${id} is ${state.kind}`);
  }
  return row;
}

/** Its own writes wake it: what differs at every look must not be one. */
function isWorthWriting(before: Rollout, after: Rollout, isDue: boolean): boolean {
  if (isDeepStrictEqual(before, after)) return false;
  const { gate: oldGate, waitingOn: oldWords, ...old } = before;
  const { gate: newGate, waitingOn: newWords, ...next } = after;
  if (!isDeepStrictEqual(old, next) || wordsOf(oldWords) !== wordsOf(newWords)) return true;
  return !isDeepStrictEqual(verdictsOf(oldGate), verdictsOf(newGate)) || isDue;
}

function verdictsOf(gate: GateReport | undefined): unknown {
  return gate === undefined ? undefined : [gate.verdict, ...gate.checks.map(({ name, verdict }) => [name, verdict])];
}

/** Without its figures. */
function wordsOf(text: string | undefined): string | undefined {
  return text?.replaceAll(/\d+(?:[.,]\d+)*/g, "0");
}

function reasonOf({ id, state }: Rollout): string {
  return state.kind === "aborting" ? `Rollout ${id} goes back: ${state.cause}` : `Rollout ${id}`;
}
