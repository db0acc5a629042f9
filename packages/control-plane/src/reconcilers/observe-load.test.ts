import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { type LoadMemory, observeLoads } from "./observe-load.ts";
import { ratesBetween } from "./router-rates.ts";
import { createWorld, settle } from "./test-world.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

/** A router's admin listener, as far as it is asked. */
async function startStats(name: string) {
  const state = { name, uptimeMs: 1_000, requests: 0, stamp: "eu-1" };
  const server = createServer((_, response) => {
    const stamps = { [state.stamp]: { requests: state.requests } };
    response.end(JSON.stringify({ name: state.name, uptimeMs: state.uptimeMs, stamps }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { state, admin, [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())) };
}

test("observeLoads() measures the units that a stamp declares, and rps only when every live router was asked", async () => {
  await using world = await createWorld(postgres, {
    capacity: { tenants: 100, units: { rps: 5, gib: 2, connections: 20 } },
  });
  await using router = await startStats("edge");
  const warned: object[] = [];
  const deps = { ...world.freshDeps(), log: { info() {}, error() {}, warn: (fields: object) => warned.push(fields) } };
  const memory: LoadMemory = { routers: new Map(), over: new Map() };
  const signal = new AbortController().signal;
  const turn = async () => (await observeLoads(deps, memory, world.token, signal))[0]?.amounts;
  await world.createStamp("eu-1");
  expect(await turn(), "a stamp that does not serve yet").toBeUndefined();
  await settle(world, deps);
  await world.store.routers.seen({ name: "edge", address: "127.0.0.1", admin: router.admin });
  const first = await turn();
  expect(first).toEqual({ gib: expect.any(Number), connections: expect.any(Number) });
  expect(first?.["gib"]).toBeGreaterThan(0.001);
  expect(first?.["gib"]).toBeLessThan(2);

  world.clock.leap(60_000);
  router.state.requests = 600;
  router.state.uptimeMs = 61_000;
  expect((await turn())?.["rps"]).toBeCloseTo(10, 0);
  expect(await world.store.loads.list()).toMatchObject([{ stamp: "eu-1", p95: { rps: expect.any(Number) } }]);
  expect(warned).toEqual([{ stamp: "eu-1", units: "rps" }]);
  await turn();
  expect(warned, "said once").toHaveLength(1);

  await world.store.routers.seen({ name: "far", address: "192.0.2.7", admin: router.admin });
  expect((await turn())?.["rps"], "another machine's loopback is not ours").toBeUndefined();
  // Its reports come from wherever it is, by a clock of its own.
  const tell = async (number: number, requests: number, countedAt: number) => {
    const stamps = { "eu-1": { requests, errors: 0, latency: [requests] } };
    await world.store.evidence.report({ router: "far", life: "l1", number, countedAt, stamps, failing: [] });
  };
  router.state.uptimeMs += 60_000;
  await tell(1, 100, 5_000);
  expect((await turn())?.["rps"], "a first report has nothing before it").toBeUndefined();
  await tell(2, 400, 65_000);
  expect((await turn())?.["rps"]).toBeCloseTo(5, 0);
  expect((await turn())?.["rps"], "the same report again").toBeUndefined();
  expect(await turn()).toMatchObject({ gib: expect.any(Number) });
});

test("ratesBetween() counts a router that started again from its start", () => {
  const count = (at: number, uptimeMs: number, requests: number) => ({
    at,
    uptimeMs,
    requests: new Map([["a", requests]]),
  });
  expect(ratesBetween(count(0, 5_000, 100), count(10_000, 15_000, 150)).get("a")).toBe(5);
  expect(ratesBetween(count(0, 5_000, 100), count(10_000, 4_000, 40)).get("a")).toBe(10);
  expect(ratesBetween(count(0, 5_000, 100), count(0, 5_000, 100)).size).toBe(0);
});
