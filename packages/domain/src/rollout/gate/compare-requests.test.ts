import { expect, test } from "vitest";
import type { Evidence, EvidenceBucket } from "../evidence.ts";
import { compareRequests } from "./compare-requests.ts";
import { defaultGate } from "./default-strategy.ts";

const rule = { ...defaultGate, errors: { worse: 0.01, leastRequests: { updated: 100, siblings: 200 } } };
const begin = 1_000_000;

/** Requests in spans of a second; `past` seconds before an update of a second, `after` since then. */
function evidenceOf(past: number, after: number, errorsOf: (stamp: string, isNew: boolean) => number): Evidence {
  const buckets: EvidenceBucket[] = [];
  for (let second = 0; second < past + 1 + after; second++) {
    for (const stamp of ["a", "b", "c"]) {
      const errors = errorsOf(stamp, stamp === "a" && second > past);
      const latency = [0, 0, 0, 0, 36];
      buckets.push({
        stamp,
        at: begin + second * 1_000,
        ms: 1_000,
        complete: true,
        requests: 36,
        errors,
        latency,
        synthetic: 0,
      });
    }
  }
  const updatedAt = begin + (past + 1) * 1_000;
  return {
    now: updatedAt + after * 1_000,
    bucketMs: 1_000,
    updated: [{ stamp: "a", begunAt: begin + past * 1_000, updatedAt, wave: 0 }],
    siblings: ["b", "c"],
    buckets,
    signals: [],
    look: { index: 0, of: 2 },
    isLook: true,
    seed: "a test",
  };
}

const errorsVerdict = (evidence: Evidence) =>
  compareRequests(rule, evidence).checks.find(({ name }) => name === "errors");

test("compareRequests() passes nobody who fails five points more, however short the past is (I35)", () => {
  for (const past of [1, 2, 3, 4, 6, 10, 30]) {
    for (const after of [4, 6, 8, 12]) {
      const found = errorsVerdict(evidenceOf(past, after, (_stamp, isNew) => (isNew ? 2 : 0)));
      expect(found?.verdict, `${past} s before, ${after} s after: ${found?.text}`).not.toBe("go");
    }
  }
  expect(errorsVerdict(evidenceOf(30, 12, (_stamp, isNew) => (isNew ? 2 : 0)))?.verdict).toBe("abort");
});

test("compareRequests() lets pass who fails as its siblings do", () => {
  expect(errorsVerdict(evidenceOf(60, 20, () => 0))?.verdict).toBe("go");
});
