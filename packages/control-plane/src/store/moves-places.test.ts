import { type Move, usedCapacity } from "@stampyard/domain";
import { forSeeds, type SeededRandom } from "@stampyard/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openStore } from "./open.ts";
import type { MoveInput, Store, WriteContext } from "./port.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { bringTo, giveUp, openLed, tenantOf } from "./test-moves.ts";
import { applyFleet, deleteTenant, fleetFixture, poolFixture, stampFixture, testKeys } from "./test-store.ts";
import { counterDifferences } from "./used-places.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const places = (tenants: number, units: Record<string, number> = {}) => ({ capacity: { tenants, units } });
const createStamp = (store: Store, ctx: WriteContext, name: string, over: Parameters<typeof stampFixture>[1] = {}) =>
  store.stamps.create({ stamp: stampFixture(name, over), secrets: {} }, ctx);

async function usedOf(store: Store, ...names: string[]): Promise<readonly number[]> {
  const used = await store.stamps.used();
  return names.map((name) => used.get(name)?.tenants ?? 0);
}

function recount(url: string) {
  return counterDifferences({
    async query(text, values = []) {
      const rows = await run(`${url}&options=-c%20search_path%3Dstampyard_control`, text, [...values]);
      return { rows: rows as never[], rowCount: rows.length };
    },
  });
}

/** Tenants `t0`… on `a`, then `b` beside it with so many places. */
async function withTenants(count: number, room: number) {
  const led = await openLed(postgres);
  await applyFleet(led.store, led.ctx, [stampFixture("a", places(1_000))]);
  const { store, ctx, url } = led;
  await store.tenants.import(
    Array.from({ length: count }, (_, n) => ({ key: `t${n}` })),
    ctx,
  );
  await run(url, `UPDATE stampyard_control.tenants SET state = '{"kind": "active"}'`);
  await createStamp(led.store, led.ctx, "b", places(room));
  return led;
}

describe("moves.request() reserves", () => {
  test("exactly 20 of 20 places for 200 tenants that ask at once, from two processes (I32)", async () => {
    await using led = await withTenants(200, 20);
    const { store, ctx, url } = led;
    await using other = await openStore({ url, keys: testKeys });
    const tries = await Promise.allSettled(
      Array.from({ length: 200 }, (_, n) =>
        (n % 2 === 0 ? store : other).moves.request({ tenant: `t${n}`, to: "b" }, ctx),
      ),
    );
    const refused = tries.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
    for (const error of refused) expect(error).toMatchObject({ code: "POOL_FULL" });
    expect(refused).toHaveLength(180);
    expect(await usedOf(store, "a", "b")).toEqual([200, 20]);
    expect(await recount(url)).toEqual([]);
    expect((await store.tenants.counts())["moving"]).toBe(20);
  }, 30_000);

  test("a place until the move has ended, on one stamp or the other (I32)", async () => {
    await using led = await withTenants(2, 5);
    const { store, ctx, url } = led;
    const { value: move } = await store.moves.request({ tenant: "t0", to: "b" }, ctx);
    expect(await usedOf(store, "a", "b")).toEqual([2, 1]);
    await bringTo(store, ctx, move.id, "opening");
    await store.moves.land(move.id, ctx);
    // Its home is the target, and the place that it left is kept.
    expect(await usedOf(store, "a", "b")).toEqual([2, 1]);
    await bringTo(store, ctx, move.id, "erasing");
    expect(await usedOf(store, "a", "b")).toEqual([2, 1]);
    await bringTo(store, ctx, move.id, "done");
    expect(await usedOf(store, "a", "b")).toEqual([1, 1]);

    const { value: next } = await store.moves.request({ tenant: "t1", to: "b" }, ctx);
    await giveUp(store, ctx, next.id);
    expect(await usedOf(store, "a", "b")).toEqual([1, 1]);
    expect(await recount(url)).toEqual([]);
  });

  test("what placement and capacity count apart: on the way in, and on the way back (D19)", async () => {
    await using led = await withTenants(1, 2);
    const { store, ctx } = led;
    const loadOf = async (stamp: string) => (await store.capacity.loads()).get(stamp);
    const { value: move } = await store.moves.request({ tenant: "t0", to: "b" }, ctx);
    expect(await loadOf("b")).toMatchObject({ reserved: { tenants: 0 }, incoming: { tenants: 1 }, waysBack: {} });
    await bringTo(store, ctx, move.id, "resting");
    expect(await loadOf("a")).toMatchObject({ reserved: { tenants: 0 }, incoming: {}, waysBack: { tenants: 1 } });
    const left = await loadOf("b");
    expect(left).toMatchObject({ reserved: { tenants: 1 }, incoming: {}, waysBack: {} });
    if (left !== undefined) expect(usedCapacity(left, 0).used).toMatchObject({ tenants: 1 });
    const candidates = await store.placement.candidates();
    expect(candidates.map(({ name, used }) => [name, used["tenants"]])).toEqual([
      ["a", 1],
      ["b", 1],
    ]);
  });

  test("nothing where the last place is kept for a way back", async () => {
    await using led = await withTenants(1, 1);
    const { store, ctx } = led;
    const { value: move } = await store.moves.request({ tenant: "t0", to: "b" }, ctx);
    await expect(store.tenants.create({ key: "late", stamp: "b" }, ctx)).rejects.toMatchObject({ code: "POOL_FULL" });
    await bringTo(store, ctx, move.id, "done");
    await expect(store.tenants.create({ key: "late", stamp: "b" }, ctx)).rejects.toMatchObject({ code: "POOL_FULL" });
    expect((await store.tenants.create({ key: "late" }, ctx)).value.stamp).toBe("a");
  });
});

