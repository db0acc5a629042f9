import { type Aim, type MemberState, type Routing, rulesDigest, type RolloutState } from "@stampyard/domain";
import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { aborting, baking, step, updating } from "../store/test-rollouts.ts";
import { readSnapshot, sequenceAll } from "../store/test-store.ts";
import { systemSha256 } from "../system-ports.ts";
import { fleetYaml, templateYaml } from "./test-files.ts";
import { activateStamp, startTestServer, type TestServer } from "./test-server.ts";

/** Routing rules go over the fleet like a release: what an apply publishes, and what each step of its rollout does. */

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

const old = "domains: [localhost]";
const withPath = "domains: [localhost]\n  path: { prefix: /t }";
const other = "domains: [other.example]";
const rules: Record<string, Routing> = {
  [old]: { domains: ["localhost"] },
  [withPath]: { domains: ["localhost"], path: { prefix: "/t", strip: false } },
  [other]: { domains: ["other.example"] },
};
const limits = "\n  limits: { concurrency: 9 }";
const both = ["shared-1", "shared-2"];

function apply(routing: string, version = "1.0.0") {
  const body = {
    fleetYaml: fleetYaml.replace(old, routing),
    templateYaml: templateYaml.replace("version: 1.0.0", `version: ${version}`),
    sourceDir: "/srv/demo",
  };
  return server.clients.operator.apply({ body });
}

async function inService(): Promise<void> {
  await apply(old);
  for (const name of both) await activateStamp(server, name);
}

/** As routers have it, once everything is numbered. */
async function published(): Promise<Routing | undefined> {
  await sequenceAll(server.store, server.ctx);
  const { changes } = await readSnapshot(server.store);
  return changes.flatMap((change) => (change.kind === "routing-put" ? [change.routing] : []))[0];
}

const begun: MemberState = { kind: "updating", since: 1 };
const arrived: MemberState = { kind: "updated", since: 1, at: 2 };
const say = (id: string | undefined, state: RolloutState, members: Record<string, MemberState> = {}) =>
  step(server.store, server.ctx, id ?? "", state, members);
const all = (state: MemberState) => Object.fromEntries(both.map((name) => [name, state]));
const stampOf = async (name: string) => (await server.store.stamps.read(name))?.value;

/** Both members in one wave, to its good end. */
async function finish(id: string | undefined): Promise<void> {
  const members = await server.store.rollouts.members(id ?? "");
  const waiting = members.filter(({ state }) => state.kind === "waiting").map(({ stamp }) => stamp);
  await say(id, updating(), Object.fromEntries(waiting.map((name) => [name, begun])));
  await say(id, baking(), Object.fromEntries(waiting.map((name) => [name, arrived])));
  await say(id, { kind: "done", at: 3 });
}

test("routing rules hold at once where nobody is in service", async () => {
  await apply(old);
  expect((await apply(withPath)).rollout).toBeUndefined();
  expect(await published()).toEqual(rules[withPath]);
});

test("rules reach each stamp with its turn, and the fleet with the end of the rollout; limits hold at once", async () => {
  await inService();
  const { rollout } = await apply(withPath + limits);
  const fleetLimits = { limits: { concurrency: 9 } };
  expect(await published()).toEqual({ ...rules[old], ...fleetLimits });
  await say(rollout, updating(), { "shared-2": begun });
  const trial = { stamps: ["shared-2"], routing: rules[withPath] };
  expect(await published()).toEqual({ ...rules[old], ...fleetLimits, trials: [trial] });
  expect((await stampOf("shared-2"))?.routing).toBe(rulesDigest(rules[withPath] as Routing, systemSha256));
  await say(rollout, updating(), { "shared-1": begun, "shared-2": arrived });
  await say(rollout, baking(), { "shared-1": arrived });
  expect(await published()).toMatchObject({ ...rules[old], trials: [{ stamps: both }] });
  await say(rollout, { kind: "done", at: 3 });
  expect(await published()).toEqual({ ...rules[withPath], ...fleetLimits });
  expect(await stampOf("shared-1")).not.toHaveProperty("routing");
  expect(await apply(withPath + limits)).toMatchObject({ plan: { changes: [] } });
});

