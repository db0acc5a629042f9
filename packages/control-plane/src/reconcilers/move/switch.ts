import { isDecided, type MoveReport, StampyardError, type SwitchReport } from "@stampyard/domain";
import { holdTenant, releaseTenant } from "../../holds/hold-tenant.ts";
import { causeOf, isTurnOver } from "../failure.ts";
import { type Turn, writeContext } from "../turn.ts";
import type { Lane } from "./lane.ts";
import type { MoveDeps } from "./move-deps.ts";
import { bringOtherStores, drainSource, hasDrain } from "./move-hooks.ts";
import type { MoveRow } from "./move-row.ts";

export interface SwitchCall {
  readonly deps: MoveDeps;
  readonly row: MoveRow;
  readonly lane: Lane;
  readonly turn: Turn;
}

export interface SwitchOutcome {
  readonly report: SwitchReport;
  /** When requests began to be held; the pause is over when routers know the new home. */
  readonly pauseBegan: number;
  readonly drainMs?: number;
  readonly compared?: NonNullable<MoveReport["compared"]>;
}

/** Routers answer for what is on its way within this; the fence does not wait longer for them (D13). */
const holdWaitMs = 100;
/** What a hold lasts longer than the pause: only as long as closing the fence takes, because a dead control plane leaves it. */
const holdAfterMs = 250;
const mostHoldMs = 30_000;
/** To open the source again after a failure, whatever the turn is worth by then. */
const openAgainWithinMs = 5_000;
/** Tries that a report keeps. */
const mostReports = 16;

/**
 * One bounded try: everything that may take its time, then the pause. Ends decided, or with the source open again and the
 * reason in the report. Throws what no other try would mend, and what left the source closed: its deadline opens it.
 * @param wanted aborted when nobody wants the switch any more; the pause does not listen to it
 */
export async function trySwitch(call: SwitchCall, wanted: AbortSignal): Promise<SwitchOutcome> {
  const { deps, row, lane, turn } = call;
  const hooks = { deps, move: row.value, lane, turn: { ...turn, signal: wanted } };
  const at = deps.clock.now();
  let drainMs: number | undefined;
  try {
    drainMs = await drainSource(hooks);
    await bringOtherStores(hooks, false);
  } catch (caught) {
    if (isTurnOver(caught, turn) || StampyardError.from(caught).code !== "HOOK_FAILED") throw caught;
    const report = { at, outcome: "opened-again", cause: wordsOf(caught), holdMs: 0, fencedMs: 0, rows: 0 } as const;
    return { report, pauseBegan: at };
  }
  const outcome = await pause(call);
  const drained = (drainMs ?? 0) + (outcome.drainMs ?? 0);
  return drainMs === undefined ? outcome : { ...outcome, drainMs: Math.round(drained) };
}

/** Keeps the last few tries. */
export function withSwitch({ switches = [] }: MoveReport, report: SwitchReport): readonly SwitchReport[] {
  return [...switches, report].slice(-mostReports);
}

interface Clocked {
  holdMs: number;
  fencedAt: number | undefined;
  rows: number;
  drainMs: number | undefined;
  compared: NonNullable<MoveReport["compared"]> | undefined;
}

async function pause(call: SwitchCall): Promise<SwitchOutcome> {
  const { deps, row, lane, turn } = call;
  const { clock } = deps;
  const pauseBegan = clock.now();
  const seen: Clocked = { holdMs: 0, fencedAt: undefined, rows: 0, drainMs: undefined, compared: undefined };
  const tooLong = `the last changes took longer than ${row.value.maxPauseMs} ms`;
  try {
    if (await closeAndFlip(call, seen)) return outcomeOf("decided");
    await openAgain(call);
  } catch (caught) {
    const isOver = isTurnOver(caught, turn);
    await openAgain(call).catch((unopened: unknown) => {
      // What failed first says more than that its database is away.
      deps.log.warn({ move: row.value.id, err: unopened }, "a source could not be opened after a failed switch");
      throw caught;
    });
    if (isOver) throw caught;
    // The answer of a flip may have been lost on its way. Who cannot look must not let requests go on to the source.
    const { source } = await lane.look();
    if (source.kind === "unknown") throw caught;
    if (isDecided(row.value, source)) return outcomeOf("decided");
    await release(call);
    if (isWorthless(caught)) throw caught;
    return outcomeOf("opened-again", isTooLate(caught) ? tooLong : wordsOf(caught));
  }
  await release(call);
  return outcomeOf("opened-again", `the fence was open again before the flip: ${tooLong}`);

  function outcomeOf(outcome: SwitchReport["outcome"], why?: string): SwitchOutcome {
    const now = clock.now();
    const report: SwitchReport = {
      at: pauseBegan,
      outcome,
      ...(why === undefined ? {} : { cause: why }),
      holdMs: Math.round(seen.holdMs),
      fencedMs: seen.fencedAt === undefined ? 0 : Math.round(now - seen.fencedAt),
      ...(outcome === "decided" ? {} : { pauseMs: Math.round(now - pauseBegan) }),
      rows: seen.rows,
    };
    const { drainMs, compared } = seen;
    const closeMs = Math.round((seen.fencedAt ?? now) - pauseBegan - seen.holdMs);
    deps.log.info({ move: row.value.id, ...report, closeMs }, "a switch was tried");
    return {
      report,
      pauseBegan,
      ...(drainMs === undefined ? {} : { drainMs }),
      ...(compared === undefined ? {} : { compared }),
    };
  }
}

