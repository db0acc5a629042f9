import { describe, expect, test } from "vitest";
import { parseFleet } from "./fleet.ts";
import { parseTemplate } from "./template.ts";
import { badFile, type Row } from "./testing/bad-file.ts";

const good = `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: shop }
template: ./stamp.yaml
tiers:
  gold: { weight: { tenants: 2, rps: 50 } }
  free: {}
residency:
  gdpr: { when: [europe], regions: [eu] }
  banks: { tiers: [gold], regions: [eu, us] }
pools:
  shared:
    regions: [eu, us]
    stamps: { min: 1, max: 30, spare: 1 }
    tiers: [gold, standard]
    channel: stable
    placement: { strategy: pack, bigFrom: 0.2, bigShare: 0.4 }
    growth: { low: 0.7, high: 0.9, headroom: 0.25, buildTime: 10m }
    automation: { scaleUp: act, scaleDown: propose, drift: heal }
  alone:
    tenancy: dedicated
    regions: [eu]
    stamps: { min: 0, max: 10000 }
routing:
  domains: [localhost]
`;

const parsedTemplate = parseTemplate(
  `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: shop, version: 1.0.0 }
components: { api: { kind: service, command: x, port: auto } }
ingress: { service: api }
capacity: { tenants: 10, units: { rps: 100 } }
tenancy: { model: schema }
`,
  { file: "stamp.yaml" },
);
if (!parsedTemplate.ok) throw new Error("The template of this test is wrong");
const { template } = parsedTemplate;

test("parseFleet() reads how tenants are placed and pools grow", () => {
  const parsed = parseFleet(good, { file: "fleet.yaml", template });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const { tiers, residency, pools } = parsed.fleet;
  expect(tiers).toEqual({ gold: { weight: { tenants: 2, rps: 50 } }, free: { weight: {} } });
  expect(residency).toEqual([
    { name: "banks", tiers: ["gold"], regions: ["eu", "us"] },
    { name: "gdpr", when: ["europe"], regions: ["eu"] },
  ]);
  expect(pools[1]).toEqual({
    name: "shared",
    tenancy: "shared",
    regions: ["eu", "us"],
    stamps: { min: 1, max: 30, spare: 1 },
    tiers: ["gold", "standard"],
    channel: "stable",
    placement: { strategy: "pack", bigFrom: 0.2, bigShare: 0.4 },
    growth: { low: 0.7, high: 0.9, headroom: 0.25, buildTimeMs: 600_000 },
    automation: { scaleUp: "act", scaleDown: "propose", drift: "heal" },
    parameters: {},
  });
});

test("parseFleet() leaves out what a file does not say", () => {
  const plain = good
    .replace(/tiers:\n[\s\S]*?pools:/, "pools:")
    .replace(/, spare: 1[\s\S]*? {2}alone:/, " }\n  alone:");
  const parsed = parseFleet(plain, { file: "fleet.yaml", template });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  expect(Object.keys(parsed.fleet).sort()).toEqual(["name", "pools", "routing", "template"]);
  expect(parsed.fleet.pools[1]).toEqual({
    name: "shared",
    tenancy: "shared",
    regions: ["eu", "us"],
    stamps: { min: 1, max: 30 },
    parameters: {},
  });
});

const rows: readonly Row[] = [
  [
    "spare above max",
    "stamps: { min: 1, max: 30, spare: 1 }",
    "stamps: ‸{ min: 1, max: 30, spare: 31 }",
    "Field spare is above max in pools.shared.stamps",
    "Raise max",
  ],
  [
    "low above high",
    "growth: { low: 0.7,",
    "growth: ‸{ low: 0.95,",
    "Field low is above high in pools.shared.growth",
    "Lower low",
  ],
  [
    "high above 1",
    "high: 0.9",
    "high: ‸1.1",
    "Invalid value 1.1 of pools.shared.growth.high",
    "a share from 0.01 to 1",
  ],
  ["low as percent", "low: 0.7", "low: ‸70%", 'Invalid value "70%" of pools.shared.growth.low', "a share"],
  ["all as headroom", "headroom: 0.25", "headroom: ‸1", "Invalid value 1 of pools.shared.growth.headroom", "0 to 0.9"],
  [
    "build time without a unit",
    "buildTime: 10m",
    "buildTime: ‸10",
    "Invalid value 10 of pools.shared.growth.buildTime",
    "a duration",
  ],
  [
    "strategy",
    "strategy: pack",
    "strategy: ‸binpack",
    'Invalid value "binpack" of pools.shared.placement.strategy',
    "spread, pack",
  ],
  [
    "automation word",
    "scaleDown: propose",
    "scaleDown: ‸never",
    'Invalid value "never" of pools.shared.automation.scaleDown',
    "act, propose",
  ],
  ["automation field", "drift: heal", "‸drifts: heal", "Unknown field pools.shared.automation.drifts", "drift"],
  [
    "channel",
    "channel: stable",
    "channel: ‸Stable!",
    'Invalid value "Stable!" of pools.shared.channel',
    "channel name",
  ],
  ["tier of a pool", "tiers: [gold, standard]", "tiers: [gold, ‸sliver]", "Unknown tier sliver", "Declare it"],
  ["tier twice", "tiers: [gold, standard]", "tiers: [gold, ‸gold]", "Tier stands twice in the list", "Keep one"],
  ["tier of a rule", "tiers: [gold], regions", "tiers: [‸golden], regions", "Unknown tier golden", "gold"],
  ["region of a rule", "regions: [eu] }\n  banks", "regions: [‸ue] }\n  banks", "No pool is in region ue", "eu"],
  [
    "rule without regions",
    "gdpr: { when: [europe], regions: [eu] }",
    "‸gdpr: { when: [europe] }",
    "Missing field residency.gdpr.regions",
    "region",
  ],
  ["unit of a tier", "rps: 50", "‸rpm: 50", "Unknown capacity unit rpm", "rps"],
  [
    "weight above a stamp",
    "rps: 50",
    "rps: ‸500",
    "A tenant of tier gold takes 500 rps, more than the 100 of a whole stamp",
    "at most 100",
  ],
  ["negative weight", "rps: 50", "rps: ‸-1", "Invalid value -1 of tiers.gold.weight.rps", "an amount from 0"],
];

describe("parseFleet() refuses, where it stands and with a mend", () => {
  test.each(rows)("%s", (_, from, to, message, mend) => {
    const { text, place } = badFile(good, from, to);
    const parsed = parseFleet(text, { file: "fleet.yaml", template });
    if (parsed.ok) throw new Error("It was taken for good");
    const [problem] = parsed.problems;
    expect(parsed.problems).toHaveLength(1);
    expect(problem?.message).toContain(message);
    expect(problem?.mend).toContain(mend);
    if (place !== undefined) expect(problem).toMatchObject(place);
  });
});
