import { defaultGate, defaultStrategy } from "@stampyard/domain";
import { describe, expect, test } from "vitest";
import { parseFleet } from "./fleet.ts";
import { overrideStrategy } from "./override-strategy.ts";
import { badFile, type Row } from "./testing/bad-file.ts";

const good = `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: shop }
template: ./stamp.yaml
tiers: { gold: {} }
pools:
  shared: { regions: [eu, us], stamps: { min: 1, max: 30 }, ring: early }
  alone: { tenancy: dedicated, regions: [eu], stamps: { min: 0, max: 10 } }
routing: { domains: [localhost] }
rollout:
  canary: { leastPerMinute: 30, bake: 15m, approval: true }
  waves:
    - { name: early, labels: { ring: [early], region: [eu, us] }, count: 3, maxUnavailable: 2 }
    - { percent: 25, bake: 0s }
    - { rest: true, approval: true }
  maxUnavailable: 4
  bake: 7m
  updateWithin: 20m
  lateRing: false
  gate:
    errors: { worse: 0.02, leastRequests: { siblings: 500 } }
    latency: { worse: 150ms }
    mostErrors: 0.1
    tenant: { leastRequests: 50 }
    mostRestarts: 0
    queueLag: { most: 100 }
    probes:
      - { name: home, path: /healthz, status: 204, timeout: 2s }
      - { name: smoke, command: "node smoke.js 'one word'" }
    queries:
      - { name: rate, url: "http://prometheus:9090", query: "sum(rate(x{stamp='\${stamp}'}[1m]))", atLeast: 1.5 }
    alpha: 0.005
    wait: 1h
  hooks:
    - { name: chat, point: after-wave, url: "https://hooks.example.com/x", onFailure: ignore }
    - { name: gate, point: before-rollout, command: [./ask.sh, now], timeout: 10m }
  onAbort: pause
  onNewer: supersede
freezes:
  weekend: { zone: Europe/Berlin, weekly: { from: fri 16:00, to: mon 08:00 } }
  christmas:
    zone: America/New_York
    from: 2026-12-20T00:00
    to: 2027-01-02T12:30
    stops: [rollouts, destroys]
    pools: [shared]
    regions: [eu]
    stamps: [shared-1]
`;

test("parseFleet() reads how releases go over the fleet, and fills in what is not said", () => {
  const parsed = parseFleet(good, { file: "fleet.yaml" });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const { rollout, pools } = parsed.fleet;
  expect(pools.find(({ name }) => name === "shared")?.ring).toBe("early");
  expect(rollout).toEqual({
    canary: { leastPerMinute: 30, bakeMs: 900_000, approval: true },
    waves: [
      {
        name: "early",
        size: { kind: "labels", labels: { ring: ["early"], region: ["eu", "us"] }, count: 3 },
        maxUnavailable: 2,
      },
      { size: { kind: "percent", percent: 25 }, bakeMs: 0 },
      { size: { kind: "rest" }, approval: true },
    ],
    maxUnavailable: 4,
    bakeMs: 420_000,
    updateWithinMs: 1_200_000,
    lateRing: false,
    gate: {
      enforced: true,
      errors: { worse: 0.02, leastRequests: { updated: 300, siblings: 500 } },
      latency: { worseMs: 150 },
      mostErrors: 0.1,
      tenant: { leastRequests: 50, errorShare: 0.5 },
      mostRestarts: 0,
      queueLag: { most: 100 },
      probes: [
        { kind: "http", name: "home", path: "/healthz", status: 204, timeoutMs: 2_000 },
        { kind: "command", name: "smoke", command: ["node", "smoke.js", "one word"], timeoutMs: 5_000 },
      ],
      queries: [
        { name: "rate", url: "http://prometheus:9090", query: "sum(rate(x{stamp='${stamp}'}[1m]))", atLeast: 1.5 },
      ],
      alpha: 0.005,
      waitMs: 3_600_000,
    },
    hooks: [
      {
        name: "chat",
        point: "after-wave",
        call: { kind: "http", url: "https://hooks.example.com/x" },
        timeoutMs: 30_000,
        onFailure: "ignore",
      },
      {
        name: "gate",
        point: "before-rollout",
        call: { kind: "command", command: ["./ask.sh", "now"] },
        timeoutMs: 600_000,
        onFailure: "pause",
      },
    ],
    onAbort: "pause",
    onNewer: "supersede",
  });
});

