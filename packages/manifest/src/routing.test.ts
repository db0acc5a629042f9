import { describe, expect, test } from "vitest";
import { parseFleet } from "./fleet.ts";
import { badFile, type Row } from "./testing/bad-file.ts";

const good = `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: shop }
template: ./stamp.yaml
pools:
  shared:
    regions: [eu, us]
    stamps: { min: 1, max: 3 }
    catchAll: { stamp: zero, until: 2027-03-31 }
  big:
    tenancy: dedicated
    regions: [eu]
    stamps: { min: 0, max: 3 }
routing:
  rules:
    - host: www.shop.example
    - host: "{tenant}.shop.example"
    - hostnames: true
    - path: /t/{tenant}
      strip: true
    - header: X-Tenant
      trustedPeers: [10.0.0.0/8]
    - header: X-Api-Key
      alias: api-key
      until: "."
  geography:
    country: { header: X-Country, trustedPeers: [10.0.0.1] }
    pool: shared
    regions: { eu: [DE, FR], us: [US] }
    default: eu
  limits:
    requestsPerSecond: 100
    concurrency: 20
    pools:
      big: { requestsPerSecond: 1000, burst: 5000 }
    tiers:
      gold: { requestsPerSecond: 500 }
      standard: { concurrency: 5 }
tiers:
  gold: {}
`;

const path = "    - path: /t/{tenant}\n      strip: true\n";
const rows: readonly Row[] = [
  [
    "rules and the short form",
    "  rules:",
    "  ‸domains: [localhost]\n  rules:",
    "Routing has both rules and domains",
    "one of the rules",
  ],
  ["empty rule", path, "    - ‸{}\n", "Rule reads nothing of a request", "Add host:"],
  ["two kinds in a rule", "strip: true", "‸hostnames: true", "Rule reads both path and hostnames", "two rules"],
  [
    "strip without path",
    "hostnames: true",
    "hostnames: true\n      ‸strip: true",
    "Field strip means nothing without path",
    "Remove it",
  ],
  [
    "until without alias",
    "      alias: api-key\n      until",
    "      trustedPeers: [10.0.0.1]\n      ‸until",
    "Field until means nothing without alias",
    "Remove it",
  ],
  [
    "alias without until",
    '      alias: api-key\n      until: "."\n',
    "      ‸alias: api-key\n",
    "Alias without until would keep whole secrets in the directory",
    "until:",
  ],
  [
    "header of everybody",
    "    - header: X-Tenant\n      trustedPeers: [10.0.0.0/8]\n",
    "    - ‸header: X-Tenant\n",
    "Header rule needs trustedPeers or an alias",
    "trustedPeers:",
  ],
  ["path without tenant", "/t/{tenant}", "‸/t", 'Invalid value "/t" of routing.rules[3].path', "/t/{tenant}"],
  [
    "tenant in the middle of a host",
    '"{tenant}.shop.example"',
    '‸"a-{tenant}.shop.example"',
    'Invalid value "a-{tenant}.shop.example" of routing.rules[1].host',
    "{tenant}.example.com",
  ],
  [
    "the same domain twice",
    "    - hostnames: true",
    '    - host: ‸"{tenant}.shop.example"\n    - hostnames: true',
    "Rule is never reached: an earlier one reads the same (rule 2)",
    "Keep one",
  ],
  [
    "the same host twice",
    "    - hostnames: true",
    "    - host: ‸www.shop.example\n    - hostnames: true",
    "Rule is never reached: an earlier one reads the same (rule 1)",
    "Keep one",
  ],
  [
    "hostnames twice",
    path,
    `    - hostnames: ‸true\n${path}`,
    "Rule is never reached: an earlier one reads the same (rule 3)",
    "Keep one",
  ],
  [
    "a host hidden by a pattern",
    "    - hostnames: true",
    "    - host: ‸api.shop.example\n    - hostnames: true",
    "Host api.shop.example is read as a tenant by an earlier rule (rule 2)",
    "before",
  ],
  [
    "prefix below a prefix",
    path,
    `${path}    - path: ‸/t/x/{tenant}\n`,
    "Paths below /t/x name two tenants (rule 4)",
    "none begins",
  ],
  [
    "prefix above a prefix",
    path,
    `    - path: /t/x/{tenant}\n    - path: ‸/t/{tenant}\n`,
    "Paths below /t name two tenants (rule 4)",
    "none begins",
  ],
  [
    "two tenant headers",
    path,
    "    - header: Y\n      trustedPeers: [10.0.0.1]\n",
    "A second rule of kind header is not possible (rule 4)",
    "Keep one",
  ],
  [
    "host without geography",
    good.slice(good.indexOf("  geography:"), good.indexOf("  limits:")),
    "",
    "Host without {tenant} needs geography to choose a stamp",
    "geography:",
  ],
  ["geography of no rule", "    - host: www.shop.example\n", "", "Geography is used by no rule", "www.example.com"],
  ["unknown pool", "    pool: shared", "    pool: ‸shred", "Unknown pool shred", '"shared"'],
  [
    "dedicated pool",
    "    pool: shared\n    regions: { eu: [DE, FR], us: [US] }",
    "    pool: ‸big\n    regions: { eu: [DE, FR, US] }",
    "Pool big is dedicated",
    "shared pool",
  ],
  ["region that the pool has not", "us: [US] }", "‸uk: [US] }", "The pool has no stamp in region uk", "us"],
  ["default that the pool has not", "default: eu", "default: ‸ap", "The pool has no stamp in region ap", "region"],
  ["country in two regions", "us: [US]", "us: [US, ‸DE]", "Country DE belongs to region eu already", "one region"],
  ["country in lower case", "[DE, FR]", "[‸de, FR]", 'Invalid value "de" of routing.geography.regions.eu[0]', "DE"],
  ["limits of an unknown pool", "      big: {", "      ‸bg: {", "Unknown pool bg", '"big"'],
  ["limits of an unknown tier", "      gold: {", "      ‸gould: {", "Unknown tier gould", '"gold"'],
  [
    "burst alone for a tier",
    "gold: { requestsPerSecond: 500",
    "gold: { ‸burst: 500",
    "Field burst means nothing without requestsPerSecond",
    "remove burst",
  ],
  [
    "burst alone",
    "requestsPerSecond: 1000, burst",
    "‸burst",
    "Field burst means nothing without requestsPerSecond",
    "remove burst",
  ],
  [
    "no rate",
    "requestsPerSecond: 100\n",
    "requestsPerSecond: ‸0\n",
    "Invalid value 0 of routing.limits.requestsPerSecond",
    "0.01",
  ],
  [
    "two fallbacks",
    "    tenancy: dedicated\n",
    "    ‸catchAll: { stamp: x, until: 2027-03-31 }\n    tenancy: dedicated\n",
    "Pool shared has a catchAll already",
    "Keep one",
  ],
];

