import { jobFixture, serviceFixture } from "@stampyard/testing";
import type { Component, RenderedStamp } from "@stampyard/domain";
import { expect, test } from "vitest";
import { dependenciesOf, orderOf } from "./order.ts";
import { postgres } from "../test-engine.ts";

const stamp = (...stages: readonly (readonly Component[])[]): RenderedStamp =>
  ({
    stages: stages.map((components, n) => ({ name: `s${n}`, engine: "local", components })),
  }) as unknown as RenderedStamp;
const url = (of: string) => ({ URL: [{ of, field: "url" }] });

test("dependenciesOf() follows references, `after`, stages, and puts migrations before the services of a database", () => {
  const migrate = jobFixture("migrate", "m", { env: { URL: [{ of: "db", field: "migrationUrl" }] } });
  const rendered = stamp(
    [
      postgres,
      migrate,
      serviceFixture("api", "a", { env: url("db") }),
      serviceFixture("web", "w", { env: url("api") }),
    ],
    [serviceFixture("late", "l", { after: [] })],
  );
  const needs = dependenciesOf(rendered);
  expect([...(needs.get("api") ?? [])].sort()).toEqual(["db", "migrate"]);
  expect([...(needs.get("web") ?? [])]).toEqual(["api"]);
  expect(needs.get("late")?.size).toBe(4);
  const order = orderOf(needs);
  expect(order.indexOf("migrate")).toBeLessThan(order.indexOf("api"));
  expect(order.at(-1)).toBe("late");
});

test("dependenciesOf() refuses a cycle and an unknown name", () => {
  const cycle = stamp([serviceFixture("a", "a", { env: url("b") }), serviceFixture("b", "b", { after: ["a"] })]);
  expect(() => dependenciesOf(cycle)).toThrow(/a → b → a|b → a → b/);
  expect(() => dependenciesOf(stamp([serviceFixture("a", "a", { env: url("nobody") })]))).toThrow(/nobody/);
});