test("parseFleet() reads freeze windows, by name", () => {
  const parsed = parseFleet(good, { file: "fleet.yaml" });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  expect(parsed.fleet.freezes).toEqual([
    {
      name: "christmas",
      scope: { pools: ["shared"], regions: ["eu"], stamps: ["shared-1"] },
      stops: ["rollouts", "destroys"],
      zone: "America/New_York",
      kind: "dates",
      from: "2026-12-20T00:00",
      to: "2027-01-02T12:30",
    },
    {
      name: "weekend",
      scope: {},
      stops: ["rollouts"],
      zone: "Europe/Berlin",
      kind: "weekly",
      from: { day: 5, minute: 960 },
      to: { day: 1, minute: 480 },
    },
  ]);
});

test("parseFleet() leaves what a file does not say at the default", () => {
  const [head = ""] = good.split("rollout:");
  const read = (text: string) => {
    const parsed = parseFleet(head + text, { file: "fleet.yaml" });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
    return parsed.fleet.rollout;
  };
  expect(read("")).toBeUndefined();
  expect(read("rollout: {}\n")).toEqual(defaultStrategy);
  // How long waves are watched is said of the first one too, and a first wave may be left out.
  expect(read("rollout: { bake: 30s }\n")?.canary?.bakeMs).toBe(30_000);
  expect(read("rollout: { canary: false, gate: { enforced: false } }\n")).toEqual({
    ...read("rollout: { canary: false }\n"),
    gate: { ...defaultGate, enforced: false },
  });
  expect(read("rollout: { canary: false }\n")?.canary).toBeUndefined();
});

test("overrideStrategy() changes what it names and nothing else", () => {
  const base = { ...defaultStrategy, canary: { leastPerMinute: 5, stamp: "shared-1", approval: true } };
  const of = (words: unknown) => {
    const overridden = overrideStrategy(base, words);
    if (!overridden.ok) throw new Error(JSON.stringify(overridden.problems));
    return overridden.strategy;
  };
  expect(of({})).toEqual(base);
  expect(of(undefined)).toEqual(base);
  expect(of({ maxUnavailable: 3, gate: { mostRestarts: 9 } })).toEqual({
    ...base,
    maxUnavailable: 3,
    gate: { ...base.gate, mostRestarts: 9 },
  });
  expect(of({ canary: { stamp: "shared-2", bake: "2m" } }).canary).toEqual({
    leastPerMinute: 5,
    stamp: "shared-2",
    approval: true,
    bakeMs: 120_000,
  });
  expect(of({ waves: [{ count: 1 }] }).waves).toEqual([{ size: { kind: "count", count: 1 } }]);
});

test.each([
  ["a field that is none", { bakes: "1m" }, "Unknown field rollout.bakes", "bake"],
  ["a wave of nobody", { waves: [{}] }, "Wave does not say who is in it", "percent"],
  ["a value out of range", { maxUnavailable: 0 }, "Invalid value 0 of rollout.maxUnavailable", "1 to 100"],
  ["words that are a list", [1], "Invalid value (a list) of rollout", "a map of rollout fields"],
  ["words that are a text", "all", 'Invalid value "all" of rollout', "a map of rollout fields"],
])("overrideStrategy() refuses %s", (_, words, message, mend) => {
  const overridden = overrideStrategy(defaultStrategy, words);
  if (overridden.ok) throw new Error("It was taken for good");
  expect(overridden.problems[0]?.message).toContain(message);
  expect(overridden.problems[0]?.mend).toContain(mend);
});

