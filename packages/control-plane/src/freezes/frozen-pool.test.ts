import type { Freeze, FreezeScope, FrozenThing, Pool, PoolPlan } from "@stampyard/domain";
import { expect, test } from "vitest";
import type { PoolFacts } from "../store/port.ts";
import { thawedPlan, whyPoolFrozen } from "./frozen-pool.ts";

const pool = { name: "main", regions: ["north", "south"] } as unknown as Pool;
const facts = {
  pool,
  stamps: [
    { name: "n-1", region: "north" },
    { name: "s-1", region: "south" },
  ],
} as unknown as PoolFacts;
const plan = {
  create: [
    { region: "north", why: "it is full" },
    { region: "south", why: "it is full" },
  ],
  steps: [
    { kind: "drain", stamp: "n-1", why: "it is spare" },
    { kind: "destroy", stamp: "s-1", why: "it is empty" },
  ],
} as unknown as PoolPlan;

function freezesOf(stops: FrozenThing, scope: FreezeScope) {
  const freeze: Freeze = { id: "fz-1", scope, stops: [stops], reason: "an audit", by: "ann", since: 0 };
  return { freezes: [freeze], windows: [] };
}
function left(stops: FrozenThing, scope: FreezeScope) {
  const { create, steps, waitingOn } = thawedPlan(freezesOf(stops, scope), facts, plan, 1);
  return { create: create.map(({ region }) => region), steps: steps.map(({ stamp }) => stamp), waitingOn };
}

test("thawedPlan() takes out what a freeze of a region, of a stamp or of destroys stops, and leaves the rest", () => {
  const why = expect.stringContaining("an audit");
  expect(left("scaling", { regions: ["north"] })).toEqual({ create: ["south"], steps: ["s-1"], waitingOn: why });
  expect(left("scaling", { stamps: ["s-1"] })).toEqual({ create: ["north", "south"], steps: ["n-1"], waitingOn: why });
  expect(left("destroys", {})).toEqual({ create: ["north", "south"], steps: ["n-1"], waitingOn: why });
  expect(left("moves", {})).toEqual({ create: ["north", "south"], steps: ["n-1", "s-1"], waitingOn: undefined });
});

test("whyPoolFrozen() names a freeze only if all of the pool's regions are in it", () => {
  const whyOf = (scope: FreezeScope) => whyPoolFrozen(freezesOf("scaling", scope), pool, 1);
  expect(whyOf({})).toContain("an audit");
  expect(whyOf({ pools: ["main"], regions: ["north", "south"] })).toContain("an audit");
  expect(whyOf({ regions: ["north"] })).toBeUndefined();
  expect(whyOf({ pools: ["other"] })).toBeUndefined();
});
