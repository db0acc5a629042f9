import { isDeepStrictEqual } from "node:util";
import {
  afterMoveFailure,
  endedMoves,
  isDecided,
  type Move,
  type MovePlan,
  type MoveReport,
  type MoveSeen,
  planMove,
  StampyardError,
} from "@stampyard/domain";
import { whyMoveFrozen } from "../../freezes/frozen-move.ts";
import { releaseTenant } from "../../holds/hold-tenant.ts";
import { isTurnOver } from "../failure.ts";
import { again, rest, type Turn, type TurnEnd, writeContext } from "../turn.ts";
import { doAction, type Step, withPause } from "./actions.ts";
import { type Lane, openLane } from "./lane.ts";
import type { MoveDeps } from "./move-deps.ts";
import { failureOf, isOverrun } from "./move-failure.ts";
import { rebuildDueAt, rebuildTarget } from "./move-hooks.ts";
import { createMoveRow, type MoveRow } from "./move-row.ts";
import { readSeen } from "./seen.ts";
import { whileMoveWanted } from "./still-moving.ts";

/** What nobody announces, such as a database that answers again, is looked for this often. */
const lookAgainMs = 1_000;
/** Between two rounds that only keep up with the source: before a switch few changes may be left, otherwise it is a courtesy. */
const keepUpMs = { soon: 250, later: 2_000 };

/**
 * One turn of one move: read, look, plan, record, act, and so on with the same connections until it has to wait, so that
 * nothing is opened anew between the last change and the release. Level-triggered: what a turn was told, or how far the
 * last one came, it finds out by looking.
 */
export async function reconcileMove(deps: MoveDeps, id: string, turn: Turn): Promise<TurnEnd> {
  if ((await deps.store.meta()).mode === "recovering") return rest;
  const found = await deps.store.moves.read(id);
  if (found === undefined || hasEnded(found.value)) return rest;
  const row = createMoveRow(deps, found, turn);
  try {
    if (isBeginning(row.value)) {
      const waitingOn = (await whyMoveFrozen(deps, row.value)) ?? deps.moveLoad.enter(row.value);
      if (waitingOn !== undefined) {
        await row.write({ waitingOn });
        return rest;
      }
    }
    await using lane = await openLane(deps, found.value, turn);
    return await takeSteps({ deps, row, lane, turn });
  } catch (caught) {
    if (isTurnOver(caught, turn)) throw caught;
    return await recordFailure(deps, row, caught);
  } finally {
    // What is held back leaves its place to others, and so does a check that failed.
    if (isBeginning(row.value)) deps.moveLoad.leave(id);
  }
}

/** Not one of the moves at work yet; one that is to be aborted need not wait to become one. */
function isBeginning({ state, goal }: Move): boolean {
  return goal === "finish" && (state.kind === "requested" || state.kind === "checking");
}

async function takeSteps(step: Step): Promise<TurnEnd> {
  const { deps, row, lane, turn } = step;
  for (;;) {
    turn.signal.throwIfAborted();
    if (hasEnded(row.value)) return rest;
    if (await rebuild(step)) continue;
    const seen = await readSeen(deps, row.value, lane);
    if (await openAfterDeath(step, seen)) continue;
    if (await leaveTheGone(step, seen)) continue;
    const plan = planMove(row.value, seen, deps.clock.now());
    if (plan.actions.length > 0) {
      await carryOut(step, plan, seen);
      continue;
    }
    const before = row.value;
    await row.write({ state: plan.next, waitingOn: plan.waitingOn, ...sinceLast(before, plan) });
    if (isDeepStrictEqual(before.state, row.value.state)) return restOf(deps, row.value, lane);
  }
}

/**
 * Between two steps nothing is fenced, unless whoever fenced it has died in its pause: its clients need not wait for the
 * deadline.
 */
async function openAfterDeath({ deps, row, lane, turn }: Step, { source }: MoveSeen): Promise<boolean> {
  const { id, tenant, state } = row.value;
  const isOurs = source.kind === "present" && source.state === "fenced" && source.moveId === id;
  if (!isOurs || (state.kind !== "switching" && state.kind !== "copying") || lane.mover.unfence === undefined)
    return false;
  await lane.mover.unfence({ signal: turn.signal });
  await releaseTenant(deps, { tenant, moveId: id }, writeContext(turn, `move ${id}`));
  return true;
}

/** A target that is destroyed will never be one; who has decided has nowhere else to go. */
async function leaveTheGone({ row, lane }: Step, { source }: MoveSeen): Promise<boolean> {
  const { target } = lane.ends;
  const canLeave = ["requested", "checking", "copying", "switching"].includes(row.value.state.kind);
  if (target.stamp !== undefined || !canLeave || isDecided(row.value, source)) return false;
  await row.write({ state: { kind: "aborting", cause: `stamp ${target.name} is destroyed` }, setback: undefined });
  return true;
}

