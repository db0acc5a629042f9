import { isBig, type Pool, type Tenant } from "@stampyard/domain";
import { createSeededRandom, type SeededRandom } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "./open.ts";
import type { Store, WriteContext } from "./port.ts";
import { restoreStore } from "./restore.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { applyFleet, deleteTenant, fleetFixture, leaderOf, poolFixture, stampFixture, testKeys } from "./test-store.ts";
import { entryOf } from "./tenant-write.ts";
import { counterDifferences } from "./used-places.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

interface Opened extends AsyncDisposable {
  readonly url: string;
  readonly store: Store;
  readonly ctx: WriteContext;
}

async function openLed(): Promise<Opened> {
  const url = await postgres.database();
  const store = await openStore({ url, keys: testKeys });
  return { url, store, ctx: await leaderOf(store), [Symbol.asyncDispose]: () => store.close() };
}

const places = (tenants: number) => ({ capacity: { tenants, units: {} } });

/** What a recount finds wrong, read as the store reads it. */
function differences(url: string) {
  return counterDifferences({
    async query(text, values = []) {
      const rows = await run(`${url}&options=-c%20search_path%3Dstampyard_control`, text, [...values]);
      return { rows: rows as never[], rowCount: rows.length };
    },
  });
}

test("1,000 concurrent creations against 100 free places place exactly 100 (I32)", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  const stamps = Array.from({ length: 20 }, (_, n) => stampFixture(`shared-${n + 1}`, places(5)));
  await applyFleet(store, ctx, stamps);
  // Two processes that know nothing of each other, and one that imports between them.
  await using other = await openStore({ url, keys: testKeys });
  const tries = Array.from({ length: 1_000 }, (_, n) => {
    const key = `t${n}`;
    if (n % 100 === 99) return store.tenants.import([{ key }], ctx).then(({ applied }) => applied);
    return (n % 2 === 0 ? store : other).tenants.create({ key }, ctx).then(
      () => true,
      (error: { code: string }) => {
        expect(error.code).toBe("POOL_FULL");
        return false;
      },
    );
  });
  const placed = (await Promise.all(tries)).filter(Boolean);
  expect(placed).toHaveLength(100);
  expect([...(await store.stamps.used()).values()].map((used) => used.tenants)).toEqual(Array(20).fill(5));
  const homes = await run(url, "SELECT count(*)::int AS n FROM stampyard_control.tenants WHERE stamp IS NOT NULL");
  expect(homes).toEqual([{ n: 100 }]);
  expect(await differences(url)).toEqual([]);
  const audits = await run(
    url,
    "SELECT count(*)::int AS n FROM stampyard_control.audit WHERE action IN ('tenant.create', 'tenant.import')",
  );
  expect(audits[0]?.["n"]).toBe(100);
}, 60_000);

test("a dedicated stamp is claimed by one of many tenants, and stays its own when it has gone", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  const solo = { pool: "solo", ...places(9) };
  await applyFleet(store, ctx, [stampFixture("solo-1", solo), stampFixture("solo-2", solo)], {
    fleet: fleetFixture([poolFixture("solo", "dedicated")]),
  });
  await using other = await openStore({ url, keys: testKeys });
  const tries = Array.from({ length: 30 }, (_, n) =>
    (n % 2 === 0 ? store : other).tenants.create({ key: `t${n}` }, ctx),
  );
  const placed = (await Promise.allSettled(tries)).flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  expect(placed.map((tenant) => tenant.value.stamp).sort()).toEqual(["solo-1", "solo-2"]);
  const owner = placed.find((tenant) => tenant.value.stamp === "solo-1")?.value.key ?? "";
  expect((await store.stamps.read("solo-1"))?.value.reservedFor).toBe(owner);
  await deleteTenant(store, ctx, (await publishByKey(store, ctx, owner)).value.key);
  await expect(store.tenants.create({ key: "next" }, ctx)).rejects.toMatchObject({ code: "POOL_FULL" });
  expect((await store.tenants.create({ key: owner }, ctx)).value.stamp).toBe("solo-1");
});

async function publishByKey(store: Store, ctx: WriteContext, key: string) {
  const tenant = await store.tenants.read(key);
  if (tenant === undefined) throw new RangeError(`No tenant ${key}`);
  const active: Tenant = { ...tenant.value, state: { kind: "active" } };
  return store.tenants.write(active, tenant.revision, { changes: [entryOf(active)] }, ctx);
}

