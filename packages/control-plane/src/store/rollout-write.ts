import {
  commandRollout,
  isSame,
  memberNext,
  type MemberPhase,
  type Rollout,
  type RolloutCommand,
  type RolloutMember,
  rolloutNext,
  type RolloutPhase,
  runningRollouts,
  StampyardError,
} from "@stampyard/domain";
import { lockFleetRow, makeFleetTrue } from "./fleet-goals.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import { type AimChange, aimChanges, aimStamps } from "./rollout-aims.ts";
import { leaveRolloutMessage } from "./rollout-messages.ts";
import {
  lockRollout,
  lockRollouts,
  putMembers,
  readMembers,
  runningRolloutList,
  tellRollout,
  updateRollout,
} from "./rollout-rows.ts";
import { requireWave, requireWaves } from "./rollout-start.ts";
import { publishRouting } from "./routing-rules.ts";
import { audit, requireNormal, staleRevision, type StoreBase, type Write, write } from "./write.ts";

export function writeRollout(
  base: StoreBase,
  wanted: Rollout,
  revision: number,
  members: readonly RolloutMember[],
  ctx: WriteContext,
): Promise<Revisioned<Rollout>> {
  return write(base, ctx, async (w) => {
    const old = await lockAt(w, wanted.id, revision);
    return change(base, w, old, wanted, members);
  });
}

export function commandStoredRollout(
  base: StoreBase,
  id: string,
  command: RolloutCommand,
  { revision }: { readonly revision?: number },
  ctx: WriteContext,
): Promise<Revisioned<Rollout>> {
  return write(base, ctx, async (w) => {
    const old = await lockAt(w, id, revision);
    const members = await readMembers(w, id);
    const { actor, reason } = ctx;
    const said = { actor, ...(reason === undefined ? {} : { reason }), now: base.now() };
    const commanded = commandRollout(old.value, members, command, said);
    return change(base, w, old, commanded.rollout, commanded.members, `rollout.${command.kind}`);
  });
}

async function lockAt(w: Write, id: string, revision: number | undefined): Promise<Revisioned<Rollout>> {
  requireNormal(w);
  await lockRollouts(w);
  const old = await lockRollout(w, id);
  if (revision !== undefined && revision !== old.revision) throw staleRevision(`Rollout ${id}`, revision, old.revision);
  return old;
}

async function change(
  base: StoreBase,
  w: Write,
  old: Revisioned<Rollout>,
  wanted: Rollout,
  given: readonly RolloutMember[],
  action?: string,
): Promise<Revisioned<Rollout>> {
  const { id } = old.value;
  const rollout = withFixed(old.value, wanted);
  const from = old.value.state.kind;
  const to = rollout.state.kind;
  const changes = await memberChanges(w, rollout, given);
  const isUnchanged = isSame(old.value, rollout);
  if (isUnchanged && changes.length === 0) return old;
  requireStep(old.value, rollout);
  requireMemberSteps(rollout, changes);
  if (!isRunning(from) && isRunning(to)) await requireAlone(w, rollout);
  const aimed = aimChanges(changes);
  // Before any stamp, as everywhere.
  const present = to === "done" || aimed.length > 0 ? await lockFleetRow(w) : undefined;
  const { members, isRouted } = await aimStamps(w, rollout, aimed, present?.fleet, base.now());
  const fresh = new Map(members.map((member) => [member.stamp, member]));
  await putMembers(
    w,
    id,
    changes.map(({ after }) => fresh.get(after.stamp) ?? after),
  );
  await requireOneWave(w, old.value, rollout);
  if (from !== to && to === "done") await makeFleetTrue(w, rollout);
  if (from !== to || changes.length > 0 || action !== undefined) {
    const auditId = await audit(w, action ?? actionOf(from, to), `rollout/${id}`, detailOf(rollout, changes));
    // With what the stamps are aimed at: nobody is to see one without the other.
    if (isRouted || (from !== to && to === "done")) await publishRouting(w, auditId);
  }
  if (from !== to) await leaveRolloutMessage(w, rollout, base.now());
  tellRollout(w, rollout);
  return updateRollout(w, rollout);
}

/** What was written down at its start stays as it was. */
function withFixed(old: Rollout, wanted: Rollout): Rollout {
  const { gate: _, waitingOn: __, ...kept } = old;
  const { state, waves, gate, looks, spent, hooksDone, waitingOn } = wanted;
  return {
    ...kept,
    state,
    waves,
    looks,
    spent,
    hooksDone,
    ...(gate === undefined ? {} : { gate }),
    ...(waitingOn === undefined ? {} : { waitingOn }),
  };
}

async function memberChanges(
  w: Write,
  { id }: Rollout,
  given: readonly RolloutMember[],
): Promise<readonly AimChange[]> {
  if (given.length === 0) return [];
  const known = await readMembers(
    w,
    id,
    given.map((member) => member.stamp),
  );
  const before = new Map(known.map((member) => [member.stamp, member]));
  return given
    .map((after) => ({ before: before.get(after.stamp), after }))
    .filter((each) => each.before === undefined || !isSame(each.before, each.after));
}

