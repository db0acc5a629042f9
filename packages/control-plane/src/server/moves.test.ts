import type { MoveCheck } from "@stampyard/domain";
import { createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { bringTo, giveUp } from "../store/test-moves.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { applyFleet, stampFixture } from "../store/test-store.ts";
import { activateTenant, startTestServer, type TestServer } from "./test-server.ts";

let postgres: TestPostgres;
let server: TestServer;
let check: MoveCheck | undefined;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());
beforeEach(async () => {
  check = undefined;
  const engine = createSimulatedEngine({ clock: { now: Date.now, sleep: async () => {} } });
  server = await startTestServer(
    await postgres.database(),
    engine,
    {},
    {
      checkMove: async (input) => {
        if (check === undefined) throw new RangeError("No preflight in this test");
        return { ...(await server.store.moves.propose(input)), check };
      },
    },
  );
  const { store, ctx } = server;
  await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2"), stampFixture("shared-3")]);
  await store.tenants.create({ key: "acme", stamp: "shared-1" }, ctx);
  await activateTenant(server, "acme");
  return () => server.close();
});

const request = async (body: object = {}) => {
  const answer = await server.clients.operator.moveCreate({ body: { tenant: "acme", to: "shared-2", ...body } });
  if (answer.dryRun) throw new TypeError("Not a dry run");
  return answer.move;
};
const show = (id: string) => server.clients.viewer.moveGet({ params: { id } });
const list = async (query: object = {}) => (await server.clients.viewer.moveList({ query })).items.map(({ id }) => id);
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error: { code?: string }) => error.code,
  );

test("moveCreate registers a move with its options; lists, tenant and audit show it", async () => {
  const move = await request({ verify: "before", maxPauseMs: 500, restMs: 60_000, reason: "too big for shared-1" });
  expect(move).toMatchObject({
    tenant: "acme",
    from: "shared-1",
    to: "shared-2",
    epoch: 1,
    phase: "requested",
    goal: "finish",
    options: { mode: "capture", verify: "before", maxPauseMs: 500, restMs: 60_000 },
    accepted: false,
    report: {},
  });
  expect(await show(move.id)).toEqual(move);
  const tenant = await server.clients.viewer.tenantGet({ params: { key: "acme" } });
  expect(tenant).toMatchObject({
    phase: "moving",
    stamp: "shared-1",
    move: { id: move.id, phase: "requested", from: "shared-1", to: "shared-2" },
  });
  const { items } = await server.clients.admin.auditList({ query: { subject: `move/${move.id}` } });
  expect(items).toMatchObject([{ action: "move.request", reason: "too big for shared-1" }]);
});

test("moveCreate answers a repeat with the same key with the same move, and asks for another one's end", async () => {
  const body = { tenant: "acme", to: "shared-2" };
  const first = await server.clients.operator.moveCreate({ body, idempotencyKey: "once" });
  expect(await server.clients.operator.moveCreate({ body, idempotencyKey: "once" })).toEqual(first);
  await expect(request({ to: "shared-3" })).rejects.toMatchObject({
    code: "WRONG_PHASE",
    message: expect.stringContaining("moves already") as string,
    mend: expect.stringContaining("stampyard move watch mv-") as string,
  });
  expect(await list()).toHaveLength(1);
});

test("moveCreate refuses what cannot be, with the store's code", async () => {
  expect(await codeOf(request({ to: "shared-1" }))).toBe("INVALID_REQUEST");
  expect(await codeOf(request({ to: "nowhere" }))).toBe("STAMP_NOT_FOUND");
  expect(await codeOf(request({ to: undefined, toPool: "none" }))).toBe("POOL_NOT_FOUND");
  expect(await codeOf(request({ tenant: "nobody" }))).toBe("TENANT_NOT_FOUND");
  expect(await codeOf(request({ mode: "stream" }))).toBe("INVALID_REQUEST");
  expect(await codeOf(request({ toPool: "shared" }))).toBe("INVALID_REQUEST");
  expect(await codeOf(request({ maxPauseMs: 99 }))).toBe("INVALID_REQUEST");
  expect(await codeOf(request({ restMs: -1 }))).toBe("INVALID_REQUEST");
  await server.store.stamps.setGoal("shared-2", "cordoned", {}, server.ctx);
  expect(await codeOf(request())).toBe("WRONG_PHASE");
  expect(await list()).toEqual([]);
});

