import {
  type Followed,
  type MoveCompared,
  type Mover,
  type MoverCall,
  type MoverRequest,
  type OpenMover,
  StampyardError,
  wayBackOf,
} from "@stampyard/domain";
import { allChanges, captureRound } from "./capture.ts";
import { checkRows } from "./check-rows.ts";
import type { MoverDb } from "./connect.ts";
import { copyTenant } from "./copy.ts";
import { flipWhenWhole, forgetRepeated, lagOf, requireDecided, requireWatched, unfenceMove } from "./decide.ts";
import { abortMove, armMove, closeFence, forgetLate, unwatch, waitForOldWriters } from "./decision.ts";
import { lookAt } from "./look.ts";
import { catalogMark, estimateTenant, type MovePlanOfRows, movableTables, planRows } from "./plan-rows.ts";
import { writeModeOf } from "./plain-mode.ts";
import { createMeter, type ProgressOf } from "./progress.ts";
import type { RowsPair } from "./rows-pair.ts";
import { openSides, type Sides } from "./sides.ts";
import { admitReturn, admitTenant, forgetImport, forgetNotes, forgetReturn, forgetRows, openTenant } from "./target.ts";
import { createThrottle, loadOf } from "./throttle.ts";
import { verifyBrought, verifyRows, verifyWhole } from "./verify-rows.ts";

/** Longest wait for writers that came before the move; the planner tries again later, and says who it was. */
const oldWritersMs = 10_000;
/** Longest wait, at the end of a move, for writers that captured for it. */
const lateWritersMs = 2_000;
/** Captured changes below which `follow` is content. */
const fewChanges = 50;
const followMs = 10_000;
/** Captured changes are counted up to here; more is simply many. */
const mostLag = 10_000;
/** What a frozen view of the target may hold back there. */
const viewIdleMs = 300_000;

/** What the functions of one open mover have in common. */
interface Work {
  readonly request: MoverRequest;
  readonly sides: Sides;
  readonly key: { readonly tenant: string; readonly moveId: string };
  plan: Promise<MovePlanOfRows> | undefined;
  /** What the tables of both sides looked like when they were last compared, and the marks of their catalogs then. */
  checked: { readonly schema: string; readonly marks: string } | undefined;
  /** The connection that has a frozen view of the target, from before it opened; another has none. */
  view: MoverDb | undefined;
  /** This process saw the source decide. */
  isDecided: boolean;
}

/** Moves the rows of pooled tables by capture: rounds of captured keys over a copy in ranges (decision D14). */
export const openRowsMover: OpenMover = async (request) => {
  const { move, source, target } = request;
  const sides = openSides(move.id, { source, target }, { source: move.from, target: move.to });
  const key = { tenant: move.tenant, moveId: move.id };
  const work: Work = { request, sides, key, plan: undefined, checked: undefined, view: undefined, isDecided: false };
  const call =
    <A extends MoverCall, T>(act: (work: Work, call: A) => Promise<T>) =>
    (given: A): Promise<T> =>
      sides.run(given.signal, () => act(work, given));
  return {
    look: () => lookAt(sides, move, async () => (await planOf(work)).tables),
    check: call(check),
    admit: call(admit),
    arm: call(arm),
    copy: call(copy),
    follow: call(follow),
    verify: call(verify),
    fence: call(fence),
    settle: call(settle),
    flip: call(decide),
    open: call(open),
    compare: call(compare),
    erase: call(erase),
    unfence: call(unfence),
    reopen: call(reopen),
    forget: call(forget),
    [Symbol.asyncDispose]: () => sides[Symbol.asyncDispose](),
  } satisfies Mover;
};

async function both({ sides }: Work): Promise<{ readonly source: MoverDb; readonly target: MoverDb }> {
  const [source, target] = await Promise.all([sides.db("source"), sides.db("target")]);
  return { source, target };
}

/** Read once for each open mover: tables are held as they are while a move is on, and the fence checks it. */
function planOf(work: Work): Promise<MovePlanOfRows> {
  work.plan ??= work.sides
    .db("source")
    .then((source) => planRows(source, work.request.policy))
    .catch((caught: unknown) => {
      work.plan = undefined;
      throw caught;
    });
  return work.plan;
}

