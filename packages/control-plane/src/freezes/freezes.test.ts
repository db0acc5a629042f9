import type { FrozenThing } from "@stampyard/domain";
import { createSeededRandom } from "@stampyard/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createMoveWorld, from, type MoveWorld, to } from "../reconcilers/move/test-move-world.ts";
import { reconcilePool } from "../reconcilers/reconcile-pool.ts";
import { reconcileStamp } from "../reconcilers/reconcile-stamp.ts";
import { settle } from "../reconcilers/test-world.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { systemSha256 } from "../system-ports.ts";
import { frozenNow, requireThawed } from "./freezes.ts";

let postgres: TestPostgres;
let world: MoveWorld;
beforeAll(async () => {
  postgres = await startTestPostgres();
  world = await createMoveWorld(postgres);
}, 60_000);
afterEach(async () => {
  world.setPoint(() => {});
  for (const { id } of await world.store.freezes.list()) await world.store.freezes.end(id, world.ctx());
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const reason = "an incident";
async function freeze(stops: FrozenThing, scope: { regions?: string[]; stamps?: string[]; pools?: string[] } = {}) {
  return (await world.store.freezes.start({ scope, stops: [stops] }, { ...world.ctx(), reason })).id;
}
const thaw = (id: string) => world.store.freezes.end(id, world.ctx());

let made = 0;
async function requestMove() {
  const tenant = `frozen-${made++}`;
  await world.createTenant(tenant, 3);
  return (await world.store.moves.request({ tenant, to, restMs: 0 }, world.ctx())).value.id;
}
const isWaiting = ({ waitingOn = "" }) => waitingOn.includes("the end of a freeze");

describe("a freeze of moves", () => {
  test("keeps a new one waiting, and lets it go on by itself", async () => {
    const id = await requestMove();
    const frozen = await freeze("moves", { stamps: [to] });
    const move = await world.settleMove(id, undefined, isWaiting);
    expect(move.state.kind).toBe("requested");
    expect(move.waitingOn).toContain(reason);
    await thaw(frozen);
    expect((await world.settleMove(id)).state.kind).toBe("done");
  });

  test("keeps one that copies from its switch, and does not stop one that switches", async () => {
    const copying = await requestMove();
    let frozen = "";
    let rounds = 0;
    world.setPoint(async (name) => {
      if (name === "mover.copy:after" && frozen === "") frozen = await freeze("moves");
      if (name === "mover.fence:before") expect(rounds, "it kept up with its source meanwhile").toBe(3);
      if (name !== "mover.follow:after" || frozen === "" || ++rounds !== 3) return;
      const move = (await world.store.moves.read(copying))?.value;
      expect(move).toMatchObject({ state: { kind: "copying" }, waitingOn: expect.stringContaining(reason) });
      await thaw(frozen);
    });
    expect((await world.settleMove(copying)).state.kind).toBe("done");
    expect(rounds).toBeGreaterThanOrEqual(3);
    frozen = "";
    world.setPoint(async (name) => {
      if (name === "mover.fence:before" && frozen === "") frozen = await freeze("moves");
    });
    expect((await world.settleMove(await requestMove())).state.kind).toBe("done");
    expect(frozen).not.toBe("");
  });

  test("does not stop an abort", async () => {
    const id = await requestMove();
    await freeze("moves", { regions: ["eu"] });
    await world.settleMove(id, undefined, isWaiting);
    await world.store.moves.abort(id, {}, world.ctx());
    expect((await world.settleMove(id)).state.kind).toBe("aborted");
  });

  test("does not hold one that takes another one back", async () => {
    const tenant = `returned-${made++}`;
    await world.createTenant(tenant, 3);
    const first = (await world.store.moves.request({ tenant, to, restMs: 3_600_000 }, world.ctx())).value.id;
    await world.settleMove(first, undefined, ({ state }) => state.kind === "resting");
    await freeze("moves");
    const back = await world.store.moves.rollback(first, { restMs: 0 }, world.ctx());
    expect((await world.settleMove(back.value.id)).state.kind).toBe("done");
    expect(await world.write(tenant, "at-home")).toBe(from);
  });

  test("of other stamps is none of its business", async () => {
    const id = await requestMove();
    await freeze("moves", { stamps: ["elsewhere"] });
    await freeze("scaling");
    expect((await world.settleMove(id)).state.kind).toBe("done");
  });
});

test("a freeze of scaling stops a pool in its regions, and what was begun goes on", async () => {
  const { store } = world;
  const row = await store.fleet.read();
  const old = await store.fleet.release(row?.value.release ?? "sha256:");
  if (row === undefined || old === undefined) throw new RangeError("No fleet");
  const [main] = row.value.fleet.pools;
  if (main === undefined) throw new RangeError("No pool");
  const cold = { ...main, name: "cold", regions: ["north"], stamps: { min: 1, max: 3 } };
  const fleet = { ...row.value.fleet, pools: [main, cold] };
  const none = { stampCreates: [], stampUpdates: [] };
  await store.fleet.apply({ fleet, release: old, ...none, expectedRevision: row.revision }, world.ctx());
  const said: string[] = [];
  const log = { info: (_: object, text: string) => said.push(text), warn() {}, error() {} };
  const deps = {
    ...{ store, clock: world.clock, sha256: systemSha256, random: createSeededRandom(3) },
    ...{ log, poolMemory: { said: new Map() } },
  };
  const turn = { token: world.token, signal: new AbortController().signal };
  const built = async () => (await store.stamps.list({ pool: "cold" })).items.length;
  for (const scope of [{ regions: ["north"] }, { pools: ["cold"] }, {}]) {
    const frozen = await freeze("scaling", scope);
    expect((await reconcilePool(deps, "cold", turn)).kind).toBe("rest");
    expect(await built()).toBe(0);
    expect(said.at(-1)).toContain(reason);
    await thaw(frozen);
  }
  const target = { pool: "cold", region: "north" };
  await freeze("scaling", { regions: ["south"] });
  expect(await frozenNow(deps, "scaling", target)).toBeUndefined();
  await reconcilePool(deps, "cold", turn);
  expect(await built()).toBe(1);
  await freeze("scaling", { regions: ["north"] });
  await expect(requireThawed(deps, "scaling", target, undefined)).rejects.toMatchObject({
    code: "FROZEN",
    message: expect.stringContaining(reason),
  });
  await requireThawed(deps, "scaling", target, "it burns");
  await settle(world, world.freshDeps());
  const [stamp] = (await store.stamps.list({ pool: "cold" })).items;
  expect(stamp?.value.state.kind).toBe("active");
});

test("a freeze of destroys keeps a stamp that is to go, and keeps it whole; a reason passes it", async () => {
  const { store, engine } = world;
  const turn = { token: world.token, signal: new AbortController().signal };
  await world.createStamp("doomed-1", "south");
  await settle(world, world.freshDeps());
  const frozen = await freeze("destroys");
  await store.stamps.remove("doomed-1", { force: false }, world.ctx());
  const look = async () => {
    for (let n = 0; n < 5; n++) await reconcileStamp(world.freshDeps(), "doomed-1", turn);
    return (await store.stamps.read("doomed-1"))?.value;
  };
  expect(await look()).toMatchObject({ state: { kind: "empty" }, waitingOn: expect.stringContaining(reason) });
  engine.killHost("doomed-1");
  await look();
  expect(engine.stamps.get("doomed-1")?.host).toBe("up");
  await store.stamps.remove(
    "doomed-1",
    { force: false, overridesFreeze: true },
    { ...world.ctx(), reason: "it leaks" },
  );
  expect(await look()).toBeUndefined();
  expect(engine.stamps.has("doomed-1")).toBe(false);
  expect((await store.freezes.list()).map(({ id }) => id)).toEqual([frozen]);
  const rows = await store.audit.list({ subject: "stamp/doomed-1" });
  expect(rows.items.filter(({ action }) => action === "stamp.remove").map(({ detail }) => detail)).toMatchObject([
    {},
    { overridesFreeze: true },
  ]);
});