/** A step to another phase leaves the setbacks of the last one behind. */
function sinceLast(before: Move, plan: MovePlan): { readonly setback?: undefined } {
  return before.state.kind === plan.next.kind ? {} : { setback: undefined };
}

async function carryOut(step: Step, plan: MovePlan, seen: MoveSeen): Promise<void> {
  const { deps, row, turn } = step;
  const began = row.value;
  // Held requests wait for what an opening does; everything else says first what it is at.
  if (began.state.kind !== "opening" && plan.waitingOn !== began.waitingOn) {
    await row.write({ waitingOn: plan.waitingOn });
  }
  let report: Partial<MoveReport> = {};
  await whileMoveWanted(deps, row, turn, async (signal) => {
    for (const action of plan.actions) report = { ...report, ...(await doAction(step, action, signal)) };
  });
  if (step.pauseBegan !== undefined && began.state.kind === "switching") return await openAtOnce(step, report);
  if (plan.next.kind === "verifying") report = { ...report, ...withPause(step) };
  await row.write({ state: plan.next, setback: undefined, waitingOn: undefined, report });
  const onlyFollows = plan.actions.every(({ kind }) => kind === "follow");
  if (onlyFollows && isDeepStrictEqual(began.state, plan.next) && !isFarBehind(seen)) await keepUp(step);
}

/**
 * What the next looks would find and the next plans would say, without them: clients wait for exactly this. The source has
 * decided, and its row is the intent that a next turn would find (D12).
 */
async function openAtOnce(step: Step, report: Partial<MoveReport>): Promise<void> {
  const { deps, lane, row, turn } = step;
  const state = { kind: "opening" } as const;
  const began = deps.clock.now();
  const opened = lane.mover.open({ signal: turn.signal });
  const recorded = row.write({ state, setback: undefined, waitingOn: undefined, report });
  for (const done of await Promise.allSettled([opened, recorded])) if (done.status === "rejected") throw done.reason;
  const openMs = Math.round(deps.clock.now() - began);
  await doAction(step, { kind: "publish" }, turn.signal);
  const publishMs = Math.round(deps.clock.now() - began) - openMs;
  deps.log.info({ move: row.value.id, openMs, publishMs }, "a tenant was opened on its target");
}

function isFarBehind({ lag }: MoveSeen): boolean {
  return lag > 1_000;
}

/** There is nothing to do but to stay close behind: until the next try, or what holds it back is over. */
async function keepUp({ deps, row, turn }: Step): Promise<void> {
  const { state } = row.value;
  const left = state.kind === "switching" ? state.retryAt - deps.clock.now() : keepUpMs.later;
  const pauseMs = left > 2 * keepUpMs.later ? keepUpMs.later : Math.min(keepUpMs.soon, left);
  await deps.clock.sleep(Math.max(1, pauseMs), turn.signal);
}

/** @returns whether it was due; only while the move rests, because nobody waits for it */
async function rebuild({ deps, row, lane, turn }: Step): Promise<boolean> {
  if (row.value.state.kind !== "resting") return false;
  const dueAt = rebuildDueAt(row.value, lane);
  if (dueAt === undefined || dueAt > deps.clock.now()) return false;
  await rebuildTarget({ deps, move: row.value, lane, turn }, row);
  return true;
}

function restOf({ clock }: MoveDeps, move: Move, lane: Lane): TurnEnd {
  const { state, setback } = move;
  const isSetBack = setback !== undefined && setback.retryAt > clock.now();
  if (isSetBack) return { kind: "rest", until: setback.retryAt };
  // Its person wakes it.
  if (state.kind === "disputed") return rest;
  if (state.kind !== "resting") return { kind: "rest", until: clock.now() + lookAgainMs };
  const dueAt = rebuildDueAt(move, lane) ?? Number.POSITIVE_INFINITY;
  const until = Math.min(Math.max(state.until, clock.now() + lookAgainMs), dueAt);
  return { kind: "rest", until };
}

async function recordFailure(deps: MoveDeps, row: MoveRow, caught: unknown): Promise<TurnEnd> {
  const error = StampyardError.from(caught);
  if (isOverrun(error)) return again;
  const { id } = row.value;
  deps.log.warn({ move: id, code: error.code, err: error }, "turn of a move failed");
  const move = await row.refresh();
  if (hasEnded(move)) return rest;
  const failure = failureOf(caught);
  const next = afterMoveFailure(move, failure, deps.clock.now());
  const waitingOn = next.setback === undefined ? undefined : `retry of: ${failure.cause}`;
  await row.write({ state: next.state, setback: next.setback, waitingOn });
  if (next.setback === undefined) return again;
  return { kind: "rest", until: next.setback.retryAt };
}

function hasEnded({ state }: Move): boolean {
  return endedMoves.includes(state.kind);
}
