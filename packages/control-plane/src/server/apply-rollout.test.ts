import type { MemberState, Stamp } from "@stampyard/domain";
import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { baking, step, updating } from "../store/test-rollouts.ts";
import { fleetYaml, templateYaml } from "./test-files.ts";
import { activateStamp, startTestServer, type TestServer } from "./test-server.ts";

/** What an apply does at once, and what it leaves to a rollout. */

let postgres: TestPostgres;
let server: TestServer;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());
beforeEach(async () => {
  const engine = createSimulatedEngine({ clock: createManualClock(Date.now()) });
  server = await startTestServer(await postgres.database(), engine);
  return () => server.close();
});

const sized = templateYaml.replace("components:", "parameters: { size: { type: string, default: s } }\ncomponents:");
const version = (name: string, text = sized) => text.replace("version: 1.0.0", `version: ${name}`);
const pools = (more: string, text = fleetYaml) =>
  text.replace("    regions: [eu, us]\n", `    regions: [eu, us]\n${more}`);

function apply(templateText: string, fleetText = fleetYaml) {
  return server.clients.operator.apply({
    body: { templateYaml: templateText, fleetYaml: fleetText, sourceDir: "/srv/demo" },
  });
}

/** Two stamps in service with 1.0.0. */
async function inService(): Promise<void> {
  await apply(version("1.0.0"));
  for (const name of ["shared-1", "shared-2"]) await activateStamp(server, name);
}

const stampOf = async (name: string): Promise<Stamp> => {
  const row = await server.store.stamps.read(name);
  if (row === undefined) throw new Error(`No stamp ${name}`);
  return row.value;
};
const releases = async () => (await server.store.stamps.all()).map(({ value }) => value.releaseDigest);
const fleetNow = async () => (await server.store.fleet.read())?.value;
const sharedPool = async () => (await fleetNow())?.fleet.pools.find(({ name }) => name === "shared");
const open = async () => await server.store.rollouts.open();

/** To its good end, as the reconciler would. */
async function finish(id: string): Promise<void> {
  const { store, ctx } = server;
  const members = await store.rollouts.members(id);
  const names = members.filter(({ state }) => state.kind === "waiting").map(({ stamp }) => stamp);
  const all = (state: MemberState) => Object.fromEntries(names.map((name) => [name, state]));
  await step(store, ctx, id, updating(), all({ kind: "updating", since: 1 }));
  await step(store, ctx, id, baking(), all({ kind: "updated", since: 1, at: 2 }));
  await step(store, ctx, id, { kind: "done", at: 3 });
}

test("the first apply, and one before any stamp is in service, need no rollout", async () => {
  const first = await apply(version("1.0.0"));
  expect(first.rollout).toBeUndefined();
  const second = await apply(version("1.0.1"));
  expect(second.rollout).toBeUndefined();
  expect(await releases()).toEqual([second.releaseDigest, second.releaseDigest]);
  expect(await open()).toEqual([]);
});

test("a release changes no stamp that is in service but by a rollout, and the same files again begin no other one", async () => {
  await inService();
  const before = await fleetNow();
  const applied = await apply(version("2.0.0"));
  expect(applied.rollout).toMatch(/^ro-/);
  expect(await releases()).toEqual([before?.release, before?.release]);
  expect(await fleetNow()).toEqual(before);
  const rollout = await server.store.rollouts.read(applied.rollout ?? "");
  expect(rollout?.value).toMatchObject({
    release: applied.releaseDigest,
    state: { kind: "queued" },
    fleetRevision: applied.fleetRevision,
  });
  const members = await server.store.rollouts.members(applied.rollout ?? "");
  expect(members.map(({ stamp, from, to }) => [stamp, from.release, to.release])).toEqual(
    ["shared-1", "shared-2"].map((name) => [name, before?.release, applied.releaseDigest]),
  );
  expect(await apply(version("2.0.0"))).toMatchObject({
    rollout: applied.rollout,
    fleetRevision: applied.fleetRevision,
  });
  expect(await open()).toEqual([applied.rollout]);
  await finish(applied.rollout ?? "");
  expect(await releases()).toEqual([applied.releaseDigest, applied.releaseDigest]);
  expect((await fleetNow())?.release).toBe(applied.releaseDigest);
  const again = await apply(version("2.0.0"));
  expect(again).toMatchObject({ plan: { changes: [] } });
  expect(again.rollout).toBeUndefined();
});

