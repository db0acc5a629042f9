import { describe, expect, test } from "vitest";
import type { Fleet } from "./fleet.ts";
import { catchAllEnd, hostMeaning, isAlias, publishedRouting, routingRules, tenantLabel } from "./routing.ts";

describe("routingRules()", () => {
  test("gives the short form its fixed order", () => {
    const routing = {
      domains: ["localhost", "a.io"],
      path: { prefix: "/t", strip: true },
      header: { name: "x", trustedPeers: ["::1"] },
    };
    expect(routingRules(routing).map((rule) => rule.kind)).toEqual([
      "subdomain",
      "subdomain",
      "hostname",
      "path",
      "header",
    ]);
  });

  test("takes the long form as it is", () => {
    const rules = [{ kind: "hostname" }] as const;
    expect(routingRules({ domains: ["localhost"], rules })).toBe(rules);
  });
});

test("tenantLabel() takes exactly one label that is a tenant key", () => {
  expect(tenantLabel("a.io", "acme.a.io")).toBe("acme");
  for (const host of ["a.io", ".a.io", "x.acme.a.io", "acmea.io", "acme.a.iox", "-x.a.io", "a_b.a.io"]) {
    expect(tenantLabel("a.io", host), host).toBeUndefined();
  }
});

test("hostMeaning() finds hostnames that a rule reads otherwise (I5)", () => {
  const routing = {
    domains: [],
    rules: [{ kind: "host", host: "www.b.io" } as const, { kind: "subdomain", domain: "a.io" } as const],
  };
  expect(hostMeaning(routing, "a.io")?.kind).toBe("subdomain");
  expect(hostMeaning(routing, "x.y.a.io")?.kind).toBe("subdomain");
  expect(hostMeaning(routing, "www.b.io")?.kind).toBe("host");
  expect(hostMeaning(routing, "shop.b.io")).toBeUndefined();
});

test("isAlias() keeps hostnames and other kinds apart", () => {
  for (const good of ["notes.acme.com", "api-key:ak_4f2c", "idp:A-b"]) expect(isAlias(good), good).toBe(true);
  for (const bad of ["acme", "api-key:", ":x", "A:x", "a:b.c", "a:b:c", "a:x y", `a:${"x".repeat(129)}`, "[::1]"]) {
    expect(isAlias(bad), bad).toBe(false);
  }
});

test("publishedRouting() adds the fallback of a pool", () => {
  const pool = { name: "p", tenancy: "shared", regions: ["eu"], stamps: { min: 1, max: 1 }, parameters: {} } as const;
  const routing = { domains: ["localhost"] };
  const fleet: Fleet = { name: "f", template: "t", pools: [pool], routing };
  expect(publishedRouting(fleet)).toBe(routing);
  const catchAll = { stamp: "zero", until: "2027-03-31" };
  expect(publishedRouting({ ...fleet, pools: [pool, { ...pool, catchAll }] })).toEqual({ ...routing, catchAll });
});

test("catchAllEnd() is the midnight after the last day, UTC", () => {
  for (const until of ["1970-01-01", "2024-02-28", "2024-02-29", "2026-12-31", "2027-03-31", "2100-02-28"]) {
    expect(catchAllEnd({ stamp: "zero", until }), until).toBe(Date.parse(`${until}T00:00:00Z`) + 86_400_000);
  }
});