test("moveCreate with dryRun says who goes where, what stands in the way and how long, and changes nothing", async () => {
  const problem = { where: "table public.notes", what: "it has no key", mend: "Add a primary key." };
  const table = { table: "public.lines", kind: "tenant", rows: 9, bytes: 90, via: ["public.notes"] } as const;
  check = { problems: [problem], warnings: [], tables: [table], rows: 9, bytes: 90 };
  const { revision } = await server.clients.viewer.tenantGet({ params: { key: "acme" } });
  const body = { tenant: "acme", toPool: "shared" };
  const answer = await server.clients.operator.moveCreate({ body, query: { dryRun: true } });
  expect(answer).toMatchObject({
    dryRun: true,
    proposal: {
      tenant: "acme",
      from: "shared-1",
      to: expect.stringMatching(/^shared-[23]$/) as string,
      epoch: 1,
      problems: [problem],
      tables: [table],
      rows: 9,
      estimate: { totalMs: 1_500, pauseMs: 200, basedOn: 0 },
    },
  });
  expect(await list()).toEqual([]);
  const after = await server.clients.viewer.tenantGet({ params: { key: "acme" } });
  expect(after).toMatchObject({ phase: "active", revision });
  expect(after.move).toBeUndefined();
  const same = { tenant: "acme", to: "shared-1" };
  expect(await codeOf(server.clients.operator.moveCreate({ body: same, query: { dryRun: true } }))).toBe(
    "INVALID_REQUEST",
  );
});

test("moveGet shows the latest progress while the move works, and what was measured in the end", async () => {
  const { store, ctx, events } = server;
  const { id } = await request();
  const progress = { step: "copy", tablesDone: 1, tables: 3, rows: 10, bytes: 99, ofRows: 20, ofBytes: 200 } as const;
  const tell = () =>
    events.publish({ kind: "move-progress", move: id, tenant: "acme", progress: { ...progress, rowsPerSecond: 5 } });
  tell();
  expect((await show(id)).progress, "it does not work yet").toBeUndefined();
  await bringTo(store, ctx, id, "copying");
  tell();
  expect((await show(id)).progress).toMatchObject({ ...progress, at: expect.any(String) as string });
  const row = await bringTo(store, ctx, id, "switching");
  const switching = await show(id);
  expect(switching).toMatchObject({ phase: "switching", attempt: 1 });
  expect(switching.progress, "the copy is over").toBeUndefined();
  const tried = { at: 1_000, holdMs: 5, rows: 3 };
  const report = {
    copied: { rows: 10, bytes: 20_000_000, ms: 1_000 },
    switches: [
      { ...tried, outcome: "opened-again", cause: "pid 7 holds it", fencedMs: 0, pauseMs: 700 },
      { ...tried, outcome: "decided", fencedMs: 40, pauseMs: 81 },
    ],
  } as const;
  await store.moves.write({ ...row.value, report }, row.revision, ctx);
  await bringTo(store, ctx, id, "resting");
  const shown = await show(id);
  expect(shown).toMatchObject({ phase: "resting", pauseMs: 81, report: { switches: [{}, { outcome: "decided" }] } });
  expect(shown.progress).toBeUndefined();
  const tenant = await server.clients.viewer.tenantGet({ params: { key: "acme" } });
  expect(tenant).toMatchObject({ phase: "active", stamp: "shared-2", move: { wayBackUntil: shown.wayBackUntil } });
  check = { problems: [], warnings: [], tables: [], rows: 0, bytes: 0 };
  await store.tenants.create({ key: "globex", stamp: "shared-1" }, ctx);
  await activateTenant(server, "globex");
  const body = { tenant: "globex", to: "shared-3" };
  const next = await server.clients.operator.moveCreate({ body, query: { dryRun: true } });
  expect(next, "by what was measured").toMatchObject({ proposal: { estimate: { pauseMs: 81, basedOn: 1 } } });
});

