import { randomBytes } from "node:crypto";
import type { MemberState } from "@stampyard/domain";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectionConfig } from "./database.ts";
import { migrateSteps } from "./migrations.ts";
import { openStore } from "./open.ts";
import type { Store } from "./port.ts";
import { restoreStore } from "./restore.ts";
import { makeMasterKey, type MasterKeys } from "./seal.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import {
  aborting,
  aimFixture,
  baking,
  fleetOf,
  rolloutFixture,
  rolloutOf,
  startRules,
  step,
  strategyFixture,
  updating,
} from "./test-rollouts.ts";
import { applyFleet, digest, leaderOf, readSnapshot, sequenceAll, stampFixture, testKeys } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const begun: MemberState = { kind: "updating", since: 1 };

async function backupOf(store: Store): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of store.backup()) parts.push(part);
  return Buffer.concat(parts);
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const restore = (url: string, bytes: Buffer, keys = testKeys) =>
  restoreStore({ url, source: once(bytes), actor: "tester", keys });

async function recovered(url: string) {
  const store = await openStore({ url, keys: testKeys });
  const ctx = await leaderOf(store);
  await store.recovery.finish({ incomplete: true }, ctx);
  return { store, ctx };
}

test("a restored rollout that was under way comes back paused where it was, and one that waited has ended", async () => {
  const [from, to] = [await postgres.database(), await postgres.database()];
  await using store = await openStore({ url: from, keys: testKeys });
  const ctx = await leaderOf(store);
  await fleetOf(store, ctx, ["a", "b"]);
  const running = await store.rollouts.start(rolloutFixture(["a", "b"]), ctx);
  await step(store, ctx, running.value.id, updating(), { a: begun });
  await step(store, ctx, running.value.id, baking(), { a: { kind: "updated", since: 1, at: 2 } });
  const queued = await store.rollouts.start(rolloutFixture(["a"]), ctx);
  await store.freezes.start({ scope: {}, stops: ["rollouts"] }, { ...ctx, reason: "a fair" });
  const pin = { subject: { kind: "stamp", name: "b" }, until: Date.now() + 60_000, reason: "a demo" } as const;
  await store.pins.set(pin, ctx);
  const { webhook } = await store.webhooks.add({ url: "https://example.com/hook", events: ["rollout.*"] }, ctx);
  const bytes = await backupOf(store);

  await restore(to, bytes);
  const { store: copy, ctx: next } = await recovered(to);
  await using _ = copy;
  const { value } = await rolloutOf(copy, running.value.id);
  expect(value.state).toEqual({
    kind: "paused",
    since: expect.any(Number),
    why: expect.stringMatching(/^the control plane was restored from a backup of 20.*may be out of date$/),
    by: "recovery",
    was: baking(),
  });
  expect((await rolloutOf(copy, queued.value.id)).value.state).toMatchObject({
    kind: "aborted",
    cause: expect.stringContaining("start it again"),
  });
  expect(await copy.rollouts.members(value.id)).toEqual(await store.rollouts.members(value.id));
  expect(await copy.freezes.list()).toEqual(await store.freezes.list());
  expect(await copy.pins.list()).toEqual(await store.pins.list());
  expect(await copy.webhooks.list()).toEqual([webhook]);
  await copy.webhooks.test(webhook.id, next);
  await store.webhooks.test(webhook.id, ctx);
  expect((await copy.webhooks.due(9))[0]?.secret).toBe((await store.webhooks.due(9))[0]?.secret);
  const resumed = await copy.rollouts.command(value.id, { kind: "resume" }, {}, next);
  expect(resumed.value.state).toMatchObject({ kind: "baking", wave: 0 });
  expect((await copy.rollouts.start(rolloutFixture(["a"]), next)).value.id).not.toBe(queued.value.id);

  const strangers: MasterKeys = [makeMasterKey(randomBytes(32))];
  const elsewhere = await postgres.database();
  await run(from, "DELETE FROM stampyard_control.stamps");
  const onlyWebhooks = await backupOf(store);
  await expect(restore(elsewhere, onlyWebhooks, strangers)).rejects.toMatchObject({
    code: "INVALID_REQUEST",
    message: expect.stringContaining("master key"),
  });
});

