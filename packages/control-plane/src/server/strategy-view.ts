import type { StrategyView } from "@stampyard/api";
import type { GateRule, RolloutStrategy, WaveSize } from "@stampyard/domain";

/** Without what probes and hooks call: commands and addresses may hold secrets. */
export function strategyView(strategy: RolloutStrategy): StrategyView {
  const { canary, waves, gate, hooks, ...rest } = strategy;
  return {
    ...(canary === undefined ? {} : { canary: { ...canary } }),
    waves: waves.map(({ size, ...wave }) => ({ ...wave, size: sizeView(size) })),
    maxUnavailable: rest.maxUnavailable,
    bakeMs: rest.bakeMs,
    updateWithinMs: rest.updateWithinMs,
    lateRing: rest.lateRing,
    gate: gateRuleView(gate),
    hooks: hooks.map(({ name, point, call, onFailure }) => ({ name, point, kind: call.kind, onFailure })),
    onAbort: rest.onAbort,
    onNewer: rest.onNewer,
  };
}

type SizeView = StrategyView["waves"][number]["size"];

function sizeView(size: WaveSize): SizeView {
  if (size.kind !== "labels") return size;
  const { labels, count } = size;
  const lists = Object.entries(labels).map(([label, values]) => [label, [...(values as readonly string[])]]);
  return { kind: "labels", labels: Object.fromEntries(lists), ...(count === undefined ? {} : { count }) };
}

function gateRuleView(gate: GateRule): StrategyView["gate"] {
  const { enforced, errors, latency, mostErrors, tenant, mostRestarts, queueLag, alpha, waitMs } = gate;
  return {
    enforced,
    errors: { worse: errors.worse, leastRequests: { ...errors.leastRequests } },
    latency: { ...latency },
    mostErrors,
    tenant: { ...tenant },
    mostRestarts,
    ...(queueLag === undefined ? {} : { queueLag: { ...queueLag } }),
    probes: gate.probes.map(({ name, kind }) => ({ name, kind })),
    queries: gate.queries.map(({ name }) => ({ name })),
    alpha,
    waitMs,
  };
}
