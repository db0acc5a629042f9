import { adoptedDatabaseSecret, type Stamp } from "@stampyard/domain";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { schemaName } from "./migrations.ts";
import { openStore } from "./open.ts";
import type { Store, WriteContext } from "./port.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { applyFleet, leaderOf, readSnapshot, sequenceAll, stampFixture, testKeys } from "./test-store.ts";

let postgres: TestPostgres;
let url: string;
let store: Store;
let ctx: WriteContext;
beforeAll(async () => {
  postgres = await startTestPostgres();
  url = await postgres.database();
});
afterAll(async () => {
  await store?.close();
  await postgres?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await store?.close();
  await run(url, `DROP SCHEMA IF EXISTS ${schemaName} CASCADE`);
  store = await openStore({ url, keys: testKeys });
  ctx = await leaderOf(store);
});

const auditOf = async (stamp: string) => (await store.audit.list({ subject: `stamp/${stamp}` })).items;

describe("stamps.setGoal()", () => {
  test("keeps who wants it, why and until when, audited once (I39)", async () => {
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    const why = { ...ctx, reason: "old disks" };
    const wish = { deadline: 2_000_000_000_000, message: "You move on Friday" };
    const drained = await store.stamps.setGoal("shared-1", "drained", wish, why);
    expect(drained.value).toMatchObject({
      goal: "drained",
      goalDetail: { by: "tester", reason: "old disks", ...wish, since: expect.any(Number) },
    });
    expect((await store.stamps.setGoal("shared-1", "drained", wish, why)).revision).toBe(drained.revision);
    expect(await auditOf("shared-1")).toMatchObject([
      { action: "stamp.drain", reason: "old disks", detail: { before: "present", after: "drained", ...wish } },
    ]);
    const open = await store.stamps.setGoal("shared-1", "present", {}, ctx);
    expect(open.value.goal).toBe("present");
    expect(open.value.goalDetail).toBeUndefined();
  });

  test("places nobody on a cordoned stamp, from the moment it was said (I32)", async () => {
    await applyFleet(store, ctx, [stampFixture("shared-1"), stampFixture("shared-2")]);
    await store.stamps.setGoal("shared-1", "cordoned", {}, ctx);
    for (const key of ["a", "b", "c"]) {
      expect((await store.tenants.create({ key }, ctx)).value.stamp).toBe("shared-2");
    }
  });

  test("refuses a stale revision (I30), and a stamp that is to be destroyed", async () => {
    await applyFleet(store, ctx, [stampFixture("shared-1")]);
    await expect(store.stamps.setGoal("shared-1", "cordoned", { revision: 7 }, ctx)).rejects.toMatchObject({
      code: "STALE_REVISION",
    });
    await store.stamps.remove("shared-1", { force: false }, ctx);
    await expect(store.stamps.setGoal("shared-1", "present", {}, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
    await expect(store.stamps.setGoal("nobody", "present", {}, ctx)).rejects.toMatchObject({ code: "STAMP_NOT_FOUND" });
  });
});

test("stamps.remove() can be forced later, and keeps that it was (I31)", async () => {
  await applyFleet(store, ctx, [stampFixture("shared-1")]);
  await store.stamps.remove("shared-1", { force: false }, ctx);
  const forced = await store.stamps.remove("shared-1", { force: true }, ctx);
  expect(forced.value.goalDetail).toMatchObject({ force: true });
  expect((await auditOf("shared-1")).map(({ detail }) => detail["force"])).toEqual([false, true]);
});

test("stamps.retry() ends the wait of what failed, and of nothing else", async () => {
  const retryAt = Date.now() + 60_000;
  const cause = "image is missing";
  const failed = stampFixture("failed", { state: { kind: "failed", attempt: 3, cause, retryAt } });
  const setback = { attempt: 1, cause, retryAt, stampDigest: failed.stampDigest };
  await applyFleet(store, ctx, [
    failed,
    stampFixture("slow", { state: { kind: "active", setback } }),
    stampFixture("well"),
  ]);
  const again = (await store.stamps.retry("failed", {}, ctx)).value.state;
  expect(again).toMatchObject({ kind: "failed", attempt: 3, cause });
  expect("retryAt" in again && again.retryAt).toBeLessThanOrEqual(Date.now());
  const slow = (await store.stamps.retry("slow", {}, ctx)).value.state;
  expect("setback" in slow && slow.setback?.retryAt).toBeLessThanOrEqual(Date.now());
  await expect(store.stamps.retry("well", {}, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
  expect((await auditOf("failed")).map(({ action }) => action)).toEqual(["stamp.retry"]);
});

describe("stamps.adopt()", () => {
  const databaseUrl = "postgres://app:hunter2@10.0.0.9/shop";
  const capabilities = { guard: false, fence: false, drain: false, restore: false };
  const zero = (over: Partial<Stamp> = {}, adoption: Partial<NonNullable<Stamp["adoption"]>> = {}): Stamp =>
    stampFixture("zero", {
      origin: "adopted",
      state: { kind: "requested" },
      goal: "cordoned",
      endpoints: [],
      endpointRevision: 0,
      adoption: { endpoints: [{ host: "10.0.0.7", port: 80 }], hasDatabase: false, capabilities, ...adoption },
      ...over,
    });

  test("registers what runs, seals its database URL, and shows it nowhere (I33)", async () => {
    await applyFleet(store, ctx, []);
    const stamp = zero({}, { hasDatabase: true });
    expect(await store.stamps.adopt({ stamp, databaseUrl }, ctx)).toMatchObject({ revision: 1, value: stamp });
    expect(await store.stamps.secrets("zero")).toEqual({ [adoptedDatabaseSecret]: databaseUrl });
    let kept = JSON.stringify([await store.stamps.read("zero"), await auditOf("zero")]);
    for await (const bytes of store.backup()) kept += Buffer.from(bytes).toString("utf8");
    expect(kept).not.toContain("hunter2");
    expect(await auditOf("zero")).toMatchObject([{ action: "stamp.adopt" }]);
  });

  test("repeated, changes what was said and keeps the secrets that were given", async () => {
    await applyFleet(store, ctx, []);
    const secret = Buffer.alloc(32, 5).toString("base64url");
    const guarded = zero({}, { hasDatabase: true, capabilities: { ...capabilities, guard: true } });
    await store.stamps.adopt({ stamp: guarded, databaseUrl, routeKey: { kid: "ours", secret } }, ctx);
    const endpoints = [{ host: "10.0.0.8", port: 81 }];
    const moved = await store.stamps.adopt({ stamp: zero({}, { endpoints, healthPath: "/up" }) }, ctx);
    expect(moved.value.adoption).toMatchObject({
      endpoints,
      healthPath: "/up",
      hasDatabase: true,
      capabilities: { guard: true },
    });
    expect(await store.stamps.secrets("zero")).toEqual({ [adoptedDatabaseSecret]: databaseUrl });
    expect(await store.stamps.routeKeys("zero")).toEqual([{ kid: "ours", secret, state: "current" }]);
    const same = await store.stamps.adopt({ stamp: zero({}, { endpoints, healthPath: "/up" }) }, ctx);
    expect(same.revision).toBe(moved.revision);
    await store.stamps.adopt({ stamp: zero(), databaseUrl: "postgres://other@10.0.0.9/shop" }, ctx);
    expect(Object.values(await store.stamps.secrets("zero"))).toEqual(["postgres://other@10.0.0.9/shop"]);
  });

  test("refuses the name of a stamp that was built here, and another region", async () => {
    await applyFleet(store, ctx, [stampFixture("zero")]);
    await expect(store.stamps.adopt({ stamp: zero() }, ctx)).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    const one = zero({ name: "one" });
    await store.stamps.adopt({ stamp: one }, ctx);
    const elsewhere = store.stamps.adopt({ stamp: { ...one, region: "us" } }, ctx);
    await expect(elsewhere).rejects.toMatchObject({ code: "ALREADY_EXISTS", message: /region "local"/ });
  });
});

test("a recovery takes no tenant of a verification for somebody's, and asks no adopted stamp (D9)", async () => {
  await applyFleet(store, ctx, [stampFixture("shared-1")]);
  const adopted = { origin: "adopted", goal: "cordoned" } as const;
  await store.stamps.adopt({ stamp: stampFixture("zero", adopted) }, ctx);
  await store.recovery.enter("test", ctx);
  const put = (tenant: string, stamp: string) =>
    ({ kind: "tenant-put", tenant, stamp, epoch: 1, hostnames: [] }) as const;
  const { incarnation, version, chain } = await store.directory.head();
  const changes = [put("stampyard-verify-shared-1", "shared-1"), put("acme", "zero")];
  const report = { router: "r1", part: 0, last: true, incarnation, version, chain, changes };
  await store.recovery.saveRouterReport(report);
  await store.recovery.saveStampHomes(
    "shared-1",
    [{ tenant: "stampyard-verify-shared-1", state: "active", epoch: 1 }],
    ctx,
  );
  const found = await store.recovery.report();
  expect(found.adopt.map(({ tenant, stamp }) => [tenant, stamp])).toEqual([["acme", "zero"]]);
  expect(found.conflicts).toEqual([]);
  expect(found.waitingOn).toEqual([]);

  await store.recovery.finish({ incomplete: false }, ctx);
  await sequenceAll(store, ctx);
  const entries = (await readSnapshot(store)).changes.flatMap((change) =>
    change.kind === "stamp-put" || change.kind === "tenant-put" ? [change.stamp] : [],
  );
  // A cordoned stamp serves on; acme follows, once it was prepared there again.
  expect(entries).toEqual(["shared-1", "zero"]);
});

test("stamps.tenants() counts all whose home it is, and names the first", async () => {
  await applyFleet(store, ctx, [stampFixture("shared-1")]);
  for (const key of ["d", "b", "a", "c"]) await store.tenants.create({ key }, ctx);
  expect(await store.stamps.tenants("shared-1")).toEqual({ count: 4, some: ["a", "b", "c"] });
  expect(await store.stamps.tenants("nobody")).toEqual({ count: 0, some: [] });
  await expect(store.tenants.create({ key: "stampyard-verify-shared-1" }, ctx)).rejects.toMatchObject({
    code: "INVALID_NAME",
  });
});
