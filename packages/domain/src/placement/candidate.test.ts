import { expect, test } from "vitest";
import type { StampObservation } from "../engine.ts";
import { placementSettings, placementTrouble } from "./candidate.ts";

test("placementTrouble() believes an observation, and lets a stamp that serves without its host go on", () => {
  const since = 0;
  const seen = (over: Partial<StampObservation>): StampObservation => ({
    stamp: "a",
    presence: "present",
    host: "up",
    components: [{ name: "api", replica: 0, status: "healthy", restarts: 0, since }],
    endpoints: [],
    endpointRevision: 1,
    ...over,
  });
  expect(placementTrouble(undefined)).toBeUndefined();
  expect(placementTrouble(seen({}))).toBeUndefined();
  expect(placementTrouble(seen({ host: "down" }))).toBeUndefined();
  expect(placementTrouble(seen({ host: "down", components: [] }))).toMatch(/stamp host is down/);
  expect(placementTrouble(seen({ presence: "absent" }))).toMatch(/nothing of it is left/);
  expect(placementTrouble(seen({ presence: "unknown" }))).toMatch(/does not answer/);
});

test("placementSettings() takes policy and tiers of the pool", () => {
  const pool = { name: "a", tenancy: "shared", regions: ["eu"], stamps: { min: 0, max: 1 }, parameters: {} } as const;
  expect(placementSettings(pool)).toEqual({});
  const canGrow = { stampsLeft: 1, regions: ["eu"] };
  expect(placementSettings({ ...pool, tiers: ["gold"], placement: { strategy: "pack" } }, canGrow)).toEqual({
    strategy: "pack",
    tiers: ["gold"],
    canGrow,
  });
});