describe("moves.request() goes only where placement would", () => {
  async function world() {
    const led = await openLed(postgres);
    const pools = [
      { ...poolFixture("shared"), regions: ["eu", "us"] },
      { ...poolFixture("gold"), regions: ["eu"], tiers: ["gold"], channel: "early" },
      { ...poolFixture("solo", "dedicated"), regions: ["eu"] },
    ];
    const residency = [{ name: "gdpr", regions: ["eu"] }];
    const fleet = { ...fleetFixture(pools), residency };
    await applyFleet(led.store, led.ctx, [stampFixture("home", { region: "eu", ...places(3, { rps: 100 }) })], {
      fleet,
    });
    const { store, ctx } = led;
    const acme = await store.tenants.create({ key: "acme", pool: "shared", weight: { rps: 40 } }, ctx);
    await store.tenants.write({ ...acme.value, state: { kind: "active" } }, acme.revision, {}, ctx);
    await createStamp(store, ctx, "full", { region: "eu", ...places(3, { rps: 39 }) });
    await createStamp(store, ctx, "far", { region: "us", ...places(3) });
    await createStamp(store, ctx, "early", { region: "eu", pool: "gold" });
    await createStamp(store, ctx, "own", { region: "eu", pool: "solo", ...places(9) });
    await createStamp(store, ctx, "made", { region: "eu", state: { kind: "verifying", attempt: 1 } });
    await createStamp(store, ctx, "shut", { region: "eu", goal: "cordoned" });
    return led;
  }

  test("and says what is against a stamp in the words of tenant explain", async () => {
    await using led = await world();
    const { store, ctx } = led;
    const cases: readonly [MoveInput["to"], string, RegExp][] = [
      ["full", "POOL_FULL", /full has no room for 40 more rps: 0 of 39 used/],
      ["far", "MOVE_REFUSED", /far is in us, which residency rule gdpr does not allow: only eu/],
      ["early", "MOVE_REFUSED", /early is of a pool for tiers gold, not standard/],
      ["made", "WRONG_PHASE", /made is verifying/],
      ["shut", "WRONG_PHASE", /shut is cordoned/],
    ];
    for (const [to = "", code, message] of cases) {
      const ask = store.moves.request({ tenant: "acme", to }, ctx);
      await expect(ask, to).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    }
    await expect(store.moves.request({ tenant: "acme" }, ctx)).rejects.toMatchObject({ code: "POOL_FULL" });
    await createStamp(store, ctx, "near", { region: "eu" });
    expect(await store.moves.propose({ tenant: "acme" })).toEqual({ from: "home", to: "near", epoch: 1 });
    await store.placement.setOverride("acme", { kind: "pin", stamp: "home" }, ctx);
    await expect(store.moves.request({ tenant: "acme", to: "near" }, ctx)).rejects.toMatchObject({
      code: "MOVE_REFUSED",
      message: expect.stringContaining("near is not home, which the tenant is pinned to"),
      problems: [expect.objectContaining({ path: "tenant acme" })],
    });
  });

  test("and takes a dedicated stamp along: it is its tenant's from the request on, and nobody's after it", async () => {
    await using led = await world();
    const { store, ctx, url } = led;
    const ownerOf = async (name: string) => (await store.stamps.read(name))?.value.reservedFor;
    const given = await store.moves.request({ tenant: "acme", toPool: "solo" }, ctx);
    expect(given.value.to).toBe("own");
    expect(await ownerOf("own")).toBe("acme");
    await giveUp(store, ctx, given.value.id);
    expect(await ownerOf("own")).toBeUndefined();

    const { value: move } = await store.moves.request({ tenant: "acme", to: "own" }, ctx);
    await bringTo(store, ctx, move.id, "done");
    expect(await tenantOf(store, "acme")).toMatchObject({ stamp: "own", pool: "solo", epoch: 2 });
    expect(await ownerOf("own")).toBe("acme");
    await createStamp(store, ctx, "next", { region: "eu", pool: "solo", ...places(9) });
    const { value: on } = await store.moves.request({ tenant: "acme" }, ctx);
    expect(on.to).toBe("next");
    await bringTo(store, ctx, on.id, "resting");
    // Kept for the way back.
    expect([await ownerOf("own"), await ownerOf("next")]).toEqual(["acme", "acme"]);
    await bringTo(store, ctx, on.id, "done");
    expect([await ownerOf("own"), await ownerOf("next")]).toEqual([undefined, "acme"]);
    expect(await recount(url)).toEqual([]);
  });
});

