import { expect, test } from "vitest";
import type { Routing } from "./routing.ts";
import { routingDifference, rulesDifference } from "./routing-words.ts";

const old: Routing = { domains: ["a.io"], header: { name: "x-tenant", trustedPeers: ["::1"] } };

test("rulesDifference() names what comes, goes and changes", () => {
  expect(rulesDifference(old, old)).toEqual([]);
  expect(rulesDifference(old, { domains: ["a.io"], path: { prefix: "/t", strip: true } })).toEqual([
    "+ path /t/{tenant}",
    "− header x-tenant",
  ]);
  const trusting = { ...old, header: { name: "x-tenant", trustedPeers: [] } };
  expect(rulesDifference(old, trusting)).toEqual(["~ header x-tenant"]);
  const rules = [{ kind: "hostname" }, { kind: "subdomain", domain: "a.io" }] as const;
  expect(rulesDifference({ domains: [], rules }, { domains: [], rules: rules.toReversed() })).toEqual([
    "~ order of the rules",
  ]);
  const geography = { country: { header: "c", trustedPeers: [] }, pool: "p", regions: {} };
  expect(rulesDifference(old, { ...old, geography })).toEqual(["+ geography"]);
});

test("rulesDifference() knows the long form of the same rules", () => {
  const rules = [{ kind: "subdomain", domain: "a.io" }, { kind: "hostname" }] as const;
  expect(rulesDifference({ domains: ["a.io"] }, { domains: [], rules })).toEqual([]);
});

test("routingDifference() names limits and fallback, too", () => {
  const catchAll = { stamp: "zero", until: "2027-03-31" };
  expect(routingDifference(old, { ...old, limits: { burst: 2 }, catchAll })).toEqual(["~ limits", "~ fallback"]);
});