test("counters equal a recount after random histories, across a backup too", async () => {
  const random = createSeededRandom(Number(process.env["STAMPYARD_SEED"] ?? Math.floor(Math.random() * 2 ** 31)));
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  const units = { rps: 60, gib: 7.5 };
  const stamps = ["shared-1", "shared-2", "shared-3"].map((name) =>
    stampFixture(name, { capacity: { tenants: 30, units } }),
  );
  const tiers = { standard: { weight: { rps: 0.1 } }, gold: { weight: { rps: 7, gib: 0.3 } } };
  await applyFleet(store, ctx, stamps, { fleet: { ...fleetFixture(), tiers } });
  const lives = Array.from({ length: 12 }, (_, n) => live(store, ctx, random, n));
  await Promise.all(lives);
  expect(await differences(url), `STAMPYARD_SEED=${random.seed}`).toEqual([]);
  const used = await store.stamps.used();
  for (const { units: taken, tenants } of used.values()) {
    expect(tenants).toBeLessThanOrEqual(30);
    expect(taken["rps"] ?? 0).toBeLessThanOrEqual(60 + 1e-9);
    expect(taken["gib"] ?? 0).toBeLessThanOrEqual(7.5 + 1e-9);
  }
  const copy = await postgres.database();
  await restoreStore({ url: copy, source: store.backup(), actor: "tester", keys: testKeys });
  expect(await differences(copy)).toEqual([]);
  const bigs = await run(url, "SELECT weight, big FROM stampyard_control.tenants WHERE stamp IS NOT NULL");
  const limits = { tenants: 30, ...units };
  for (const row of bigs) expect(row["big"]).toBe(isBig(row["weight"] as Record<string, number>, limits, {}));
}, 60_000);

/** Some tenants of one caller, coming and going in every way the store has. */
async function live(store: Store, ctx: WriteContext, random: SeededRandom, caller: number): Promise<void> {
  for (let step = 0; step < 12; step++) {
    const key = `c${caller}-${random.int(0, 3)}`;
    const tier = random.pick(["standard", "gold"]);
    const weight = random.chance(0.3) ? { tenants: random.int(0, 4), rps: random.int(0, 90) / 10 } : undefined;
    const input = { key, tier, ...(weight === undefined ? {} : { weight }) };
    try {
      const tenant = await store.tenants.read(key);
      if (tenant === undefined) {
        if (random.chance(0.7)) await store.tenants.create(input, ctx);
        else await store.tenants.import([input, { ...input, key: `${key}-i${step}` }], ctx);
      } else if (tenant.value.state.kind === "placing") await store.tenants.place(key, ctx);
      else if (tenant.value.state.kind === "preparing" && random.chance(0.5)) {
        await store.tenants.vacate(key, tenant.revision, ctx);
      } else if (tenant.value.state.kind === "preparing") await publishByKey(store, ctx, key);
      else await deleteTenant(store, ctx, key);
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      expect(["POOL_FULL", "STALE_REVISION", "ALREADY_EXISTS"], message).toContain(code);
    }
  }
}

test("tenants.create() waits where its pool may still grow, and is refused above the maximum", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  const growing: Pool = { ...poolFixture("shared"), stamps: { min: 1, max: 2 }, automation: { scaleUp: "act" } };
  await applyFleet(store, ctx, [stampFixture("shared-1", places(1))], { fleet: fleetFixture([growing]) });
  await store.tenants.create({ key: "a" }, ctx);
  const waiting = await store.tenants.create({ key: "b" }, ctx);
  expect(waiting.value).toMatchObject({ state: { kind: "placing" }, waitingOn: expect.stringContaining("next stamp") });
  await expect(store.tenants.create({ key: "huge", weight: { tenants: 11 } }, ctx)).rejects.toMatchObject({
    code: "POOL_FULL",
  });
  await store.stamps.create({ stamp: stampFixture("shared-2", places(1)), secrets: { "db.appPassword": "x" } }, ctx);
  expect((await store.tenants.place("b", ctx)).value.stamp).toBe("shared-2");
  await expect(store.tenants.create({ key: "c" }, ctx)).rejects.toMatchObject({ code: "POOL_FULL" });
});

