import { createDirectory } from "@stampyard/directory";
import type { RoutingLimits } from "@stampyard/domain";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTenantGate, limitsFor } from "./tenant-gate.ts";

describe("createTenantGate()", () => {
  test("lets a burst through, then the rate, and says when to come again", () => {
    let now = 0;
    const gate = createTenantGate(() => now);
    const limits = { requestsPerSecond: 10, burst: 3 };
    const kinds = () => gate.enter("acme", limits).kind;
    expect([kinds(), kinds(), kinds(), kinds()]).toEqual(["in", "in", "in", "rate"]);
    expect(gate.enter("acme", limits)).toEqual({ kind: "rate", retryAfterMs: 100 });
    expect(gate.enter("globex", limits).kind).toBe("in");
    now += 100;
    expect([kinds(), kinds()]).toEqual(["in", "rate"]);
    expect(gate.inFlight("acme")).toBe(4);
  });

  test("counts what is on its way, with and without a limit", () => {
    const gate = createTenantGate(() => 0);
    expect(gate.enter("acme", undefined).kind).toBe("in");
    expect(gate.enter("acme", { concurrency: 2 }).kind).toBe("in");
    expect(gate.enter("acme", { concurrency: 2 }).kind).toBe("concurrency");
    gate.leave("acme");
    expect(gate.enter("acme", { concurrency: 2 }).kind).toBe("in");
    gate.leave("acme");
    gate.leave("acme");
    expect(gate.inFlight("acme")).toBe(0);
  });

  test("never lets more through than burst and rate allow, however the time passes", () => {
    const steps = fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 40 }), (waits, rate, burst) => {
        let now = 0;
        let passed = 0;
        const gate = createTenantGate(() => now);
        for (const wait of waits) {
          now += wait;
          if (gate.enter("acme", { requestsPerSecond: rate, burst }).kind === "in") passed += 1;
          expect(passed).toBeLessThanOrEqual(burst + (now / 1_000) * rate + 1e-6);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("credits time at the part of the rate that it had then, and says demand of those with a part (D17)", () => {
    let now = 0;
    const gate = createTenantGate(() => now, undefined, 2);
    const limits = { requestsPerSecond: 10, burst: 100 };
    const admit = () => {
      let count = 0;
      while (count < 1_000 && gate.enter("acme", limits).kind === "in") count += 1;
      return count;
    };
    gate.setParts(new Map([["acme", 0.1]]));
    expect(admit()).toBe(10);
    expect(gate.demand()).toEqual([{ tenant: "acme", asked: 11, refused: 1 }]);
    now += 5_000;
    gate.setParts(new Map([["acme", 0.9]]));
    expect(admit()).toBe(5);
    now += 5_000;
    expect(admit()).toBe(45);
    gate.setParts(new Map());
    now += 1_000;
    // Equal parts again.
    expect(admit()).toBe(5);
    expect(gate.demand()).toEqual([{ tenant: "acme", asked: 58, refused: 3 }]);
    expect(gate.demand()).toEqual([]);
    gate.enter("globex", limits);
    expect(gate.demand()).toEqual([]);
  });

  test("forgets only tenants that would start full anyway, unless more come than fit (I13)", () => {
    let now = 0;
    const gate = createTenantGate(() => now, 4);
    const limits = { requestsPerSecond: 1, burst: 1 };
    expect(gate.enter("acme", limits).kind).toBe("in");
    now += 900;
    expect(gate.enter("acme", limits).kind).toBe("rate");
    for (let n = 0; n < 100; n++) gate.enter(`t${n}`, limits);
    // Two generations later it is forgotten: memory first.
    expect(gate.enter("acme", limits).kind).toBe("in");
  });
});

test("limitsFor() takes the tier's limits, else the pool's, else the general ones", () => {
  const limits = { requestsPerSecond: 1, pools: { big: { concurrency: 9 } } };
  const directory = createDirectory();
  for (const [tenant, tier] of [["acme", "gold"], ["globex", "silver"], ["umbrella"]] as const) {
    const put = { kind: "tenant-put", tenant, stamp: "eu-1", epoch: 1, hostnames: [] } as const;
    directory.apply(tier === undefined ? put : { ...put, tier });
  }
  const of = (of: RoutingLimits | undefined, pool: string, tenant = "acme") => limitsFor(of, pool, directory, tenant);
  expect(of(limits, "big")).toEqual({ concurrency: 9 });
  expect(of(limits, "shared")).toBe(limits);
  expect(of(undefined, "big")).toBeUndefined();
  const byTier = { ...limits, tiers: { gold: { concurrency: 50 }, standard: { concurrency: 2 } } };
  expect(of(byTier, "big")).toEqual({ concurrency: 50 });
  expect(of(byTier, "big", "globex")).toEqual({ concurrency: 9 });
  expect(of(byTier, "shared", "globex")).toBe(byTier);
  expect(of(byTier, "big", "umbrella")).toEqual({ concurrency: 2 });
});
