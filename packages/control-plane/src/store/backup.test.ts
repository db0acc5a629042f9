import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DirectoryChange } from "@stampyard/directory";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadMasterKeys } from "./master-key.ts";
import { openStore } from "./open.ts";
import type { Store, WriteContext } from "./port.ts";
import { readStoreUse } from "./present-store.ts";
import { type RestoreOptions, restoreStore } from "./restore.ts";
import { makeMasterKey, type MasterKeys } from "./seal.ts";
import { judgeStoreHead, keepSeenHead, readSeenHead, writeSeenHead } from "./seen-head.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import {
  activeTenant,
  applyFleet,
  deleteTenant,
  leaderOf,
  publish,
  readSnapshot,
  sequenceAll,
  stampFixture,
  testKeys,
} from "./test-store.ts";

let postgres: TestPostgres;
const dir = mkdtempSync(join(tmpdir(), "stampyard-backup-"));
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(async () => {
  rmSync(dir, { recursive: true, force: true });
  await postgres[Symbol.asyncDispose]();
});

async function backupOf(store: Store): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of store.backup()) parts.push(part);
  return Buffer.concat(parts);
}

async function* stream(bytes: Buffer, chunk = 10_007): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
}

const restore = (url: string, bytes: Buffer, more: Partial<RestoreOptions> = {}) =>
  restoreStore({ url, source: stream(bytes), actor: "tester", keys: testKeys, ...more });

const wide = { capacity: { tenants: 500, units: {} } };

/** A fleet with a stamp that is published, and some tenants. */
async function populate(store: Store, ctx: WriteContext, tenants: number): Promise<void> {
  await applyFleet(store, ctx, [stampFixture("shared-1", wide), stampFixture("shared-2", wide)]);
  for (const name of ["shared-1", "shared-2"]) {
    const found = await store.stamps.read(name);
    if (found === undefined) throw new RangeError(name);
    const { pool, region, endpoints, endpointRevision } = found.value;
    const put: DirectoryChange = { kind: "stamp-put", stamp: name, pool, region, endpoints, endpointRevision };
    await store.stamps.write(found.value, found.revision, { changes: [put] }, ctx);
  }
  for (let n = 0; n < tenants; n++) await activeTenant(store, ctx, `t${n}`);
  await sequenceAll(store, ctx);
}

test("no table, backup or error holds a secret in the clear (I33)", async () => {
  const url = await postgres.database();
  await using store = await openStore({ url, keys: testKeys });
  const ctx = await leaderOf(store);
  await populate(store, ctx, 2);
  await store.stamps.rotateRouteKeys("shared-1", ctx, { accepted: new Set(), dropAfterMs: 0 });
  const { secret } = await store.tokens.create({ name: "ci", role: "admin" }, ctx);
  await store.idempotency.begin({ principal: "p", key: "k", requestId: "r", requestHash: "h" });
  await store.idempotency.done({ principal: "p", key: "k", requestId: "r" }, { status: 201, body: { secret } });
  await store.stamps.addSecrets("shared-1", { "cache.password": "hunter2-in-the-clear" }, ctx);
  const routeKeys = [...(await store.stamps.allRouteKeys()).values()].flat().map((key) => key.secret);
  const plain = ["plain-shared-1", "plain-shared-2", "hunter2-in-the-clear", secret, ...routeKeys];
  expect(routeKeys).toHaveLength(3);

  const tables = await run(
    url,
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'stampyard_control'",
  );
  let dump = (await backupOf(store)).toString("utf8");
  for (const { name } of tables) {
    const rows = await run(url, `SELECT row_to_json(t)::text AS row FROM stampyard_control.${name} t`);
    dump += rows.map((row) => row["row"]).join("\n");
  }
  expect(dump).toContain("shared-1");
  for (const text of plain) {
    const bytes = Buffer.from(text, "utf8");
    const forms = [
      text,
      bytes.toString("hex"),
      bytes.toString("base64"),
      Buffer.from(text, "base64url").toString("hex"),
    ];
    for (const form of forms) expect(dump.includes(form), `a secret in the form ${form.length}`).toBe(false);
  }
  expect(await store.stamps.secrets("shared-1")).toEqual({
    "db.appPassword": "plain-shared-1",
    "cache.password": "hunter2-in-the-clear",
  });
});