test("tenants.create() weighs by tier, and refuses what residency rules forbid, by the rule's name", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  const eu = stampFixture("shared-1", { region: "fra", capacity: { tenants: 10, units: { rps: 100 } } });
  const us = stampFixture("shared-2", { region: "iad", capacity: { tenants: 99, units: { rps: 1_000 } } });
  await applyFleet(store, ctx, [eu, us], {
    fleet: {
      ...fleetFixture(),
      tiers: { gold: { weight: { tenants: 2, rps: 30 } } },
      residency: [{ name: "eu-only", when: ["eu"], regions: ["fra"] }],
    },
  });
  const gold = await store.tenants.create({ key: "acme", tier: "gold", residency: ["eu"] }, ctx);
  expect(gold.value).toMatchObject({ stamp: "shared-1", weight: { tenants: 2, rps: 30 } });
  const light = await store.tenants.create({ key: "beta", tier: "gold", weight: { rps: 1 }, residency: ["eu"] }, ctx);
  expect(light.value.weight).toEqual({ tenants: 2, rps: 1 });
  const misplaced = store.tenants.create({ key: "gamma", stamp: "shared-2", residency: ["eu"] }, ctx);
  await expect(misplaced).rejects.toMatchObject({ message: expect.stringContaining("eu-only") });
  const nowhere = await store.tenants.planImport([
    { key: "delta", stamp: "shared-2", residency: ["eu"] },
    { key: "acme", tier: "gold", residency: ["eu"] },
  ]);
  expect(nowhere.conflicts).toEqual([{ key: "delta", why: expect.stringContaining("eu-only") }]);
  expect(nowhere.unchanged).toEqual(["acme"]);
});

test("an adopted stamp takes whom it already has, over its limits and cordoned, and nobody by choice", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  const zero = stampFixture("zero", { origin: "adopted", goal: "cordoned", ...places(2) });
  await applyFleet(store, ctx, [zero, stampFixture("shared-1", places(1))]);
  const inputs = Array.from({ length: 5 }, (_, n) => ({ key: `old-${n}`, stamp: "zero" }));
  expect(await store.tenants.import(inputs, ctx)).toMatchObject({ applied: true });
  expect((await store.tenants.create({ key: "new" }, ctx)).value.stamp).toBe("shared-1");
  await expect(store.tenants.create({ key: "more" }, ctx)).rejects.toMatchObject({ code: "POOL_FULL" });
});

test("one creation's fault is its own, whoever shares its batch", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  await applyFleet(store, ctx, [stampFixture("shared-1", places(9))]);
  await store.tenants.create({ key: "old", hostnames: ["old.example.com"] }, ctx);
  const codes = await Promise.all(
    [
      { key: "first" },
      { key: "a" },
      { key: "old" },
      { key: "b", hostnames: ["old.example.com"] },
      { key: "c", hostnames: ["c.example.com"] },
      { key: "d", hostnames: ["c.example.com"] },
      { key: "a" },
      { key: "e", pool: "none" },
      { key: "f", stamp: "none" },
      { key: "g", weight: { tenants: 99 } },
      { key: "h" },
    ].map((input) =>
      store.tenants.create(input, ctx).then(
        ({ value }) => value.stamp,
        (error) => error.code,
      ),
    ),
  );
  expect(codes).toEqual([
    "shared-1",
    "shared-1",
    "ALREADY_EXISTS",
    "HOSTNAME_TAKEN",
    "shared-1",
    "HOSTNAME_TAKEN",
    "ALREADY_EXISTS",
    "POOL_NOT_FOUND",
    "STAMP_NOT_FOUND",
    "POOL_FULL",
    "shared-1",
  ]);
  expect((await store.stamps.used()).get("shared-1")?.tenants).toBe(5);
});

test("a tenant that asks for no stamp of its own goes to the only shared pool, whatever dedicated ones there are", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  const own = { ...stampFixture("own-1", places(1)), pool: "own" };
  const fleet = fleetFixture([poolFixture("own", "dedicated"), poolFixture("shared")]);
  await applyFleet(store, ctx, [stampFixture("shared-1", places(9)), own], { fleet });
  expect((await store.tenants.create({ key: "acme" }, ctx)).value.stamp).toBe("shared-1");
  expect((await store.tenants.create({ key: "vip", tenancy: "dedicated" }, ctx)).value.stamp).toBe("own-1");
});

