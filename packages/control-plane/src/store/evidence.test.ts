import type { EvidenceBucket } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLed } from "./test-moves.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const stamps = { a: { requests: 10, errors: 1, latency: [4, 6] } };
const failing = [{ stamp: "a", tenant: "acme", requests: 20, errors: 12, forMs: 3_000 }];
const reportOf = (life: string, number: number, countedAt: number) => ({
  router: "r1",
  life,
  number,
  countedAt,
  stamps,
  failing,
});

test("evidence.report() keeps the newest report of a router, and answers which stamps are under watch", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await store.routers.seen({ name: "r1" });
  await store.evidence.watch(["b", "a", "a"], Date.now() + 60_000, ctx);
  expect(await store.evidence.report(reportOf("one", 2, 2_000))).toEqual(["a", "b"]);
  expect(await store.evidence.reports()).toEqual([{ ...reportOf("one", 2, 2_000), receivedAt: expect.any(Number) }]);
  const newest = async () => (await store.evidence.reports()).map(({ life, number }) => `${life} ${number}`);
  await store.evidence.report(reportOf("one", 1, 1_000));
  expect(await newest()).toEqual(["one 2"]);
  await store.evidence.report(reportOf("two", 1, 3_000));
  expect(await newest()).toEqual(["two 1"]);
  // Sent before its router began anew, and late.
  await store.evidence.report(reportOf("one", 3, 2_500));
  expect(await newest()).toEqual(["two 1"]);
  // A clock that was set back does not shut a router out for ever.
  await run(url, "UPDATE stampyard_control.router_counts SET received_at = received_at - interval '2 minutes'");
  await store.evidence.report(reportOf("three", 1, 500));
  expect(await newest()).toEqual(["three 1"]);
  await store.evidence.watch(["c"], Date.now() + 60_000, ctx);
  expect(await store.evidence.report(reportOf("three", 2, 600))).toEqual(["c"]);
  await store.evidence.watch(["c"], Date.now() - 1, ctx);
  expect(await store.evidence.report(reportOf("three", 3, 700))).toEqual([]);
  await run(url, "UPDATE stampyard_control.routers SET last_seen_at = last_seen_at - interval '1 minute'");
  expect(await newest()).toEqual([]);
});

test("evidence.saveBuckets() keeps one bucket per stamp and time, and prune() forgets old ones", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  const now = Math.floor(Date.now() / 5_000) * 5_000;
  const bucket = (stamp: string, at: number, requests: number): EvidenceBucket => ({
    stamp,
    at,
    ms: 5_000,
    complete: true,
    requests,
    errors: 2,
    latency: [1, 2, requests],
    synthetic: 0,
  });
  const old = bucket("a", now - 7_200_000, 1);
  await store.evidence.saveBuckets([old, bucket("a", now, 7), bucket("b", now, 8)], ctx);
  await store.evidence.saveBuckets([{ ...bucket("a", now, 9), complete: false }], ctx);
  await store.evidence.saveBuckets([], ctx);
  const kept = [{ ...bucket("a", now, 9), complete: false }, bucket("b", now, 8)];
  expect(await store.evidence.buckets(["a", "b"], now - 60_000)).toEqual(kept);
  expect(await store.evidence.buckets(["a"], 0)).toHaveLength(2);
  expect(await store.evidence.prune(3_600_000)).toBe(1);
  expect(await store.evidence.buckets(["a", "b", "c"], 0)).toEqual(kept);
  await store.lease.release("test", ctx.token);
  const stale = { code: "STALE_LEADER" };
  await expect(store.evidence.saveBuckets([old], ctx)).rejects.toMatchObject(stale);
  await expect(store.evidence.watch(["a"], now, ctx)).rejects.toMatchObject(stale);
});
