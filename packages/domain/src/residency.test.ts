import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ResidencyRule } from "./fleet.ts";
import { residencyBreach, residencyOf } from "./residency.ts";

const gdpr: ResidencyRule = { name: "gdpr", when: ["eu"], regions: ["eu-west", "eu-central"] };
const banks: ResidencyRule = { name: "banks", tiers: ["bank"], regions: ["eu-central"] };
const free = { tier: "standard", residency: [] };

describe("residencyOf()", () => {
  test("leaves a tenant alone that is under no rule", () => {
    expect(residencyOf([gdpr, banks], free)).toEqual({ kind: "allowed", regions: [] });
    expect(residencyOf([gdpr, banks], { ...free, residency: ["us"] })).toEqual({ kind: "allowed", regions: ["us"] });
  });

  test("explains a word by the regions of its rule, and names the rule that narrows", () => {
    expect(residencyOf([gdpr], { ...free, residency: ["eu"] })).toEqual({
      kind: "allowed",
      regions: ["eu-west", "eu-central"],
      rule: "gdpr",
    });
    expect(residencyOf([gdpr, banks], { tier: "bank", residency: ["eu"] })).toEqual({
      kind: "allowed",
      regions: ["eu-central"],
      rule: "banks",
    });
    expect(residencyOf([banks], { tier: "bank", residency: [] })).toEqual({
      kind: "allowed",
      regions: ["eu-central"],
      rule: "banks",
    });
  });

  test("a wish that a rule forbids is a conflict with the rule's name", () => {
    expect(residencyOf([banks], { tier: "bank", residency: ["us"] })).toEqual({
      kind: "conflict",
      rule: "banks",
      why: "residency rule banks allows eu-central, and not us",
    });
  });

  test("a rule without tiers and words is for every tenant", () => {
    const all: ResidencyRule = { name: "home", regions: ["eu-west"] };
    expect(residencyOf([all], free)).toEqual({ kind: "allowed", regions: ["eu-west"], rule: "home" });
  });

  test("never allows a region that a rule over the tenant does not", () => {
    const region = fc.constantFrom("a", "b", "c");
    const rule = fc.record(
      {
        name: fc.constantFrom("one", "two", "three"),
        tiers: fc.subarray(["gold", "bank"], { minLength: 1 }),
        when: fc.uniqueArray(fc.constantFrom("a", "eu"), { minLength: 1 }),
        regions: fc.uniqueArray(region, { minLength: 1 }),
      },
      { requiredKeys: ["name", "regions"] },
    );
    const wish = fc.record({ tier: fc.constantFrom("gold", "free"), residency: fc.subarray(["a", "b", "eu"]) });
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 4 }), wish, (rules, wanted) => {
        const found = residencyOf(rules, wanted);
        const over = rules.filter(
          (each) =>
            (each.tiers === undefined && each.when === undefined) ||
            each.tiers?.includes(wanted.tier as "gold") ||
            each.when?.some((word) => wanted.residency.includes(word)),
        );
        if (found.kind === "conflict") expect(over.map((each) => each.name)).toContain(found.rule);
        else {
          for (const each of found.regions) for (const one of over) expect(one.regions).toContain(each);
          if (over.length > 0) expect(found.regions.length).toBeGreaterThan(0);
        }
        for (const one of ["a", "b", "c"] as const) {
          const may = found.kind === "allowed" && (found.regions.length === 0 || found.regions.includes(one));
          expect(residencyBreach(rules, wanted, one) === undefined).toBe(may);
        }
      }),
    );
  });
});

test("residencyBreach() says which rule keeps a tenant out of a region", () => {
  expect(residencyBreach([gdpr], { ...free, residency: ["eu"] }, "us")).toEqual({
    rule: "gdpr",
    why: "may live only in eu-west, eu-central, not in us: residency rule gdpr",
  });
  expect(residencyBreach([gdpr], { ...free, residency: ["us"] }, "eu-west")).toEqual({
    why: "asks to live only in us, not in eu-west",
  });
  expect(residencyBreach([gdpr], { ...free, residency: ["eu"] }, "eu-west")).toBeUndefined();
});