test("counters equal a recount after random moves, ways back and departures", async () => {
  await forSeeds(1, async (random) => {
    await using led = await openLed(postgres);
    const { store, ctx, url } = led;
    await applyFleet(
      store,
      ctx,
      ["a", "b", "c"].map((name) => stampFixture(name, places(4, { rps: 50 }))),
    );
    for (let step = 0; step < 80; step++) {
      await randomStep(store, ctx, `t${random.int(0, 5)}`, random);
      if (step % 10 === 9) expect(await recount(url)).toEqual([]);
      for (const [stamp, used] of await store.stamps.used()) expect(used.tenants, stamp).toBeLessThanOrEqual(4);
    }
  });
}, 30_000);

async function randomStep(store: Store, ctx: WriteContext, key: string, random: SeededRandom): Promise<void> {
  const [open] = (await store.moves.list({ tenant: key, isOpen: true, limit: 1 })).items;
  const tenant = await store.tenants.read(key);
  const isFull = (error: { code: string }) => expect(error.code).toBe("POOL_FULL");
  if (tenant === undefined) {
    await store.tenants.create({ key, weight: { rps: random.int(0, 9) } }, ctx).catch(isFull);
    return;
  }
  if (tenant.value.state.kind === "preparing") {
    await store.tenants.write({ ...tenant.value, state: { kind: "active" } }, tenant.revision, {}, ctx);
    return;
  }
  if (open === undefined) {
    if (random.chance(0.2)) await deleteTenant(store, ctx, key);
    else await store.moves.request({ tenant: key }, ctx).catch(isFull);
    return;
  }
  const { id, state } = open.value;
  if (state.kind === "requested" && random.chance(0.3)) await giveUp(store, ctx, id);
  else if (state.kind === "requested") await landFor(store, ctx, open.value);
  else if (random.chance(0.5)) await store.moves.rollback(id, {}, ctx);
  else await bringTo(store, ctx, id, "done");
}

/** A move that was taken back hears of it once the other one has landed. */
async function landFor(store: Store, ctx: WriteContext, { id, returns }: Move): Promise<void> {
  await bringTo(store, ctx, id, "resting");
  const first = returns === undefined ? undefined : await store.moves.read(returns);
  if (first === undefined) return;
  await store.moves.write({ ...first.value, state: { kind: "returned" } }, first.revision, ctx);
}
