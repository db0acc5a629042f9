import { describe, expect, test } from "vitest";
import { parseFleet } from "./fleet.ts";
import { parseTemplate } from "./template.ts";
import { badFile, type Row } from "./testing/bad-file.ts";

const good = `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: shop }
template: ./stamp.yaml
pools:
  shared:
    regions: [eu, us]
    stamps: { min: 1, max: 3 }
    capacity: { tenants: 5 }
    parameters: { level: info }
routing:
  domains: [localhost]
  path: { prefix: /t, strip: true }
  header: { name: X-Tenant, trustedPeers: [10.0.0.0/8, "::1"] }
`;

const parsedTemplate = parseTemplate(
  `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: shop, version: 1.0.0 }
parameters: { level: { type: string }, limit: { type: number, default: 3 } }
components: { api: { kind: service, command: x, port: auto } }
ingress: { service: api }
capacity: { tenants: 10, units: { rps: 100 } }
tenancy: { model: schema }
`,
  { file: "stamp.yaml" },
);
if (!parsedTemplate.ok) throw new Error("The template of this test is wrong");
const { template } = parsedTemplate;

const rows: readonly Row[] = [
  [
    "a template in its place",
    "kind: Fleet",
    "kind: ‸StampTemplate",
    'File is a "StampTemplate", not a Fleet',
    "stamp.yaml",
  ],
  ["kind unknown", "kind: Fleet", "kind: ‸Fleets", 'File is a "Fleets", not a Fleet', "Write kind: Fleet"],
  ["no template", "template: ./stamp.yaml\n", "", "Missing field template", "./stamp.yaml"],
  [
    "template is a URL",
    "./stamp.yaml",
    "‸https://x/stamp.yaml",
    'Invalid value "https://x/stamp.yaml" of template',
    "./stamp.yaml",
  ],
  [
    "template is no YAML file",
    "./stamp.yaml",
    "‸./stamp.json",
    'Invalid value "./stamp.json" of template',
    "./stamp.yaml",
  ],
  [
    "pool name too long for its stamps",
    "  shared:",
    `  ‸${"p".repeat(37)}:`,
    `Invalid name "${"p".repeat(37)}" in pools`,
    "at most 36",
  ],
  ["pool name with a path", "  shared:", '  ‸"a/b":', 'Invalid name "a/b" in pools', "lower-case"],
  [
    "unknown field of a pool",
    "    stamps:",
    "    ‸region: eu\n    stamps:",
    "Unknown field pools.shared.region",
    '"regions"',
  ],
  [
    "tenancy",
    "    stamps:",
    "    tenancy: ‸share\n    stamps:",
    'Invalid value "share" of pools.shared.tenancy',
    '"shared"',
  ],
  ["no region", "[eu, us]", "‸[]", "Invalid value (a list) of pools.shared.regions", "a list of region names"],
  ["region name", "[eu, us]", "[eu, ‸US]", 'Invalid value "US" of pools.shared.regions[1]', "region name"],
  ["region twice", "[eu, us]", "[eu, us, ‸eu]", "Region stands twice in the list", "Keep one"],
  [
    "min above max",
    "stamps: { min: 1, max: 3 }",
    "stamps: ‸{ min: 4, max: 3 }",
    "Field min is above max in pools.shared.stamps",
    "Raise max",
  ],
  ["max above 10000", "max: 3", "max: ‸10001", "Invalid value 10001 of pools.shared.stamps.max", "1 to 10000"],
  ["negative min", "min: 1", "min: ‸-1", "Invalid value -1 of pools.shared.stamps.min", "0 to 100"],
  [
    "capacity above the template's",
    "tenants: 5",
    "tenants: ‸11",
    "Capacity tenants is above the template's 10",
    "at most 10",
  ],
  ["unknown unit", "tenants: 5", "units: { ‸rpm: 1 }", "Unknown capacity unit rpm", '"rps"'],
  [
    "unit above the template's",
    "tenants: 5",
    "units: { rps: ‸101 }",
    "Capacity rps is above the template's 100",
    "at most 100",
  ],
  [
    "dedicated with many tenants",
    "    stamps:",
    "    tenancy: dedicated\n    stamps:",
    "Dedicated pool shared has room for 5 tenants per stamp",
    "tenants: 1",
  ],
  ["unknown parameter", "level: info", "level: info, ‸levl: x", "Unknown parameter levl in pool shared", '"level"'],
  [
    "missing parameter",
    "    parameters: { level: info }\n",
    "    ‸parameters: {}\n",
    "Missing parameter level in pool shared",
    "Give level",
  ],
  ["parameter of another type", "level: info", "level: ‸3", "Parameter level is not a string in pool shared", "quote"],
  [
    "catch-all date",
    "    stamps:",
    "    catchAll: { stamp: zero, until: ‸2027-02-29 }\n    stamps:",
    'Invalid value "2027-02-29" of pools.shared.catchAll.until',
    "2027-03-31",
  ],
  [
    "catch-all without date",
    "    stamps:",
    "    ‸catchAll: { stamp: zero }\n    stamps:",
    "Missing field pools.shared.catchAll.until",
    "2027-03-31",
  ],
  [
    "domain with a scheme",
    "[localhost]",
    '[‸"http://x.de"]',
    'Invalid value "http://x.de" of routing.domains[0]',
    "notes.example.com",
  ],
  [
    "domain in capitals",
    "[localhost]",
    "[‸Example.com]",
    'Invalid value "Example.com" of routing.domains[0]',
    "lower-case",
  ],
  ["single label", "[localhost]", "[‸intranet]", 'Invalid value "intranet" of routing.domains[0]', "localhost"],
  ["address as a domain", "[localhost]", "[‸127.0.0.1]", 'Invalid value "127.0.0.1" of routing.domains[0]', "domain"],
  ["domain twice", "[localhost]", "[localhost, ‸localhost]", "Domain stands twice in the list", "Keep one"],
  [
    "prefix with a slash behind",
    "prefix: /t",
    "prefix: ‸/t/",
    'Invalid value "/t/" of routing.path.prefix',
    "without slash",
  ],
  ["prefix is the root", "prefix: /t", "prefix: ‸/", 'Invalid value "/" of routing.path.prefix', "/t"],
  [
    "prefix with dot segments",
    "prefix: /t",
    "prefix: ‸/a/../t",
    'Invalid value "/a/../t" of routing.path.prefix',
    "/t",
  ],
  ["prefix with an escape", "prefix: /t", "prefix: ‸/%74", 'Invalid value "/%74" of routing.path.prefix', "/t"],
  ["strip is a word", "strip: true", "strip: ‸on", 'Invalid value "on" of routing.path.strip', "true or false"],
  [
    "reserved header",
    "name: X-Tenant",
    "name: ‸Stampyard-Route",
    "Header name is taken in routing.header.name",
    "x-tenant",
  ],
  ["standard header", "name: X-Tenant", "name: ‸host", "Header name is taken in routing.header.name", "x-tenant"],
  ["header with a colon", "name: X-Tenant", 'name: ‸"x:y"', 'Invalid value "x:y" of routing.header.name', "x-tenant"],
  [
    "no trusted peer",
    '[10.0.0.0/8, "::1"]',
    "‸[]",
    "Invalid value (a list) of routing.header.trustedPeers",
    "addresses",
  ],
  [
    "peer is a name",
    "10.0.0.0/8",
    "‸proxy.local",
    "Trusted peer is no address in routing.header.trustedPeers[0]",
    "10.0.0.0/8",
  ],
  [
    "prefix length too long",
    "10.0.0.0/8",
    "‸10.0.0.0/33",
    "Trusted peer is no address in routing.header.trustedPeers[0]",
    "CIDR",
  ],
  [
    "address bits behind the prefix",
    "10.0.0.0/8",
    "‸10.0.0.1/8",
    "CIDR block has address bits behind its prefix in routing.header.trustedPeers[0]",
    "Zero",
  ],
  [
    "everybody is trusted",
    "10.0.0.0/8",
    "‸0.0.0.0/0",
    "Trusted peers would be everybody, who could then name any tenant in routing.header.trustedPeers[0]",
    "proxies",
  ],
  [
    "octal address",
    "10.0.0.0/8",
    "‸010.0.0.1",
    "Trusted peer is no address in routing.header.trustedPeers[0]",
    "address",
  ],
  [
    "no way to a tenant",
    good.slice(good.indexOf("routing:")),
    "‸routing: { domains: [] }\n",
    "Routing names no way to a tenant",
    "localhost",
  ],
];

