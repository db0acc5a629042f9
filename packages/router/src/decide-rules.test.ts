import { createDirectory, type Directory } from "@stampyard/directory";
import { catchAllEnd, isTenantKey, type Routing, type RoutingRule } from "@stampyard/domain";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide, type RegionScope, type RequestFacts } from "./decide.ts";

const stamps = [
  ["eu-1", "shared", "eu"],
  ["eu-2", "shared", "eu"],
  ["us-1", "shared", "us"],
  ["big-1", "big", "eu"],
  ["zero", "old", "eu"],
] as const;
const homes = { acme: "eu-1", globex: "us-1", umbrella: "big-1", hooli: "eu-2" } as const;
const hostnames = { acme: ["notes.acme.com"], hooli: ["www.b.io", "x.a.io"] } as Record<string, string[]>;
const aliases = { globex: ["api-key:ak_g"], acme: ["api-key:ak_a"] } as Record<string, string[]>;
const until = "2027-03-31";

function tableOf(routing: Routing): Directory {
  const table = createDirectory();
  table.apply({ kind: "routing-put", routing });
  for (const [stamp, pool, region] of stamps) {
    const endpoints = [{ host: "127.0.0.1", port: 1 }];
    table.apply({ kind: "stamp-put", stamp, pool, region, endpoints, endpointRevision: 1 });
  }
  for (const [tenant, stamp] of Object.entries(homes)) {
    const more = aliases[tenant] === undefined ? {} : { aliases: aliases[tenant] };
    table.apply({ kind: "tenant-put", tenant, stamp, epoch: 7, hostnames: hostnames[tenant] ?? [], ...more });
  }
  return table;
}

const ruleArbitrary: fc.Arbitrary<RoutingRule> = fc.oneof(
  fc.constantFrom("a.io", "b.io").map((domain) => ({ kind: "subdomain", domain }) as const),
  fc.constant({ kind: "hostname" } as const),
  fc
    .record({ prefix: fc.constantFrom("/t", "/x/y"), strip: fc.boolean() })
    .map((path) => ({ kind: "path", ...path }) as const),
  fc.constant({ kind: "header", name: "x-tenant", trustedPeers: ["10.0.0.1"] } as const),
  fc.constant({ kind: "alias", alias: "api-key", header: "x-api-key", until: "." } as const),
  fc.constantFrom("www.a.io", "www.b.io").map((host) => ({ kind: "host", host }) as const),
);
const routingArbitrary: fc.Arbitrary<Routing> = fc
  .record({
    rules: fc.array(ruleArbitrary, { minLength: 1, maxLength: 6 }),
    catchAll: fc.boolean(),
    world: fc.boolean(),
  })
  .map(({ rules, catchAll, world }) => ({
    domains: [],
    rules,
    geography: {
      country: { header: "x-country", trustedPeers: ["10.0.0.1"] },
      pool: "shared",
      regions: { eu: ["DE"], us: ["US"] },
      ...(world ? { default: "eu" } : {}),
    },
    ...(catchAll ? { catchAll: { stamp: "zero", until } } : {}),
  }));
const word = fc.constantFrom("acme", "globex", "umbrella", "hooli", "nobody", "ACME", "..", "%61cme", "");
const factsArbitrary: fc.Arbitrary<RequestFacts> = fc.record({
  host: fc.oneof(
    fc.tuple(word, fc.constantFrom("a.io", "b.io", "c.io")).map(([label, domain]) => `${label}.${domain}`),
    fc.constantFrom("notes.acme.com", "www.a.io", "www.b.io", "x.a.io", "a.io", "localhost"),
  ),
  path: fc.oneof(
    fc.tuple(fc.constantFrom("/t", "/x/y", "/t/x"), word).map(([prefix, tenant]) => `${prefix}/${tenant}/z`),
    fc.constant("/"),
  ),
  header: fc.option(word, { nil: undefined }),
  peerTrusted: fc.boolean(),
  alias: fc.option(fc.constantFrom("ak_g.s", "ak_a.s", "ak_g", ".s", "no.s"), { nil: undefined }),
  country: fc.option(fc.constantFrom("DE", "us", "FR"), { nil: undefined }),
  client: fc.ipV4(),
  nowMs: fc.constantFrom(0, catchAllEnd({ stamp: "zero", until }) - 1, catchAllEnd({ stamp: "zero", until })),
});
const scopeArbitrary: fc.Arbitrary<RegionScope> = fc.constantFrom(undefined, new Set(["eu"]), new Set(["us"]));