test("an order, its rules and one audit row are one transaction (I26, I39)", async () => {
  await inService();
  const { rollout } = await apply(withPath);
  await published();
  await say(rollout, updating(), { "shared-1": begun });
  const { pending } = await server.store.directory.head();
  expect(pending).toBe(1);
  const { items } = await server.store.audit.list({ subject: `rollout/${rollout}` });
  expect(items.filter(({ action }) => action !== "rollout.start")).toMatchObject([
    { action: "rollout.updating", detail: { members: { "shared-1": "updating" } } },
  ]);
});

test("an abort takes the rules back from every touched stamp in the very word that says it (I36)", async () => {
  await inService();
  const { rollout } = await apply(other);
  await say(rollout, updating(), all(begun));
  await server.clients.operator.rolloutAbort({ params: { id: rollout ?? "" }, body: {} });
  expect(await published()).toEqual(rules[old]);
  expect(await stampOf("shared-1")).not.toHaveProperty("routing");
});

test("undo brings the rules of before by the same way, and not those that somebody else has brought since", async () => {
  await inService();
  const first = await apply(withPath);
  await finish(first.rollout);
  const back = await server.clients.operator.rolloutUndo({ params: { id: first.rollout ?? "" }, body: {} });
  await say(back.id, updating(), { "shared-1": begun });
  expect(await published()).toEqual({ ...rules[withPath], trials: [{ stamps: ["shared-1"], routing: rules[old] }] });
  await say(back.id, updating(), { "shared-1": arrived, "shared-2": begun });
  await say(back.id, baking(), { "shared-2": arrived });
  await say(back.id, { kind: "done", at: 3 });
  expect(await published()).toEqual(rules[old]);

  const release = await apply(old, "2.0.0");
  await finish(release.rollout);
  await finish((await apply(withPath, "2.0.0")).rollout);
  const undone = await server.clients.operator.rolloutUndo({ params: { id: release.rollout ?? "" }, body: {} });
  await finish(undone.id);
  expect(await published()).toEqual(rules[withPath]);
  expect((await stampOf("shared-1"))?.releaseDigest).toBe(first.releaseDigest);
});

test("a rollout that takes the place of another leaves every stamp its rules until its own turn comes", async () => {
  await inService();
  const first = await apply(withPath);
  await say(first.rollout, updating(), { "shared-1": begun });
  await say(first.rollout, baking(), { "shared-1": arrived });
  const second = await apply(other);
  expect(second.rollout).not.toBe(first.rollout);
  await say(first.rollout, { kind: "superseded", at: 3, by: second.rollout ?? "" });
  const mine = { stamps: ["shared-1"], routing: rules[withPath] };
  expect(await published()).toEqual({ ...rules[old], trials: [mine] });
  await say(second.rollout, updating(), { "shared-2": begun });
  const others = { stamps: ["shared-2"], routing: rules[other] };
  expect(await published()).toEqual({ ...rules[old], trials: [others, mine] });
  // What it would go back to is what held when its turn came.
  await say(second.rollout, updating(), { "shared-1": begun });
  await say(second.rollout, aborting, all({ kind: "returning", since: 4 }));
  expect(await published()).toEqual({ ...rules[old], trials: [mine] });
});

test("a release alone leaves the rules of each stamp, and waits for no word of them", async () => {
  await inService();
  const { rollout, releaseDigest } = await apply(withPath, "2.0.0");
  await server.clients.operator.rolloutAbort({ params: { id: rollout ?? "" }, body: {} });
  const first = await apply(withPath);
  await say(first.rollout, updating(), { "shared-1": begun });
  await say(first.rollout, baking(), { "shared-1": arrived });
  await say(first.rollout, { kind: "superseded", at: 3, by: "ro-1" });
  const started = (await server.clients.operator.rolloutStart({
    query: {},
    body: { release: releaseDigest },
  })) as { rollout: { id: string } };
  const named = (await server.store.rollouts.members(started.rollout.id)).map(({ to }: { to: Aim }) => to.routing);
  expect(named).toEqual([undefined, undefined]);
  await finish(started.rollout.id);
  expect(await stampOf("shared-1")).toMatchObject({ releaseDigest });
  expect(await published()).toEqual({ ...rules[old], trials: [{ stamps: ["shared-1"], routing: rules[withPath] }] });
});

