import type { StampEngine } from "@stampyard/domain";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { acceptedKids } from "./drift.ts";
import { reconcileStamp } from "./reconcile-stamp.ts";
import { reconcileTenant } from "./reconcile-tenant.ts";
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

const never = new AbortController().signal;
const tenantOf = async (key: string) => (await world.store.tenants.read(key))?.value;
const stampOf = async (name: string) => (await world.store.stamps.read(name))?.value;

/** The whole life: a stamp is built, a tenant comes and goes, the stamp is removed. */
async function live(name: string, settleNow: () => Promise<void>): Promise<void> {
  await world.createStamp(name);
  await world.store.tenants.create({ key: name, pool: "main", residency: [name] }, world.ctx());
  await settleNow();
  expect(await stampOf(name)).toMatchObject({ state: { kind: "active" }, endpoints: [world.application.endpoint] });
  expect(await tenantOf(name)).toMatchObject({ state: { kind: "active" }, stamp: name, epoch: 1 });
  expect(await world.homesOf(name)).toEqual([{ state: "active", epoch: 1 }]);
  expect(world.application.calls).toContain(`tenant.onCreate ${name} ${name} 1`);

  await world.store.tenants.remove(name, {}, world.ctx());
  await settleNow();
  expect(await tenantOf(name)).toBeUndefined();
  expect(await world.homesOf(name)).toEqual([]);
  expect(world.application.calls).toContain(`tenant.onDelete ${name} ${name} 1`);

  await world.store.stamps.remove(name, { force: false }, world.ctx());
  await settleNow();
  expect(await stampOf(name)).toBeUndefined();
  expect(world.engine.stamps.has(name)).toBe(false);
  expect(world.engine.built.get(name), "built once").toBe(1);
}

describe("the reconcilers, killed at any step,", () => {
  test("finish what they began, once (I26, I27), and publish a tenant only after its stamp knows it (I45)", async () => {
    const points: string[] = [];
    world.setPoint((name) => void points.push(name));
    await live("whole", () => settle(world, world.freshDeps()));
    expect(new Set(points)).toContain("homes.open:after");
    // Between the end of one step and the beginning of the next nothing is durable: killed there is killed once.
    const places = points.flatMap((name, at) => (at > 0 && name.endsWith(":before") ? [] : [at]));
    expect(places.length).toBeGreaterThan(20);

    for (const crashAt of places) {
      const name = `crash-${crashAt}`;
      let passed = 0;
      let process = new AbortController();
      world.setPoint((where) => {
        if (process.signal.aborted) throw new Error("dead");
        if (passed++ !== crashAt) return;
        process.abort(new Error(`killed at ${where}`));
        throw process.signal.reason;
      });
      await live(name, async () => {
        try {
          await settle(world, world.freshDeps(), process.signal);
        } catch (caught) {
          if (!process.signal.aborted) throw caught;
          // The next life of the control plane knows nothing but what is in the store.
          process = new AbortController();
          await settle(world, world.freshDeps(), process.signal);
        }
      });
      expect(passed, `point ${crashAt} was reached`).toBeGreaterThan(crashAt);
    }
    world.setPoint(() => {});
  }, 120_000);

  test("a tenant-put is never committed before tenant_home and the hook have it (I45)", async () => {
    await world.createStamp("order");
    await world.store.tenants.create({ key: "order", pool: "main", residency: ["order"] }, world.ctx());
    const deps = world.freshDeps();
    const seen: string[] = [];
    const tenants = { ...deps.store.tenants };
    const write = tenants.write;
    tenants.write = async (tenant, revision, options, ctx) => {
      if (options.changes?.some((change) => change.kind === "tenant-put")) {
        seen.push(`home ${JSON.stringify(await world.homesOf("order"))}`);
        seen.push(`hook ${world.application.calls.includes("tenant.onCreate order order 1")}`);
        expect(await world.store.directory.tenantVersion("order")).toBeUndefined();
      }
      return write(tenant, revision, options, ctx);
    };
    await settle(world, { ...deps, store: { ...deps.store, tenants } });
    expect(seen).toEqual(['home [{"state":"active","epoch":1}]', "hook true"]);
    expect(await world.store.directory.tenantVersion("order")).toBeDefined();
  });
});

