import { describe, expect, test } from "vitest";
import { readChange } from "./read-change.ts";

const routing = {
  domains: ["localhost"],
  path: { prefix: "/t", strip: true },
  header: { name: "X-Tenant", trustedPeers: ["10.0.0.0/8"] },
  rules: [
    { kind: "host", host: "www.a.io" },
    { kind: "subdomain", domain: "a.io" },
    { kind: "hostname" },
    { kind: "path", prefix: "/t", strip: false },
    { kind: "header", name: "x-tenant", trustedPeers: ["::1"] },
    { kind: "alias", alias: "api-key", header: "x-api-key", until: "." },
  ],
  geography: {
    country: { header: "x-country", trustedPeers: ["10.0.0.1"] },
    pool: "shared",
    regions: { eu: ["DE", "FR"] },
    default: "eu",
  },
  limits: {
    requestsPerSecond: 0.5,
    burst: 2,
    concurrency: 3,
    pools: { big: { concurrency: 9 } },
    tiers: { gold: { burst: 9 } },
  },
  catchAll: { stamp: "zero", until: "2027-03-31" },
  trials: [
    { stamps: ["eu-1"], routing: { domains: ["b.io"], path: { prefix: "/u", strip: true } } },
    { stamps: ["eu-2"], routing: { domains: [], rules: [{ kind: "hostname" }] } },
  ],
};
const read = (changed: object) => readChange({ kind: "routing-put", routing: { ...routing, ...changed } });

describe("readChange() of routing", () => {
  test("takes every part as it was written, because the chain is computed over it (D9)", () => {
    expect(read({})).toEqual({ ok: true, value: { kind: "routing-put", routing } });
    expect(readChange({ kind: "routing-put", routing: { domains: [] } }).ok).toBe(true);
  });

  test.each<[string, object]>([
    ["a rule of a kind that is not known: it may decide", { rules: [{ kind: "cookie", name: "t" }] }],
    ["a rule with a field too many", { rules: [{ kind: "hostname", host: "x" }] }],
    ["a reserved header", { rules: [{ kind: "header", name: "stampyard-route", trustedPeers: ["::1"] }] }],
    ["an alias without its end", { rules: [{ kind: "alias", alias: "k", header: "x", until: "" }] }],
    ["a separator that may stand in an alias", { rules: [{ kind: "alias", alias: "k", header: "x", until: "a" }] }],
    ["a prefix that leads out", { rules: [{ kind: "path", prefix: "/a/../b", strip: true }] }],
    ["more rules than are possible", { rules: Array.from({ length: 101 }, () => ({ kind: "hostname" })) }],
    ["a country in words", { geography: { ...routing.geography, regions: { eu: ["Germany"] } } }],
    ["a region that is no name", { geography: { ...routing.geography, regions: { __proto__x: ["DE"] } } }],
    ["a limit of nothing", { limits: { requestsPerSecond: 0 } }],
    ["a limit of nothing for a tier", { limits: { tiers: { gold: { concurrency: 0 } } } }],
    ["limits of a tier that is no name", { limits: { tiers: { "Gold tier": {} } } }],
    ["a fallback without end", { catchAll: { stamp: "zero" } }],
    ["a fallback until a word", { catchAll: { stamp: "zero", until: "never" } }],
    ["a stamp on two trials", { trials: [routing.trials[0], { ...routing.trials[1], stamps: ["eu-2", "eu-1"] }] }],
    ["a trial with a stamp that is no name", { trials: [{ stamps: ["Eu 1"], routing: { domains: [] } }] }],
    ["a trial without rules", { trials: [{ stamps: ["eu-1"] }] }],
    [
      "a trial with a rule that is not known",
      { trials: [{ stamps: [], routing: { domains: [], rules: [{ kind: "x" }] } }] },
    ],
    [
      "more trials than anybody looks through",
      { trials: Array.from({ length: 9 }, () => ({ stamps: [], routing: { domains: [] } })) },
    ],
  ])("refuses %s (I14)", (_, changed) => {
    expect(read(changed).ok).toBe(false);
  });
});
