import type { Evidence, GateReport, GateRule, MemberSignals, UpdatedMember } from "../evidence.ts";
import { judgeGate } from "./judge-gate.ts";
import { type Effect, type Habits, simulatedFleet } from "./test-simulated-fleet.ts";

export interface SimulatedCase {
  readonly habits: Habits;
  readonly rule: GateRule;
  readonly effect: Effect;
  readonly bakesMs: readonly number[];
  /** How long the fleet ran before. */
  readonly pastMs: number;
}

export interface SimulatedEnd {
  readonly end: "done" | "aborted" | "paused";
  readonly wave: number;
  readonly report: GateReport;
  readonly seed: number;
  /** Looks that were taken. */
  readonly looks: number;
}

const bucketMs = 10_000;
const minute = 60_000;

/** A rollout over a simulated fleet: the quietest stamp with 60 a minute first, then a tenth, a third and all. */
export function simulatedRollout(seed: number, { habits, rule, effect, bakesMs, pastMs }: SimulatedCase): SimulatedEnd {
  const fleet = simulatedFleet(seed, habits, bucketMs);
  const traffic = (name: string) => fleet.perMinute.get(name) ?? 0;
  const order = fleet.names.toSorted((a, b) => traffic(a) - traffic(b));
  const canary = order.find((name) => traffic(name) >= 60) ?? order.at(-1) ?? "";
  const rest = order.filter((name) => name !== canary);
  const tenth = Math.ceil(habits.stamps / 10);
  const third = Math.ceil(habits.stamps * 0.3);
  const waves = [[canary], rest.slice(0, tenth), rest.slice(tenth, tenth + third), rest.slice(tenth + third)];
  let now = pastMs;
  let looks = 0;
  const updated: UpdatedMember[] = [];
  let report: GateReport | undefined;
  const judge = (isLook: boolean): GateReport => {
    const buckets = fleet.until(now).filter(({ at }) => at >= now - 2 * 60 * minute);
    const signals = updated.map(({ stamp }): MemberSignals => calm(stamp, now));
    const siblings = fleet.names.filter((name) => !updated.some(({ stamp }) => stamp === name));
    const look = { index: looks, of: waves.length };
    const evidence: Evidence = { now, bucketMs, updated, siblings, buckets, signals, look, isLook, seed: `ro-${seed}` };
    const made = judgeGate(rule, evidence);
    if (made.tookLook) looks++;
    return made;
  };
  for (const [wave, members] of waves.entries()) {
    for (const stamp of members) {
      const begunAt = now;
      now += 20_000;
      fleet.until(now);
      fleet.change(stamp, effect);
      updated.push({ stamp, begunAt, updatedAt: now, wave });
    }
    now += bakesMs[wave] ?? 5 * minute;
    const lookAt = looks;
    report = judge(true);
    for (let waited = 0; report.verdict === "inconclusive" && waited < rule.waitMs; waited += minute) {
      now += minute;
      report = judge(looks === lookAt);
    }
    if (report.verdict === "abort") return { end: "aborted", wave, report, seed, looks };
    if (report.verdict === "inconclusive") return { end: "paused", wave, report, seed, looks };
  }
  if (report === undefined) throw new Error("A rollout has waves");
  return { end: "done", wave: waves.length, report, seed, looks };
}

export function calm(stamp: string, at: number): MemberSignals {
  return { stamp, at, sick: [], restarts: 0, failedJobs: [], failingTenants: [], probes: [], queries: [] };
}
