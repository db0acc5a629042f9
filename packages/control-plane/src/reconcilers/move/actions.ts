import {
  type MoveAction,
  type MoveCompared,
  type Mover,
  type MoverCall,
  type MoveReport,
  StampyardError,
  wayBackOf,
} from "@stampyard/domain";
import { connectMover, forgetNotes, unwatch } from "@stampyard/movers";
import { releaseTenant } from "../../holds/hold-tenant.ts";
import { checkSpace } from "../../moves/check-space.ts";
import { refuseMove, whyUnmovable } from "../../moves/why-unmovable.ts";
import { writeContext } from "../turn.ts";
import { progressTeller } from "./progress.ts";
import { waitUntilPublished } from "./publication.ts";
import { type SwitchCall, trySwitch, withSwitch } from "./switch.ts";

/** One turn's work on one move, and when its pause began, if the pause is in this turn. */
export interface Step extends SwitchCall {
  pauseBegan?: number;
}

/** A router that lives and does not acknowledge is looked for again after this. */
const publishWithinMs = 5_000;
/** `follow` comes back now and then, so that what is true is read again. */
const followAtMostMs = 10_000;

/**
 * Does one action of a plan. Each may be repeated by another process after a kill at any line (I27).
 * @returns what the report learns of it
 */
export async function doAction(step: Step, action: MoveAction, signal: AbortSignal): Promise<Partial<MoveReport>> {
  const { deps, row, lane, turn } = step;
  const { mover } = lane;
  const { clock } = deps;
  const { report, id, tenant } = row.value;
  const call: MoverCall = { signal, onProgress: progressTeller(deps, row) };
  const began = clock.now();
  switch (action.kind) {
    case "check":
      return await check(step, call);
    case "admit":
      await mover.admit(call);
      return {};
    case "arm":
      await mover.arm(call);
      return {};
    case "copy": {
      const { rows, bytes } = await mover.copy(call);
      return { copied: { rows, bytes, ms: Math.round(clock.now() - began) } };
    }
    case "follow": {
      const { changes, rounds } = await mover.follow({ ...call, atMostMs: followAtMostMs });
      const before = report.followed ?? { changes: 0, rounds: 0 };
      return { followed: { changes: before.changes + changes, rounds: before.rounds + rounds } };
    }
    case "verify":
      return { compared: await mover.verify(call) };
    case "switch":
      return await switchHomes(step, signal);
    case "open":
      await mover.open(call);
      return {};
    case "publish":
      await deps.store.moves.land(id, writeContext(turn));
      await waitUntilPublished(deps, row.value, publishWithinMs, signal);
      return {};
    case "release":
      await releaseTenant(deps, { tenant, moveId: id }, writeContext(turn, `move ${id}`));
      return {};
    case "compare":
      return await compare(step, call);
    case "erase":
      return { erased: { at: clock.now(), tables: await erase(step, call) } };
    case "reopen":
      await mover.reopen(call);
      return {};
    case "forget":
      await mover.forget(call);
      return {};
  }
}

/** Changes nothing but the declared fence, and refuses with everything that it found. */
async function check({ deps, lane, turn }: Step, call: MoverCall): Promise<Partial<MoveReport>> {
  const { source, target } = lane.ends;
  refuseMove(whyUnmovable(lane.ends));
  await Promise.all(
    [source, target].map(async ({ stamp, spec }) => {
      if (stamp !== undefined && spec !== undefined) await deps.ensureFence(stamp, spec, turn);
    }),
  );
  const checked = await lane.mover.check(call);
  const { problems, tables, rows, bytes } = await checkSpace(deps.engine, target, checked, turn.signal);
  refuseMove(problems);
  return { expected: { tables: tables.filter(({ kind }) => kind === "tenant").length, rows, bytes } };
}

async function switchHomes(step: Step, signal: AbortSignal): Promise<Partial<MoveReport>> {
  const { row } = step;
  const { report, pauseBegan, drainMs, compared } = await trySwitch(step, signal);
  if (report.outcome === "decided") step.pauseBegan = pauseBegan;
  return {
    switches: withSwitch(row.value.report, report),
    ...(drainMs === undefined ? {} : { drainMs }),
    ...(compared === undefined ? {} : { compared: withOnline(row.value.report, compared) }),
  };
}

/** What was compared before the pause counts too: the pause sees only what was brought since. */
function withOnline({ compared: online }: MoveReport, inPause: MoveCompared): MoveCompared {
  if (online?.policy !== "incremental" || inPause.policy !== "incremental") return inPause;
  return { ...inPause, rows: online.rows + inPause.rows };
}

/** Of a source that is destroyed nothing is left but what its target captured for the way back. */
async function erase({ row, lane }: Step, call: MoverCall): ReturnType<Mover["erase"]> {
  const { source, target } = lane.ends;
  if (source.stamp !== undefined || target.url === undefined) return await lane.mover.erase(call);
  const { id, tenant } = row.value;
  await using db = await connectMover(target.url, id);
  await unwatch(db, { tenant, moveId: wayBackOf(id) });
  await forgetNotes(db, id);
  return [];
}

async function compare({ row, lane }: Step, call: MoverCall): Promise<Partial<MoveReport>> {
  const compared = await lane.mover.compare(call);
  if (compared !== undefined) return { compared };
  const { id, to } = row.value;
  const what = "its rows have changed since, and the frozen view of them was lost";
  throw new StampyardError("NOT_EQUAL", `The copy in stamp ${to} cannot be compared any more: ${what}`, {
    mend: `Look at the rows yourself, then accept them: stampyard move finish ${id} --accept.`,
  });
}

/** Once routers know the new home, what their clients have waited: of the switch in the same turn. */
export function withPause(step: Step): Partial<MoveReport> {
  const { switches = [] } = step.row.value.report;
  const last = switches.at(-1);
  if (step.pauseBegan === undefined || last?.outcome !== "decided") return {};
  const pauseMs = Math.round(step.deps.clock.now() - step.pauseBegan);
  delete step.pauseBegan;
  return { switches: [...switches.slice(0, -1), { ...last, pauseMs }] };
}
