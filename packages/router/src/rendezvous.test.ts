import type { StampEntry } from "@stampyard/directory";
import fc from "fast-check";
import { expect, test } from "vitest";
import { homeByRendezvous } from "./rendezvous.ts";

const stamp = (name: string, more: Partial<StampEntry> = {}): StampEntry => ({
  stamp: name,
  pool: "shared",
  region: "eu",
  endpoints: [{ host: "127.0.0.1", port: 1 }],
  endpointRevision: 1,
  ...more,
});
const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}-[0-9]{1,2}$/), { minLength: 1, maxLength: 12 });
const clients = fc.array(fc.ipV4(), { minLength: 1, maxLength: 50 });
const homes = (stamps: readonly string[], asked: readonly string[]) =>
  asked.map((client) =>
    homeByRendezvous(
      stamps.map((name) => stamp(name)),
      client,
      "shared",
      "eu",
    ),
  );

test("homeByRendezvous() moves only clients of a stamp that goes, and only to one that comes", () => {
  fc.assert(
    fc.property(names, clients, fc.nat(), (stamps, asked, pick) => {
      const gone = stamps[pick % stamps.length] ?? "";
      const rest = stamps.filter((name) => name !== gone);
      const before = homes(stamps, asked);
      const after = homes(rest, asked);
      for (const [index, home] of before.entries()) {
        if (home !== gone) expect(after[index]).toBe(home);
        else
          expect(rest.length === 0 ? undefined : rest).toEqual(
            rest.length === 0 ? undefined : expect.arrayContaining([after[index]]),
          );
      }
    }),
    { numRuns: 500 },
  );
});

test("homeByRendezvous() does not depend on the order of the stamps", () => {
  fc.assert(
    fc.property(names, clients, (stamps, asked) => {
      expect(homes([...stamps].reverse(), asked)).toEqual(homes(stamps, asked));
    }),
    { numRuns: 200 },
  );
});

test("homeByRendezvous() spreads clients evenly over names that differ in their last character", () => {
  const stamps = ["shared-1", "shared-2", "shared-3", "shared-4"];
  const counts = new Map<string | undefined, number>();
  for (let n = 0; n < 8_000; n++) {
    const [home] = homes(stamps, [`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`]);
    counts.set(home, (counts.get(home) ?? 0) + 1);
  }
  for (const name of stamps) {
    expect(counts.get(name)).toBeGreaterThan(1_800);
    expect(counts.get(name)).toBeLessThan(2_200);
  }
});

test("homeByRendezvous() never leaves region or pool, and passes over stamps without an endpoint", () => {
  const stamps = [stamp("a", { region: "us" }), stamp("b", { pool: "big" }), stamp("c", { endpoints: [] }), stamp("d")];
  for (let n = 0; n < 200; n++) expect(homeByRendezvous(stamps, `${n}`, "shared", "eu")).toBe("d");
  expect(homeByRendezvous(stamps, "x", "shared", "ap")).toBeUndefined();
});
