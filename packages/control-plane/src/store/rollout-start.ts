import {
  covers,
  type Fleet,
  memberNext,
  quote,
  type Rollout,
  type RolloutMember,
  type RolloutStrategy,
  StampyardError,
  strategyBounds,
  type Wave,
} from "@stampyard/domain";
import { goalOfUndoing } from "./fleet-goals.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import type { RolloutInput } from "./rollout-port.ts";
import {
  insertRollout,
  lockRollouts,
  newRolloutId,
  putMembers,
  rolloutColumns,
  type RolloutRow,
  tellRollout,
  toRollout,
  updateRollout,
} from "./rollout-rows.ts";
import { keepRules, requireRules } from "./routing-rules.ts";
import { leaveRolloutMessage } from "./rollout-messages.ts";
import { type Sealer, sealMissing } from "./stamp-secrets.ts";
import { stampNotFound } from "./stamp-rows.ts";
import { audit, requireNormal, type Write, write } from "./write.ts";

export function startRollout(base: Sealer, input: RolloutInput, ctx: WriteContext): Promise<Revisioned<Rollout>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    await lockRollouts(w);
    const { started, detail } = await recordRollout(base, w, input);
    await audit(w, "rollout.start", `rollout/${started.value.id}`, detail);
    return started;
  });
}

/** What the audit row of its transaction tells of a rollout that is started. */
export type StartDetail = Readonly<Record<string, unknown>>;

/**
 * The start of a rollout as a part of another transaction, which holds `lockRollouts` and writes the audit row.
 * @throws StampyardError INVALID_REQUEST, RELEASE_NOT_FOUND, STAMP_NOT_FOUND, NOT_FOUND, WRONG_PHASE
 */
export async function recordRollout(
  base: Sealer,
  w: Write,
  input: RolloutInput,
): Promise<{ readonly started: Revisioned<Rollout>; readonly detail: StartDetail }> {
  requireInput(input, w.ctx);
  await requireReleases(w, input);
  const present = await w.query<{ fleet: Fleet }>("SELECT fleet FROM fleet");
  // Those that its members go back to; a fleet of before there were rollouts has never said them.
  await keepRules(
    w,
    present.rows.map(({ fleet }) => fleet.routing),
  );
  await requireRules(
    w,
    input.members.flatMap(({ from, to }) => [from.routing, to.routing]),
  );
  await requireStamps(w, input.members);
  const undoing = input.undoes === undefined ? undefined : await goalOfUndoing(w, input.undoes);
  const fleetRevision = input.fleetRevision ?? undoing;
  const now = base.now();
  const rollout = rolloutOf(input, fleetRevision, w.ctx, now);
  const replaced = await supersedeQueued(w, rollout, now);
  const started = await insertRollout(w, rollout);
  await putMembers(w, rollout.id, input.members);
  for (const [stamp, secrets] of Object.entries(input.secrets ?? {})) {
    await sealMissing(w, base.masters, stamp, secrets);
  }
  await leaveRolloutMessage(w, rollout, now);
  tellRollout(w, rollout);
  const { release, components, hotfix, undoes, overridesFreeze } = rollout;
  const detail = {
    release,
    waves: rollout.waves.map((wave) => wave.name),
    members: input.members.length,
    ...(components.length === 0 ? {} : { components }),
    ...(hotfix ? { hotfix } : {}),
    ...(undoes === undefined ? {} : { undoes }),
    ...(overridesFreeze === undefined ? {} : { overridesFreeze }),
    ...(fleetRevision === undefined ? {} : { fleetRevision }),
    ...(replaced.length === 0 ? {} : { supersedes: replaced }),
  };
  return { started, detail };
}

function rolloutOf(
  input: RolloutInput,
  fleetRevision: number | undefined,
  { actor, reason }: WriteContext,
  now: number,
): Rollout {
  const { members: _, secrets: __, fleetRevision: ___, ...said } = input;
  return {
    ...said,
    id: newRolloutId(),
    state: { kind: "queued", since: now },
    ...(reason === undefined ? {} : { reason }),
    by: actor,
    ...(fleetRevision === undefined ? {} : { fleetRevision }),
    spent: { activeMs: 0, bakingMs: 0, waitingMs: 0 },
    looks: 0,
    hooksDone: [],
  };
}

/**
 * By `batch`, a newer one stands for those that still wait, if it brings every part that they do. A hotfix that waits is
 * only replaced by another one.
 */
