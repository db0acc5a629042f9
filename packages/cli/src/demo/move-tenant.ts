import { setTimeout as sleep } from "node:timers/promises";
import type { MoveView } from "@stampyard/api";
import { hasEnded, isSettled } from "../commands/move/status-text.ts";
import { CommandFailure } from "../failure.ts";
import { durationText } from "../output/quantity.ts";
import { waitFor } from "../process/wait.ts";
import type { DemoContext } from "./actions.ts";
import { startWriters, type WritersReport } from "./writers.ts";

export interface MovedTenant extends WritersReport {
  readonly tenant: string;
  readonly from: string;
  readonly to: string;
  /** The write pause as the control plane measured it, in milliseconds. */
  readonly measuredPauseMs?: number;
  readonly tookMs: number;
}

export type MoveContext = Pick<DemoContext, "stage" | "traffic" | "signal" | "say">;

const patienceMs = 120_000;
/** Writers have found their pace before the move begins, and go on for as long after it. */
const steadyMs = 300;

/** Moves a tenant under load to the stamp with the most room; a second time takes it back, with all that was written since. */
export async function moveTenant(context: MoveContext, tenant: string): Promise<MovedTenant> {
  const { stage, traffic, signal, say } = context;
  const { items } = await stage.client.moveList({ query: { tenant, open: true, limit: 1 }, signal });
  const [last] = items;
  const writers = startWriters(stage.ports.router, tenant);
  try {
    await sleep(steadyMs, undefined, { signal });
    const started = performance.now();
    const begun = last === undefined ? await beginMove(context, tenant) : await beginReturn(context, last);
    const { from, to } = begun;
    traffic.expectAt(tenant, to);
    const how = last === undefined ? "" : "back, with what was written since, ";
    say(`Moving ${tenant} ${how}from ${from} to ${to}, while its clients write as fast as they are answered`);
    const move = await follow(context, begun);
    const tookMs = performance.now() - started;
    const isThere = move.phase !== "aborted";
    traffic.settle(tenant, isThere ? to : from);
    if (!isThere) throw new CommandFailure("MOVE_ABORTED", `${tenant} stays on ${from}: ${move.cause}`);
    await sleep(steadyMs, undefined, { signal });
    const seen = await writers.finish();
    const { pauseMs: measuredPauseMs } = move;
    return { tenant, from, to, tookMs, ...(measuredPauseMs === undefined ? {} : { measuredPauseMs }), ...seen };
  } catch (error) {
    await writers.finish();
    throw error;
  }
}

/** What its clients saw, in one sentence. */
export function movedText(moved: MovedTenant): string {
  const { tenant, to, tookMs, pauseMs, measuredPauseMs, acknowledged, found, twice, sentAgain } = moved;
  const measured = measuredPauseMs === undefined ? "" : ` (${durationText(measuredPauseMs)} as we measured it)`;
  const kept = found === acknowledged && twice === 0 ? "each found once" : `${found} found, ${twice} twice`;
  const again = sentAgain === 0 ? "" : `, ${sentAgain} sent again`;
  return `${tenant} lives on ${to} after ${durationText(tookMs)}: its clients saw writes pause for ${durationText(pauseMs)}${measured}; ${acknowledged} writes acknowledged, ${kept}${again}`;
}

async function beginMove({ stage, signal }: MoveContext, tenant: string): Promise<MoveView> {
  const { stamp: home } = await stage.client.tenantGet({ params: { key: tenant }, signal });
  const stamps = await stage.client.all("stampList", { signal });
  const [target] = stamps
    .filter(({ name, phase }) => name !== home && phase === "active")
    .sort((a, b) => a.used.tenants - b.used.tenants || (a.name < b.name ? -1 : 1));
  if (target === undefined) throw new CommandFailure("POOL_FULL", "There is no other active stamp: press n for one");
  const answer = await stage.client.moveCreate({ body: { tenant, to: target.name }, signal });
  if (answer.dryRun) throw new TypeError("This was no dry run");
  return answer.move;
}

async function beginReturn({ stage, signal, say }: MoveContext, last: MoveView): Promise<MoveView> {
  const { id } = last;
  if (!isSettled(last)) {
    say(`${last.tenant} is still on its way, by ${id}`);
    return last;
  }
  // Its own way back would be one too many to show.
  return await stage.client.moveRollback({ params: { id }, body: { restMs: 0 }, signal });
}

/** Tells every phase as it comes. What was taken back needs no way back: its end is waited for, so that it can go again. */
async function follow({ stage, signal, say }: MoveContext, begun: MoveView): Promise<MoveView> {
  const isOver = begun.options.restMs === 0 ? hasEnded : isSettled;
  let told = "";
  const over = await waitFor(
    async () => {
      const move = await stage.client.moveGet({ params: { id: begun.id }, signal });
      const { phase, cause, waitingOn } = move;
      const why = cause ?? waitingOn;
      if (phase !== told) say(`${begun.tenant} is ${phase}${why === undefined ? "" : `: ${why}`}`);
      told = phase;
      return isOver(move) ? move : undefined;
    },
    { timeoutMs: patienceMs, signal, everyMs: 20 },
  );
  if (over !== undefined) return over;
  throw new CommandFailure("TIMEOUT", `${begun.tenant} is still ${told}; see stampyard move show ${begun.id}`);
}