describe("reconcileStamp()", () => {
  test("with a token of the past changes nothing, in the store and at the engine (I28)", async () => {
    await world.createStamp("fenced");
    const stale = { token: world.token - 1, signal: never };
    await expect(reconcileStamp(world.freshDeps(), "fenced", stale)).rejects.toMatchObject({ code: "STALE_LEADER" });
    await settle(world, world.freshDeps());
    const spec = await world.freshDeps().specOf((await stampOf("fenced")) as never);
    const late = world.engine.apply(spec, { token: world.token - 1, signal: never });
    await expect(late).rejects.toMatchObject({ code: "STALE_LEADER" });
    expect(await stampOf("fenced")).toMatchObject({ state: { kind: "active" } });
  });

  test("says why it waits, backs off, and goes on when the engine does", async () => {
    await world.createStamp("sour");
    let isFailing = true;
    world.setPoint((where) => {
      if (isFailing && where === "engine.apply:middle") throw new Error("the disk is slow today");
    });
    const deps = world.freshDeps();
    const turn = { token: world.token, signal: never };
    await reconcileStamp(deps, "sour", turn);
    const end = await reconcileStamp(deps, "sour", turn);
    expect(await stampOf("sour")).toMatchObject({
      state: { kind: "failed", attempt: 1 },
      waitingOn: expect.stringMatching(/^retry of: Unexpected failure/),
    });
    expect(end).toMatchObject({ kind: "rest", until: expect.any(Number) });
    expect(await reconcileStamp(deps, "sour", turn), "too early").toEqual(end);
    isFailing = false;
    await settle(world, deps);
    const healed = await stampOf("sour");
    expect(healed).toMatchObject({ state: { kind: "active" } });
    expect(healed?.waitingOn).toBeUndefined();
    world.setPoint(() => {});
  });

  test("gives up an apply as soon as the stamp is to go", async () => {
    await world.createStamp("unwanted");
    let removed = false;
    const deps = world.freshDeps();
    const engine: StampEngine = {
      ...deps.engine,
      apply(spec, options) {
        if (spec.rendered.identity.name !== "unwanted") return deps.engine.apply(spec, options);
        return new Promise((_, reject) => {
          options.signal.addEventListener("abort", () => reject(options.signal.reason), { once: true });
          removed = true;
          world.store.stamps.remove("unwanted", { force: false }, world.ctx()).catch(reject);
        });
      },
    };
    await settle(world, { ...deps, engine });
    expect(removed).toBe(true);
    expect(await stampOf("unwanted")).toBeUndefined();
  });

  test("applies an active stamp again when its route keys change, so that it knows the next one (D7)", async () => {
    await world.createStamp("keyed");
    const deps = world.freshDeps();
    await settle(world, deps);
    const before = world.engine.passed.get("apply:after") ?? 0;
    await settle(world, deps);
    expect(world.engine.passed.get("apply:after"), "nothing to do").toBe(before);
    const rotate = () =>
      world.store.stamps.rotateRouteKeys("keyed", world.ctx(), {
        accepted: acceptedKids(deps.drift, "keyed"),
        dropAfterMs: 0,
      });
    await rotate();
    await expect(rotate(), "before the stamp takes it").rejects.toMatchObject({ code: "WRONG_PHASE" });
    await settle(world, deps);
    const kids = async () => (await world.store.stamps.routeKeys("keyed")).map(({ kid }) => kid).sort();
    const accepted = () =>
      (world.engine.stamps.get("keyed")?.spec.routeKeys ?? "").replaceAll(/:[^,]+/g, "").split(",");
    expect(await kids()).toHaveLength(2);
    expect(accepted()).toEqual(await kids());

    // Routers change over; the stamp has both keys and need not restart.
    const added = world.engine.passed.get("apply:after");
    await rotate();
    await settle(world, deps);
    expect(world.engine.passed.get("apply:after")).toBe(added);
    await rotate();
    await settle(world, deps);
    expect(await kids()).toHaveLength(1);
    expect(accepted()).toEqual(await kids());
  });

  test("publishes moved endpoints and mends a dead host", async () => {
    await world.createStamp("shaky");
    const deps = world.freshDeps();
    await settle(world, deps);
    world.engine.killHost("shaky");
    await settle(world, deps);
    expect(world.engine.stamps.get("shaky")?.host).toBe("up");
    world.engine.moveEndpoints("shaky");
    await settle(world, deps);
    expect((await stampOf("shaky"))?.endpointRevision).toBe(2);
  });
});