test("a recovered directory has the rules that stamps have of their own, too", async () => {
  await using store = await openStore({ url: await postgres.database(), keys: testKeys });
  const ctx = await leaderOf(store);
  await fleetOf(store, ctx, ["a", "b"]);
  const [old, wanted] = [{ domains: ["localhost"] }, { domains: ["other.example"] }];
  const id = await startRules(store, ctx, ["a", "b"], old, wanted);
  await step(store, ctx, id, updating(), { a: begun });
  await store.recovery.enter("a test", ctx);
  await store.recovery.finish({ incomplete: true }, ctx);
  await sequenceAll(store, ctx);
  const { changes } = await readSnapshot(store);
  const routing = { ...old, trials: [{ stamps: ["a"], routing: wanted }] };
  expect(changes.filter(({ kind }) => kind === "routing-put")).toEqual([{ kind: "routing-put", routing }]);
});

test("a store that is found set back stops its rollouts, but none that takes its members back (I36)", async () => {
  await using store = await openStore({ url: await postgres.database(), keys: testKeys });
  const ctx = await leaderOf(store);
  await fleetOf(store, ctx, ["a"]);
  const { value } = await store.rollouts.start(rolloutFixture(["a"]), ctx);
  await step(store, ctx, value.id, updating(), { a: begun });
  await store.recovery.enter("a router has seen more", ctx);
  const { value: paused, revision } = await rolloutOf(store, value.id);
  expect(paused.state).toMatchObject({ kind: "paused", by: "recovery", was: { kind: "updating" } });
  const late = store.rollouts.write({ ...paused, state: updating() }, revision, [], ctx);
  await expect(late).rejects.toMatchObject({ code: "RECOVERING" });
  await store.recovery.finish({ incomplete: true }, ctx);
  await step(store, ctx, value.id, aborting, { a: { kind: "returning", since: 4 } });
  await store.recovery.enter("again", ctx);
  expect((await rolloutOf(store, value.id)).value.state).toEqual(aborting);
  await store.recovery.finish({ incomplete: true }, ctx);
  await step(store, ctx, value.id, { kind: "aborted", at: 9, cause: "a test", by: "tester" });
});

test("a store of before rollouts is brought up to date, and keeps what files a release is of from then on", async () => {
  const url = await postgres.database();
  const client = new Client(connectionConfig(url, "test"));
  await client.connect();
  await migrateSteps(client, 0, 3);
  await client.end();
  await run(
    url,
    `INSERT INTO stampyard_control.releases (digest, version, template, source, source_dir, created_by)
     VALUES ('${digest("0.9.0")}', '0.9.0', '{}', '', '/srv', 'tester')`,
  );
  await using store = await openStore({ url, keys: testKeys });
  const ctx = await leaderOf(store);
  expect(await store.fleet.release(digest("0.9.0"))).not.toHaveProperty("content");
  await applyFleet(store, ctx, [stampFixture("a")]);
  const { release: content } = aimFixture("a", "files");
  const { value: fleet, revision } = (await store.fleet.read()) ?? {};
  if (fleet === undefined || revision === undefined) throw new RangeError("No fleet");
  const release = { digest: digest("1.1.0"), version: "1.1.0", template: {}, source: "", sourceDir: "/srv", content };
  const input = { fleet: fleet.fleet, stampCreates: [], stampUpdates: [], expectedRevision: revision };
  await store.fleet.apply({ ...input, release: release as never }, ctx);
  expect(await store.fleet.release(digest("1.1.0"))).toMatchObject({ content });
  await store.rollouts.start(
    rolloutFixture(["a"], { release: digest("1.1.0"), members: [], strategy: strategyFixture }),
    ctx,
  );
  expect(await store.rollouts.open()).toHaveLength(1);
});