test("a sealed secret opens only in its own place and under its own master key", async () => {
  const url = await postgres.database();
  await using store = await openStore({ url, keys: testKeys });
  const ctx = await leaderOf(store);
  await populate(store, ctx, 0);
  const swap =
    "UPDATE stampyard_control.stamp_secrets SET sealed = (SELECT sealed FROM stampyard_control.stamp_secrets WHERE stamp = 'shared-2') WHERE stamp = 'shared-1'";
  await run(url, swap);
  await expect(store.stamps.secrets("shared-1")).rejects.toMatchObject({ code: "INTERNAL" });

  const fresh = makeMasterKey(randomBytes(32));
  await using both = await openStore({ url, keys: [fresh, testKeys[0]] as MasterKeys });
  expect(await both.rewrapSecrets(ctx)).toBe(2);
  expect(await both.rewrapSecrets(ctx)).toBe(0);
  await using only = await openStore({ url, keys: [fresh] });
  expect(await only.stamps.secrets("shared-2")).toEqual({ "db.appPassword": "plain-shared-2" });
  const lost = store.stamps.secrets("shared-2");
  await expect(lost).rejects.toMatchObject({ code: "INTERNAL", message: expect.stringContaining(fresh.id) });
});

test("loadMasterKeys() makes a 0600 file once, and refuses one that others may read", () => {
  const file = join(dir, "secrets", "master.key");
  expect(() => loadMasterKeys({ file }, { create: false })).toThrow(/no master key/);
  const [made] = loadMasterKeys({ file }, { create: true });
  expect(loadMasterKeys({ file }, { create: true })[0].id).toBe(made.id);
  const env = randomBytes(32).toString("base64");
  expect(loadMasterKeys({ file, env }, { create: true })[0].id).not.toBe(made.id);
  expect(() => loadMasterKeys({ file, env: "c2hvcnQ=" }, { create: true })).toThrow(/not 32 bytes/);
  const open = join(dir, "open.key");
  writeFileSync(open, readFileSync(file), { mode: 0o644 });
  expect(() => loadMasterKeys({ file: open }, { create: true })).toThrow(/may read/);
});

