import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PlacementCandidate, PlacementRequest } from "./candidate.ts";
import { choosePlacement } from "./choose.ts";
import { explainPlacement } from "./explain.ts";
import { hasRoom } from "./filters.ts";
import { isBig } from "./scores.ts";
import { acme, anyCandidates, anyRequest, anySettings, candidate } from "./test-candidates.ts";

const full = candidate("a", { used: { tenants: 2 } });
const choose = (request: PlacementRequest, all: readonly PlacementCandidate[], settings = {}) =>
  choosePlacement(request, all, settings);

describe("choosePlacement()", () => {
  test("takes the emptiest by share, and the first name among equals", () => {
    const half = candidate("a", { limits: { tenants: 4 }, used: { tenants: 2 } });
    const third = candidate("c", { limits: { tenants: 9 }, used: { tenants: 3 } });
    expect(choose(acme, [half, third])).toEqual({ kind: "place", stamp: "c" });
    expect(choose(acme, [candidate("b"), candidate("a")])).toEqual({ kind: "place", stamp: "a" });
  });

  test("judges by the unit that is tightest, not by tenants alone", () => {
    const limits = { tenants: 100, rps: 100 };
    const fewButLoud = candidate("a", { limits, used: { tenants: 3, rps: 90 } });
    const manyButQuiet = candidate("b", { limits, used: { tenants: 60, rps: 10 } });
    expect(choose(acme, [fewButLoud, manyButQuiet])).toEqual({ kind: "place", stamp: "b" });
    expect(choose({ ...acme, weight: { rps: 11 } }, [fewButLoud])).toMatchObject({ kind: "full" });
  });

  test("pack fills one stamp before the next", () => {
    const used = candidate("b", { limits: { tenants: 4 }, used: { tenants: 2 } });
    const empty = candidate("a", { limits: { tenants: 4 } });
    expect(choose(acme, [empty, used], { strategy: "pack" })).toEqual({ kind: "place", stamp: "b" });
    expect(choose(acme, [empty, used])).toEqual({ kind: "place", stamp: "a" });
  });

  test("leaves a spare stamp empty until the others are full", () => {
    const used = candidate("a", { limits: { tenants: 4 }, used: { tenants: 3 } });
    const empty = candidate("b", { limits: { tenants: 4 } });
    expect(choose(acme, [used, empty], { spare: 1 })).toEqual({ kind: "place", stamp: "a" });
    expect(choose(acme, [{ ...used, used: { tenants: 4 } }, empty], { spare: 1 })).toEqual({
      kind: "place",
      stamp: "b",
    });
    expect(choose(acme, [used, empty, { ...empty, name: "c" }], { spare: 1 })).toEqual({ kind: "place", stamp: "b" });
  });

  test("is full at the high mark", () => {
    const most = candidate("a", { limits: { tenants: 10 }, used: { tenants: 8 }, high: 0.8 });
    expect(choose(acme, [most])).toEqual({ kind: "full", why: "the active stamp of pool main is full" });
  });

  test("spreads big tenants, even against pack", () => {
    const limits = { tenants: 100, gib: 1_000 };
    const withBig = candidate("a", { limits, used: { tenants: 40, gib: 500 }, bigTenants: 2 });
    const without = candidate("b", { limits, used: { tenants: 10, gib: 90 }, bigTenants: 0 });
    const pack = { strategy: "pack" } as const;
    expect(choose({ ...acme, weight: { gib: 200 } }, [withBig, without], pack)).toEqual({ kind: "place", stamp: "b" });
    expect(choose({ ...acme, weight: { gib: 2 } }, [withBig, without], pack)).toEqual({ kind: "place", stamp: "a" });
  });

  test("says nothing against the first big tenant, and calls nobody big for the one place that all take", () => {
    const small = candidate("a", { limits: { tenants: 5, gib: 10 } });
    const [first] = explainPlacement({ ...acme, weight: { gib: 5 } }, [small], {}).verdicts;
    expect(first?.scores).toMatchObject({ blast: 0 });
    expect(isBig({}, small.limits, {})).toBe(false);
    expect(isBig({ tenants: 2 }, small.limits, {})).toBe(true);
    expect(isBig({ gib: 1 }, small.limits, {})).toBe(true);
    expect(isBig({ gib: 1 }, small.limits, { bigFrom: 0.2 })).toBe(false);
  });

  test("goes back to the stamp it lived on, unless another is much emptier", () => {
    const before = candidate("b", { limits: { tenants: 10 }, used: { tenants: 4 } });
    const other = candidate("a", { limits: { tenants: 10 }, used: { tenants: 1 } });
    expect(choose({ ...acme, previous: "b" }, [other, before])).toEqual({ kind: "place", stamp: "b" });
    const crowded = { ...before, used: { tenants: 9 } };
    expect(choose({ ...acme, previous: "b" }, [other, crowded])).toEqual({ kind: "place", stamp: "a" });
  });

  test("keeps to the allowed regions, and names the rule that asks for them", () => {
    const us = candidate("us-1", { region: "us" });
    const inEu = { ...acme, residency: ["eu"] };
    expect(choose(inEu, [us])).toEqual({ kind: "full", why: "pool main has no stamp in eu" });
    expect(choose({ ...inEu, residencyRule: "gdpr" }, [us])).toEqual({
      kind: "full",
      why: "pool main has no stamp in eu, as residency rule gdpr asks for",
    });
    expect(choose({ ...acme, residency: ["eu", "us"] }, [us])).toEqual({ kind: "place", stamp: "us-1" });
  });

  test("a dedicated tenant gets the stamp built for it, then an empty one, and never another's", () => {
    const gold: PlacementRequest = { ...acme, tenancy: "dedicated" };
    const own = candidate("d-3", { tenancy: "dedicated", reservedFor: "acme" });
    const empty = candidate("d-1", { tenancy: "dedicated" });
    const others = candidate("d-2", { tenancy: "dedicated", reservedFor: "globex" });
    const taken = candidate("d-0", { tenancy: "dedicated", used: { tenants: 1 } });
    expect(choose(gold, [taken, empty, others, own])).toEqual({ kind: "place", stamp: "d-3" });
    expect(choose(gold, [taken, empty, others])).toEqual({ kind: "place", stamp: "d-1" });
    expect(choose(gold, [taken, others])).toEqual({
      kind: "full",
      why: "no stamp of pool main takes it: d-0 already has its one tenant; d-2 is kept for tenant globex",
    });
    expect(choose(acme, [empty])).toMatchObject({ kind: "full" });
  });

  test("a pinned tenant waits for its stamp, or hears why it cannot be", () => {
    const pinned: PlacementRequest = { ...acme, override: { kind: "pin", stamp: "b" } };
    expect(choose(pinned, [candidate("a"), candidate("b", { used: { tenants: 1 } })])).toEqual({
      kind: "place",
      stamp: "b",
    });
    expect(choose(pinned, [candidate("a"), candidate("b", { phase: "provisioning" })])).toEqual({
      kind: "wait",
      waitingOn: "stamp b, which is provisioning",
    });
    expect(choose(pinned, [candidate("a"), { ...full, name: "b" }])).toEqual({
      kind: "full",
      why: "it is pinned to stamp b, which has no room for 1 more tenants: 2 of 2 used",
    });
    expect(choose(pinned, [candidate("a")])).toEqual({
      kind: "full",
      why: "it is pinned to stamp b, which takes no tenants",
    });
  });

  test("a quarantined tenant lives with its like or alone, and nobody else joins it", () => {
    const sick: PlacementRequest = { ...acme, override: { kind: "quarantine" } };
    const healthy = candidate("a", { used: { tenants: 1 } });
    const ward = candidate("b", { used: { tenants: 1 }, quarantined: true });
    expect(choose(sick, [healthy, ward])).toEqual({ kind: "place", stamp: "b" });
    expect(choose(sick, [healthy, candidate("c")])).toEqual({ kind: "place", stamp: "c" });
    expect(choose(sick, [healthy])).toMatchObject({ kind: "full" });
    expect(choose(acme, [ward])).toMatchObject({ kind: "full" });
  });

  test("waits for a stamp that is still being built, then for one in trouble, then for the next one", () => {
    const built = candidate("b", { phase: "provisioning" });
    const lost = candidate("c", { trouble: "its engine does not answer" });
    const canGrow = { stampsLeft: 1, regions: ["eu"], limits: { tenants: 2 } };
    expect(choose(acme, [full, built, lost])).toEqual({ kind: "wait", waitingOn: "stamp b, which is provisioning" });
    expect(choose(acme, [full, lost], { canGrow })).toEqual({
      kind: "wait",
      waitingOn: "stamp c, which has room, and its engine does not answer",
    });
    const next = { kind: "wait", waitingOn: "the next stamp of pool main, which is not built yet" };
    expect(choose(acme, [full], { canGrow })).toEqual(next);
    expect(choose(acme, [], { canGrow })).toEqual(next);
    expect(choose(acme, [full], { canGrow: { ...canGrow, stampsLeft: 0 } })).toMatchObject({ kind: "full" });
    expect(choose({ ...acme, residency: ["us"] }, [full], { canGrow })).toMatchObject({ kind: "full" });
    expect(choose({ ...acme, weight: { tenants: 3 } }, [full], { canGrow })).toMatchObject({ kind: "full" });
    expect(choose({ ...acme, weight: { tenants: 2 } }, [full], { canGrow })).toEqual(next);
    expect(choose({ ...acme, weight: { tenants: 2 } }, [full], { canGrow: { ...canGrow, high: 0.9 } })).toMatchObject({
      kind: "full",
    });
  });

  test("says why it is full: no stamp, all full, a weight that never fits, or a tier that may not be here", () => {
    expect(choose(acme, [])).toEqual({ kind: "full", why: "pool main has no stamp" });
    expect(choose(acme, [full])).toEqual({ kind: "full", why: "the active stamp of pool main is full" });
    expect(choose(acme, [full, { ...full, name: "b" }])).toEqual({
      kind: "full",
      why: "all 2 active stamps of pool main are full",
    });
    expect(choose({ ...acme, weight: { tenants: 3 } }, [candidate("a")])).toEqual({
      kind: "full",
      why: "no stamp of pool main could hold this weight, even empty",
    });
    expect(choose(acme, [candidate("a")], { tiers: ["gold"] })).toEqual({
      kind: "full",
      why: "pool main is for tiers gold, not standard",
    });
  });

  test("a stamp that may hold nobody does not upset the order", () => {
    const zero = candidate("a", { limits: { tenants: 0 } });
    const weightless = { ...acme, weight: { tenants: 0 } };
    expect(choose(weightless, [zero, candidate("b")])).toEqual({ kind: "place", stamp: "a" });
  });
});