async function supersedeQueued(w: Write, newer: Rollout, now: number): Promise<readonly string[]> {
  if (newer.strategy.onNewer !== "batch" || newer.undoes !== undefined) return [];
  const { rows } = await w.query<RolloutRow>(
    `SELECT ${rolloutColumns} FROM rollouts WHERE phase = 'queued' ORDER BY number FOR UPDATE`,
  );
  const replaced: string[] = [];
  for (const { value: queued } of rows.map(toRollout)) {
    if (queued.undoes !== undefined || (queued.hotfix && !newer.hotfix) || !covers(newer, queued)) continue;
    const { waitingOn: _, ...kept } = queued;
    const superseded: Rollout = { ...kept, state: { kind: "superseded", at: now, by: newer.id } };
    await updateRollout(w, superseded);
    await leaveRolloutMessage(w, superseded, now);
    tellRollout(w, superseded);
    replaced.push(queued.id);
  }
  return replaced;
}

function requireInput(input: RolloutInput, { reason }: WriteContext): void {
  requireStrategy(input.strategy);
  requireWaves(input.waves);
  if (input.hotfix && (reason ?? "").trim() === "") {
    throw new StampyardError("INVALID_REQUEST", "A hotfix passes others by, and says no reason", {
      mend: "Say why with --reason.",
    });
  }
  const seen = new Set<string>();
  for (const { stamp, wave, state } of input.members) {
    if (seen.has(stamp)) throw invalid(`Stamp ${quote(stamp)} is a member twice`);
    seen.add(stamp);
    if (state.kind !== "waiting" && state.kind !== "skipped") throw invalid(`Stamp ${quote(stamp)} is ${state.kind}`);
    if (state.kind === "waiting") requireWave(stamp, wave, input.waves);
  }
}

export function requireWave(stamp: string, wave: number, waves: readonly Wave[]): void {
  if (Number.isInteger(wave) && wave >= 0 && wave < waves.length) return;
  throw invalid(`Stamp ${quote(stamp)} is in wave ${wave} of ${waves.length}`);
}

/** @throws StampyardError INVALID_REQUEST */
export function requireStrategy(strategy: RolloutStrategy): void {
  const { maxUnavailable, bakeMs, updateWithinMs } = strategyBounds;
  requireIn("The number of members at a time", strategy.maxUnavailable, maxUnavailable);
  requireIn("The bake", strategy.bakeMs, bakeMs, " ms");
  requireIn("The time for an update", strategy.updateWithinMs, updateWithinMs, " ms");
  requireIn("The number of waves", strategy.waves.length, strategyBounds.waves);
  if (strategy.canary?.bakeMs !== undefined) requireIn("The canary's bake", strategy.canary.bakeMs, bakeMs, " ms");
}

export function requireWaves(waves: readonly Wave[]): void {
  for (const { name, bakeMs, maxUnavailable } of waves) {
    requireIn(`The bake of wave ${name}`, bakeMs, strategyBounds.bakeMs, " ms");
    requireIn(`The number of members at a time of wave ${name}`, maxUnavailable, strategyBounds.maxUnavailable);
  }
}

function requireIn(what: string, value: number, { least, most }: { least: number; most: number }, unit = ""): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new StampyardError("INVALID_REQUEST", `${what} is ${value}${unit}`, {
    mend: `Give a whole number from ${least} to ${most}.`,
  });
}

function invalid(message: string): StampyardError {
  return new StampyardError("INVALID_REQUEST", message);
}

/** Those that members go back to, as much as those that they get (I37). */
async function requireReleases(w: Write, { release, members }: RolloutInput): Promise<void> {
  const named = new Set<string>([release, ...members.flatMap(({ from, to }) => [from.release, to.release])]);
  const { rows } = await w.query<{ digest: string }>("SELECT digest FROM releases WHERE digest = ANY ($1)", [
    [...named],
  ]);
  const known = new Set(rows.map((row) => row.digest));
  const missing = [...named].find((digest) => !known.has(digest));
  if (missing === undefined) return;
  throw new StampyardError("RELEASE_NOT_FOUND", `There is no release ${missing}`, {
    mend: "See stampyard release list.",
  });
}

async function requireStamps(w: Write, members: readonly RolloutMember[]): Promise<void> {
  const names = members.filter((member) => canBegin(member)).map((member) => member.stamp);
  const { rows } = await w.query<{ name: string }>("SELECT name FROM stamps WHERE name = ANY ($1)", [names]);
  const known = new Set(rows.map((row) => row.name));
  const missing = names.find((name) => !known.has(name));
  if (missing !== undefined) throw stampNotFound(missing);
}

function canBegin({ state }: RolloutMember): boolean {
  return memberNext[state.kind].length > 0;
}
