import { createDirectory, type Directory } from "@stampyard/directory";
import type { Routing, RoutingRule, RoutingTrial } from "@stampyard/domain";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Decision, decide, type RequestFacts } from "./decide.ts";
import { withTrials } from "./decide-by-trials.ts";
import { exportLines } from "./decide-endpoint/export-directory.ts";

const homes = { acme: "eu-1", umbrella: "eu-1", globex: "eu-2", hooli: "eu-3" } as const;
const hostnames = { acme: ["notes.acme.com"], globex: ["acme.b.io"], hooli: ["x.a.io"] } as Record<string, string[]>;
const stamps = ["eu-1", "eu-2", "eu-3", "zero"];

function tableOf(routing: Routing): Directory {
  const table = createDirectory();
  table.apply({ kind: "routing-put", routing });
  for (const stamp of stamps) {
    const endpoints = [{ host: "127.0.0.1", port: 1 }];
    table.apply({ kind: "stamp-put", stamp, pool: "p", region: "eu", endpoints, endpointRevision: 1 });
  }
  for (const [tenant, stamp] of Object.entries(homes)) {
    table.apply({ kind: "tenant-put", tenant, stamp, epoch: 7, hostnames: hostnames[tenant] ?? [] });
  }
  return table;
}

const fact = (more: Partial<RequestFacts>): RequestFacts => ({
  host: "other.example",
  path: "/",
  header: undefined,
  peerTrusted: true,
  alias: undefined,
  country: undefined,
  client: "203.0.113.7",
  nowMs: 0,
  ...more,
});
const ruled = (table: Directory, facts: RequestFacts) => {
  const base = decide(table, facts);
  return { base, said: withTrials(table, base, () => facts) };
};
const words = ({ kind, ...decision }: Decision) =>
  kind === "forward" && "stamp" in decision
    ? `${decision.tenant}@${decision.stamp}`
    : (decision as { reason: string }).reason;

describe("withTrials()", () => {
  const path = { prefix: "/t", strip: true };
  const adds: RoutingTrial = { stamps: ["eu-1"], routing: { domains: ["a.io"], path } };
  const drops: RoutingTrial = { stamps: ["eu-2"], routing: { domains: ["b.io"] } };

  test.each<[string, Partial<RequestFacts>, string]>([
    ["a new carrier of its own tenants", { path: "/t/acme" }, "acme@eu-1"],
    ["not a new carrier of others", { path: "/t/hooli" }, "no-tenant"],
    ["not a new carrier of those of another trial", { path: "/t/globex" }, "no-tenant"],
    ["the old carrier of others", { host: "hooli.a.io" }, "hooli@eu-3"],
    ["the loss of a carrier for its own tenants", { host: "globex.a.io" }, "unknown-or-none"],
    [
      "two carriers that a trial reads as two tenants",
      { host: "acme.a.io", path: "/t/globex" },
      "conflicting-carriers",
    ],
    ["a carrier that the fleet reads as somebody else", { host: "hooli.a.io", path: "/t/acme" }, "hooli@eu-3"],
  ])("gives %s (I5)", (_, more, wanted) => {
    const { said } = ruled(tableOf({ domains: ["a.io"], trials: [adds, drops] }), fact(more));
    if (wanted === "unknown-or-none") expect(said).toMatchObject({ kind: "refuse", reason: "no-tenant" });
    else expect(words(said)).toBe(wanted);
  });

  test("says whose request it took from whom", () => {
    const table = tableOf({ domains: ["a.io"], trials: [drops] });
    expect(ruled(table, fact({ host: "globex.a.io" })).said).toMatchObject({
      trial: drops,
      lost: { stamp: "eu-2", tenant: "globex" },
    });
    expect(ruled(table, fact({ host: "globex.b.io" })).said).not.toHaveProperty("lost");
  });

  test("asks a fallback last, and knows a request that only it would take as lost (D18)", () => {
    const catchAll = { stamp: "zero", until: "2999-01-01" };
    const table = tableOf({ domains: ["a.io"], catchAll, trials: [adds, drops] });
    expect(words(ruled(table, fact({ path: "/t/acme" })).said)).toBe("acme@eu-1");
    expect(words(ruled(table, fact({ path: "/t/hooli" })).said)).toBe("undefined@zero");
    expect(ruled(table, fact({ host: "globex.a.io" })).said).toMatchObject({
      stamp: "zero",
      lost: { stamp: "eu-2", tenant: "globex" },
    });
  });

  test("asks the newest of two trials that both have a stamp for it", () => {
    const older: RoutingTrial = {
      stamps: ["eu-2"],
      routing: { domains: [], path, header: { name: "h", trustedPeers: [] } },
    };
    const table = tableOf({ domains: [], trials: [adds, older] });
    expect(words(ruled(table, fact({ path: "/t/acme", header: "globex" })).said)).toBe("acme@eu-1");
  });
});

