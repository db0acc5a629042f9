import { expect, test } from "vitest";
import { treeLines } from "../../output/progress-tree.ts";
import { rolloutNode } from "./rollout-nodes.ts";
import { aborted, at, baking, begun, member } from "./test-rollouts.ts";

const nowMs = Date.parse(at) + 300_000;
const draw = (
  ...[rollout, members]: Parameters<typeof rolloutNode> extends [infer R, infer M, unknown] ? [R, M] : never
) => treeLines([rolloutNode(rollout, members, { isLive: true, nowMs })], 100).join("\n");

test("rolloutNode() draws waves, the stamps of the one under way, what it waits for, its time and its gate", () => {
  const members = [member("shared-1", 0, { phase: "updated", since: at, at }), member("shared-2", 1)];
  expect(
    draw(baking, members),
  ).toBe(`⠋ rollout ro-1 of 1.1.0  baking until 05:12:00 UTC (7 min left); 1 of 2 stamps updated
  ├ · waiting  the bake of wave canary
  ├ · time  active 60 s, baking 10 min, waiting 0 ms
  ├ ⠋ wave canary  1 of 1 updated, bakes 10 min
  │ └ ✓ shared-1  updated, 1.0.0 to 1.1.0
  ├ · wave rest  0 of 1 updated, wants an approval
  └ · gate  inconclusive, enough to tell in about 90 s
    ├ ✓ health  every component of shared-1 is healthy
    └ · errors  120 of 300 requests so far`);
});

test("rolloutNode() shows the stamps that go back, and why, and asks the gate no more", () => {
  const { wave: _, ...ended } = begun;
  const aborting = {
    ...ended,
    phase: "aborting" as const,
    why: "errors: 6.1% beside 1.0% of siblings",
    waitingOn: "1 to run again what it ran before",
    members: { ...begun.members, updating: 0, returning: 1 },
    gate: baking.gate as NonNullable<typeof baking.gate>,
  };
  const back = [member("shared-1", 0, { phase: "returning", since: at }), member("shared-2", 1)];
  expect(draw(aborting, back)).toBe(`✗ rollout ro-1 of 1.1.0  aborting (for 5 min); 0 of 2 stamps updated, 1 going back
  ├ · why  errors: 6.1% beside 1.0% of siblings
  ├ · waiting  1 to run again what it ran before
  ├ · time  active 60 s, baking 10 min, waiting 0 ms
  ├ ⠋ wave canary  0 of 1 back on what they ran
  │ └ ⠋ shared-1  returning, 1.1.0 to 1.0.0, for 5 min
  └ · wave rest  0 of 1 updated`);
  expect(draw(aborted, [member("shared-1", 0, { phase: "returned", at })])).toContain("✗ wave canary  1 of 1 back");
});

test("rolloutNode() fits a screen: of many waves those about the present one, of many stamps those that something happens to", () => {
  const wave = { name: "w", bakeMs: 0, maxUnavailable: 2, approval: false };
  const many = { ...begun, wave: 6, waves: Array.from({ length: 50 }, (_, n) => ({ ...wave, name: `w-${n}` })) };
  const phases = ["waiting", "updated", "updating", "failed"] as const;
  const members = Array.from({ length: 2_000 }, (_, n) =>
    member(`s-${n}`, 6, { phase: phases[Math.min(3, Math.floor(n / 600))] ?? "waiting", since: at, at }),
  );
  const lines = draw(many, members).split("\n");
  expect(lines.length).toBeLessThan(32);
  expect(lines).toContain("  ├ ✓ 3 waves more");
  expect(lines).toContain("  └ · 40 waves more");
  expect(lines).toContain("  │ ├ ✗ s-1800  failed, 1.0.0 to 1.1.0");
  expect(lines).toContain("  │ └ · and 1985 more");
});