test("a release and rules of one apply come by one rollout, and a stamp built meanwhile begins with the fleet's", async () => {
  await inService();
  const { rollout, releaseDigest } = await apply(withPath, "2.0.0");
  await server.clients.operator.stampCreate({ body: { pool: "shared", name: "late" } });
  expect(await server.store.rollouts.open()).toEqual([rollout]);
  await finish(rollout);
  expect(await stampOf("shared-1")).toMatchObject({ releaseDigest });
  expect(await stampOf("late")).not.toHaveProperty("routing");
  expect(await published()).toEqual(rules[withPath]);
});

test("a stamp that is destroyed leaves no rules to the next one of its name", async () => {
  await inService();
  const { rollout } = await apply(withPath);
  await say(rollout, updating(), { "shared-1": begun });
  const row = await server.store.stamps.read("shared-1");
  if (row === undefined) throw new Error("No stamp");
  const destroying = { ...row.value, goal: "absent", state: { kind: "destroying", attempt: 0 } } as const;
  const { revision } = await server.store.stamps.write(destroying, row.revision, {}, server.ctx);
  await server.store.stamps.write({ ...destroying, state: { kind: "gone" } }, revision, {}, server.ctx);
  expect(await published()).toEqual(rules[old]);
});

test("rules are kept as long as somebody may go back to them (I37)", async () => {
  await inService();
  for (const routing of [withPath, other]) await finish((await apply(routing)).rollout);
  const digests = [old, withPath, other].map((name) => rulesDigest(rules[name] as Routing, systemSha256));
  const kept = async () => [...(await server.store.fleet.rules(digests)).keys()].sort();
  expect(await kept()).toHaveLength(3);
  await server.store.rollouts.prune({ keepMs: 0, keepRollouts: 1 }, server.ctx);
  expect(await kept()).toEqual(digests.slice(1).sort());
  await server.store.rollouts.prune({ keepMs: 0, keepRollouts: 0 }, server.ctx);
  expect(await kept()).toEqual([digests[2]]);
});

test("plan, preview, rollout and stamp say in words which rules come and go", async () => {
  await inService();
  const header = `${withPath}\n  header: { name: x-tenant, trustedPeers: [10.0.0.0/8] }`;
  await finish((await apply(header)).rollout);
  const { plan, rollout, releaseDigest } = await apply(`${other}\n  path: { prefix: /t }`);
  const routing = ["+ host {tenant}.other.example", "− host {tenant}.localhost", "− header x-tenant"];
  expect(plan.changes).toEqual([{ kind: "routing-update", rules: routing }]);
  const { viewer, operator } = server.clients;
  expect(await viewer.rolloutGet({ params: { id: rollout ?? "" } })).toMatchObject({ routing });
  const stamp = async (name: string) => (await viewer.stampGet({ params: { name } })).routing;
  expect(await stamp("shared-1")).toBeUndefined();
  await say(rollout, updating(), { "shared-1": begun });
  expect([await stamp("shared-1"), await stamp("shared-2")]).toEqual([routing, undefined]);
  await operator.rolloutAbort({ params: { id: rollout ?? "" }, body: {} });
  const again = await apply(`${other}\n  path: { prefix: /t }`);
  const asked = { query: { dryRun: true }, body: { release: releaseDigest, hotfix: true, reason: "now" } };
  expect(await operator.rolloutStart(asked)).toMatchObject({ preview: { routing } });
  await operator.rolloutAbort({ params: { id: again.rollout ?? "" }, body: {} });
});

test("a hostname that any rules read as another tenant's is refused, also those that are on their way (I5)", async () => {
  await inService();
  const { operator } = server.clients;
  const tenant = (key: string, hostnames: string[]) =>
    operator.tenantCreate({ body: { key, pool: "shared", hostnames } });
  const refused = { code: "INVALID_REQUEST" };
  const first = await apply(other);
  await expect(tenant("acme", ["cato.other.example"]), "of a goal").rejects.toMatchObject(refused);
  await say(first.rollout, updating(), { "shared-1": begun });
  await say(first.rollout, baking(), { "shared-1": arrived });
  await say(first.rollout, { kind: "superseded", at: 3, by: "ro-1" });
  await expect(tenant("acme", ["cato.other.example"]), "of a stamp").rejects.toMatchObject(refused);
  await expect(tenant("acme", ["cato.localhost"]), "of the fleet").rejects.toMatchObject(refused);
  await tenant("acme", ["notes.acme.com"]);
});
