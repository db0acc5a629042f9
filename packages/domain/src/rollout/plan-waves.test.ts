import { forSeeds } from "@stampyard/testing";
import { describe, expect, test } from "vitest";
import { joinNewcomers } from "./join-newcomers.ts";
import { type PlannedWaves, planWaves } from "./plan-waves.ts";
import type { RolloutCandidate } from "./rollout-candidate.ts";
import type { RolloutStrategy, WaveSize } from "./strategy.ts";
import { aimOf, strategyFor } from "./test-rollouts.ts";

function stamp(name: string, over: Partial<RolloutCandidate> = {}): RolloutCandidate {
  const fixed = { region: "eu", pool: "shared", tiers: [], isDedicated: false, hasPinnedTenants: false };
  return { stamp: name, perMinute: 100, from: aimOf("r0"), to: aimOf("r1"), ...fixed, ...over };
}

function fleet(count: number, of: (n: number) => Partial<RolloutCandidate> = () => ({})): RolloutCandidate[] {
  return Array.from({ length: count }, (_, n) => stamp(`s-${n + 1}`, { perMinute: (n + 1) * 10, ...of(n) }));
}

function plan(candidates: readonly RolloutCandidate[], over: Partial<RolloutStrategy> = {}, hotfix = false) {
  return planWaves({ strategy: strategyFor(over), candidates, hotfix });
}

/** Stamps of each wave by its name, in order. */
function wavesOf({ waves, members }: PlannedWaves): Record<string, readonly string[]> {
  const entries = waves.map(({ name }, index) => {
    const mine = members.filter(({ wave, state }) => wave === index && state.kind === "waiting");
    return [name, mine.toSorted((a, b) => a.place - b.place).map((one) => one.stamp)] as const;
  });
  return Object.fromEntries(entries);
}

const sizes = (...list: readonly WaveSize[]) => list.map((size) => ({ size }));