describe("parseFleet() of routing rules", () => {
  test("keeps their order and what stands beside them", () => {
    const parsed = parseFleet(good, { file: "fleet.yaml" });
    expect(parsed.ok && parsed.fleet.routing).toEqual({
      domains: [],
      rules: [
        { kind: "host", host: "www.shop.example" },
        { kind: "subdomain", domain: "shop.example" },
        { kind: "hostname" },
        { kind: "path", prefix: "/t", strip: true },
        { kind: "header", name: "x-tenant", trustedPeers: ["10.0.0.0/8"] },
        { kind: "alias", alias: "api-key", header: "x-api-key", until: "." },
      ],
      geography: {
        country: { header: "x-country", trustedPeers: ["10.0.0.1"] },
        pool: "shared",
        regions: { eu: ["DE", "FR"], us: ["US"] },
        default: "eu",
      },
      limits: {
        requestsPerSecond: 100,
        concurrency: 20,
        pools: { big: { requestsPerSecond: 1000, burst: 5000 } },
        tiers: { gold: { requestsPerSecond: 500 }, standard: { concurrency: 5 } },
      },
    });
  });

  test.each(rows)("%s", (_, from, to, message, mend) => {
    const { text, place } = badFile(good, from, to);
    const parsed = parseFleet(text, { file: "fleet.yaml" });
    if (parsed.ok) throw new Error("It was taken for good");
    expect(parsed.problems.map((problem) => problem.message)).toEqual([message]);
    expect(parsed.problems[0]?.mend).toContain(mend);
    if (place !== undefined) expect(parsed.problems[0]).toMatchObject(place);
  });
});
