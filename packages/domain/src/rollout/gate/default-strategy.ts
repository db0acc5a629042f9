import type { GateRule } from "../evidence.ts";
import type { RolloutStrategy } from "../strategy.ts";

const minute = 60_000;

/**
 * What a gate asks for unless a file says otherwise. 300 requests against 3,000 see an increase of five points nearly
 * always, and 50 against 50 hardly ever (decision D20); an alpha of 1% is for all looks of a rollout together.
 */
export const defaultGate: GateRule = {
  enforced: true,
  errors: { worse: 0.01, leastRequests: { updated: 300, siblings: 1_000 } },
  latency: { worseMs: 300 },
  mostErrors: 0.25,
  tenant: { leastRequests: 20, errorShare: 0.5 },
  mostRestarts: 2,
  probes: [],
  queries: [],
  alpha: 0.01,
  waitMs: 15 * minute,
};

/** How a release goes over a fleet that says nothing of it: one stamp, a tenth, a third, all. */
export const defaultStrategy: RolloutStrategy = {
  // 60 a minute for ten minutes are twice what a verdict needs.
  canary: { leastPerMinute: 60, bakeMs: 10 * minute },
  waves: [
    { size: { kind: "percent", percent: 10 } },
    { size: { kind: "percent", percent: 30 } },
    { size: { kind: "rest" } },
  ],
  maxUnavailable: 1,
  bakeMs: 5 * minute,
  updateWithinMs: 10 * minute,
  lateRing: true,
  gate: defaultGate,
  hooks: [],
  onAbort: "rollback",
  // Thirty releases a day would never come through if each waited for all before it.
  onNewer: "batch",
};