/** Hold, fence, last changes, flip. @returns whether the source has decided */
async function closeAndFlip({ deps, row, lane, turn }: SwitchCall, seen: Clocked): Promise<boolean> {
  const { clock } = deps;
  const move = row.value;
  const { maxPauseMs } = move;
  const began = clock.now();
  const drainWithinMs = hasDrain(lane) ? maxPauseMs / 2 : 0;
  const ttlMs = Math.min(mostHoldMs, Math.ceil(maxPauseMs + drainWithinMs + holdAfterMs));
  await holdTenant(
    deps,
    { tenant: move.tenant, moveId: move.id, ttlMs, waitMs: holdWaitMs },
    writeContext(turn, `move ${move.id}`),
  );
  seen.holdMs = clock.now() - began;
  const hooks = { deps, move, lane, turn };
  // What was handed on between the drain and the hold is still under way.
  seen.drainMs = await drainSource(hooks, drainWithinMs);
  await lane.mover.fence({ signal: turn.signal });
  seen.fencedAt = clock.now();
  // Past its deadline the source opens by itself, and everything done since is for nothing.
  const signal = AbortSignal.any([turn.signal, AbortSignal.timeout(maxPauseMs)]);
  const [settled, others] = await Promise.allSettled([
    lane.mover.settle({ signal }),
    bringOtherStores(hooks, true, maxPauseMs),
  ]);
  if (settled.status === "rejected") throw settled.reason;
  seen.rows = settled.value.rows + (settled.value.compared?.rows ?? 0);
  seen.compared = settled.value.compared;
  if (settled.value.compared?.isEqual === false) {
    throw new StampyardError("NOT_EQUAL", `The copies of tenant ${move.tenant} differ in ${move.from} and ${move.to}`);
  }
  if (others.status === "rejected") throw others.reason;
  return await lane.mover.flip({ signal });
}

/** Armed as before where the mover can do that, else at rest, and the next try copies anew. */
async function openAgain({ lane }: SwitchCall): Promise<void> {
  // Of its own: a turn that is over must not leave the tenant closed until the deadline.
  const signal = AbortSignal.timeout(openAgainWithinMs);
  const { mover } = lane;
  await (mover.unfence === undefined ? mover.reopen({ signal }) : mover.unfence({ signal }));
}

/** Routers forget a hold by themselves; that they could not be told early costs a moment. */
async function release({ deps, row, turn }: SwitchCall): Promise<void> {
  const { tenant, id } = row.value;
  try {
    await releaseTenant(deps, { tenant, moveId: id }, writeContext(turn, `move ${id}`));
  } catch (caught) {
    if (isTurnOver(caught, turn)) throw caught;
    deps.log.warn({ move: id, err: caught }, "a hold could not be released");
  }
}

/** No other try would end differently. */
function isWorthless(caught: unknown): boolean {
  return StampyardError.from(caught).code === "NOT_EQUAL";
}

/** The signal of the pause's own end; whatever listens to it says no more than that. */
function isTooLate(caught: unknown): boolean {
  return caught instanceof DOMException && caught.name === "TimeoutError";
}

function wordsOf(caught: unknown): string {
  const error = StampyardError.from(caught);
  return `${error.code}: ${causeOf(error)}`;
}
