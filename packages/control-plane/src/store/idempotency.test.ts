import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openStore } from "./open.ts";
import type { Store, WriteContext } from "./port.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { leaderOf, releaseFixture, testKeys } from "./test-store.ts";

let postgres: TestPostgres;
let url: string;
let store: Store;
let ctx: WriteContext;
beforeAll(async () => {
  postgres = await startTestPostgres();
  url = await postgres.database();
  store = await openStore({ url, keys: testKeys });
  ctx = await leaderOf(store);
});
afterAll(async () => {
  await store?.close();
  await postgres?.[Symbol.asyncDispose]();
});

let count = 0;
let key: { principal: string; key: string; requestId: string; requestHash: string };
beforeEach(() => {
  count += 1;
  key = { principal: "tok_1", key: `k${count}`, requestId: `request-${count}`, requestHash: "h1" };
});

/** What the request that holds the key does, with its audit row. @returns the subject of that row */
async function work(over: Partial<WriteContext> = {}): Promise<string> {
  const own = { ...ctx, actor: `token:${key.principal}`, requestId: key.requestId, ...over };
  const { record } = await store.tokens.create({ name: key.key, role: "viewer" }, own);
  return `token/${record.id}`;
}

/** As the key is two minutes later. */
async function grow(interval = "121 seconds"): Promise<void> {
  await run(url, "UPDATE stampyard_control.idempotency_keys SET at = at - $1::interval", [interval]);
}

const repeat = (over: Partial<typeof key> = {}) => store.idempotency.begin({ ...key, requestId: "repeat", ...over });
const lost = (...made: string[]) => ({
  code: "ALREADY_EXISTS",
  message: `The first request with this Idempotency-Key was carried out, and its answer was lost: ${made.join(", ")}`,
  mend: "Read what it made.",
});

test("a key whose request did its work and never answered is not free after two minutes, and names what was made", async () => {
  expect(await store.idempotency.begin(key)).toEqual({ kind: "new" });
  const made = [await work(), await work()];
  expect(await repeat(), "it may still be at work").toEqual({ kind: "running" });
  await grow();
  await expect(repeat()).rejects.toMatchObject(lost(...made));
  await expect(repeat(), "and not the next time either").rejects.toMatchObject(lost(...made));
  await expect(repeat({ requestHash: "h2" })).rejects.toMatchObject({ code: "IDEMPOTENCY_MISMATCH" });
  expect(await repeat({ principal: "tok_2" })).toEqual({ kind: "new" });
  await grow("24 hours");
  expect(await repeat()).toEqual({ kind: "new" });
});

test("a key whose request did nothing and never answered is free after two minutes", async () => {
  expect(await store.idempotency.begin(key)).toEqual({ kind: "new" });
  expect(await repeat()).toEqual({ kind: "running" });
  await grow();
  expect(await repeat()).toEqual({ kind: "new" });
});

test("what others wrote, what was written before, and a preparation are not taken for the work of a key's request", async () => {
  await work();
  expect(await store.idempotency.begin(key)).toEqual({ kind: "new" });
  await work({ actor: "token:tok_2" });
  await work({ requestId: "another" });
  const own = { ...ctx, actor: `token:${key.principal}`, requestId: key.requestId };
  await store.fleet.keepRelease(releaseFixture(`1.0.${count}`), own);
  await grow();
  expect(await repeat()).toEqual({ kind: "new" });
});

test("abandon() frees the key of a request that did nothing, and not of one that did its work", async () => {
  await store.idempotency.begin(key);
  await store.idempotency.abandon(key);
  expect(await store.idempotency.begin(key)).toEqual({ kind: "new" });
  const made = await work();
  await store.idempotency.abandon(key);
  // At once: whoever gave it up is not at work any more.
  await expect(repeat()).rejects.toMatchObject(lost(made));
});

test("a request that ends late does not end its key for the one that took it over", async () => {
  await store.idempotency.begin(key);
  await grow();
  expect(await repeat()).toEqual({ kind: "new" });
  await store.idempotency.abandon(key);
  await store.idempotency.done(key, { status: 201, body: "late" });
  expect(await repeat()).toEqual({ kind: "running" });
  await store.idempotency.done({ ...key, requestId: "repeat" }, { status: 201, body: "mine" });
  expect(await repeat()).toEqual({ kind: "replay", status: 201, body: "mine" });
});

test("a key of an older version, which knows no request, is free after two minutes", async () => {
  const { principal, requestHash } = key;
  await run(url, "INSERT INTO stampyard_control.idempotency_keys (principal, key, request_hash) VALUES ($1, $2, $3)", [
    principal,
    key.key,
    requestHash,
  ]);
  expect(await repeat()).toEqual({ kind: "running" });
  await grow();
  expect(await repeat()).toEqual({ kind: "new" });
});