test("moveList goes by tenant, stamp, phase and whether they have ended, the newest first", async () => {
  const { store, ctx } = server;
  const first = await request();
  await giveUp(store, ctx, first.id);
  const second = await request({ to: "shared-3" });
  expect(await list()).toEqual([second.id, first.id]);
  expect(await list({ open: true })).toEqual([second.id]);
  expect(await list({ stamp: "shared-2" })).toEqual([first.id]);
  expect(await list({ phase: "aborted" })).toEqual([first.id]);
  expect(await list({ tenant: "globex" })).toEqual([]);
  expect(await list({ tenant: "acme", limit: 1 })).toEqual([second.id]);
  expect(await server.clients.viewer.all("moveList", { query: { limit: 1 } })).toHaveLength(2);
  expect(await show(first.id)).toMatchObject({ phase: "aborted", cause: "a test" });
  expect(await codeOf(show("mv-none"))).toBe("NOT_FOUND");
});

test("moveAbort, moveRollback and moveFinish do what the phase allows, and name the other way where it does not", async () => {
  const { store, ctx, clients } = server;
  const { operator } = clients;
  const { id } = await request();
  const params = { id };
  expect(await codeOf(operator.moveRollback({ params, body: {} }))).toBe("WRONG_PHASE");
  expect(await codeOf(operator.moveFinish({ params, body: {} }))).toBe("WRONG_PHASE");
  expect(await codeOf(operator.moveAbort({ params, body: {}, ifMatch: 999 }))).toBe("STALE_REVISION");
  expect(await operator.moveAbort({ params, body: { reason: "not today" } })).toMatchObject({ goal: "abort" });
  await giveUp(store, ctx, id);

  const second = await request();
  await bringTo(store, ctx, second.id, "resting");
  const resting = { id: second.id };
  await expect(operator.moveAbort({ params: resting, body: {} })).rejects.toMatchObject({
    code: "WRONG_PHASE",
    mend: expect.stringContaining("move rollback") as string,
  });
  await expect(request({ to: "shared-3" })).rejects.toMatchObject({
    code: "WRONG_PHASE",
    mend: expect.stringContaining(`move finish ${second.id}`) as string,
  });
  const back = await operator.moveRollback({ params: resting, body: { restMs: 0 } });
  expect(back).toMatchObject({
    id: `${second.id}-back`,
    returns: second.id,
    from: "shared-2",
    to: "shared-1",
    epoch: 2,
    options: { restMs: 0 },
  });
  await giveUp(store, ctx, back.id);
  const { wayBackUntil } = await operator.moveFinish({ params: resting, body: { reason: "it stays" } });
  expect(Date.parse(wayBackUntil ?? "")).toBeLessThanOrEqual(Date.now());
  const { items } = await clients.admin.auditList({ query: { subject: `move/${second.id}` } });
  expect(items.map(({ reason }) => reason)).toContain("it stays");
});

test("moves are open to viewers for reading and to operators for changing, and a standby changes nothing", async () => {
  const { viewer, operator } = server.clients;
  const body = { tenant: "acme", to: "shared-2" };
  expect(await codeOf(viewer.moveCreate({ body }))).toBe("FORBIDDEN");
  expect(await codeOf(viewer.moveCreate({ body, query: { dryRun: true } }))).toBe("FORBIDDEN");
  server.world.leads = false;
  expect(await codeOf(operator.moveCreate({ body }))).toBe("NOT_LEADER");
  expect(await codeOf(viewer.moveList())).toBe("done");
});
