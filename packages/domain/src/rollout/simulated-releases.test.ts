import { createSeededRandom } from "@stampyard/testing";
import { expect, test } from "vitest";
import { afterPlan } from "./after-plan.ts";
import { planRollout } from "./plan-rollout.ts";
import type { RolloutStrategy } from "./strategy.ts";
import {
  createTestFleet,
  judge,
  look,
  passTime,
  request,
  strategyFor,
  type TestFleet,
  write,
} from "./test-rollouts.ts";

const hour = 3_600_000;
const days = 2;
/** 30 releases a day. */
const everyMs = 48 * 60_000;
const stepMs = 120_000;

/** Five waves of half an hour. */
function fiveWaves(onNewer: RolloutStrategy["onNewer"]): RolloutStrategy {
  return strategyFor({
    waves: [5, 15, 30, 50].map((percent) => ({ size: { kind: "percent", percent } })),
    bakeMs: 30 * 60_000,
    maxUnavailable: 100,
    lateRing: false,
    onNewer,
  });
}

/** Every rollout that is open, one turn each, oldest first. */
function turns(fleet: TestFleet, random: ReturnType<typeof createSeededRandom>): void {
  for (const row of fleet.open()) {
    const world = look(fleet, row, random, 0);
    const first = planRollout(row.rollout, row.members, world);
    const gate = first.needsGate ? judge(fleet, row, world.now, random, 0) : undefined;
    const judged = gate === undefined ? world : { ...world, gate };
    const plan = planRollout(row.rollout, row.members, judged);
    const after = afterPlan(row.rollout, row.members, plan, judged);
    const fresh = plan.actions.flatMap((action) => {
      const member = row.members.find(({ stamp }) => action.kind === "refresh" && action.stamp === stamp);
      const aim = fleet.rows.get(member?.stamp ?? "")?.aim;
      return member === undefined || aim === undefined ? [] : [{ ...member, from: aim }];
    });
    write(fleet, row.revision, after.rollout, [...after.members, ...fresh]);
  }
}

/** What came of some days of 30 releases each. */
function simulate(onNewer: RolloutStrategy["onNewer"]) {
  const random = createSeededRandom(20);
  const fleet = createTestFleet(20);
  const begun = fleet.now.true;
  const strategy = fiveWaves(onNewer);
  /** When each release came; `r0` was there before. */
  const came: number[] = [0];
  let worstMs = 0;
  while (fleet.now.true < begun + days * 24 * hour && worstMs <= 24 * hour) {
    if (fleet.now.true >= begun + (came.length - 1) * everyMs) {
      const number = came.length;
      came.push(fleet.now.true);
      request(fleet, `ro-${number}`, `r${number}`, { strategy });
    }
    turns(fleet, random);
    passTime(fleet, stepMs, random);
    for (const { running } of fleet.rows.values()) {
      const next = came[Number(/r(\d+)/.exec(running)?.[1]) + 1];
      if (next !== undefined) worstMs = Math.max(worstMs, fleet.now.true - next);
    }
  }
  const done = [...fleet.kept.values()].filter(({ rollout }) => rollout.state.kind === "done").length;
  return { worstHours: worstMs / hour, done };
}

test("30 releases a day over five waves of half an hour leave no stamp more than 24 hours behind, but for a plain queue", () => {
  for (const onNewer of ["batch", "supersede"] as const) {
    const { worstHours, done } = simulate(onNewer);
    expect(worstHours, onNewer).toBeLessThan(8);
    expect(done, onNewer).toBeGreaterThan(10);
  }
  // One after the other, 30 releases of two and a half hours each do not fit into a day.
  expect(simulate("queue").worstHours).toBeGreaterThan(24);
}, 60_000);
