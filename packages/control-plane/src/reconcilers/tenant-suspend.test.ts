import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readSnapshot } from "../store/test-store.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { reconcileTenant } from "./reconcile-tenant.ts";
import type { TenantHomeRow } from "./turn.ts";
import { createWorld, settle, type World } from "./test-world.ts";

let postgres: TestPostgres;
let world: World;
beforeAll(async () => {
  postgres = await startTestPostgres();
  world = await createWorld(postgres);
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const tenantOf = async (key: string) => (await world.store.tenants.read(key))?.value;
const settleNow = () => settle(world, world.freshDeps());

async function published(key: string): Promise<unknown> {
  await vi.waitUntil(async () => (await world.store.directory.tenantVersion(key))?.pending === false, 5_000);
  const { changes } = await readSnapshot(world.store);
  return changes.find((change) => change.kind === "tenant-put" && change.tenant === key);
}

/** A tenant on a stamp of the same name. */
async function housed(name: string): Promise<void> {
  await world.createStamp(name);
  await world.store.tenants.create({ key: name, pool: "main", residency: [name] }, world.ctx());
  await settleNow();
}

describe("a suspended tenant", () => {
  test("is refused by routers and by its stamp, keeps place, hostnames and epoch, and comes back (I2)", async () => {
    await housed("still");
    const { reason, ...ctx } = { ...world.ctx(), reason: "unpaid" };
    await world.store.tenants.suspend("still", { reason }, ctx);
    await settleNow();
    const suspension = { by: "test", reason: "unpaid", at: expect.any(Number) };
    expect(await tenantOf("still")).toMatchObject({
      state: { kind: "suspended" },
      goal: "suspended",
      suspension,
      stamp: "still",
      epoch: 1,
    });
    expect(await world.homesOf("still")).toEqual([{ state: "suspended", epoch: 1 }]);
    expect(await published("still")).toMatchObject({ stamp: "suspended", home: "still", epoch: 1 });
    expect((await world.store.stamps.used(["still"])).get("still")?.tenants).toBe(1);
    expect(await world.store.tenants.due(Date.now() + 60_000)).not.toContain("still");

    await world.store.tenants.addHostname("still", "still.example.com", {}, ctx);
    expect(await world.store.tenants.suspend("still", { reason: "again" }, ctx)).toMatchObject({
      value: { suspension },
    });
    await settleNow();
    expect(await published("still")).toMatchObject({ stamp: "suspended", hostnames: ["still.example.com"] });

    await world.store.tenants.resume("still", {}, ctx);
    await settleNow();
    const back = await tenantOf("still");
    expect(back).toMatchObject({ state: { kind: "active" }, goal: "present", stamp: "still", epoch: 1 });
    expect(back?.suspension).toBeUndefined();
    expect(await world.homesOf("still")).toEqual([{ state: "active", epoch: 1 }]);
    const entry = await published("still");
    expect(entry).toMatchObject({ stamp: "still", epoch: 1, hostnames: ["still.example.com"] });
    expect(entry).not.toHaveProperty("home");
    const { items } = await world.store.audit.list({ subject: "tenant/still", limit: 100 });
    expect(items.find((row) => row.action === "tenant.suspend")).toMatchObject({ reason: "unpaid", actor: "test" });
  });

  test("is suspended and resumed whole, wherever the control plane is killed (I26, I27)", async () => {
    const live = async (name: string, settleOnce: () => Promise<void>) => {
      await world.store.tenants.suspend(name, { reason: "test" }, world.ctx());
      await settleOnce();
      expect(await tenantOf(name)).toMatchObject({ state: { kind: "suspended" }, epoch: 1 });
      expect(await world.homesOf(name)).toEqual([{ state: "suspended", epoch: 1 }]);
      await world.store.tenants.resume(name, {}, world.ctx());
      await settleOnce();
      expect(await tenantOf(name)).toMatchObject({ state: { kind: "active" }, epoch: 1 });
      expect(await world.homesOf(name)).toEqual([{ state: "active", epoch: 1 }]);
    };
    await housed("whole");
    const points: string[] = [];
    world.setPoint((name) => void points.push(name));
    await live("whole", settleNow);
    world.setPoint(() => {});
    expect(points).toContain("homes.suspend:after");
    for (const [crashAt, point] of points.entries()) {
      let passed = 0;
      let process = new AbortController();
      world.setPoint((where) => {
        if (process.signal.aborted) throw new Error("dead");
        if (passed++ !== crashAt) return;
        process.abort(new Error(`killed at ${where}`));
        throw process.signal.reason;
      });
      await live("whole", async () => {
        try {
          await settle(world, world.freshDeps(), process.signal);
        } catch (caught) {
          if (!process.signal.aborted) throw caught;
          process = new AbortController();
          await settle(world, world.freshDeps(), process.signal);
        }
      });
      expect(passed, `point ${point} was reached`).toBeGreaterThan(crashAt);
    }
    world.setPoint(() => {});
  }, 60_000);

  test("stays refused by routers while its stamp cannot be told, and says what it waits for", async () => {
    await housed("deaf");
    world.setPoint((where) => {
      if (where === "homes.suspend:before") throw new Error("the network is down");
    });
    const deps = world.freshDeps();
    await world.store.tenants.suspend("deaf", { reason: "test" }, world.ctx());
    const turn = { token: world.token, signal: new AbortController().signal };
    for (let n = 0; n < 3; n++) await reconcileTenant(deps, "deaf", turn);
    expect(await tenantOf("deaf")).toMatchObject({
      state: { kind: "suspending", attempt: expect.any(Number) },
      waitingOn: expect.stringContaining("retry of"),
    });
    expect(await published("deaf")).toMatchObject({ stamp: "suspended" });
    world.setPoint(() => {});
    await settle(world, deps);
    expect(await tenantOf("deaf")).toMatchObject({ state: { kind: "suspended" } });
  });

  test("can be deleted, and one that nobody was sent to cannot be suspended", async () => {
    await housed("leaver");
    await world.store.tenants.suspend("leaver", { reason: "test" }, world.ctx());
    await settleNow();
    await world.store.tenants.remove("leaver", {}, world.ctx());
    const wrong = { code: "WRONG_PHASE" };
    await expect(world.store.tenants.resume("leaver", {}, world.ctx())).rejects.toMatchObject(wrong);
    await settleNow();
    expect(await tenantOf("leaver")).toBeUndefined();
    expect(await world.homesOf("leaver")).toEqual([]);

    await world.store.tenants.create({ key: "early", pool: "main", residency: ["leaver"] }, world.ctx());
    await expect(world.store.tenants.suspend("early", { reason: "x" }, world.ctx())).rejects.toMatchObject(wrong);
    const stale = world.store.tenants.suspend("early", { reason: "x", revision: 99 }, world.ctx());
    await expect(stale).rejects.toMatchObject({ code: "STALE_REVISION" });
  });

  test("stays suspended in a store that was restored from before it, because its stamp says so (D9)", async () => {
    await housed("back");
    await world.store.tenants.suspend("back", { reason: "test" }, world.ctx());
    await settleNow();
    const { store } = world;
    // What the stamps say, to a store that has forgotten the suspension of one tenant and all of another.
    const homes = new Map<string, readonly TenantHomeRow[]>();
    for (const { value } of await store.stamps.all()) homes.set(value.name, []);
    homes.set("back", [
      { tenant: "back", state: "suspended", epoch: 1 },
      { tenant: "lost", state: "suspended", epoch: 7 },
    ]);
    await store.tenants.resume("back", {}, world.ctx());
    await settleNow();
    await store.recovery.enter("restored", world.ctx());
    for (const [stamp, rows] of homes) await store.recovery.saveStampHomes(stamp, rows, world.ctx());
    const { conflicts } = await store.recovery.report();
    // The others of this world are known to their stamps, which were not asked here.
    const others = conflicts.map(({ tenant }) => tenant).filter((tenant) => tenant !== "back" && tenant !== "lost");
    expect(conflicts).toHaveLength(others.length);
    await store.recovery.resolve(
      others.map((tenant) => ({ tenant })),
      world.ctx(),
    );
    await store.recovery.finish({ incomplete: true }, world.ctx());
    const remembered = { goal: "suspended", state: { kind: "suspended" }, stamp: "back" };
    expect(await tenantOf("back")).toMatchObject({ ...remembered, epoch: 1, suspension: { by: "recovery" } });
    expect(await tenantOf("lost")).toMatchObject({ ...remembered, epoch: 7 });
    expect(await published("lost")).toMatchObject({ stamp: "suspended", home: "back", epoch: 7 });
    expect(await published("back")).toMatchObject({ stamp: "suspended", home: "back", epoch: 1 });
  });
});
