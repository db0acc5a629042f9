import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import {
  aborting,
  baking,
  finish,
  fleetOf,
  memberFixture,
  rolloutFixture,
  step,
  updating,
} from "../store/test-rollouts.ts";
import { digest } from "../store/test-store.ts";
import { files } from "./test-files.ts";
import { activateStamp, startTestServer, type TestServer } from "./test-server.ts";

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

const names = ["a", "b"];
const begun = { kind: "updating", since: 1 } as const;

async function started(over: Parameters<typeof rolloutFixture>[1] = {}): Promise<string> {
  await fleetOf(server.store, server.ctx, names);
  const { value } = await server.store.rollouts.start(rolloutFixture(names, over), server.ctx);
  return value.id;
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: { code?: string }) => error.code,
  );
const audited = async (subject: string) =>
  (await server.clients.admin.auditList({ query: { subject } })).items.map(({ action, reason }) => [action, reason]);

describe("rollouts", () => {
  test("are listed and shown with release, wave, members, what they wait for, and no address or command of hooks", async () => {
    const secret = "https://hooks.example.com/T0/abc";
    const call = { kind: "http", url: secret } as const;
    const fixture = rolloutFixture(names);
    const hook = { name: "tell", point: "before-wave", call, timeoutMs: 1_000, onFailure: "ignore" } as const;
    const id = await started({
      strategy: { ...fixture.strategy, hooks: [hook] },
      members: [memberFixture("a"), memberFixture("b", 1)],
    });
    const { viewer } = server.clients;
    const queued = await viewer.rolloutGet({ params: { id } });
    expect(queued).toMatchObject({
      id,
      version: "2.0.0",
      phase: "queued",
      members: { waiting: 2, updated: 0 },
      strategy: { hooks: [{ name: "tell", kind: "http" }], onAbort: "rollback" },
    });
    expect(JSON.stringify(queued)).not.toContain("T0/abc");
    await step(server.store, server.ctx, id, updating(), { a: begun });
    const [listed] = (await viewer.rolloutList({ query: { open: true, stamp: "a" } })).items;
    expect(listed).toMatchObject({ id, phase: "updating", wave: 0, members: { waiting: 1, updating: 1 } });
    expect(listed?.spent.activeMs).toBeGreaterThan(0);
    const { items } = await viewer.rolloutMembers({ params: { id } });
    expect(items).toMatchObject([
      { stamp: "a", phase: "updating", from: { version: "1.0.0" }, to: { version: "2.0.0", release: digest("2.0.0") } },
      { stamp: "b", phase: "waiting", wave: 1 },
    ]);
    expect((await viewer.rolloutList({ query: { stamp: "z" } })).items).toEqual([]);
    expect(await codeOf(viewer.rolloutGet({ params: { id: "ro-nothere" } }))).toBe("NOT_FOUND");
    expect(await codeOf(viewer.rolloutMembers({ params: { id: "ro-nothere" } }))).toBe("NOT_FOUND");
  });

  test("are commanded by operators only, with reasons in the audit, and not over what somebody else has done", async () => {
    const id = await started();
    const { viewer, operator } = server.clients;
    await step(server.store, server.ctx, id, updating(), { a: begun });
    await step(server.store, server.ctx, id, baking(), { a: { kind: "updated", since: 1, at: 2 } });
    expect(await codeOf(viewer.rolloutPause({ params: { id }, body: {} }))).toBe("FORBIDDEN");
    const paused = await operator.rolloutPause({ params: { id }, body: { reason: "the fair" } });
    expect(paused).toMatchObject({ phase: "paused", wave: 0, why: expect.stringContaining("the fair") });
    expect(await codeOf(operator.rolloutResume({ params: { id }, body: {}, ifMatch: 1 }))).toBe("STALE_REVISION");
    const resumed = await operator.rolloutResume({ params: { id }, body: {}, ifMatch: paused.revision });
    expect(resumed.phase).toBe("baking");
    expect(await codeOf(operator.rolloutApprove({ params: { id }, body: {} }))).toBe("WRONG_PHASE");
    const aborted = await operator.rolloutAbort({ params: { id }, body: { reason: "orders are slow" } });
    expect(aborted).toMatchObject({ phase: "aborting", why: expect.stringContaining("orders are slow") });
    expect(aborted.members.returning, "the touched one is on its way back at once").toBe(1);
    expect((await operator.rolloutAbort({ params: { id }, body: {} })).phase, "said twice").toBe("aborting");
    const rows = await audited(`rollout/${id}`);
    expect(rows).toContainEqual(["rollout.pause", "the fair"]);
    expect(rows).toContainEqual(["rollout.abort", "orders are slow"]);
  });

  test("a hotfix and an override want a reason, and components have names", async () => {
    const { operator, viewer } = server.clients;
    expect(await codeOf(operator.rolloutStart({ query: {}, body: { hotfix: true } }))).toBe("INVALID_REQUEST");
    expect(await codeOf(operator.rolloutStart({ query: {}, body: { overrideFreeze: true } }))).toBe("INVALID_REQUEST");
    expect(await codeOf(operator.rolloutStart({ query: {}, body: { components: ["No"] } }))).toBe("INVALID_NAME");
    expect(await codeOf(viewer.rolloutStart({ query: { dryRun: true }, body: {} }))).toBe("FORBIDDEN");
  });

  test("take a strategy in the words of the fleet file, and say every place of one that is none", async () => {
    const { operator, viewer } = server.clients;
    await operator.apply({ body: files });
    for (const name of ["shared-1", "shared-2"]) await activateStamp(server, name);
    const templateYaml = files.templateYaml.replace("version: 1.0.0", "version: 2.0.0");
    const { rollout: id = "", releaseDigest: release } = await operator.apply({ body: { ...files, templateYaml } });
    await operator.rolloutAbort({ params: { id }, body: {} });
    const preview = (strategy: Record<string, unknown>) =>
      operator.rolloutStart({ query: { dryRun: true }, body: { release, strategy } });
    const asked = await preview({ canary: { stamp: "shared-2", bake: "3m" }, bake: "10m", maxUnavailable: 3 });
    expect(asked).toMatchObject({
      dryRun: true,
      preview: {
        strategy: { canary: { stamp: "shared-2", bakeMs: 180_000 }, bakeMs: 600_000, maxUnavailable: 3 },
        canary: { stamp: "shared-2" },
      },
    });
    const wrong = await preview({ bake: "soon", maxUnavailable: 0 }).then(
      () => undefined,
      (error: { code: string; problems: readonly { message: string }[] }) => error,
    );
    expect(wrong?.code).toBe("INVALID_REQUEST");
    expect(wrong?.problems.length, "both at once").toBe(2);
    expect(await codeOf(preview({ canary: { stamp: "zz" } }))).toBe("STAMP_NOT_FOUND");
    expect((await viewer.rolloutList({ query: { open: true } })).items, "and nothing was begun").toEqual([]);
  });

  test("tell of their phases as events, and the status names them with what they wait for", async () => {
    const id = await started();
    const { viewer } = server.clients;
    const ending = new AbortController();
    const events = await viewer.events({ signal: ending.signal });
    const heard: unknown[] = [];
    const hearing = (async () => {
      for await (const event of events) {
        if (event.kind === "rollout-phase") heard.push([event.rollout, event.phase]);
        if (heard.length === 2) return;
      }
    })();
    await step(server.store, server.ctx, id, updating(), { a: begun });
    const { value, revision } = (await server.store.rollouts.read(id)) ?? { value: undefined, revision: 0 };
    if (value === undefined) throw new RangeError(`No rollout ${id}`);
    await server.store.rollouts.write({ ...value, state: aborting, waitingOn: "stamp a" }, revision, [], server.ctx);
    await hearing;
    ending.abort();
    expect(heard).toEqual([
      [id, "updating"],
      [id, "aborting"],
    ]);
    const status = await viewer.status({});
    expect(status.rollouts).toMatchObject([{ id, phase: "aborting", waitingOn: "stamp a" }]);
    expect(status.waitingOn).toContainEqual({ kind: "rollout", name: id, why: "stamp a" });
  });

  test("an ended one says how, when and by whom", async () => {
    const id = await started();
    await finish(server.store, server.ctx, id);
    const done = await server.clients.viewer.rolloutGet({ params: { id } });
    expect(done).toMatchObject({ phase: "done", members: { updated: 2 } });
    expect(done.wave).toBeUndefined();
    expect((await server.clients.viewer.status({})).rollouts).toEqual([]);
    expect(await codeOf(server.clients.operator.rolloutAbort({ params: { id }, body: {} }))).toBe("WRONG_PHASE");
  });
});

