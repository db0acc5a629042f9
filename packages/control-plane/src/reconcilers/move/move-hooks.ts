import { type Move, StampyardError } from "@stampyard/domain";
import type { MoveEnd } from "../../moves/move-ends.ts";
import { causeOf } from "../failure.ts";
import { hookOf } from "../tenant-hooks.ts";
import type { TenantHookName, Turn } from "../turn.ts";
import type { Lane } from "./lane.ts";
import type { MoveDeps } from "./move-deps.ts";
import type { MoveRow } from "./move-row.ts";

/** Between two questions of a drain; grows, because a queue that is long takes its time. */
const firstAskMs = 25;
const mostAskMs = 1_000;

interface Call {
  readonly deps: Pick<MoveDeps, "hooks" | "clock">;
  readonly move: Move;
  readonly lane: Lane;
  readonly turn: Turn;
}

export function hasDrain({ ends }: Lane): boolean {
  return ends.source.spec !== undefined && hookOf(ends.source.spec, "tenant.onDrain") !== undefined;
}

/**
 * Asks the source's application until nothing of the tenant is under way, which it must say twice in a row: between the
 * two a job that was being handed on has come to light.
 * @returns milliseconds that it took; undefined without a hook
 * @throws StampyardError HOOK_FAILED, also when it does not come to 0 in time
 */
export async function drainSource(call: Call, withinMs = Number.POSITIVE_INFINITY): Promise<number | undefined> {
  const { deps, move, lane, turn } = call;
  const { spec } = lane.ends.source;
  const hook = spec === undefined ? undefined : hookOf(spec, "tenant.onDrain");
  if (hook === undefined) return undefined;
  const began = deps.clock.now();
  const until = began + Math.min(hook.timeoutMs, withinMs);
  let zeros = 0;
  let pauseMs = firstAskMs;
  for (;;) {
    const pending = pendingIn(call, await callHook(call, "tenant.onDrain", {}, until - deps.clock.now()));
    zeros = pending === 0 ? zeros + 1 : 0;
    if (zeros === 2 || (zeros === 1 && hook.kind === "job")) return deps.clock.now() - began;
    if (deps.clock.now() + pauseMs >= until) {
      throw hookFailed(move, "tenant.onDrain", move.from, `did not come to 0: ${pending} pending at the end`);
    }
    await deps.clock.sleep(pending === 0 ? firstAskMs : pauseMs, turn.signal);
    pauseMs = Math.min(mostAskMs, pauseMs * 2);
  }
}

/**
 * What the tenant has outside of the database: the source puts it away, the target fetches it. `isFinal` = the tenant is
 * closed for writes, so only what came since the last time is left, and the pause waits for it.
 * @throws StampyardError HOOK_FAILED
 */
export async function bringOtherStores(call: Call, isFinal: boolean, withinMs?: number): Promise<void> {
  const input = { final: isFinal };
  const began = call.deps.clock.now();
  const answer = await callHook(call, "tenant.onExport", input, withinMs);
  const left = withinMs === undefined ? undefined : withinMs - (call.deps.clock.now() - began);
  const exported = answer === undefined || answer.trim() === "" ? {} : { export: jsonOf(call, answer) };
  await callHook(call, "tenant.onImport", { ...input, ...exported }, left);
}

/** A call that is due again, and no other: the target serves the tenant, and derived data follows when it can. */
export async function rebuildTarget(call: Call, row: MoveRow): Promise<void> {
  const { deps, turn } = call;
  const before = row.value.report.rebuild;
  const attempts = (before?.attempts ?? 0) + 1;
  const began = deps.clock.now();
  try {
    await callHook(call, "tenant.onRebuild", {});
    await row.write({ report: { rebuild: { attempts, ms: Math.round(deps.clock.now() - began) } } });
  } catch (caught) {
    const error = StampyardError.from(caught);
    if (turn.signal.aborted || error.code !== "HOOK_FAILED") throw caught;
    const retryAt = deps.clock.now() + Math.min(300_000, 1_000 * 2 ** Math.min(attempts, 9));
    await row.write({ report: { rebuild: { attempts, cause: causeOf(error), retryAt } } });
  }
}

/** Whether the hook is declared and has not succeeded; then when its next call is due. */
export function rebuildDueAt({ report }: Move, { ends }: Lane): number | undefined {
  const { spec } = ends.target;
  if (spec === undefined || hookOf(spec, "tenant.onRebuild") === undefined) return undefined;
  if (report.rebuild?.ms !== undefined) return undefined;
  return report.rebuild?.retryAt ?? 0;
}

async function callHook(
  { deps, move, lane, turn }: Call,
  hook: TenantHookName,
  input: Readonly<Record<string, unknown>>,
  withinMs?: number,
): Promise<string | undefined> {
  const isOnSource = hook === "tenant.onDrain" || hook === "tenant.onExport";
  const { stamp, spec }: MoveEnd = isOnSource ? lane.ends.source : lane.ends.target;
  if (stamp === undefined || spec === undefined) return undefined;
  const { id, tenant, from, to, epoch } = move;
  return await deps.hooks.call(
    {
      hook,
      stamp,
      spec,
      tenant,
      epoch: isOnSource ? epoch : epoch + 1,
      input: { ...input, move: { id, from, to } },
      ...(withinMs === undefined ? {} : { withinMs }),
    },
    turn,
  );
}

/** A job that ended well has nothing more to say. */
function pendingIn({ move }: Call, answer: string | undefined): number {
  if (answer === undefined || answer === "") return 0;
  try {
    const { pending } = JSON.parse(answer) as { pending?: unknown };
    if (typeof pending === "number" && Number.isFinite(pending) && pending >= 0) return pending;
  } catch {
    // Said below.
  }
  throw hookFailed(move, "tenant.onDrain", move.from, 'did not answer as JSON such as {"pending": 0}');
}

function jsonOf({ move }: Call, answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    throw hookFailed(move, "tenant.onExport", move.from, "did not answer JSON");
  }
}

function hookFailed({ tenant }: Move, hook: TenantHookName, stamp: string, what: string): StampyardError {
  return new StampyardError("HOOK_FAILED", `Hook ${hook} of stamp ${stamp} for tenant ${tenant} ${what}`, {
    mend: "Mend the hook; the switch is tried again by itself.",
  });
}