async function pairOf(work: Work): Promise<RowsPair> {
  const dbs = await both(work);
  return { ...work.key, ...dbs, tables: (await planOf(work)).tables };
}

async function check(work: Work, call: MoverCall) {
  const { source, target } = await both(work);
  return await checkRows(source, target, work.request.policy, work.key.tenant, call);
}

async function admit(work: Work): Promise<void> {
  const { move } = work.request;
  const { source, target, tables } = await pairOf(work);
  const schema = await sameSchema(work);
  if (move.returns !== undefined) {
    await requireWatched(source, work.key);
    return await admitReturn(target, { ...work.key, returns: move.returns }, move.epoch + 1, schema);
  }
  await admitTenant(target, tables, work.key, move.epoch + 1, { schema, mode: await writeModeOf(target) });
}

/** @throws StampyardError MOVE_REFUSED when the tables of the two sides do not look the same */
async function sameSchema(work: Work): Promise<string> {
  const { policy, move } = work.request;
  work.plan = undefined;
  const marks = await marksOf(work);
  const { target } = await both(work);
  const [{ schema }, there] = await Promise.all([planOf(work), planRows(target, policy)]);
  if (schema === there.schema) {
    work.checked = { schema, marks };
    return schema;
  }
  throw new StampyardError("MOVE_REFUSED", `Tables of stamps ${move.from} and ${move.to} do not look the same`, {
    mend: "Bring both to one release, then move again.",
  });
}

async function marksOf(work: Work): Promise<string> {
  const { source, target } = await both(work);
  return (await Promise.all([catalogMark(source), catalogMark(target)])).join(" ");
}

/**
 * The tables are as they were when the move began: nobody may have changed them while rows were copied. Asked before the
 * pause in full, and in it by two short questions.
 */
async function requireSameTables(work: Work): Promise<void> {
  const { move } = work.request;
  const { target } = await both(work);
  const { checked } = work;
  const [marks, { rows }] = await Promise.all([
    marksOf(work),
    target.query("select position->>'schema' as schema from stampyard.move_copied where move_id = $1", [move.id]),
  ]);
  const schema = checked?.marks === marks ? checked.schema : await sameSchema(work);
  if (rows[0]?.["schema"] === schema) return;
  throw new StampyardError("MOVE_REFUSED", `Tables of stamp ${move.from} have changed since the move began`, {
    mend: "Move again: rows are copied as the tables are now.",
  });
}

async function arm(work: Work, { signal }: MoverCall): Promise<void> {
  const { move, clock } = work.request;
  const { source, tables } = await pairOf(work);
  if (move.returns !== undefined) await requireWatched(source, work.key);
  await armMove(source, work.key, move.epoch);
  await waitForOldWriters(source, tables, { clock, deadlineMs: oldWritersMs, signal });
  if (move.returns !== undefined) await forgetRepeated(source, move.id);
}

async function copy(work: Work, call: MoverCall) {
  const { clock, throttle } = work.request;
  const pair = await pairOf(work);
  const { source, target, tables } = pair;
  const mode = await writeModeOf(target);
  const meter = createMeter(clock, await expected("copy", pair), call.onProgress);
  const pace = createThrottle({ clock, waiting: () => loadOf(source), ...throttle });
  return await copyTenant(source, target, tables, {
    ...work.key,
    mode,
    signal: call.signal,
    // A rate is kept range by range.
    ...(throttle?.bytesPerSecond === undefined ? {} : { smallBytes: 0 }),
    async onRange({ table, rows, bytes }) {
      const at = tables[table];
      const done = { tablesDone: table, ...(at === undefined ? {} : { table: `${at.schema}.${at.table}` }) };
      meter.add({ ...done, rows, bytes });
      const waitingOn = await pace.spend(bytes, call.signal);
      if (waitingOn !== undefined) meter.add({ ...done, rows: 0, bytes: 0, waitingOn });
    },
  });
}