describe("freezes", () => {
  test("are said with a reason, seen by everybody, told as an event, and ended", async () => {
    await fleetOf(server.store, server.ctx, names);
    const { viewer, operator } = server.clients;
    expect(await codeOf(viewer.freezeStart({ body: { reason: "x" } }))).toBe("FORBIDDEN");
    expect(await codeOf(operator.freezeStart({ body: { reason: " " } }))).toBe("INVALID_REQUEST");
    const past = { reason: "x", until: "2020-01-01T00:00:00.000Z" };
    expect(await codeOf(operator.freezeStart({ body: past }))).toBe("INVALID_REQUEST");
    const until = "2099-01-01T00:00:00.000Z";
    const body = { scope: { pools: ["shared"] }, stops: ["rollouts"], reason: "the fair", until } as const;
    const freeze = await operator.freezeStart({
      body: { ...body, stops: [...body.stops], scope: { pools: ["shared"] } },
    });
    expect(freeze).toMatchObject({ ...body, kind: "person" });
    expect((await viewer.freezeList({})).items).toEqual([freeze]);
    expect((await viewer.status({})).frozen).toEqual([
      `rollouts of pool shared until ${until}: the fair (${freeze.id}, by ${freeze.startedBy})`,
    ]);
    expect(await codeOf(viewer.freezeEnd({ params: { id: freeze.id }, query: {} }))).toBe("FORBIDDEN");
    await operator.freezeEnd({ params: { id: freeze.id }, query: { reason: "it is over" } });
    expect((await viewer.freezeList({})).items).toEqual([]);
    expect(await audited(`freeze/${freeze.id}`)).toEqual([
      ["freeze.start", "the fair"],
      ["freeze.end", "it is over"],
    ]);
    expect(await codeOf(operator.freezeEnd({ params: { id: "fz-nothere" }, query: {} }))).toBe("NOT_FOUND");
  });
});

