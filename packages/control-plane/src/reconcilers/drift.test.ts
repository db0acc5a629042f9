import type { EngineChange, StampEngine } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { reconcileStamp } from "./reconcile-stamp.ts";
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

const minute = 61_000;
const edited: EngineChange = { component: "api", change: "update", why: "its command was changed by hand" };

/** The world with an engine that sees drift while there is any, and mends it by applying. */
function drifting() {
  const state = { drift: [] as readonly EngineChange[], applied: 0 };
  const deps = world.freshDeps();
  const engine: StampEngine = {
    ...deps.engine,
    plan: async () => state.drift,
    async apply(spec, options) {
      state.applied += 1;
      state.drift = [];
      return deps.engine.apply(spec, options);
    },
  };
  return { state, deps: { ...deps, engine } };
}

async function setPolicy(drift: "report" | "heal" | undefined): Promise<void> {
  const row = await world.store.fleet.read();
  const release = await world.store.fleet.release(row?.value.release ?? "sha256:none");
  if (row === undefined || release === undefined) throw new Error("Nothing is applied");
  const { fleet } = row.value;
  const pools = fleet.pools.map((pool) => ({ ...pool, automation: drift === undefined ? {} : { drift } }));
  const input = { fleet: { ...fleet, pools }, release, stampCreates: [], stampUpdates: [] };
  await world.store.fleet.apply({ ...input, expectedRevision: row.revision }, world.ctx());
}

const waitingOn = async (name: string) => (await world.store.stamps.read(name))?.value.waitingOn;
const turn = () => ({ token: world.token, signal: new AbortController().signal });

test("drift is reported and left alone where the pool says nothing, at the first look of a leader too", async () => {
  await world.createStamp("quiet");
  const { state, deps } = drifting();
  await settle(world, deps);
  expect(await waitingOn("quiet")).toBeUndefined();
  const before = state.applied;
  state.drift = [edited, { ...edited, component: "worker" }];
  await reconcileStamp(deps, "quiet", turn());
  expect(await waitingOn("quiet"), "not before its time").toBeUndefined();
  world.clock.leap(minute);
  await reconcileStamp(deps, "quiet", turn());
  expect(await waitingOn("quiet")).toMatch(
    /drift \(.*stamp diff quiet\): api: its command was changed by hand, and 1 more/,
  );
  await reconcileStamp(deps, "quiet", turn());
  expect(await waitingOn("quiet"), "remembered between two looks").toContain("drift");

  const next = drifting();
  next.state.drift = [edited];
  await reconcileStamp(next.deps, "quiet", turn());
  expect([state.applied, next.state.applied]).toEqual([before, 0]);
  expect(await waitingOn("quiet")).toContain("drift");

  // Somebody put it right.
  next.state.drift = [];
  world.clock.leap(minute);
  await reconcileStamp(next.deps, "quiet", turn());
  expect(await waitingOn("quiet")).toBeUndefined();
  expect(next.state.applied).toBe(0);
});

test("drift is mended where the pool says heal", async () => {
  const { state, deps } = drifting();
  await settle(world, deps);
  await setPolicy("heal");
  const before = state.applied;
  state.drift = [edited];
  world.clock.leap(minute);
  await settle(world, deps);
  expect(state.applied).toBe(before + 1);
  expect(await waitingOn("quiet")).toBeUndefined();
  await setPolicy("report");
});

test("a rotation of route keys goes on whatever the drift: its stamp must take the next key (D7)", async () => {
  const { state, deps } = drifting();
  await settle(world, deps);
  const before = state.applied;
  state.drift = [edited];
  await world.store.stamps.rotateRouteKeys("quiet", world.ctx(), { accepted: new Set(), dropAfterMs: 0 });
  await reconcileStamp(deps, "quiet", turn());
  expect(state.applied).toBe(before + 1);
  const next = drifting();
  next.state.drift = [edited];
  await reconcileStamp(next.deps, "quiet", turn());
  expect(next.state.applied, "a new leader in the middle of a rotation").toBe(1);
});