const ruleArbitrary: fc.Arbitrary<RoutingRule> = fc.oneof(
  fc.constantFrom("a.io", "b.io").map((domain) => ({ kind: "subdomain", domain }) as const),
  fc.constant({ kind: "hostname" } as const),
  fc.constantFrom("/t", "/x").map((prefix) => ({ kind: "path", prefix, strip: true }) as const),
  fc.constant({ kind: "header", name: "x-tenant", trustedPeers: ["10.0.0.1"] } as const),
  fc.constantFrom("www.a.io", "acme.b.io").map((host) => ({ kind: "host", host }) as const),
);
const geography = { country: { header: "c", trustedPeers: [] }, pool: "p", regions: {}, default: "eu" };
const rulesArbitrary = fc
  .array(ruleArbitrary, { minLength: 1, maxLength: 5 })
  .map((rules) => ({ domains: [], rules, geography }));
const routingArbitrary: fc.Arbitrary<Routing> = fc
  .record({ base: rulesArbitrary, trials: fc.array(rulesArbitrary, { maxLength: 2 }), catchAll: fc.boolean() })
  .map(({ base, trials, catchAll }) => ({
    ...base,
    trials: trials.map((routing, index) => ({ stamps: index === 0 ? ["eu-1"] : ["eu-2", "zero"], routing })),
    ...(catchAll ? { catchAll: { stamp: "zero", until: "2999-01-01" } } : {}),
  }));
const factsArbitrary = fc
  .record({
    host: fc.constantFrom(
      ...["acme", "globex", "hooli", "www", "nobody"].flatMap((name) => [`${name}.a.io`, `${name}.b.io`]),
      ...["notes.acme.com", "x.a.io", "other.example"],
    ),
    path: fc.constantFrom("/", "/t/acme", "/t/globex/a", "/x/hooli", "/t/%61", "/x/nobody"),
    header: fc.constantFrom(undefined, "acme", "hooli", "A b"),
  })
  .map(fact);

test("whom no trial names is decided by the fleet's rules alone, and a trial is asked about its own only (I5, I12)", () => {
  fc.assert(
    fc.property(routingArbitrary, factsArbitrary, (routing, facts) => {
      const table = tableOf(routing);
      const { base, said } = ruled(table, facts);
      const byFleet = new Set(["no-tenant", "unknown-tenant"]);
      const isUnknown = base.kind === "forward" ? base.unresolved !== undefined : byFleet.has(base.reason);
      const home = isUnknown ? undefined : base.stamp;
      const trial = routing.trials?.find(({ stamps: mine }) => home !== undefined && mine.includes(home));
      if (trial !== undefined) {
        const { trials: _, ...rest } = routing;
        const { trial: by, lost: __, ...plain } = said;
        expect(plain).toEqual(decide(tableOf({ ...rest, ...trial.routing }), facts));
        expect(by).toBe(trial);
        return;
      }
      if (!isUnknown || said.trial === undefined) expect(said).toBe(base);
      else expect(said.trial.stamps).toContain(said.stamp);
    }),
    { numRuns: 3_000 },
  );
});

test("exportLines() says of every host what the router does, while trials are under way (I5)", () => {
  const hosts = [...Object.keys(homes), "www"].flatMap((name) => [`${name}.a.io`, `${name}.b.io`]);
  fc.assert(
    fc.property(routingArbitrary, ({ catchAll: _, ...routing }) => {
      // Of hosts alone, which is all that the file is asked for.
      const noHeaders = (rules: readonly RoutingRule[] = []) =>
        rules.filter(({ kind }) => kind === "subdomain" || kind === "hostname");
      const own: RoutingRule[] = [{ kind: "hostname" }];
      const ruling = {
        ...routing,
        rules: [...own, ...noHeaders(routing.rules)],
        trials: (routing.trials ?? []).map((trial) => ({
          ...trial,
          routing: { ...trial.routing, rules: [...own, ...noHeaders(trial.routing.rules)] },
        })),
      };
      const table = tableOf(ruling);
      const said = new Map(
        [...exportLines(table, "haproxy-map", "hosts")].map((line) => line.split(" ") as [string, string]),
      );
      for (const host of [...hosts, "notes.acme.com", "x.a.io"]) {
        const decision = ruled(table, fact({ host })).said;
        const wanted = decision.kind === "forward" ? `${decision.tenant};${decision.stamp};7` : undefined;
        expect([host, said.get(host)]).toEqual([host, wanted]);
      }
    }),
    { numRuns: 500 },
  );
});
