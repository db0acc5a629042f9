import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "./open.ts";
import { openLed } from "./test-moves.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { fleetOf } from "./test-rollouts.ts";
import { activeTenant, digest, nextEvent, testKeys } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

test("freezes.start() is told to every process at once, and ends by hand or by its time", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await using other = await openStore({ url, keys: testKeys });
  const isFreeze = ({ kind }: { readonly kind: string }) => kind === "freeze";
  const why = { ...ctx, reason: "a big sale" };
  // Whoever listens from now on hears of it, once its connection listens.
  const told = nextEvent(other, isFreeze);
  await waitUntilListening(url);
  const input = { scope: { pools: ["shared"] }, stops: ["moves", "rollouts"] } as const;
  const freeze = await store.freezes.start(input, why);
  await told;
  expect(freeze).toMatchObject({
    scope: input.scope,
    stops: ["rollouts", "moves"],
    reason: "a big sale",
    by: "tester",
  });
  expect(await other.freezes.list()).toEqual([freeze]);
  const short = await store.freezes.start({ ...input, until: Date.now() + 60_000 }, why);
  await run(url, "UPDATE stampyard_control.freezes SET until = now() WHERE until IS NOT NULL");
  expect(await store.freezes.list()).toEqual([freeze]);
  const ended = nextEvent(store, isFreeze);
  await store.freezes.end(freeze.id, ctx);
  await ended;
  expect(await store.freezes.list()).toEqual([]);
  await store.freezes.end(freeze.id, ctx);
  await store.freezes.end(short.id, ctx);
  await expect(store.freezes.end("fz-none", ctx)).rejects.toMatchObject({ code: "NOT_FOUND" });
  const { items } = await store.audit.list({ subject: `freeze/${freeze.id}` });
  expect(items.map((item) => [item.action, item.reason])).toEqual([
    ["freeze.start", "a big sale"],
    ["freeze.end", undefined],
  ]);
});

async function waitUntilListening(url: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const rows = await run(url, "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%keys%'");
    if (rows.length > 0) return;
    if (performance.now() > deadline) throw new RangeError("Nobody listens");
  }
}

test("freezes.start() refuses what would say nothing, and holds while the store recovers", async () => {
  await using led = await openLed(postgres);
  const { store, ctx } = led;
  const invalid = { code: "INVALID_REQUEST" };
  const stops = ["moves"] as const;
  const why = { ...ctx, reason: "a test" };
  await expect(store.freezes.start({ scope: {}, stops }, { ...ctx, reason: " " })).rejects.toMatchObject(invalid);
  await expect(store.freezes.start({ scope: {}, stops: [] }, why)).rejects.toMatchObject(invalid);
  await expect(store.freezes.start({ scope: { pools: [] }, stops }, why)).rejects.toMatchObject(invalid);
  await expect(store.freezes.start({ scope: {}, stops, until: 1 }, why)).rejects.toMatchObject(invalid);
  await expect(store.freezes.start({ scope: { stamps: ["A;"] }, stops }, why)).rejects.toMatchObject({
    code: "INVALID_NAME",
  });
  await store.recovery.enter("a fault", ctx);
  expect(await store.freezes.start({ scope: {}, stops }, why)).toMatchObject({ stops });
});

test("pins hold a stamp, or every stamp where a tenant lives, until their time is over", async () => {
  await using led = await openLed(postgres);
  const { store, ctx, url } = led;
  await fleetOf(store, ctx, ["a", "b"]);
  const { value: tenant } = await activeTenant(store, ctx, "acme");
  const until = Date.now() + 60_000;
  const onStamp = { subject: { kind: "stamp", name: "a" }, until, reason: "a demo" } as const;
  const onTenant = {
    subject: { kind: "tenant", name: "acme" },
    release: digest("1.0.0"),
    until,
    reason: "their freeze",
  } as const;
  await store.pins.set({ ...onStamp, until: until + 1 }, ctx);
  expect(await store.pins.set(onStamp, ctx)).toMatchObject({ ...onStamp, by: "tester" });
  await store.pins.set(onTenant, ctx);
  expect(await store.pins.list()).toMatchObject([onStamp, onTenant]);
  const byStamp = await store.pins.byStamp();
  expect(byStamp.get("a")).toHaveLength(tenant.stamp === "a" ? 2 : 1);
  expect(byStamp.get(tenant.stamp ?? "")?.map((pin) => pin.subject.name)).toContain("acme");
  const refused = async (pin: object) =>
    store.pins.set({ ...onStamp, ...pin }, ctx).catch((error: { code: string }) => error.code);
  expect(await refused({ subject: { kind: "stamp", name: "z" } })).toBe("STAMP_NOT_FOUND");
  expect(await refused({ subject: { kind: "tenant", name: "z" } })).toBe("TENANT_NOT_FOUND");
  expect(await refused({ release: digest("9.9.9") })).toBe("RELEASE_NOT_FOUND");
  expect(await refused({ until: 5 })).toBe("INVALID_REQUEST");
  expect(await refused({ reason: "" })).toBe("INVALID_REQUEST");
  await store.pins.remove(onStamp.subject, ctx);
  await store.pins.remove(onStamp.subject, ctx);
  const { items } = await store.audit.list({ subject: "stamp/a" });
  expect(items.map((item) => item.action)).toEqual(["stamp.pin-release", "stamp.pin-release", "stamp.unpin-release"]);
  await run(url, "UPDATE stampyard_control.pins SET until = now()");
  expect(await store.pins.list()).toEqual([]);
  expect((await store.pins.byStamp()).size).toBe(0);
});
