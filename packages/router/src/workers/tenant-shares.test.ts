import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTenantGate } from "../tenant-gate.ts";
import { createTenantShares } from "./tenant-shares.ts";

const busy = (asked: number, refused: number) => [{ tenant: "acme", asked, refused }];
const partsOf = (shares: ReturnType<typeof createTenantShares>, places: number) =>
  Array.from({ length: places }, (_, place) => shares.of(place).get("acme") ?? 1 / places);

describe("createTenantShares() (D17)", () => {
  test("gives a tenant whose connections lie on one worker nearly all of its rate, within two seconds of beats", () => {
    const shares = createTenantShares(4);
    const told = new Set<number>();
    for (let turn = 0; turn < 8; turn++) {
      shares.note(2, busy(100, 60));
      for (const place of [0, 1, 3]) if (shares.of(place).size > 0) shares.note(place, busy(0, 0));
      for (const place of shares.turn()) told.add(place);
    }
    expect(partsOf(shares, 4)[2]).toBeGreaterThan(0.9);
    expect(partsOf(shares, 4)[0]).toBeGreaterThan(0.02);
    expect([...told].sort()).toEqual([0, 1, 2, 3]);
  });

  test("waits until everybody has said what he sees, before it takes from anybody", () => {
    const shares = createTenantShares(2);
    shares.note(0, busy(50, 25));
    expect(shares.turn()).toEqual([0, 1]);
    expect(partsOf(shares, 2)).toEqual([0.5, 0.5]);
    for (let turn = 0; turn < 20; turn++) {
      for (const place of [0, 1]) shares.note(place, busy(50, 25));
      shares.turn();
    }
    expect(partsOf(shares, 2)[0]).toBeCloseTo(0.5);
  });

  test("is back at equal parts, and forgets the tenant, some time after its last refusal", () => {
    const shares = createTenantShares(2);
    for (let turn = 0; turn < 10; turn++) {
      shares.note(0, busy(50, 25));
      shares.turn();
    }
    expect(partsOf(shares, 2)[0]).toBeGreaterThan(0.9);
    let changed: readonly number[] = [];
    for (let turn = 0; turn < 60 && shares.of(0).size > 0; turn++) {
      shares.note(0, busy(5, 0));
      changed = shares.turn();
    }
    expect(shares.of(0).size).toBe(0);
    expect([...changed].sort()).toEqual([0, 1]);
  });

  test("follows a bounded number of tenants (I13)", () => {
    const shares = createTenantShares(2);
    shares.note(
      0,
      Array.from({ length: 10_000 }, (_, n) => ({ tenant: `t${n}`, asked: 2, refused: 1 })),
    );
    shares.turn();
    expect(shares.of(1).size).toBe(256);
  });

  test("never gives more than the whole, however late a worker reads what it is told", () => {
    const demand = fc.array(fc.array(fc.nat(50), { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 120 });
    fc.assert(
      fc.property(demand, (turns) => {
        const shares = createTenantShares(3);
        let before = partsOf(shares, 3);
        for (const asked of turns) {
          for (const [place, count] of asked.entries()) shares.note(place, busy(count, count > 10 ? 1 : 0));
          shares.turn();
          const now = partsOf(shares, 3);
          const most = now.reduce((sum, part, place) => sum + Math.max(part, before[place] ?? 0), 0);
          expect(most).toBeLessThan(1 + 1e-9);
          for (const part of now) expect(part).toBeGreaterThan(0.1 / 3 - 1e-9);
          before = now;
        }
      }),
      { numRuns: 300 },
    );
  });

  test("workers with parts let no more through together than burst and rate allow", () => {
    const rate = 40;
    const burst = 400;
    const phase = fc.record({
      place: fc.nat(2),
      turns: fc.integer({ min: 4, max: 60 }),
      everyMs: fc.constantFrom(2, 10, 60),
    });
    fc.assert(
      fc.property(fc.array(phase, { minLength: 1, maxLength: 8 }), (phases) => {
        let now = 0;
        let passed = 0;
        const shares = createTenantShares(3);
        const gates = Array.from({ length: 3 }, () => createTenantGate(() => now, undefined, 3));
        for (const { place, turns, everyMs } of phases) {
          const until = now + turns * 250;
          let turnAt = now + 250;
          while (now < until) {
            now += everyMs;
            if (gates[place]?.enter("acme", { requestsPerSecond: rate, burst }).kind === "in") passed += 1;
            gates[place]?.leave("acme");
            expect(passed).toBeLessThanOrEqual(burst + (now / 1_000) * rate + gates.length);
            if (now < turnAt) continue;
            turnAt += 250;
            for (const [at, gate] of gates.entries()) shares.note(at, gate.demand());
            for (const at of shares.turn()) gates[at]?.setParts(shares.of(at));
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test("a client on one worker comes to nearly the whole rate, and so again after it moved to another", () => {
    let now = 0;
    const rate = 200;
    const shares = createTenantShares(3);
    const gates = Array.from({ length: 3 }, () => createTenantGate(() => now, undefined, 3));
    for (const place of [1, 2]) {
      let passed = 0;
      for (let turn = 0; turn < 20; turn++) {
        if (turn === 12) passed = 0;
        for (let ms = 0; ms < 250; ms++) {
          now += 1;
          if (gates[place]?.enter("acme", { requestsPerSecond: rate, burst: 20 }).kind === "in") passed += 1;
          gates[place]?.leave("acme");
        }
        for (const [at, gate] of gates.entries()) shares.note(at, gate.demand());
        for (const at of shares.turn()) gates[at]?.setParts(shares.of(at));
      }
      expect(passed / (8 * 0.25)).toBeGreaterThan(rate * 0.85);
    }
  });
});