test("what touches no stamp holds at once, also while a rollout is under way, and a stamp built meanwhile gets the good release", async () => {
  await inService();
  const good = (await fleetNow())?.release;
  const begun = await apply(version("2.0.0"));
  const more = fleetYaml.replace("min: 2, max: 3", "min: 3, max: 5");
  const applied = await apply(version("2.0.0"), more);
  expect(applied.rollout).toBe(begun.rollout);
  expect((await sharedPool())?.stamps).toMatchObject({ min: 3, max: 5 });
  expect((await stampOf("shared-3")).releaseDigest).toBe(good);
  expect(await open()).toEqual([begun.rollout]);
  await finish(begun.rollout ?? "");
  expect((await sharedPool())?.stamps).toMatchObject({ min: 3, max: 5 });
});

test("parameters and capacity of a pool reach its stamps by a rollout, and a stamp's own parameters stay", async () => {
  await inService();
  await server.clients.operator.stampCreate({ body: { pool: "shared", name: "own", parameters: { size: "xl" } } });
  await activateStamp(server, "own");
  const before = await stampOf("shared-1");
  const applied = await apply(version("1.0.0"), pools("    parameters: { size: m }\n    capacity: { tenants: 2 }\n"));
  expect(applied.rollout).toBeDefined();
  expect(await stampOf("shared-1")).toEqual(before);
  expect((await sharedPool())?.parameters).toEqual({});
  expect((await sharedPool())?.capacity).toBeUndefined();
  await finish(applied.rollout ?? "");
  expect(await stampOf("shared-1")).toMatchObject({ parameters: { size: "m" }, capacity: { tenants: 2 } });
  expect(await stampOf("own")).toMatchObject({ parameters: { size: "xl" }, capacity: { tenants: 2 } });
  expect(await sharedPool()).toMatchObject({ parameters: { size: "m" }, capacity: { tenants: 2 } });
  // The pool's next value, which the stamp had of its own before, is not taken for its own now.
  const next = await apply(version("1.0.0"), pools("    parameters: { size: xl }\n    capacity: { tenants: 2 }\n"));
  await finish(next.rollout ?? "");
  const last = await apply(version("1.0.0"), pools("    parameters: { size: l }\n    capacity: { tenants: 2 }\n"));
  await finish(last.rollout ?? "");
  expect((await stampOf("shared-1")).parameters).toEqual({ size: "l" });
  expect((await stampOf("own")).parameters).toEqual({ size: "xl" });
});

test("files that go back while a release waits begin a rollout back: what waits is not forgotten", async () => {
  await inService();
  const good = (await fleetNow())?.release;
  const begun = await apply(version("2.0.0"));
  const back = await apply(version("1.0.0"));
  expect(back.rollout).toBeDefined();
  expect(back.rollout).not.toBe(begun.rollout);
  const members = await server.store.rollouts.members(back.rollout ?? "");
  expect(members.map(({ to, state }) => [to.release, state.kind])).toEqual([
    [good, "waiting"],
    [good, "waiting"],
  ]);
});

test("rollout start previews without a trace, brings parts alone, and undo takes back what a rollout brought", async () => {
  await inService();
  const good = (await fleetNow())?.release;
  const { operator } = server.clients;
  const applied = await apply(version("2.0.0", sized.replace("maxMemory: 64Mi", "maxMemory: 128Mi")));
  await server.clients.operator.rolloutAbort({ params: { id: applied.rollout ?? "" }, body: {} });
  const body = { release: applied.releaseDigest, components: ["cache"] };
  const { preview } = (await operator.rolloutStart({ query: { dryRun: true }, body })) as {
    preview: { waves: { members: { stamp: string; from: string; to: string }[] }[] };
  };
  const previewed = preview.waves.flatMap(({ members }) => members);
  expect(previewed.map(({ stamp }) => stamp)).toEqual(["shared-1", "shared-2"]);
  expect(await server.store.rollouts.open()).toEqual([]);
  const started = (await operator.rolloutStart({ query: {}, body })) as { rollout: { id: string } };
  await finish(started.rollout.id);
  const composed = (await stampOf("shared-1")).releaseDigest;
  expect([good, applied.releaseDigest]).not.toContain(composed);
  expect((await server.store.fleet.release(composed))?.notes).toContain("1.0.0 with cache of 2.0.0");
  // No stamp is built from a part of a release.
  expect((await fleetNow())?.release).toBe(good);
  const diff = await server.clients.viewer.releaseDiff({
    params: { digest: composed },
    query: good === undefined ? {} : { from: good },
  });
  expect(diff.changes.map(({ what }) => what)).toEqual(["cache"]);
  const back = await operator.rolloutUndo({ params: { id: started.rollout.id }, body: {} });
  await finish(back.id);
  expect(await releases()).toEqual([good, good]);
  const same = good === undefined ? {} : { release: good };
  await expect(operator.rolloutStart({ query: {}, body: same })).rejects.toMatchObject({ code: "WRONG_PHASE" });
});
