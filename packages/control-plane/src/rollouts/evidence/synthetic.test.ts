import {
  defaultStrategy,
  type EvidenceBucket,
  type MemberState,
  type Rollout,
  type RolloutMember,
} from "@stampyard/domain";
import { expect, test } from "vitest";
import { planSynthetic, readingPaths } from "./synthetic.ts";

const spanMs = 5_000;

function baking(states: Readonly<Record<string, MemberState["kind"]>>, least = { updated: 300, siblings: 600 }) {
  const { gate } = defaultStrategy;
  const strategy = { ...defaultStrategy, gate: { ...gate, errors: { ...gate.errors, leastRequests: least } } };
  const state = { kind: "baking", wave: 0, since: 0, until: 60_000 };
  const members = Object.entries(states).map(([stamp, kind]) => ({
    ...{ stamp, wave: 0, place: 0, from: { release: "old" }, to: { release: "new" }, state: { kind } },
  }));
  const rollout = { id: "ro-1", release: "new", strategy, state } as unknown as Rollout;
  return { rollout, members: members as unknown as readonly RolloutMember[] };
}

/** Ten spans with so many requests each. */
function traffic(stamp: string, requests: number, synthetic = 0): readonly EvidenceBucket[] {
  return Array.from({ length: 10 }, (_, n) => ({
    ...{ stamp, at: n * spanMs, ms: spanMs, complete: true, requests, errors: 0, latency: [requests], synthetic },
  }));
}

test("planSynthetic() asks for what real requests leave undone of what a verdict needs, on both sides", () => {
  const open = baking({ a: "updated", b: "waiting", c: "waiting" });
  // 300 in a minute are wanted of a, which has 2 a second; 600 of its siblings, which have 4 together.
  const rates = planSynthetic(open, [...traffic("a", 10), ...traffic("b", 10), ...traffic("c", 10)], spanMs);
  expect(Object.fromEntries(rates)).toEqual({ a: 3, b: 3, c: 3 });
});

test("planSynthetic() does not count its own requests as real, and stays below ten a second", () => {
  const open = baking({ a: "updated", b: "waiting" });
  const own = planSynthetic(open, [...traffic("a", 25, 25), ...traffic("b", 100)], spanMs);
  expect(Object.fromEntries(own)).toEqual({ a: 5 });
  const greedy = baking({ a: "updated", b: "waiting" }, { updated: 300_000, siblings: 300_000 });
  expect(Math.max(...planSynthetic(greedy, [], spanMs).values())).toBe(10);
});

test("planSynthetic() asks members of earlier waves where the last wave has no siblings any more", () => {
  const { rollout, members } = baking({ a: "updated", b: "updated" });
  const [a, b] = members as [RolloutMember, RolloutMember];
  const state = { kind: "baking", wave: 1, since: 0, until: 60_000 } as const;
  const open = { rollout: { ...rollout, state }, members: [a, { ...b, wave: 1 }] };
  expect(Object.fromEntries(planSynthetic(open, [], spanMs))).toEqual({ a: 10, b: 5 });
});

test("planSynthetic() asks nobody where there is enough, or nothing bakes", () => {
  const open = baking({ a: "updated", b: "waiting" });
  expect(planSynthetic(open, [...traffic("a", 30), ...traffic("b", 60)], spanMs).size).toBe(0);
  const updating = { ...open, rollout: { ...open.rollout, state: { kind: "updating", wave: 0, since: 0 } as const } };
  expect(planSynthetic(updating, [], spanMs).size).toBe(0);
});

test("readingPaths() takes steps that only read and stand alone", () => {
  const step = { headers: {}, timeoutMs: 1_000 };
  const id = { of: "verify", field: "id" } as const;
  const key = { of: "tenant", field: "key" } as const;
  const steps = [
    { ...step, method: "PUT", path: ["/notes/", id] },
    { ...step, method: "GET", path: ["/notes/", id] },
    { ...step, method: "GET", path: ["/of/", key] },
  ] as const;
  expect(readingPaths(steps, { "tenant.key": "t" })).toEqual(["/of/t"]);
  expect(readingPaths(steps.slice(0, 2), { "tenant.key": "t" })).toEqual(["/"]);
});