async function expected(
  step: ProgressOf["step"],
  { source, tables, tenant }: Pick<RowsPair, "source" | "tables" | "tenant">,
): Promise<ProgressOf> {
  const { rows, bytes } = await estimateTenant(source, tables, tenant);
  return { step, tables: tables.length, ofRows: rows, ofBytes: bytes };
}

async function follow(work: Work, call: MoverCall & { readonly atMostMs?: number }): Promise<Followed> {
  const { clock } = work.request;
  const { source, target, tables } = await pairOf(work);
  const mode = await writeModeOf(target);
  await requireSameTables(work);
  const behind = await lagOf(source, work.key.moveId, mostLag);
  const of = { step: "follow", tables: tables.length, ofRows: behind, ofBytes: 0 } as const;
  const meter = createMeter(clock, of, call.onProgress);
  const until = clock.now() + (call.atMostMs ?? followMs);
  const followed = { changes: 0, rounds: 0 };
  let last = Number.POSITIVE_INFINITY;
  for (;;) {
    call.signal.throwIfAborted();
    const round = await captureRound(source, target, tables, { ...work.key, mode });
    followed.changes += round.changes;
    followed.rounds += round.changes === 0 ? 0 : 1;
    meter.add({ rows: round.rows, bytes: 0, lag: Math.max(0, behind - followed.changes) });
    // What is made while a round goes on cannot be caught up with: once rounds do not get smaller, it is as near as it gets.
    const isLevel = round.isLast && round.changes * 4 >= last * 3;
    if (round.changes <= fewChanges || isLevel || clock.now() >= until) break;
    last = round.changes;
  }
  return { ...followed, lag: await lagOf(source, work.key.moveId, mostLag) };
}

async function verify(work: Work, call: MoverCall): Promise<MoveCompared> {
  const pair = await pairOf(work);
  const meter = createMeter(work.request.clock, await expected("verify", pair), call.onProgress);
  return await verifyRows(pair, {
    ...call,
    bring: async () => void (await follow(work, { signal: call.signal })),
    onRange: (done) => meter.add({ ...done, bytes: 0 }),
  });
}

async function fence(work: Work, { signal }: MoverCall): Promise<void> {
  const { move, clock } = work.request;
  const { source, target } = await pairOf(work);
  await requireSameTables(work);
  await Promise.all([writeModeOf(target), move.verify === "incremental" ? undefined : work.sides.db("view")]);
  await closeFence(source, work.key, { clock, maxPauseMs: move.maxPauseMs, signal });
}

async function settle(work: Work, call: MoverCall) {
  const { move } = work.request;
  const pair = await pairOf(work);
  const { source, target, tables } = pair;
  const options = { ...work.key, limit: allChanges, mode: await writeModeOf(target) };
  const { rows } = await captureRound(source, target, tables, options);
  if (move.verify === "incremental") {
    const compared = await verifyBrought(pair, call);
    return { rows, compared: requireEqual(work, compared) };
  }
  const view = await takeView(work);
  if (move.verify === "after") return { rows };
  const compared = await verifyWhole({ ...pair, view }, "before", call);
  await endView(work);
  return { rows, compared: requireEqual(work, compared) };
}

function requireEqual(work: Work, compared: MoveCompared): MoveCompared {
  if (compared.isEqual) return compared;
  const [first] = compared.differences;
  const where = first === undefined ? "" : `: table ${first.table}, key ${first.key} is ${first.what}`;
  throw new StampyardError("NOT_EQUAL", `The copies of tenant ${work.key.tenant} differ${where}`, {
    problems: compared.differences.map(({ table, key, what }) => ({ message: `Table ${table}, key ${key}: ${what}` })),
    mend: "The tenant stays where it is, and nothing is lost. Report this with the release that it runs.",
  });
}

/** The target as it is before it opens, to be compared with the source, which stands still. */
async function takeView(work: Work): Promise<MoverDb> {
  const view = await work.sides.db("view");
  await view.query(`rollback; begin isolation level repeatable read read only;
    set local idle_in_transaction_session_timeout = ${viewIdleMs}; select 1 from stampyard.tenant_home limit 1`);
  work.view = view;
  return view;
}

