import { type GateReport, type Instant, type Rollout, type RolloutMember, StampyardError } from "@stampyard/domain";
import type { Revisioned } from "../../store/port.ts";
import { causeOf } from "../failure.ts";
import type { Turn } from "../turn.ts";
import type { RolloutDeps } from "./rollout-deps.ts";
import { whileSaidNothing } from "./while-said-nothing.ts";

/** The last report of each rollout, and what it was of. Forgetting it costs one more question. */
export type GateMemory = Map<string, { readonly of: string; readonly askedAt: Instant; readonly report: GateReport }>;

/** Stamps change many times a second while they are updated; probes are not to be asked at each change. */
const askEveryMs = 1_000;

type AskDeps = Pick<RolloutDeps, "store" | "clock" | "log" | "judge" | "gateMemory">;

/**
 * The gate's report of now. One of a moment ago is as good, unless somebody was updated since, or it has spent of alpha.
 * @throws StampyardError CANCELLED when somebody wrote the rollout meanwhile
 */
export async function askGate(
  deps: AskDeps,
  found: Revisioned<Rollout>,
  rollout: Rollout,
  members: readonly RolloutMember[],
  now: Instant,
  turn: Turn,
): Promise<GateReport> {
  const { gateMemory } = deps;
  const of = subjectOf(rollout, members);
  const last = gateMemory.get(rollout.id);
  const isFresh = last !== undefined && last.of === of && now >= last.askedAt && now - last.askedAt < askEveryMs;
  if (isFresh && !last.report.tookLook) return last.report;
  const report = await whileSaidNothing(deps.store, found, turn, (signal) => ask(deps, rollout, members, now, signal));
  gateMemory.set(rollout.id, { of, askedAt: now, report });
  return report;
}

/** A gate that cannot be asked is one that says nothing, and that is never good (I35). */
async function ask(
  { judge, log }: AskDeps,
  rollout: Rollout,
  members: readonly RolloutMember[],
  now: Instant,
  signal: AbortSignal,
): Promise<GateReport> {
  try {
    return await judge(rollout, members, now, signal);
  } catch (caught) {
    signal.throwIfAborted();
    const error = StampyardError.from(caught);
    if (error.code === "STALE_LEADER") throw error;
    log.warn({ rollout: rollout.id, code: error.code, err: error }, "the gate of a rollout cannot be asked");
    const text = `Its evidence cannot be read: ${causeOf(error)}`;
    const checks = [{ name: "evidence", verdict: "inconclusive", text }] as const;
    return { at: now, verdict: "inconclusive", checks, tookLook: false };
  }
}

function subjectOf({ state }: Rollout, members: readonly RolloutMember[]): string {
  const updated = members.filter((member) => member.state.kind === "updated").map(({ stamp }) => stamp);
  return [state.kind, "wave" in state ? state.wave : "", ...updated].join(" ");
}