describe("reconcileTenant()", () => {
  test("shows a failing onCreate, retries, and never publishes before it works (D5)", async () => {
    await world.createStamp("hooked");
    const deps = world.freshDeps();
    await settle(world, deps);
    world.application.state.status = 500;
    await world.store.tenants.create({ key: "hooked", pool: "main", residency: ["hooked"] }, world.ctx());
    const end = await reconcileTenant(deps, "hooked", { token: world.token, signal: never });
    expect(end).toMatchObject({ kind: "rest", until: expect.any(Number) });
    expect(await tenantOf("hooked")).toMatchObject({
      state: { kind: "preparing", attempt: 1 },
      waitingOn: expect.stringMatching(/HOOK_FAILED: .*onCreate.*answered 500 "the outbox is full"/),
    });
    expect(await world.store.directory.tenantVersion("hooked")).toBeUndefined();
    world.application.state.status = 204;
    await settle(world, deps);
    expect(await tenantOf("hooked")).toMatchObject({ state: { kind: "active" } });
    expect((await tenantOf("hooked"))?.waitingOn).toBeUndefined();
  });

  test("places again a tenant whose stamp was destroyed before it was published, under a higher epoch", async () => {
    await world.createStamp("first", "both");
    await world.store.tenants.create({ key: "both", pool: "main", residency: ["both"] }, world.ctx());
    world.application.state.status = 500;
    const deps = world.freshDeps();
    const turn = { token: world.token, signal: never };
    for (let n = 0; n < 4; n++) {
      await reconcileStamp(deps, "first", turn);
      await reconcileTenant(deps, "both", turn);
    }
    expect(await tenantOf("both")).toMatchObject({ state: { kind: "preparing" }, stamp: "first", epoch: 1 });
    await world.createStamp("second", "both");
    await world.store.stamps.remove("first", { force: true }, world.ctx());
    world.application.state.status = 204;
    await settle(world, deps);
    expect(await tenantOf("both")).toMatchObject({ state: { kind: "active" }, stamp: "second" });
    expect((await tenantOf("both"))?.epoch).toBeGreaterThan(1);
    expect(await stampOf("first")).toBeUndefined();
  });

  test("deletes a tenant whose stamp is gone by force, without asking it", async () => {
    await world.createStamp("doomed");
    await world.store.tenants.create({ key: "doomed", pool: "main", residency: ["doomed"] }, world.ctx());
    const deps = world.freshDeps();
    await settle(world, deps);
    await world.store.stamps.remove("doomed", { force: true }, world.ctx());
    // An active tenant has no turns of its own: its stamp's last one tells it.
    const turn = { token: world.token, signal: new AbortController().signal };
    for (let n = 0; n < 10 && (await stampOf("doomed")) !== undefined; n++) await reconcileStamp(deps, "doomed", turn);
    expect(await tenantOf("doomed")).toMatchObject({ waitingOn: expect.stringMatching(/destroyed with the data/) });
    await world.store.tenants.remove("doomed", {}, world.ctx());
    await settle(world, deps);
    expect(await tenantOf("doomed")).toBeUndefined();
    expect(world.application.calls).not.toContain("tenant.onDelete doomed doomed 1");
  });
});
