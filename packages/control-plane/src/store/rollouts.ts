import { StampyardError } from "@stampyard/domain";
import type { EvidenceStore, RolloutStore } from "./rollout-port.ts";

const notYet = () => Promise.reject(new StampyardError("INTERNAL", "Rollouts are not built yet"));

export function rolloutStore(): RolloutStore {
  return {
    read: async () => undefined,
    list: async () => ({ items: [] }),
    members: async () => [],
    counts: async () => new Map(),
    start: notYet,
    write: notYet,
    command: notYet,
    open: async () => [],
    lastGood: async () => [],
  };
}

export function evidenceStore(): EvidenceStore {
  return {
    report: async () => [],
    reports: async () => [],
    watch: notYet,
    saveBuckets: notYet,
    buckets: async () => [],
    prune: async () => 0,
  };
}