describe("parseFleet() names the place of every fault", () => {
  test("the good file is good", () => {
    const parsed = parseFleet(good, { file: "fleet.yaml", template });
    expect(parsed).toEqual({
      ok: true,
      fleet: {
        name: "shop",
        template: "./stamp.yaml",
        pools: [
          {
            name: "shared",
            tenancy: "shared",
            regions: ["eu", "us"],
            stamps: { min: 1, max: 3 },
            capacity: { tenants: 5 },
            parameters: { level: "info" },
          },
        ],
        routing: {
          domains: ["localhost"],
          path: { prefix: "/t", strip: true },
          header: { name: "x-tenant", trustedPeers: ["10.0.0.0/8", "::1"] },
        },
      },
    });
  });

  test.each(rows)("%s", (_, from, to, message, mend) => {
    const { text, place } = badFile(good, from, to);
    const parsed = parseFleet(text, { file: "fleet.yaml", template });
    if (parsed.ok) throw new Error("It was taken for good");
    expect(parsed.problems.map((problem) => problem.message)).toEqual([message]);
    expect(parsed.problems[0]?.mend).toContain(mend);
    if (place !== undefined) expect(parsed.problems[0]).toMatchObject(place);
  });
});

test("parseFleet() without a template leaves parameters and units to be checked later", () => {
  const text = good.replace("level: info", "anything: 1").replace("tenants: 5", "units: { any: 1 }");
  expect(parseFleet(text, { file: "fleet.yaml" }).ok).toBe(true);
  expect(parseFleet(text, { file: "fleet.yaml", template }).ok).toBe(false);
});
