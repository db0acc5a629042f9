import { describe, expect, test } from "vitest";
import { parseFleet } from "./fleet.ts";
import { parseTemplate } from "./template.ts";
import { badFile, type Row } from "./testing/bad-file.ts";

const good = `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: shop }
template: ./stamp.yaml
pools:
  shared: { regions: [eu, us], stamps: { min: 1, max: 3 } }
routing: { domains: [localhost] }
prices:
  currency: EUR
  components: { service: 10, db: 40.5 }
  regions: { us: 0.9 }
`;
const parsedTemplate = parseTemplate(
  `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: shop, version: 1.0.0 }
components:
  api: { kind: service, command: x, port: auto }
  db: { kind: postgres, version: 18 }
ingress: { service: api }
capacity: { tenants: 10 }
tenancy: { model: schema }
`,
  { file: "stamp.yaml" },
);
if (!parsedTemplate.ok) throw new Error("The template of this test is wrong");
const { template } = parsedTemplate;

const rows: readonly Row[] = [
  ["currency in words", "EUR", "‸euro", 'Invalid value "euro" of prices.currency', "such as EUR"],
  ["no currency", "  currency: EUR\n", "", "Missing field prices.currency", "such as EUR"],
  ["price below nothing", "service: 10", "service: ‸-1", "Invalid value -1 of prices.components.service", "from 0"],
  ["price with a sign", "40.5", '‸"40 €"', 'Invalid value "40 €" of prices.components.db', "an amount"],
  [
    "mistyped kind",
    "service: 10",
    "‸servce: 10",
    "Price of servce, which is neither a component nor a kind",
    '"service"',
  ],
  [
    "component that is not there",
    "db: 40.5",
    "‸warehouse: 1",
    "Price of warehouse, which is neither a component nor a kind",
    "api",
  ],
  ["region of no pool", "us: 0.9", "‸uk: 0.9", "No pool is in region uk", '"us"'],
  ["factor of nothing", "us: 0.9", "us: ‸0", "Invalid value 0 of prices.regions.us", "from 0.01"],
  ["unknown field", "  currency: EUR", "  ‸yearly: true\n  currency: EUR", "Unknown field prices.yearly", "currency"],
];

describe("prices of fleet.yaml", () => {
  test("are read, and a name or a kind may carry one", () => {
    const parsed = parseFleet(good, { file: "fleet.yaml", template });
    expect(parsed.ok && parsed.fleet.prices).toEqual({
      currency: "EUR",
      components: { service: 10, db: 40.5 },
      regions: { us: 0.9 },
    });
  });

  test("may be left out, and so may the factors of regions", () => {
    const without = parseFleet(good.slice(0, good.indexOf("prices:")), { file: "fleet.yaml", template });
    expect(without.ok && "prices" in without.fleet).toBe(false);
    const same = parseFleet(good.replace("  regions: { us: 0.9 }\n", ""), { file: "fleet.yaml", template });
    expect(same.ok && same.fleet.prices?.regions).toEqual({});
  });

  test.each(rows)("%s is found in its place", (_, from, to, message, mend) => {
    const { text, place } = badFile(good, from, to);
    const parsed = parseFleet(text, { file: "fleet.yaml", template });
    if (parsed.ok) throw new Error("It was taken for good");
    expect(parsed.problems.map((problem) => problem.message)).toEqual([message]);
    expect(parsed.problems[0]?.mend).toContain(mend);
    if (place !== undefined) expect(parsed.problems[0]).toMatchObject(place);
  });
});
