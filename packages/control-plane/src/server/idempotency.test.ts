import { createSimulatedEngine } from "@stampyard/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { giveUp } from "../store/test-moves.ts";
import { run, startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { applyFleet, stampFixture } from "../store/test-store.ts";
import { activateTenant, startTestServer, type TestServer } from "./test-server.ts";

let postgres: TestPostgres;
let url: string;
let server: TestServer;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());
beforeEach(async () => {
  url = await postgres.database();
  server = await startTestServer(url, createSimulatedEngine({ clock: { now: Date.now, sleep: async () => {} } }));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await server?.close();
});

const idempotencyKey = "once";
const carriedOut = (subject: string) => ({
  code: "ALREADY_EXISTS",
  message: `The first request with this Idempotency-Key was carried out, and its answer was lost: ${subject}`,
});

test("a move whose control plane died before its answer was kept is not asked for again by a repeat", async () => {
  const { store, ctx, clients } = server;
  await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
  await store.tenants.create({ key: "acme", stamp: "shared-1" }, ctx);
  await activateTenant(server, "acme");
  // What a process that dies leaves: neither of the two ends of a key.
  vi.spyOn(store.idempotency, "done").mockRejectedValueOnce(new RangeError("died"));
  vi.spyOn(store.idempotency, "abandon").mockRejectedValueOnce(new RangeError("died"));
  const ask = () => clients.operator.moveCreate({ body: { tenant: "acme", to: "shared-2" }, idempotencyKey });
  const answer = await ask();
  if (answer.dryRun) throw new TypeError("Not a dry run");
  const { id } = answer.move;
  // A second move would be taken now.
  await store.moves.abort(id, {}, ctx);
  await giveUp(store, ctx, id);
  await run(url, "UPDATE stampyard_control.idempotency_keys SET at = at - interval '121 seconds'");
  await expect(ask()).rejects.toMatchObject(carriedOut(`move/${id}`));
  expect((await clients.viewer.moveList({ query: {} })).items.map((move) => move.id)).toEqual([id]);
});

test("a freeze whose answer could not be kept is begun once, and a repeat is told so at once", async () => {
  const { store, clients } = server;
  vi.spyOn(store.idempotency, "done").mockRejectedValueOnce(new RangeError("The disk is full"));
  const ask = () => clients.operator.freezeStart({ body: { reason: "the fair" }, idempotencyKey });
  const { id } = await ask();
  await expect(ask()).rejects.toMatchObject(carriedOut(`freeze/${id}`));
  expect((await store.freezes.list()).map((freeze) => freeze.id)).toEqual([id]);
});

test("a request that was refused frees its key", async () => {
  const { store, ctx, clients } = server;
  const ask = () => clients.operator.tenantCreate({ body: { key: "acme", pool: "shared" }, idempotencyKey });
  await expect(ask()).rejects.toThrow();
  await applyFleet(store, ctx, [stampFixture("shared-1")]);
  expect(await ask()).toMatchObject({ key: "acme" });
});
