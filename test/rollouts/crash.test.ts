import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../packages/control-plane/src/store/test-postgres.ts";
import { type CrashFleet, crashFleet } from "./crash-fleet.ts";

/**
 * The control plane, killed by SIGKILL at the durable steps of a rollout: each life of it gets one step further.
 * `npm run test:rollouts:crash` stops at all of them, before and after; CI at those after which something else is true.
 */
const isLong = process.env["STAMPYARD_CRASH"] === "all";
const names = ["a-1", "b-1", "c-1"];

let postgres: TestPostgres;
let crash: CrashFleet;
beforeAll(async () => {
  postgres = await startTestPostgres();
  crash = await crashFleet(postgres, names);
}, 120_000);
afterEach(() => {
  crash.onPoint = () => false;
  crash.applyMs = 0;
});
afterAll(async () => {
  await crash?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const ran = () => names.map((name) => crash.engine.stamps.get(name)?.applied?.releaseDigest);
const pidOf = (name: string) => crash.engine.stamps.get(name)?.components.get("api.0")?.pid;
const phaseOf = async (id: string) => (await crash.rollout(id)).state.kind;

/** (I34) Asked while the control plane stands still. */
async function expectOneWave(id: string): Promise<void> {
  const begun = (await crash.store.rollouts.members(id)).filter(({ state }) => state.kind === "updating");
  expect(new Set(begun.map(({ wave }) => wave)).size).toBeLessThanOrEqual(1);
}

/** Each life is killed at the next place that is new to it, until there is none any more. */
function killEverywhere(id: () => string): { readonly faults: unknown[] } {
  const seen = new Map<string, number>();
  const faults: unknown[] = [];
  crash.onPoint = async (point) => {
    if (id() === "") return false;
    await expectOneWave(id()).catch((fault: unknown) => faults.push(fault));
    if (!isLong && point.endsWith(":before")) return false;
    // The same step is come to again by every life that did not get beyond it.
    const times = (seen.get(point) ?? 0) + 1;
    seen.set(point, times);
    return times <= (isLong ? names.length : point.startsWith("rollouts.updating") ? 2 : 1);
  };
  return { faults };
}

test("a rollout whose control plane is killed at every step reaches every stamp once (I26, I27, I34)", async () => {
  const pids = new Map(names.map((name) => [name, pidOf(name)]));
  let id = "";
  const { faults } = killEverywhere(() => id);
  const before = crash.killed.length;
  id = await crash.startRollout("2.0.0");
  await crash.until("the rollout to be done", async () => (await phaseOf(id)) === "done", 120_000);
  expect(faults).toEqual([]);
  const { release } = await crash.rollout(id);
  expect(ran()).toEqual(names.map(() => release));
  expect(await crash.members(id)).toEqual(Object.fromEntries(names.map((name) => [name, "updated"])));
  for (const [name, pid] of pids) expect(pidOf(name), name).not.toBe(pid);
  expect((await crash.store.fleet.read())?.value.release).toBe(release);
  const places = crash.killed.slice(before);
  expect(new Set(places)).toContain("rollouts.done:after");
  process.stdout.write(`forward: killed ${places.length} times: ${[...new Set(places)].join(" ")}\n`);
}, 180_000);

test("an abort whose control plane is killed at every step takes back every touched stamp, and no other (I36, I37)", async () => {
  const before = ran();
  const pids = new Map(names.map((name) => [name, pidOf(name)]));
  let id = "";
  const { faults } = killEverywhere(() => id);
  const already = crash.killed.length;
  id = await crash.startRollout("3.0.0", {}, { BROKEN: "1" });
  await crash.until("the rollout to be aborted", async () => (await phaseOf(id)) === "aborted", 120_000);
  expect(faults).toEqual([]);
  expect(ran()).toEqual(before);
  expect(await crash.members(id)).toEqual({ "a-1": "returned", "b-1": "waiting", "c-1": "waiting" });
  expect(names.slice(1).map(pidOf)).toEqual(names.slice(1).map((name) => pids.get(name)));
  const places = crash.killed.slice(already);
  expect(new Set(places)).toContain("rollouts.aborting:after");
  process.stdout.write(`back: killed ${places.length} times: ${[...new Set(places)].join(" ")}\n`);
}, 180_000);

test("a word of a person holds at once: nothing begins after a pause, and an abort is done in a moment", async () => {
  await crash.start();
  await crash.until("a leader", async () => (await crash.store.lease.current()) !== undefined);
  crash.applyMs = 300;
  const before = ran();
  const id = await crash.startRollout("4.0.0", { maxUnavailable: 1 });
  await crash.until("the canary to be updated", async () => (await crash.members(id))["a-1"] === "updating");
  const paused = performance.now();
  expect((await crash.post(`/v1/rollouts/${id}/pause`, { reason: "a test" })).ok).toBe(true);
  const pausedMs = performance.now() - paused;
  await crash.until("what was begun to end", async () => (await crash.members(id))["a-1"] === "updated");
  const state = (await crash.rollout(id)).state;
  expect(state).toMatchObject({ kind: "paused", why: "a test" });
  expect(await crash.members(id)).toEqual({ "a-1": "updated", "b-1": "waiting", "c-1": "waiting" });
  await crash.post(`/v1/rollouts/${id}/resume`, {});
  await crash.until("the next to be under way", async () => (await crash.members(id))["b-1"] === "updating");
  const aborted = performance.now();
  expect((await crash.post(`/v1/rollouts/${id}/abort`, { reason: "enough" })).ok).toBe(true);
  const saidMs = performance.now() - aborted;
  expect(await crash.members(id)).toEqual({ "a-1": "returning", "b-1": "returning", "c-1": "waiting" });
  await crash.until("all to be back", async () => (await phaseOf(id)) === "aborted");
  const backMs = performance.now() - aborted;
  expect(ran()).toEqual(before);
  expect(backMs, "the limit is 60 s").toBeLessThan(20_000);
  const ms = (value: number) => `${Math.round(value)} ms`;
  const said = `a pause held after ${ms(pausedMs)}, an abort after ${ms(saidMs)}`;
  process.stdout.write(`${said}; two stamps whose update takes 300 ms were back after ${ms(backMs)}\n`);
}, 60_000);
