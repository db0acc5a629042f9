import { expect, test } from "vitest";
import type { Endpoint } from "./endpoint.ts";
import { endpointNames, endpoints } from "./endpoints.ts";
import { mayCall, roles } from "./roles.ts";

const rows = endpointNames.map((name) => [name, endpoints[name] as Endpoint] as const);

test("endpoints names every method and path once", () => {
  const keys = rows.map(([, row]) => `${row.method} ${row.path}`);
  expect(new Set(keys).size).toBe(keys.length);
});

test.each(rows)("endpoints.%s has a schema for each parameter of its path, and no other", (_, row) => {
  const named = [...row.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  expect(Object.keys(row.params?.shape ?? {}).sort()).toEqual(named.sort());
});

test("endpoints without a role are health only (I40)", () => {
  expect(rows.filter(([, row]) => row.role === "none").map(([, row]) => row.path)).toEqual(["/healthz", "/readyz"]);
});

test("endpoints that change something are closed to viewers, but for the plan and the preview", () => {
  const open = rows.filter(([, row]) => row.method !== "GET" && row.role === "viewer").map(([name]) => name);
  expect(open).toEqual(["plan", "placementPreview"]);
});

test("endpoints with json or events say what they answer", () => {
  for (const [name, row] of rows) {
    expect(row.response !== undefined, name).toBe(row.answers === "json" || row.answers === "events");
  }
});

test("mayCall() opens the directory's endpoints to routers only, and nothing else to them", () => {
  for (const role of roles) {
    for (const [name, row] of rows) {
      if (row.role === "none") continue;
      const directory = ["directoryFeed", "directoryAck", "directoryReport", "holdAcknowledge", "feedCounts"].includes(
        name,
      );
      if (directory || role === "router")
        expect(mayCall(role, row.role), `${role} ${name}`).toBe(directory && role === "router");
    }
  }
  expect(roles.map((role) => mayCall(role, "operator"))).toEqual([true, true, false, false]);
});

test("names are checked before they reach a path, a query or a table", () => {
  const { params } = endpoints.stampGet;
  for (const hostile of ["../etc", "a b", "a;drop", "A", "", "a--b", "a".repeat(41), "ünï", "a\u0000"]) {
    expect(params.safeParse({ name: hostile }).success, JSON.stringify(hostile)).toBe(false);
  }
  expect(params.safeParse({ name: "shared-1" }).success).toBe(true);
});

test("flags in a query are `true` or `false`, nothing else", () => {
  const { query } = endpoints.stampDelete;
  expect(query.parse({ force: "false" }).force).toBe(false);
  expect(query.parse({ force: "true" }).force).toBe(true);
  expect(query.parse({}).force).toBe(false);
  expect(query.safeParse({ force: "yes" }).success).toBe(false);
  expect(query.safeParse({ forse: "true" }).success).toBe(false);
});
