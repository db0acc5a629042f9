import fc from "fast-check";
import { expect, test } from "vitest";
import type { Component, Template } from "../template.ts";
import { planCost, stampCost } from "./stamp-cost.ts";

function template(components: readonly object[]): Pick<Template, "stages"> {
  return { stages: [{ name: "main", engine: "local", components: components as readonly Component[] }] };
}
const small = template([
  { kind: "service", name: "api", replicas: 3 },
  { kind: "postgres", name: "db" },
  { kind: "job", name: "migrate" },
  { kind: "nats", name: "queue" },
]);
const prices = { currency: "EUR", components: { service: 10, api: 12.5, postgres: 40 }, regions: { us: 0.8 } };

test("stampCost() prices by name before kind, counts replicas, and names what has no price", () => {
  const cost = stampCost(small, "eu", prices);
  expect(cost.monthly).toBe(3 * 12.5 + 40);
  expect(cost.parts.find((part) => part.component === "api")).toMatchObject({ count: 3, price: 12.5, by: "name" });
  expect(cost.parts.find((part) => part.component === "db")).toMatchObject({ count: 1, price: 40, by: "kind" });
  expect(cost.unpriced).toEqual(["queue"]);
  expect(stampCost(small, "us", prices).monthly).toBe(62);
});

test("stampCost() reads no price off the prototype of its list", () => {
  const odd = template([{ kind: "redis", name: "constructor" }]);
  expect(stampCost(odd, "valueOf", prices)).toMatchObject({ monthly: 0, factor: 1, unpriced: ["constructor"] });
});

test("planCost() says what each stamp adds and takes, and the sums agree to the cent", () => {
  const large = template([...(small.stages[0]?.components ?? []), { kind: "redis", name: "cache" }]);
  const list = { ...prices, components: { ...prices.components, redis: 9.99, nats: 1 } };
  const cost = planCost(list, [
    { stamp: "shared-1", region: "eu", from: small, to: large },
    { stamp: "shared-2", region: "us", from: small, to: small },
    { stamp: "shared-3", region: "us", to: large },
    { stamp: "old-1", region: "eu", from: small },
  ]);
  expect(cost.changes).toEqual([
    { stamp: "shared-1", region: "eu", monthly: 9.99 },
    { stamp: "shared-3", region: "us", monthly: 70.79 },
    { stamp: "old-1", region: "eu", monthly: -78.5 },
  ]);
  expect(cost).toMatchObject({ currency: "EUR", before: 219.8, after: 222.08, unpriced: [] });
});

test("planCost() comes to the difference of its sides whatever the stamps", () => {
  const shift = fc.record({
    region: fc.constantFrom("eu", "us"),
    from: fc.option(fc.constant(small), { nil: undefined }),
    to: fc.option(fc.constant(small), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(shift, { maxLength: 30 }), (shifts) => {
      const rows = shifts.map(({ region, from, to }, n) => ({
        stamp: `s-${n}`,
        region,
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
      }));
      const cost = planCost(prices, rows);
      const sum = cost.changes.reduce((total, change) => total + change.monthly, 0);
      expect(sum).toBeCloseTo(cost.after - cost.before, 2);
    }),
  );
});