test("a restore after 100 changes adopts what stamps and routers know, under new epochs and versions (I2, I25, D9)", async () => {
  const [from, to] = [await postgres.database(), await postgres.database()];
  await using old = await openStore({ url: from, keys: testKeys });
  const oldCtx = await leaderOf(old, "old");
  await populate(old, oldCtx, 10);
  const bytes = await backupOf(old);
  const atBackup = await old.directory.head();
  // What the backup will not know: new tenants, a hostname, a deletion, and more leaders.
  for (let n = 10; n < 110; n++) await activeTenant(old, oldCtx, `t${n}`);
  await old.tenants.addHostname("t100", "t100.example.com", {}, oldCtx);
  await deleteTenant(old, oldCtx, "t3");
  await sequenceAll(old, oldCtx);
  const router = await readSnapshot(old);
  const homes = new Map<string, { tenant: string; state: string; epoch: number }[]>([
    ["shared-1", []],
    ["shared-2", []],
  ]);
  for (const change of router.changes) {
    if (change.kind === "tenant-put")
      homes.get(change.stamp)?.push({ tenant: change.tenant, state: "active", epoch: change.epoch });
  }

  const restored = await restore(to, bytes);
  expect(restored).toMatchObject({ incarnation: 2, version: atBackup.version });
  await using store = await openStore({ url: to, keys: testKeys });
  const ctx = await leaderOf(store);
  expect(ctx.token).toBeGreaterThan(oldCtx.token + 1_000);
  expect(await store.meta()).toMatchObject({ mode: "recovering", fleetId: (await old.meta()).fleetId });
  expect(await store.directory.changesAfter(router.position)).toMatchObject({ kind: "diverged" });
  expect((await store.tenants.read("t3"))?.value.state.kind).toBe("active");
  await expect(store.recovery.finish({ incomplete: false }, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });

  const half = Math.ceil(router.changes.length / 2);
  const report = (part: number, changes: readonly DirectoryChange[], last: boolean) =>
    store.recovery.saveRouterReport({ router: "r1", ...router.position, part, last, changes });
  await report(0, router.changes.slice(0, half), false);
  await report(1, router.changes.slice(half), true);
  for (const [stamp, rows] of homes) await store.recovery.saveStampHomes(stamp, rows, ctx);
  const open = await store.recovery.report();
  expect(open.waitingOn).toEqual([]);
  expect(open.adopt).toHaveLength(100);
  expect(open.conflicts.map((conflict) => conflict.tenant)).toEqual(["t3"]);
  await expect(store.recovery.finish({ incomplete: false }, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
  await store.recovery.resolve([{ tenant: "t3" }], ctx);
  expect(await store.recovery.finish({ incomplete: false }, ctx)).toMatchObject({ mode: "normal" });

  expect(await store.directory.held()).toEqual([]);
  await sequenceAll(store, ctx);
  expect(await store.directory.held()).toEqual([]);
  const after = await readSnapshot(store);
  const sorted = (changes: readonly DirectoryChange[]) => changes.map((change) => JSON.stringify(change)).sort();
  const normal = (change: DirectoryChange) => Object.fromEntries(Object.entries(change).sort()) as DirectoryChange;
  expect(sorted(after.changes.map(normal))).toEqual(sorted(router.changes.map(normal)));
  expect(after.position.incarnation).toBe(2);
  expect(after.confirmedVersion).toBe(after.position.version);
  // A router that stopped at the backup goes on by deltas; the one that was ahead needs the snapshot.
  expect(await store.directory.changesAfter(atBackup)).toMatchObject({ kind: "changes" });
  expect(await store.directory.changesAfter(router.position)).toMatchObject({ kind: "diverged" });
  expect(await store.stamps.secrets("shared-1")).toEqual({ "db.appPassword": "plain-shared-1" });
  expect(await store.audit.verify()).toMatchObject({ ok: true });
  expect((await publish(store, ctx, await store.tenants.create({ key: "t3" }, ctx))).value.epoch).toBe(2);
}, 60_000);

test("restoreStore() takes a whole backup into an empty store, or nothing", async () => {
  const [from, to] = [await postgres.database(), await postgres.database()];
  await using store = await openStore({ url: from, keys: testKeys });
  const ctx = await leaderOf(store);
  await populate(store, ctx, 3);
  const bytes = await backupOf(store);
  const refused = async (broken: Buffer, url = to) =>
    restore(url, broken).then(
      () => "restored",
      (error: { code: string }) => error.code,
    );
  const flipped = Buffer.from(bytes);
  const at = bytes.indexOf('"t1"') + 2;
  flipped[at] = (flipped[at] ?? 0) ^ 1;
  expect(await refused(flipped)).toBe("INVALID_REQUEST");
  expect(await refused(bytes.subarray(0, bytes.length - 200))).toBe("INVALID_REQUEST");
  expect(await refused(bytes.subarray(0, bytes.length - 1))).toBe("INVALID_REQUEST");
  expect(await refused(Buffer.concat([bytes, Buffer.from("{}\n")]))).toBe("INVALID_REQUEST");
  expect(await refused(Buffer.from("SELECT 1\n"))).toBe("INVALID_REQUEST");
  expect(await refused(Buffer.alloc(0))).toBe("INVALID_REQUEST");
  const newer = bytes.toString("utf8").replace(/"schema":\d+/, '"schema":99');
  expect(await refused(Buffer.from(newer))).toBe("INVALID_REQUEST");
  expect(await run(to, "SELECT 1 FROM information_schema.schemata WHERE schema_name = 'stampyard_control'")).toEqual(
    [],
  );
  expect(await refused(bytes, from)).toBe("WRONG_PHASE");
  await store.lease.release("test", ctx.token);
  expect(await refused(bytes, from)).toBe("WRONG_PHASE");

  const foreign = restore(to, bytes, { keys: [makeMasterKey(randomBytes(32))] });
  await expect(foreign).rejects.toMatchObject({
    code: "INVALID_REQUEST",
    message: expect.stringMatching(/master key/),
  });
  expect(await restore(to, bytes, { rehearse: true })).toMatchObject({ incarnation: 2 });
  expect(await readStoreUse(to)).toEqual({ used: false });
  expect(await refused(bytes)).toBe("restored");
  expect(await readStoreUse(to)).toEqual({ used: true });
  await using copy = await openStore({ url: to, keys: testKeys });
  expect((await copy.tenants.list()).items).toEqual((await store.tenants.list()).items);
  expect((await copy.tenants.history("t1")).items).toEqual((await store.tenants.history("t1")).items);
  expect((await copy.fleet.read())?.value).toEqual((await store.fleet.read())?.value);
});

test("judgeStoreHead() notices a store that was set back before it serves a version (I42)", async () => {
  const url = await postgres.database();
  const file = join(dir, "head.json");
  const store = await openStore({ url, keys: testKeys });
  const ctx = await leaderOf(store);
  await populate(store, ctx, 1);
  const early = await backupOf(store);
  const fail = (error: unknown) => expect.unreachable(String(error));
  const stop = keepSeenHead(store, file, { onError: fail, onSetBack: fail });
  for (const key of ["x", "y"]) await activeTenant(store, ctx, key);
  await sequenceAll(store, ctx);
  await stop();
  const seen = readSeenHead(file);
  if (seen === undefined) throw new RangeError("Nothing was noted");
  expect(await judgeStoreHead(store, seen)).toEqual({ kind: "ok" });
  await activeTenant(store, ctx, "z");
  await sequenceAll(store, ctx);
  expect(await judgeStoreHead(store, seen)).toEqual({ kind: "ok" });
  expect(await judgeStoreHead(store, { ...seen, fleetId: "other" })).toMatchObject({ kind: "other-fleet" });
  await store.close();

  const back = await postgres.database();
  await restore(back, early);
  // Somebody set the database back by other means: nothing in it says so.
  await run(back, "UPDATE stampyard_control.meta SET mode = 'normal', incarnation = 1");
  await using rolledBack = await openStore({ url: back, keys: testKeys });
  expect(await judgeStoreHead(rolledBack, seen)).toMatchObject({ kind: "rolled-back" });
  const next = await leaderOf(rolledBack);
  for (const key of ["a", "b", "c", "d"]) await activeTenant(rolledBack, next, key);
  await sequenceAll(rolledBack, next);
  expect(await judgeStoreHead(rolledBack, seen)).toMatchObject({ kind: "rolled-back" });
  writeSeenHead(file, seen);
  writeFileSync(file, "{broken");
  expect(readSeenHead(file)).toBeUndefined();
});

test("audit.verify() finds a changed, a removed and a cut-off row", async () => {
  const url = await postgres.database();
  await using store = await openStore({ url, keys: testKeys });
  const ctx = await leaderOf(store);
  await populate(store, ctx, 3);
  const { rows } = await store.audit.verify();
  await run(url, "UPDATE stampyard_control.audit SET actor = 'someone' WHERE number = 3");
  expect(await store.audit.verify()).toEqual({ ok: false, rows: 2, brokenAt: 3 });
  await run(url, "UPDATE stampyard_control.audit SET actor = 'tester' WHERE number = 3");
  expect(await store.audit.verify()).toEqual({ ok: true, rows });
  await run(url, `DELETE FROM stampyard_control.audit WHERE number = ${rows}`);
  expect(await store.audit.verify()).toEqual({ ok: false, rows: rows - 1, brokenAt: rows });
});

test("backup() says what is wrong when too many are being read at once", async () => {
  const url = await postgres.database();
  await using store = await openStore({ url, keys: testKeys });
  await leaderOf(store);
  const open = Array.from({ length: 4 }, () => store.backup()[Symbol.asyncIterator]());
  await Promise.all(open.map((reader) => reader.next()));
  await expect(backupOf(store)).rejects.toMatchObject({
    code: "TIMEOUT",
    message: expect.stringContaining("4 backups"),
  });
  await Promise.all(open.map((reader) => reader.return?.()));
  expect((await backupOf(store)).length).toBeGreaterThan(0);
});