describe("a stamp", () => {
  test("names the rollouts that it is in until they have ended", async () => {
    const first = await started({ members: [memberFixture("a", 1)] });
    const second = await server.store.rollouts.start(rolloutFixture(["a"]), server.ctx);
    const { viewer } = server.clients;
    const of = async (name: string) => (await viewer.stampGet({ params: { name } })).rollouts;
    expect(await of("a")).toEqual([
      { id: first, phase: "queued", wave: "b", member: "waiting" },
      { id: second.value.id, phase: "queued", wave: "a", member: "waiting" },
    ]);
    expect(await of("b")).toBeUndefined();
    await server.store.rollouts.command(first, { kind: "abort" }, {}, server.ctx);
    await step(server.store, server.ctx, second.value.id, updating(), { a: begun });
    expect(await of("a")).toEqual([{ id: second.value.id, phase: "updating", wave: "a", member: "updating" }]);
  });
});

describe("pins", () => {
  test("have an end and a reason, name their release by its version, and are audited", async () => {
    await fleetOf(server.store, server.ctx, names);
    const { viewer, operator } = server.clients;
    const until = "2099-01-01T00:00:00.000Z";
    const body = { until, reason: "a long import", release: digest("2.0.0") };
    const pin = await operator.pinStampSet({ params: { name: "a" }, body });
    expect(pin).toMatchObject({ kind: "stamp", name: "a", version: "2.0.0", until, reason: "a long import" });
    expect((await viewer.pinList({})).items).toEqual([pin]);
    expect((await viewer.stampGet({ params: { name: "a" } })).pins).toEqual([pin]);
    expect(await viewer.stampGet({ params: { name: "b" } })).not.toHaveProperty("pins");
    expect(await codeOf(operator.pinStampSet({ params: { name: "zz" }, body }))).toBe("STAMP_NOT_FOUND");
    expect(await codeOf(operator.pinTenantSet({ params: { key: "zz" }, body }))).toBe("TENANT_NOT_FOUND");
    const unknown = { ...body, release: digest("9.9.9") };
    expect(await codeOf(operator.pinStampSet({ params: { name: "a" }, body: unknown }))).toBe("RELEASE_NOT_FOUND");
    const past = { ...body, until: "2020-01-01T00:00:00.000Z" };
    expect(await codeOf(operator.pinStampSet({ params: { name: "a" }, body: past }))).toBe("INVALID_REQUEST");
    expect(await codeOf(viewer.pinStampRemove({ params: { name: "a" }, query: {} }))).toBe("FORBIDDEN");
    await operator.pinStampRemove({ params: { name: "a" }, query: { reason: "done" } });
    expect((await viewer.pinList({})).items).toEqual([]);
    expect(await audited("stamp/a")).toEqual([
      ["stamp.pin-release", "a long import"],
      ["stamp.unpin-release", "done"],
    ]);
  });
});

describe("webhooks", () => {
  test("show their secret once, hide what may be one, and take a test message whatever they want to hear", async () => {
    const { viewer, operator, admin } = server.clients;
    const body = { url: "https://hooks.example.com/in?token=abc", events: ["rollout.paused"] };
    expect(await codeOf(operator.webhookAdd({ body }))).toBe("FORBIDDEN");
    for (const url of ["ftp://x.example", "https://user:pw@x.example/", "nothing"]) {
      expect(await codeOf(admin.webhookAdd({ body: { url } })), url).toBe("INVALID_REQUEST");
    }
    expect(await codeOf(admin.webhookAdd({ body: { ...body, events: ["Rollout"] } }))).toBe("INVALID_REQUEST");
    const { secret, ...added } = await admin.webhookAdd({ body });
    expect(secret).toMatch(/^whsec_/);
    expect(added.url).toBe("https://hooks.example.com/in?…");
    expect(await codeOf(viewer.webhookList({}))).toBe("FORBIDDEN");
    expect((await operator.webhookList({})).items).toEqual([added]);
    const { message } = await operator.webhookTest({ params: { id: added.id } });
    const { items } = await operator.webhookMessages({ params: { id: added.id } });
    expect(items).toMatchObject([{ id: message, event: "webhook.test", state: "waiting", attempt: 0 }]);
    const everything = JSON.stringify([items, await admin.auditList({ query: {} }), server.logged]);
    expect(everything).not.toContain(secret.slice(6));
    expect(everything).not.toContain("token=abc");
    await admin.webhookRemove({ params: { id: added.id } });
    expect(await codeOf(operator.webhookMessages({ params: { id: added.id } }))).toBe("NOT_FOUND");
    expect(await codeOf(operator.webhookTest({ params: { id: added.id } }))).toBe("NOT_FOUND");
  });
});