test("a pin and a quarantine count from the next placement until they expire, and are audited", async () => {
  await using opened = await openLed();
  const { store, ctx } = opened;
  const stamps = ["shared-1", "shared-2", "shared-3"].map((name) => stampFixture(name, places(9)));
  await applyFleet(store, ctx, stamps);
  const code = (promise: Promise<unknown>) => promise.catch((error: { code: string }) => error.code);
  const pin = { kind: "pin", stamp: "shared-3" } as const;
  expect(await code(store.placement.setOverride("acme", { ...pin, stamp: "none" }, ctx))).toBe("STAMP_NOT_FOUND");
  expect(await code(store.placement.setOverride("acme", { ...pin, until: 1_000 }, ctx))).toBe("INVALID_REQUEST");
  await store.placement.setOverride("acme", pin, { ...ctx, reason: "near its data" });
  expect((await store.tenants.create({ key: "acme" }, ctx)).value.stamp).toBe("shared-3");
  await store.placement.setOverride("noisy", { kind: "quarantine", until: Date.now() + 600_000 }, ctx);
  await store.tenants.create({ key: "beta", stamp: "shared-1" }, ctx);
  expect((await store.tenants.create({ key: "noisy" }, ctx)).value.stamp).toBe("shared-2");
  for (const key of ["a", "b", "c", "d"]) {
    expect((await store.tenants.create({ key }, ctx)).value.stamp).not.toBe("shared-2");
  }
  const { placement, verdicts } = await store.placement.preview({ key: "gamma" });
  expect(placement.kind).toBe("place");
  expect(verdicts.find((verdict) => verdict.stamp === "shared-2")).toMatchObject({ filter: "override" });
  expect((await store.placement.overrides()).items.map((each) => [each.tenant, each.reason])).toEqual([
    ["acme", "near its data"],
    ["noisy", undefined],
  ]);
  await store.placement.removeOverride("noisy", "quarantine", ctx);
  expect(await code(store.placement.removeOverride("acme", "quarantine", ctx))).toBe("NOT_FOUND");
  expect(await code(store.placement.removeOverride("noisy", undefined, ctx))).toBe("NOT_FOUND");
  expect((await store.tenants.create({ key: "e" }, ctx)).value.stamp).toBe("shared-2");
  const { items } = await store.audit.list({ subject: "tenant/noisy" });
  expect(items.map((row) => row.action)).toEqual(["tenant.quarantine", "tenant.create", "tenant.unquarantine"]);
  const explained = await store.placement.explain("acme");
  expect(explained).toMatchObject({ home: "shared-3", placement: { kind: "place", stamp: "shared-3" } });
});

test("what was measured fills a stamp, until it is too old; what was placed since counts beside it (D19)", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  const limits = { capacity: { tenants: 9, units: { rps: 100 } } };
  await applyFleet(store, ctx, [stampFixture("shared-1", limits), stampFixture("shared-2", limits)]);
  await store.loads.record(
    [
      { stamp: "shared-1", amounts: { rps: 80 } },
      { stamp: "gone", amounts: { rps: 1 } },
    ],
    ctx,
  );
  const seen = async () => (await store.placement.candidates()).find((each) => each.name === "shared-1");
  expect(await seen()).toMatchObject({ used: { rps: 80 }, usedBasis: "observed" });
  await store.tenants.create({ key: "a", stamp: "shared-1", weight: { rps: 15 } }, ctx);
  expect(await seen()).toMatchObject({ used: { rps: 95, tenants: 1 } });
  expect((await store.tenants.create({ key: "b", weight: { rps: 10 } }, ctx)).value.stamp).toBe("shared-2");
  await store.loads.record([{ stamp: "shared-2", amounts: { rps: 140 } }], ctx);
  await expect(store.tenants.create({ key: "c", weight: { rps: 10 } }, ctx)).rejects.toMatchObject({
    code: "POOL_FULL",
  });
  await run(url, "UPDATE stampyard_control.stamp_load_p95 SET at = at - interval '11 minutes'");
  await store.loads.record([], ctx);
  const later = await store.placement.preview({ key: "c", weight: { rps: 10 } });
  expect(later.placement).toEqual({ kind: "place", stamp: "shared-2" });
  await run(url, "UPDATE stampyard_control.stamp_loads SET minute = minute - interval '25 hours'");
  expect(await store.loads.prune()).toBe(2);
});

test("a recount finds a counter that was tampered with, and mends it", async () => {
  await using opened = await openLed();
  const { store, ctx, url } = opened;
  await applyFleet(store, ctx, [stampFixture("shared-1", places(2))]);
  await store.tenants.create({ key: "a" }, ctx);
  await run(url, "UPDATE stampyard_control.stamp_use SET reserved = 2");
  await run(url, "INSERT INTO stampyard_control.stamp_use VALUES ('ghost', 'tenants', 3, 3, 0)");
  expect(await store.placement.counterDifferences()).toEqual([
    { stamp: "ghost", unit: "tenants", kept: 3, counted: 0 },
    { stamp: "shared-1", unit: "tenants", kept: 2, counted: 1 },
  ]);
  await store.placement.recount(ctx);
  expect(await store.placement.counterDifferences()).toEqual([]);
  expect((await store.tenants.create({ key: "b" }, ctx)).value.stamp).toBe("shared-1");
});
