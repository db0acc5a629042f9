import type { RolloutDetailView, RolloutMemberView } from "@stampyard/api";
import type { StubAnswer, StubApi } from "../../test-io.ts";

/** A rollout over two stamps, as the API shows it at its stages. */

export const at = "2026-11-23T05:00:00.000Z";
export const digestOf = (hex: string) => `sha256:${hex.repeat(64)}` as const;
export const aim = (hex: string, version: string): RolloutMemberView["from"] => ({
  release: digestOf(hex),
  version,
  stampDigest: digestOf(hex),
  parameters: {},
  capacity: { tenants: 5, units: {} },
});
export const member = (stamp: string, wave: number, change: Partial<RolloutMemberView> = {}): RolloutMemberView => ({
  stamp,
  wave,
  place: 0,
  phase: "waiting",
  from: aim("a", "1.0.0"),
  to: aim("b", "1.1.0"),
  ...change,
});
const strategy: RolloutDetailView["strategy"] = {
  canary: { leastPerMinute: 60, bakeMs: 600_000 },
  waves: [],
  maxUnavailable: 1,
  bakeMs: 300_000,
  updateWithinMs: 600_000,
  lateRing: true,
  gate: {
    enforced: true,
    errors: { worse: 0.01, leastRequests: { updated: 300, siblings: 1_000 } },
    latency: { worseMs: 300 },
    mostErrors: 0.25,
    tenant: { leastRequests: 20, errorShare: 0.5 },
    mostRestarts: 2,
    probes: [],
    queries: [],
    alpha: 0.01,
    waitMs: 900_000,
  },
  hooks: [],
  onAbort: "rollback",
  onNewer: "queue",
};
export const none = { waiting: 0, updating: 0, updated: 0, failed: 0, returning: 0, returned: 0, skipped: 0 };
export const begun: RolloutDetailView = {
  id: "ro-1",
  release: digestOf("b"),
  version: "1.1.0",
  components: [],
  phase: "updating",
  wave: 0,
  waves: [
    { name: "canary", bakeMs: 600_000, maxUnavailable: 1, approval: false },
    { name: "rest", bakeMs: 0, maxUnavailable: 2, approval: true },
  ],
  since: at,
  waitingOn: "stamp shared-1 to run 1.1.0",
  members: { ...none, waiting: 1, updating: 1 },
  hotfix: false,
  startedBy: "token:tok_1",
  spent: { activeMs: 60_000, bakingMs: 600_000, waitingMs: 0 },
  revision: 1,
  createdAt: at,
  updatedAt: at,
  strategy,
  looks: 0,
  hooksDone: [],
};
export const gate: NonNullable<RolloutDetailView["gate"]> = {
  at,
  verdict: "inconclusive",
  checks: [
    { name: "health", verdict: "go", text: "every component of shared-1 is healthy" },
    { name: "errors", verdict: "inconclusive", text: "120 of 300 requests so far" },
  ],
  enoughInMs: 90_000,
};
export const baking: RolloutDetailView = {
  ...begun,
  phase: "baking",
  until: "2026-11-23T05:12:00.000Z",
  waitingOn: "the bake of wave canary",
  members: { ...none, waiting: 1, updated: 1 },
  gate,
};
export const { wave: ___, ...ended } = { ...baking, waitingOn: undefined };
export const done = { ...ended, phase: "done", members: { ...none, updated: 2 } } as unknown as RolloutDetailView;
export const aborted = {
  ...ended,
  phase: "aborted",
  why: "errors: 6.1% beside 1.0% of siblings",
  endedBy: "gate",
  members: { ...none, waiting: 1, returned: 1 },
} as unknown as RolloutDetailView;
export const paused: RolloutDetailView = {
  ...baking,
  phase: "paused",
  why: "too little traffic to judge",
  endedBy: "gate",
};

/** Answers looks one after the other; the last repeats. */
export function looks(...rollouts: readonly RolloutDetailView[]): () => StubAnswer {
  const left = [...rollouts];
  return () => ({ json: left.length > 1 ? left.shift() : left[0] });
}
export const members = (...items: readonly RolloutMemberView[]): StubApi => ({
  "GET /v1/rollouts/ro-1/members": { json: { items } },
});
export const releases: StubApi = {
  "GET /v1/releases": {
    json: {
      items: ["b", "c"].map((hex) => ({
        digest: digestOf(hex),
        template: "notes",
        version: hex === "b" ? "1.1.0" : "1.2.0",
        createdAt: at,
        current: hex === "b",
        stamps: 2,
      })),
    },
  },
};
