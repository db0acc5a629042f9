import type { DirectoryChange } from "@stampyard/directory";
import { describe, expect, test } from "vitest";
import { type DirectoryFacts, whyHeld } from "./change-guard.ts";

const removal = (n: number): DirectoryChange => ({ kind: "tenant-remove", tenant: `t${n}` });
const removals = (count: number) => Array.from({ length: count }, (_, n) => removal(n));

function facts(tenants: number, over: Partial<DirectoryFacts> = {}): DirectoryFacts {
  const homeOf = new Map(Array.from({ length: tenants }, (_, n) => [`t${n}`, "a"] as const));
  return { tenants, homeOf, tenantsOn: new Map([["a", tenants]]), leaving: new Set(), ...over };
}

describe("whyHeld() (D8)", () => {
  test("needs more than 5% and more than 50", () => {
    expect(whyHeld(removals(50), facts(200))).toBeUndefined();
    expect(whyHeld(removals(51), facts(200))).toBe("it changes 51 of 200 tenants");
    expect(whyHeld(removals(100), facts(2_000))).toBeUndefined();
    expect(whyHeld(removals(101), facts(2_000))).toBeDefined();
  });

  test("counts no new tenant, and no tenant twice", () => {
    const fresh = Array.from({ length: 500 }, (_, n): DirectoryChange => {
      return { kind: "tenant-put", tenant: `new${n}`, stamp: "a", epoch: 1, hostnames: [] };
    });
    expect(whyHeld(fresh, facts(100))).toBeUndefined();
    expect(whyHeld([...removals(40), ...removals(40)], facts(200))).toBeUndefined();
  });

  test("holds what empties a stamp, unless it is about one tenant", () => {
    expect(whyHeld(removals(1), facts(1))).toBeUndefined();
    expect(whyHeld(removals(2), facts(2))).toBe("it takes all 2 tenants from stamp a");
    expect(whyHeld(removals(2), facts(3))).toBeUndefined();
    const away = removals(2).map((_, n): DirectoryChange => {
      return { kind: "tenant-put", tenant: `t${n}`, stamp: "b", epoch: 2, hostnames: [] };
    });
    expect(whyHeld(away, facts(2))).toBeDefined();
  });

  test("holds the withdrawal of a stamp with tenants, unless its removal was ordered", () => {
    const withdrawal: DirectoryChange = { kind: "stamp-remove", stamp: "a" };
    expect(whyHeld([withdrawal], facts(1))).toBe("it withdraws stamp a, the home of 1 tenants");
    expect(whyHeld([withdrawal], facts(1, { leaving: new Set(["a"]) }))).toBeUndefined();
    expect(whyHeld([withdrawal], facts(0))).toBeUndefined();
    expect(whyHeld([removal(0), withdrawal], facts(1))).toBeUndefined();
  });
});