describe("planWaves()", () => {
  test("takes the stamp with the least traffic that has enough of it as the canary, and says why", () => {
    expect(plan(fleet(10)).canary).toEqual({
      stamp: "s-6",
      why: "the least traffic of 10 with at least 60 requests per minute: 60 requests per minute",
      isEnough: true,
    });
    const quiet = plan(fleet(4)).canary;
    expect(quiet).toMatchObject({ stamp: "s-4", isEnough: false });
    expect(quiet?.why).toMatch(/none of 4 has 60 requests per minute, and it comes closest: 40 requests/);
    const unknown = plan(fleet(3, () => ({ perMinute: undefined }))).canary;
    expect(unknown).toMatchObject({ stamp: "s-1", isEnough: false });
    const half = fleet(3, (n) => (n === 0 ? { perMinute: undefined } : {}));
    expect(plan(half).canary?.stamp, "what is not measured may be a lot").toBe("s-3");
  });

  test("takes no dedicated stamp and no home of pinned tenants as the canary while there are others", () => {
    const some = fleet(10, (n) => ({ isDedicated: n === 5, hasPinnedTenants: n === 6 }));
    expect(plan(some).canary?.stamp).toBe("s-8");
    expect(wavesOf(plan(some))["late"]).toEqual(["s-6", "s-7"]);
    expect(plan(some, { lateRing: false }).canary?.stamp).toBe("s-6");
    expect(wavesOf(plan(some, { lateRing: false }))["late"]).toBeUndefined();
    const only = fleet(2, () => ({ isDedicated: true, perMinute: 90 }));
    expect(wavesOf(plan(only))).toEqual({ canary: ["s-1"], late: ["s-2"] });
  });

  test("takes the canary that is named, another one where that takes no part, and none that is not there", () => {
    const canary = { stamp: "s-1", leastPerMinute: 60 };
    expect(plan(fleet(10), { canary }).canary).toMatchObject({ stamp: "s-1", isEnough: false });
    const pinned = fleet(10, (n) => (n === 0 ? { skip: "it is pinned" } : {}));
    expect(plan(pinned, { canary }).canary).toMatchObject({
      stamp: "s-6",
      why: expect.stringMatching(/^instead of s-1, which takes no part: /),
    });
    const gone = () => plan(fleet(10), { canary: { ...canary, stamp: "nobody" } });
    expect(gone).toThrow(expect.objectContaining({ code: "STAMP_NOT_FOUND" }));
  });

  test("sizes waves by count, by share of all, by labels, and by what is left", () => {
    const some = fleet(20, (n) => ({ region: n % 4 === 0 ? "us" : "eu", ring: n < 4 ? "early" : "other" }));
    const waves = [
      { name: "early", size: { kind: "labels", labels: { ring: ["early"], region: ["eu"] } } },
      { size: { kind: "count", count: 3 } },
      { size: { kind: "percent", percent: 12 } },
      { size: { kind: "rest" } },
    ] as const;
    const planned = plan(some, { waves });
    const counts = Object.entries(wavesOf(planned)).map(([name, list]) => [name, list.length]);
    // 12% of 20 are 2.4, rounded up.
    expect(counts).toEqual([
      ["canary", 1],
      ["early", 3],
      ["wave-3", 3],
      ["wave-4", 3],
      ["wave-5", 10],
    ]);
    expect(wavesOf(planned)["early"]).toEqual(["s-2", "s-3", "s-4"]);
    const tiers = fleet(4, (n) => ({ tiers: n === 3 ? ["free"] : [] }));
    const free = plan(tiers, {
      waves: sizes({ kind: "labels", labels: { tier: ["free"] }, count: 5 }, { kind: "rest" }),
    });
    expect(free.notes, "s-4 is the canary").toEqual(["a wave by labels takes nobody"]);
  });

  test("rounds a share up to whole stamps, and never a share that is whole already", () => {
    for (const [all, percent, count] of [
      [100, 7, 7],
      [625, 1.12, 7],
      [10, 1, 1],
      [3, 34, 2],
      [29, 100, 29],
    ] as const) {
      const { canary: _, ...strategy } = strategyFor({ waves: sizes({ kind: "percent", percent }) });
      const { waves, members } = planWaves({ strategy, candidates: fleet(all), hotfix: false });
      expect(
        members.filter((one) => one.wave === 0),
        `${percent}% of ${all}`,
      ).toHaveLength(count);
      expect(waves).toHaveLength(count === all ? 1 : 2);
    }
  });

  test("takes as large a share of each region into a wave, and the least traffic first", () => {
    const some = fleet(40, (n) => ({ region: ["eu", "eu", "eu", "us"][n % 4] ?? "eu" }));
    const { canary: _, ...strategy } = strategyFor({
      waves: sizes({ kind: "percent", percent: 25 }, { kind: "rest" }),
    });
    const first = wavesOf(planWaves({ strategy, candidates: some, hotfix: false }))["wave-1"] ?? [];
    const regions = first.map((name) => some.find((one) => one.stamp === name)?.region);
    expect(regions.filter((region) => region === "us").length).toBeGreaterThanOrEqual(2);
    expect(regions.filter((region) => region === "us").length).toBeLessThanOrEqual(3);
    const traffic = first.map((name) => some.find((one) => one.stamp === name)?.perMinute ?? 0);
    expect(traffic).toEqual(traffic.toSorted((a, b) => a - b));
    expect(Math.max(...traffic), "low traffic first").toBeLessThanOrEqual(140);
  });

  test("leaves nobody out unsaid", () => {
    const planned = plan(fleet(5), { waves: sizes({ kind: "count", count: 1 }) });
    expect(wavesOf(planned)).toEqual({ canary: ["s-5"], "wave-2": ["s-1"], rest: ["s-2", "s-3", "s-4"] });
    expect(planned.notes).toEqual(["no rule takes 3, which go in a wave of their own"]);
    const none = plan([stamp("s-1", { from: aimOf("r1") }), stamp("s-2", { skip: "it is pinned" })]);
    expect(none.waves).toEqual([]);
    expect(none.canary).toBeUndefined();
    expect(none.members.map(({ stamp: name, state }) => [name, "why" in state ? state.why : ""])).toEqual([
      ["s-1", "it runs this already"],
      ["s-2", "it is pinned"],
    ]);
  });

  test("gives each wave what its rule says, and the strategy's for the rest; a hotfix does not bake its first", () => {
    const over: Partial<RolloutStrategy> = {
      canary: { leastPerMinute: 60, bakeMs: 7_000, approval: true },
      waves: [{ size: { kind: "rest" }, maxUnavailable: 9, approval: true }],
    };
    const canary = { name: "canary", bakeMs: 7_000, maxUnavailable: 2, approval: true };
    const rest = { name: "wave-2", bakeMs: 60_000, maxUnavailable: 9, approval: true };
    expect(plan(fleet(9), over).waves).toEqual([canary, rest]);
    expect(plan(fleet(9), over, true).waves).toEqual([{ ...canary, bakeMs: 0 }, rest]);
  });

  test("puts everybody into one wave and place, whatever fleet and strategy", async () => {
    await forSeeds(500, (random) => {
      const kinds: readonly WaveSize[] = [
        { kind: "count", count: random.int(1, 9) },
        { kind: "percent", percent: random.int(1, 100) },
        { kind: "labels", labels: { region: ["eu"] } },
        { kind: "rest" },
      ];
      const waves = sizes(...Array.from({ length: random.int(0, 5) }, () => random.pick(kinds)));
      const some = fleet(random.int(0, 60), () => ({
        region: random.pick(["eu", "us", "ap"]),
        perMinute: random.pick([undefined, 0, random.int(0, 900)]),
        isDedicated: random.chance(0.1),
        ...(random.chance(0.1) ? { skip: "it is pinned" } : {}),
      }));
      const planned = plan(some, { waves });
      expect(planned.members.map((one) => one.stamp).toSorted()).toEqual(some.map((one) => one.stamp).toSorted());
      const places = planned.members.map(({ wave, place }) => `${wave}/${place}`);
      expect(new Set(places).size).toBe(places.length);
      const begin = planned.members.filter(({ state }) => state.kind === "waiting");
      for (const index of planned.waves.keys()) {
        expect(
          begin.some(({ wave }) => wave === index),
          `wave ${index} has members`,
        ).toBe(true);
      }
      expect(begin.every(({ wave }) => wave < planned.waves.length)).toBe(true);
      expect(plan(some.toReversed(), { waves }), "whatever order they come in").toEqual(planned);
    });
  });
});

test("joinNewcomers() adds them in a last wave, once", () => {
  const strategy = strategyFor();
  const { waves, members } = plan(fleet(3));
  const came = [stamp("s-9", { perMinute: 5 }), stamp("s-8"), stamp("s-1")];
  const joined = joinNewcomers({ waves, strategy }, members, came);
  expect(joined.waves).toHaveLength(waves.length + 1);
  expect(joined.members.map(({ stamp: name, wave, place }) => [name, wave, place])).toEqual([
    ["s-9", waves.length, 0],
    ["s-8", waves.length, 1],
  ]);
  const again = joinNewcomers({ waves: joined.waves, strategy }, [...members, ...joined.members], came);
  expect(again).toEqual({ waves: joined.waves, members: [] });
});
