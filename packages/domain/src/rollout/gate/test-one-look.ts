import type { Evidence, GateReport, GateRule } from "../evidence.ts";
import { judgeGate } from "./judge-gate.ts";
import { type Effect, type Habits, simulatedFleet } from "./test-simulated-fleet.ts";
import { calm } from "./test-simulated-rollout.ts";

export interface OneLook {
  readonly habits: Habits;
  readonly rule: GateRule;
  readonly effect: Effect;
  readonly pastMs: number;
  /** Requests of the canary and of its siblings at which it is looked. */
  readonly canary: number;
  readonly siblings: number;
  readonly look: Evidence["look"];
}

const bucketMs = 5_000;

/** One look at one canary, as soon as there are so many requests. */
export function oneLook(seed: number, { habits, rule, effect, pastMs, canary, siblings, look }: OneLook): GateReport {
  const fleet = simulatedFleet(seed, habits, bucketMs);
  const [stamp = ""] = fleet.names;
  fleet.until(pastMs);
  const updatedAt = pastMs + 20_000;
  let at = fleet.until(updatedAt).length;
  fleet.change(stamp, effect);
  let now = updatedAt;
  const seen = { canary: 0, siblings: 0 };
  while (seen.canary < canary || seen.siblings < siblings) {
    now += bucketMs;
    const buckets = fleet.until(now);
    for (; at < buckets.length; at++) {
      const bucket = buckets[at];
      if (bucket === undefined) continue;
      seen[bucket.stamp === stamp ? "canary" : "siblings"] += bucket.requests;
    }
  }
  return judgeGate(rule, {
    now,
    bucketMs,
    updated: [{ stamp, begunAt: pastMs, updatedAt, wave: 0 }],
    siblings: fleet.names.filter((name) => name !== stamp),
    buckets: fleet.until(now),
    signals: [calm(stamp, now)],
    look,
    isLook: true,
    seed: `ro-${seed}`,
  });
}