function requireStep({ id, state: old }: Rollout, { state, waves }: Rollout): void {
  const allowed: readonly RolloutPhase[] = rolloutNext[old.kind];
  if (old.kind !== state.kind && !allowed.includes(state.kind)) {
    throw wrongPhase(`Rollout ${id} is ${old.kind} and cannot become ${state.kind}`);
  }
  if (old.kind === state.kind && allowed.length === 0 && !isSame(old, state)) {
    throw wrongPhase(`Rollout ${id} is ${old.kind}, and that is its end`);
  }
  requireWaves(waves);
  const before = waveOf(old);
  const after = waveOf(state);
  if (after === undefined) return;
  if (after >= waves.length) throw wrongPhase(`Rollout ${id} has no wave ${after}`);
  if (before !== undefined && after < before) throw wrongPhase(`Rollout ${id} does not go back to wave ${after}`);
}

/** The wave under way, also where it is paused in it. */
function waveOf(state: Rollout["state"]): number | undefined {
  if (state.kind === "paused") return state.was.wave;
  return "wave" in state ? state.wave : undefined;
}

/** An update begins in a wave that is under way, and nowhere else (I34, I36). */
function requireMemberSteps({ id, state, waves }: Rollout, changes: readonly AimChange[]): void {
  for (const { before, after } of changes) {
    const to = after.state.kind;
    const from = before?.state.kind ?? "waiting";
    const allowed: readonly MemberPhase[] = memberNext[from];
    if (from !== to && !allowed.includes(to)) throw wrongMember(id, after.stamp, `is ${from} and cannot become ${to}`);
    if (after.state.kind !== "skipped") requireWave(after.stamp, after.wave, waves);
    if (before !== undefined && from !== "waiting" && from !== "skipped" && !isSame(planOf(before), planOf(after))) {
      throw wrongMember(id, after.stamp, `is ${from}: its place and its releases stay as they are`);
    }
    if (to !== "updating" || from === "updating") continue;
    if (state.kind !== "updating") throw wrongMember(id, after.stamp, `begins no update while it is ${state.kind}`);
    // One that is tried again may be of a wave before.
    const isOfWave = from === "waiting" ? after.wave === state.wave : after.wave <= state.wave;
    if (!isOfWave) throw wrongMember(id, after.stamp, `is of wave ${after.wave}, and wave ${state.wave} is under way`);
  }
}

function planOf({ wave, from, to }: RolloutMember): unknown {
  return { wave, from, to };
}

/** A wave begins when nothing of those before it is under way (I34). Members are as this transaction leaves them. */
async function requireOneWave(w: Write, old: Rollout, { id, state }: Rollout): Promise<void> {
  const wave = state.kind === "aborting" ? undefined : waveOf(state);
  if (wave === undefined || wave === waveOf(old.state)) return;
  const { rows } = await w.query<{ stamp: string; wave: number }>(
    "SELECT stamp, wave FROM rollout_members WHERE rollout = $1 AND wave < $2 AND phase = 'updating' ORDER BY wave LIMIT 1",
    [id, wave],
  );
  const [behind] = rows;
  if (behind === undefined) return;
  throw wrongPhase(
    `Rollout ${id} cannot begin wave ${wave} while stamp ${behind.stamp} of wave ${behind.wave} is being updated`,
  );
}

/**
 * One at a time, whatever parts they change: what a stamp is aimed at is all of it. Nobody else begins or ends meanwhile
 * (`lockRollouts`).
 */
async function requireAlone(w: Write, { id }: Rollout): Promise<void> {
  const { rows } = await w.query<{ id: string; phase: RolloutPhase }>(
    `SELECT id, phase FROM rollouts WHERE phase IN (${runningRolloutList}) AND id <> $1 ORDER BY number LIMIT 1`,
    [id],
  );
  const [other] = rows;
  if (other === undefined) return;
  throw wrongPhase(`Rollout ${id} cannot begin while ${other.id} is ${other.phase}`, {
    mend: "It begins by itself when that one has ended.",
  });
}

function isRunning(phase: RolloutPhase): boolean {
  return runningRollouts.includes(phase);
}

function actionOf(from: RolloutPhase, to: RolloutPhase): string {
  return from === to ? "rollout.members" : `rollout.${to}`;
}

const mostNamed = 50;

function detailOf(rollout: Rollout, changes: readonly AimChange[]): Readonly<Record<string, unknown>> {
  const named = changes.slice(0, mostNamed).map(({ after }) => [after.stamp, after.state.kind] as const);
  const more = changes.length - named.length;
  return {
    state: rollout.state,
    ...(named.length === 0 ? {} : { members: Object.fromEntries(named) }),
    ...(more > 0 ? { more } : {}),
  };
}

function wrongMember(id: string, stamp: string, what: string): StampyardError {
  return wrongPhase(`Stamp ${stamp} of rollout ${id} ${what}`);
}

function wrongPhase(message: string, details?: { readonly mend: string }): StampyardError {
  return new StampyardError("WRONG_PHASE", message, details);
}