async function endView(work: Work): Promise<void> {
  const { view } = work;
  work.view = undefined;
  if (view?.isOpen === true) await view.query("rollback");
}

async function decide(work: Work): Promise<boolean> {
  const { source } = await both(work);
  work.isDecided = await flipWhenWhole(source, work.key, work.request.move.to);
  return work.isDecided;
}

async function open(work: Work): Promise<void> {
  const { move } = work.request;
  const { source, target } = await both(work);
  if (!work.isDecided) await requireDecided(source, work.key);
  await openTenant(target, work.key, move.epoch + 1, move.restMs > 0 ? wayBackOf(move.id) : undefined);
}

/** Both sides stand still: the source is closed, and the view is from before the target opened, or nobody has written. */
async function compare(work: Work, call: MoverCall): Promise<MoveCompared | undefined> {
  const { move } = work.request;
  const pair = await pairOf(work);
  await requireDecided(pair.source, work.key);
  const isFrozen = work.view?.isOpen === true;
  const view = work.view?.isOpen === true ? work.view : await takeView(work);
  if (!isFrozen && !(await isUntouched(view, work))) {
    await endView(work);
    return undefined;
  }
  const compared = await verifyWhole({ ...pair, view }, "after", call);
  await endView(work);
  await pair.target.query(
    `insert into stampyard.move_verified as v (move_id, position) values ($1, $2)
     on conflict (move_id) do update set position = v.position || excluded.position`,
    [move.id, JSON.stringify({ isEqual: compared.isEqual })],
  );
  return compared;
}

/** Every write since the target opened was captured for the way back; without one nobody knows. */
async function isUntouched(view: MoverDb, { request, key }: Work): Promise<boolean> {
  const { rows } = await view.query(
    `select not exists (select from stampyard.move_change c where c.move_id = $2) as untouched
     from stampyard.tenant_home h where h.tenant = $1 and h.move_id = $2 and h.watching and h.epoch = $3`,
    [key.tenant, wayBackOf(key.moveId), request.move.epoch + 1],
  );
  return rows[0]?.["untouched"] === true;
}

async function erase(work: Work, call: MoverCall) {
  const { clock, move } = work.request;
  const pair = await pairOf(work);
  const { source, target, tables } = pair;
  const meter = createMeter(clock, await expected("erase", pair), call.onProgress);
  const pace = createThrottle({ clock, waiting: () => loadOf(source) });
  const mode = await writeModeOf(source);
  const erased = await forgetRows(source, tables, work.key, "moved", mode, async ({ schema, table }, rows) => {
    meter.add({ rows, bytes: 0, table: `${schema}.${table}` });
    await pace.spend(0, call.signal);
  });
  await unwatch(target, { tenant: work.key.tenant, moveId: wayBackOf(work.key.moveId) });
  await forgetLate(target, tables, { clock, deadlineMs: lateWritersMs, signal: call.signal });
  // The copy that was erased is the one which the move that it took back had made.
  if (move.returns !== undefined) await forgetNotes(source, move.returns);
  await forgetNotes(target, work.key.moveId);
  return erased;
}

async function unfence(work: Work): Promise<void> {
  await unfenceMove(await work.sides.db("source"), work.key);
}

/** Only the source is needed, so that a target that is gone holds nobody up (I21). */
async function reopen(work: Work, { signal }: MoverCall): Promise<void> {
  const { move, policy, clock } = work.request;
  const source = await work.sides.db("source");
  await abortMove(source, work.key);
  if (move.returns !== undefined) return;
  await source.query("delete from stampyard.move_change where move_id = $1", [work.key.moveId]);
  await forgetLate(source, await movableTables(source, policy), { clock, deadlineMs: lateWritersMs, signal });
}

async function forget(work: Work): Promise<void> {
  const { move } = work.request;
  const target = await work.sides.db("target");
  if (move.returns !== undefined) {
    const earlier = { moveId: move.returns, epoch: move.epoch, home: move.from };
    return await forgetReturn(target, work.key, earlier);
  }
  const tables = await movableTables(target, work.request.policy);
  await forgetImport(target, tables, work.key, await writeModeOf(target));
}