/** Another reading of the same rules, written apart from the first: what every rule names, in order. */
function namesIn(routing: Routing, facts: RequestFacts): (string | null)[] {
  const names: (string | null)[] = [];
  const rules = routing.rules ?? [];
  const claimed = rules.some((rule) => rule.kind === "host" && rule.host === facts.host);
  const ownerOf = (table: Record<string, string[]>, key: string) =>
    Object.entries(table).find(([, keys]) => keys.includes(key))?.[0];
  for (const rule of rules) {
    let name: string | null | undefined;
    if (rule.kind === "subdomain" && !claimed) {
      const [label = "", ...rest] = facts.host.split(".");
      if (rest.join(".") === rule.domain && isTenantKey(label)) name = label;
    }
    if (rule.kind === "hostname") name = ownerOf(hostnames, facts.host);
    if (rule.kind === "path") {
      const parts = facts.path.split("/");
      const depth = rule.prefix.split("/").length;
      if (parts.slice(0, depth).join("/") === rule.prefix) name = parts[depth] || undefined;
    }
    if (rule.kind === "header" && facts.peerTrusted) name = facts.header;
    if (rule.kind === "alias" && facts.alias?.includes(".") === true) {
      name = ownerOf(aliases, `api-key:${facts.alias.split(".")[0]}`);
    }
    if (rule.kind === "host" && rule.host === facts.host) name = null;
    // A host without tenant contradicts nobody before it.
    if (name !== undefined && (name !== null || names.length === 0)) names.push(name);
  }
  return names;
}

describe("decide() over random routing", () => {
  test("forwards to the home of the tenant that the first rule names and no later one contradicts (I5)", () => {
    fc.assert(
      fc.property(routingArbitrary, factsArbitrary, scopeArbitrary, (routing, facts, scope) => {
        const decision = decide(tableOf(routing), facts, scope);
        const names = namesIn(routing, facts);
        const [first] = names;
        if (decision.kind === "refuse") {
          if (decision.reason === "conflicting-carriers") expect(new Set(names).size).toBeGreaterThan(1);
          if (decision.reason === "no-tenant") expect(names).toEqual([]);
          return;
        }
        if (decision.rule === "catch-all") return;
        expect(new Set(names)).toEqual(new Set([first]));
        if (decision.tenant === undefined) expect(first).toBeNull();
        else expect(homes[decision.tenant as keyof typeof homes]).toBe(decision.stamp);
        if (decision.tenant !== undefined) expect(decision).toMatchObject({ tenant: first, epoch: 7 });
      }),
      { numRuns: 3_000 },
    );
  });

  test("a request of no tenant reaches a stamp by an explicit host rule or an unexpired fallback only (I4)", () => {
    fc.assert(
      fc.property(routingArbitrary, factsArbitrary, scopeArbitrary, (routing, facts, scope) => {
        const decision = decide(tableOf(routing), facts, scope);
        if (decision.kind === "refuse" || decision.tenant !== undefined) return;
        expect(decision.epoch).toBe(0);
        if (decision.rule === "catch-all") {
          expect(routing.catchAll?.stamp).toBe(decision.stamp);
          expect(facts.nowMs).toBeLessThan(Date.parse(`${until}T00:00:00Z`) + 86_400_000);
          return;
        }
        expect(routing.rules).toContainEqual({ kind: "host", host: facts.host });
        const country = facts.country?.toUpperCase();
        const region = country === "DE" ? "eu" : country === "US" ? "us" : routing.geography?.default;
        const [, pool, home] = stamps.find(([stamp]) => stamp === decision.stamp) ?? [];
        expect({ pool, home }).toEqual({ pool: "shared", home: region });
      }),
      { numRuns: 3_000 },
    );
  });

  test("a scoped router forwards to stamps of its regions only", () => {
    fc.assert(
      fc.property(routingArbitrary, factsArbitrary, (routing, facts) => {
        const decision = decide(tableOf(routing), facts, new Set(["us"]));
        if (decision.kind === "forward") expect(decision.stamp).toBe("us-1");
      }),
      { numRuns: 1_000 },
    );
  });
});

test("the order of the rules decides, and nothing else (I5)", () => {
  const host: RoutingRule = { kind: "host", host: "www.a.io" };
  const path: RoutingRule = { kind: "path", prefix: "/t", strip: false };
  const geography = { country: { header: "x", trustedPeers: [] }, pool: "shared", regions: {}, default: "eu" };
  const facts: RequestFacts = {
    host: "www.a.io",
    path: "/t/globex/",
    header: undefined,
    peerTrusted: false,
    alias: undefined,
    country: undefined,
    client: "x",
    nowMs: 0,
  };
  const byPath = decide(tableOf({ domains: [], rules: [path], geography }), facts);
  expect(byPath).toMatchObject({ rule: "path", tenant: "globex" });
  const decided = (rules: readonly RoutingRule[]) => decide(tableOf({ domains: [], rules, geography }), facts);
  expect(decided([path, host])).toMatchObject({ rule: "path", tenant: "globex" });
  expect(decided([host, path])).toMatchObject({ reason: "conflicting-carriers" });
  const root = { ...facts, path: "/" };
  expect(decide(tableOf({ domains: [], rules: [host, path], geography }), root)).toMatchObject({ rule: "geography" });
});
