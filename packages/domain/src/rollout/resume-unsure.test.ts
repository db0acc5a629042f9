import { expect, test } from "vitest";
import { commandRollout } from "./command-rollout.ts";
import type { GateReport, GateVerdict } from "./evidence.ts";
import { isLookDue } from "./plan-bake.ts";
import { planRollout } from "./plan-rollout.ts";
import type { MemberState, Rollout, RolloutMember } from "./rollout.ts";
import { aimOf, digest, strategyFor } from "./test-rollouts.ts";

/** A wave that its gate paused because it could not tell, and that a person lets go on. */

const now = 1_000_000;
const minute = 60_000;
const [old, fresh] = [aimOf("r0"), aimOf("r1")];
const wave = { bakeMs: minute, maxUnavailable: 2, approval: false };
const over = { kind: "baking", wave: 0, since: now - minute, until: now - 10 } as const;
const report = (verdict: GateVerdict, at: number): GateReport => {
  return { at, verdict, checks: [{ name: "errors", verdict, text: `errors say ${verdict}` }], tookLook: false };
};

const unsure: Rollout = {
  id: "ro-1",
  release: digest("r1"),
  components: [],
  strategy: strategyFor(),
  waves: [
    { ...wave, name: "canary" },
    { ...wave, name: "rest" },
  ],
  state: { kind: "paused", since: now - 5, why: "the gate cannot tell", by: "gate", was: over },
  hotfix: false,
  by: "ada",
  spent: { activeMs: 0, bakingMs: 0, waitingMs: 0 },
  looks: 1,
  hooksDone: [],
  gate: report("inconclusive", now - 5),
};
const member = (stamp: string, index: number, state: MemberState): RolloutMember => {
  return { stamp, wave: index, place: 0, from: old, to: fresh, state };
};
const members = [
  member("a", 0, { kind: "updated", since: now - 90_000, at: now - minute }),
  member("b", 1, { kind: "waiting" }),
];

test("planRollout() has a wave judged anew when a person lets it go on after a verdict that could not tell (I35)", () => {
  const { rollout } = commandRollout(unsure, members, { kind: "resume" }, { actor: "ada", now });
  const judged = (at: number, gate?: GateReport) => {
    const seen = [fresh, old].map(({ stampDigest }) => {
      const runs = { aimed: stampDigest, running: stampDigest, isWhole: true, isLeaving: false };
      return { phase: "active", observedAt: at, ...runs } as const;
    });
    const world = { now: at, members: new Map(seen.map((one, n) => [n === 0 ? "a" : "b", one])), barred: new Map() };
    return planRollout(rollout, members, { ...world, ...(gate === undefined ? {} : { gate }) });
  };
  const later = now + 2_000;
  expect(judged(later), "asked").toMatchObject({ next: { kind: "baking", wave: 0 }, needsGate: true });
  expect(judged(later, report("go", now - 1)).next.kind, "of before").toBe("baking");
  expect(judged(later, report("go", later)).next).toEqual({ kind: "updating", wave: 1, since: later });
  expect(judged(later, report("abort", later)).next.kind).toBe("aborting");
  expect(judged(later, report("inconclusive", later)).next.kind).toBe("baking");
  const end = now + strategyFor().gate.waitMs;
  expect(judged(end, report("inconclusive", end)).next).toMatchObject({ kind: "paused", by: "gate" });
  expect(isLookDue(rollout, later), "it has spent its part of alpha").toBe(false);
  expect(isLookDue({ ...rollout, looks: 0 }, later), "it found too little before").toBe(true);
});