describe("any placement", () => {
  test("stays below every limit (I32), and within every filter", () => {
    fc.assert(
      fc.property(anyRequest, anyCandidates, anySettings, (request, all, settings) => {
        const placement = choosePlacement(request, all, settings);
        if (placement.kind !== "place") return;
        const home = all.find((c) => c.name === placement.stamp);
        if (home === undefined) throw new Error(`${placement.stamp} is not among the candidates`);
        for (const unit of ["tenants", "rps"]) {
          const more = request.weight[unit as "rps"] ?? (unit === "tenants" ? 1 : 0);
          expect((home.used[unit] ?? 0) + more).toBeLessThanOrEqual((home.limits[unit] ?? 0) * home.high + 1e-6);
        }
        expect(home).toMatchObject({ phase: "active", pool: request.pool, tenancy: request.tenancy });
        expect(home.trouble).toBeUndefined();
        if (request.residency.length > 0) expect(request.residency).toContain(home.region);
        if (request.channel !== undefined) expect(home.channel).toBe(request.channel);
        if (home.reservedFor !== undefined) expect(home.reservedFor).toBe(request.key);
        else if (home.tenancy === "dedicated") expect(home.used["tenants"]).toBe(0);
        if (settings.tiers !== undefined) expect(settings.tiers).toContain(request.tier);
        if (request.override?.kind === "pin") expect(home.name).toBe(request.override.stamp);
        if (request.override?.kind !== "quarantine") expect(home.quarantined).not.toBe(true);
        else expect(home.quarantined === true || home.used["tenants"] === 0).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test("does not depend on the order of the candidates", () => {
    fc.assert(
      fc.property(
        anyRequest,
        anyCandidates,
        anySettings,
        fc.infiniteStream(fc.nat()),
        (request, all, settings, keys) => {
          const shuffled = all.map((c) => ({ c, key: keys.next().value ?? 0 })).sort((a, b) => a.key - b.key);
          const other = shuffled.map(({ c }) => c);
          expect(explainPlacement(request, other, settings)).toEqual(explainPlacement(request, all, settings));
        },
      ),
    );
  });

  test("refuses nobody for whom a stamp is open: what is full or waits has no eligible stamp", () => {
    fc.assert(
      fc.property(anyRequest, anyCandidates, anySettings, (request, all, settings) => {
        const { placement, verdicts } = explainPlacement(request, all, settings);
        expect(placement).toEqual(choosePlacement(request, all, settings));
        expect(verdicts).toHaveLength(all.length);
        const open = verdicts.filter((verdict) => verdict.outcome !== "refused");
        expect(open.length > 0).toBe(placement.kind === "place");
        const chosen = verdicts.filter((verdict) => verdict.outcome === "chosen").map((verdict) => verdict.stamp);
        expect(chosen).toEqual(placement.kind === "place" ? [placement.stamp] : []);
        for (const { total } of open) expect(total).toBeLessThanOrEqual(verdicts[0]?.total ?? 0);
        for (const { why, filter, outcome } of verdicts) {
          expect(why).not.toBe("");
          expect(filter === undefined).toBe(outcome !== "refused");
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("explainPlacement()", () => {
  test("says for every stamp why it was chosen or not", () => {
    const all = [
      candidate("busy", { used: { tenants: 1 } }),
      candidate("free"),
      full,
      candidate("us-1", { region: "us" }),
      candidate("old", { phase: "destroying" }),
    ];
    const { verdicts } = explainPlacement({ ...acme, residency: ["eu"], residencyRule: "gdpr" }, all, {});
    expect(verdicts.map(({ stamp, outcome, filter, why }) => [stamp, outcome, filter, why])).toEqual([
      ["free", "chosen", undefined, "has the highest score, 0.5"],
      ["busy", "eligible", undefined, "has a score of 0, less than 0.5 of free"],
      ["a", "refused", "room", "has no room for 1 more tenants: 2 of 2 used"],
      ["old", "refused", "phase", "is destroying"],
      ["us-1", "refused", "residency", "is in us, which residency rule gdpr does not allow: only eu"],
    ]);
  });
});

test("hasRoom() counts a tenant as one place where no weight says otherwise", () => {
  expect(hasRoom(candidate("a", { used: { tenants: 1 } }), {})).toBe(true);
  expect(hasRoom(candidate("a", { used: { tenants: 2 } }), {})).toBe(false);
});
