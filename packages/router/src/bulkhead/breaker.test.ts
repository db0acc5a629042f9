import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  admit,
  type BreakerRules,
  type BreakerState,
  breakerNext,
  newBreaker,
  type Permit,
  settle,
} from "./breaker.ts";
import { createStampBreakers } from "./stamp-breakers.ts";

const rules: BreakerRules = {
  failuresToOpen: 3,
  openMs: 100,
  longestOpenMs: 800,
  probes: 2,
  successesToClose: 2,
  probeMs: 1_000,
};

/** A stamp that fails `count` requests, one after the other. */
function afterFailures(count: number, now = 0): BreakerState {
  let state: BreakerState = newBreaker;
  for (let n = 0; n < count; n++) {
    const asked = admit(state, now, 0, rules);
    if (asked.kind !== "pass") throw new Error("It should pass");
    state = settle(asked.next, asked.permit, "failure", { now, chance: 0 }, rules);
  }
  return state;
}

describe("breaker", () => {
  test("opens after failures in a row, and a success in between starts the count anew", () => {
    expect(afterFailures(2).kind).toBe("closed");
    expect(afterFailures(3).kind).toBe("open");
    let state = afterFailures(2);
    state = settle(state, { generation: 0, probe: false }, "success", { now: 0, chance: 0 }, rules);
    state = settle(state, { generation: 0, probe: false }, "failure", { now: 0, chance: 0 }, rules);
    expect(state).toMatchObject({ kind: "closed", failures: 1 });
  });

  test("refuses while open and says when to come again; then lets a bounded number of probes through", () => {
    const open = afterFailures(3);
    expect(admit(open, 10, 0, rules)).toMatchObject({ kind: "refuse", retryAfterMs: 65 });
    const first = admit(open, 75, 0, rules);
    expect(first).toMatchObject({ kind: "pass", permit: { probe: true } });
    const second = admit(first.next, 76, 0, rules);
    expect(second.kind).toBe("pass");
    expect(admit(second.next, 77, 0, rules).kind).toBe("refuse");
  });

  test("closes after enough successful probes; one failed probe opens it for longer", () => {
    const first = admit(afterFailures(3), 75, 0, rules);
    const second = admit(first.next, 75, 0, rules);
    if (first.kind !== "pass" || second.kind !== "pass") throw new Error("Both should pass");
    const at = { now: 80, chance: 0 };
    const once = settle(second.next, first.permit, "success", at, rules);
    expect(once.kind).toBe("half-open");
    expect(settle(once, second.permit, "success", at, rules)).toMatchObject({ kind: "closed", failures: 0 });
    expect(settle(once, second.permit, "failure", at, rules)).toMatchObject({ kind: "open", until: 80 + 150 });
  });

  test("takes probes that are never heard of again for failed", () => {
    const probing = admit(afterFailures(3), 75, 0, rules);
    const late = admit(probing.next, 75 + rules.probeMs, 0, rules);
    expect(late).toMatchObject({ kind: "refuse", next: { kind: "open", trips: 2 } });
  });

  test("an outcome from before it opened changes nothing after", () => {
    const open = afterFailures(3);
    const old: Permit = { generation: 0, probe: false };
    expect(settle(open, old, "success", { now: 1, chance: 0 }, rules)).toBe(open);
    const probing = admit(open, 75, 0, rules).next;
    expect(settle(probing, old, "failure", { now: 76, chance: 0 }, rules)).toBe(probing);
  });

  test("over any history: allowed steps only, probes bounded, no refusal while closed, and it always recovers", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 400 }) }),
      fc.record({ kind: fc.constant("ask" as const) }),
      fc.record({
        kind: fc.constant("end" as const),
        which: fc.nat(20),
        outcome: fc.constantFrom("success" as const, "failure" as const, "failure" as const, "abandoned" as const),
      }),
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 120 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (steps, chance) => {
          let state: BreakerState = newBreaker;
          let now = 0;
          const held: Permit[] = [];
          const go = (next: BreakerState) => {
            if (next.kind !== state.kind) expect(breakerNext[state.kind]).toContain(next.kind);
            expect(next.generation).toBeGreaterThanOrEqual(state.generation);
            if (next.kind === "half-open") {
              const probing = held.filter((one) => one.probe && one.generation === next.generation).length;
              expect(next.probes).toBeLessThanOrEqual(rules.probes);
              expect(next.probes).toBe(probing);
            }
            state = next;
          };
          for (const one of steps) {
            if (one.kind === "wait") now += one.ms;
            else if (one.kind === "ask") {
              const wasClosed = state.kind === "closed";
              const asked = admit(state, now, chance, rules);
              if (asked.kind === "pass") held.push(asked.permit);
              else {
                expect(wasClosed).toBe(false);
                expect(asked.retryAfterMs).toBeGreaterThan(0);
                expect(asked.retryAfterMs).toBeLessThanOrEqual(rules.longestOpenMs);
              }
              go(asked.next);
            } else {
              const [permit] = held.splice(one.which % Math.max(1, held.length), 1);
              if (permit !== undefined) go(settle(state, permit, one.outcome, { now, chance }, rules));
            }
          }
          // The stamp is well again: whoever keeps asking gets through within a bounded time.
          for (let turn = 0; turn < 20 && state.kind !== "closed"; turn++) {
            now += rules.longestOpenMs;
            const asked = admit(state, now, chance, rules);
            state = asked.next;
            if (asked.kind === "pass") state = settle(state, asked.permit, "success", { now, chance }, rules);
          }
          expect(state.kind).toBe("closed");
        },
      ),
      { numRuns: 500 },
    );
  });
});

test("stamp breakers are apart: one stamp's failures refuse nothing of another (I12)", () => {
  let now = 0;
  const breakers = createStampBreakers({ now: () => now, chance: () => 0 }, rules);
  for (let n = 0; n < 3; n++) {
    const permit = breakers.enter("sick");
    if (typeof permit !== "number") breakers.leave("sick", permit, "failure");
    const other = breakers.enter("well");
    if (typeof other !== "number") breakers.leave("well", other, "success");
  }
  expect(breakers.enter("sick")).toBe(75);
  expect(breakers.enter("well")).toMatchObject({ probe: false });
  expect(breakers.tripped()).toEqual(["sick"]);
  now = 80;
  expect(breakers.enter("sick")).toMatchObject({ probe: true });
  expect(breakers.stateOf("sick")).toBe("half-open");
  breakers.remove("sick");
  expect(breakers.stateOf("sick")).toBe("closed");
});