const rows: readonly Row[] = [
  ["canary", "canary: { leastPerMinute", "canary: ‸true #{ leastPerMinute", "of rollout.canary", "false for none"],
  [
    "field of a canary",
    "leastPerMinute: 30",
    "‸leastPerMinutes: 30",
    "Unknown field rollout.canary.leastPerMinutes",
    "leastPerMinute",
  ],
  ["bake", "bake: 7m", "bake: ‸7 minutes", 'Invalid value "7 minutes" of rollout.bake', "a duration from 0s to 336h"],
  ["wave without a size", "{ percent: 25, bake: 0s }", "‸{ bake: 0s }", "Wave does not say who is in it", "percent"],
  [
    "wave of two sizes",
    "percent: 25, bake",
    "count: 1, ‸percent: 25, bake",
    "Wave has both count and percent",
    "one of them",
  ],
  [
    "rest that is not last",
    "- { percent: 25, bake: 0s }",
    "- { ‸rest: true }",
    "Nothing is left for the waves after",
    "Move it",
  ],
  ["percentage", "percent: 25", "percent: ‸0", "Invalid value 0 of rollout.waves[1].percent", "a percentage from 0.01"],
  ["ring of a wave", "ring: [early], region", "ring: [‸earlie], region", "Unknown ring earlie", "early"],
  ["region of a wave", "region: [eu, us] }, count", "region: [‸ue, us] }, count", "Unknown region ue", "eu"],
  [
    "wave twice",
    "{ rest: true, approval",
    "{ name: ‸early, rest: true, approval",
    "Two are called wave early",
    "own name",
  ],
  ["probe that asks nothing", "command: \"node smoke.js 'one word'\"", "timeout: 1s", "Probe asks nothing", "path"],
  ["probe with a shell's sign", "'one word'", "| tee", "Command uses a shell sign", "sh"],
  [
    "status of a command",
    "name: smoke,",
    "name: smoke, ‸status: 200,",
    "Field status means nothing without path",
    "path",
  ],
  ["query without a bound", ", atLeast: 1.5", "", "Query says nothing of what is good", "atMost"],
  ["hook of two calls", "command: [./ask.sh, now]", 'url: "http://x/", ‸command: [x]', "Both url and command", "two"],
  ["point of a hook", "point: after-wave", "point: ‸after-waves", 'Invalid value "after-waves"', "after-wave"],
  ["policy", "onNewer: supersede", "onNewer: ‸replace", 'Invalid value "replace" of rollout.onNewer', "queue, batch"],
  ["alpha", "alpha: 0.005", "alpha: ‸0.5", "Invalid value 0.5 of rollout.gate.alpha", "a share from 0.0001"],
  ["zone", "zone: Europe/Berlin", "zone: ‸Europe/Berlinn", 'Invalid value "Europe/Berlinn"', "a time zone such as"],
  ["day of the week", "from: fri 16:00", "from: ‸friday 16:00", 'Invalid value "friday 16:00"', "fri 16:00"],
  ["time of the day", "to: mon 08:00", "to: ‸mon 24:00", 'Invalid value "mon 24:00"', "fri 16:00"],
  ["window of a whole week", "to: mon 08:00", "‸to: fri 16:00", "Freeze window is open all week", "stampyard freeze"],
  [
    "day of no calendar",
    "2027-01-02T12:30",
    "‸2027-02-30T12:30",
    'Invalid value "2027-02-30T12:30"',
    "a date and a time",
  ],
  ["window that ends first", "to: 2027-01-02T12:30", "‸to: 2026-01-02T12:30", "ends before it begins", "after from"],
  ["half a window", "    to: 2027-01-02T12:30\n", "", "Freeze window does not say when", "from: and to:"],
  [
    "window of both kinds",
    "weekly: { from: fri",
    "‸to: 2026-12-21T00:00, weekly: { from: fri",
    "both weekly and to",
    "two windows",
  ],
  ["pool of a window", "pools: [shared]", "pools: [‸share]", "Unknown pool share", "shared"],
  ["what a window stops", "[rollouts, destroys]", "[rollouts, ‸routing]", 'Invalid value "routing"', "rollouts, moves"],
];

describe("parseFleet() refuses, where it stands and with a mend", () => {
  test.each(rows)("%s", (_, from, to, message, mend) => {
    const { text, place } = badFile(good, from, to);
    const parsed = parseFleet(text, { file: "fleet.yaml" });
    if (parsed.ok) throw new Error("It was taken for good");
    const [problem] = parsed.problems;
    expect(parsed.problems, JSON.stringify(parsed.problems)).toHaveLength(1);
    expect(problem?.message).toContain(message);
    expect(problem?.mend).toContain(mend);
    if (place !== undefined) expect(problem).toMatchObject(place);
  });
});
