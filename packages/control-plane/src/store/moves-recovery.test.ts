import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openStore } from "./open.ts";
import type { HomeClaim, Store, WriteContext } from "./port.ts";
import { restoreStore } from "./restore.ts";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { bringTo, giveUp, later, moveOf, openLed, stateOf, tenantOf } from "./test-moves.ts";
import {
  activeTenant,
  applyFleet,
  fleetFixture,
  leaderOf,
  poolFixture,
  readSnapshot,
  sequenceAll,
  stampFixture,
  testKeys,
} from "./test-store.ts";
import { counterDifferences } from "./used-places.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

/** Tenant `acme` on `a`, which pool `other` has a stamp `b` beside. */
async function withAcme() {
  const led = await openLed(postgres);
  const { store, ctx } = led;
  const pools = [poolFixture("shared"), poolFixture("other")];
  await applyFleet(store, ctx, [stampFixture("a"), stampFixture("b", { pool: "other" })], {
    fleet: fleetFixture(pools),
  });
  const placed = await store.tenants.create({ key: "acme", pool: "shared" }, ctx);
  const active = { ...placed.value, state: { kind: "active" } } as const;
  const put = { kind: "tenant-put", tenant: "acme", stamp: "a", epoch: 1, hostnames: [] } as const;
  await store.tenants.write(active, placed.revision, { changes: [put] }, ctx);
  await sequenceAll(store, ctx);
  return led;
}

async function backupOf(store: Store): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of store.backup()) parts.push(part);
  return Buffer.concat(parts);
}

interface Reopened extends AsyncDisposable {
  readonly url: string;
  readonly store: Store;
  readonly ctx: WriteContext;
}

/** A new store from that file, which is recovering. */
async function restored(bytes: Buffer): Promise<Reopened> {
  const url = await postgres.database();
  async function* source() {
    yield bytes;
  }
  await restoreStore({ url, source: source(), actor: "tester", keys: testKeys });
  const store = await openStore({ url, keys: testKeys });
  const ctx = await leaderOf(store, "restored");
  return { url, store, ctx, [Symbol.asyncDispose]: () => store.close() };
}

async function recover({ store, ctx }: Reopened, homes: Readonly<Record<string, readonly HomeClaim[]>>): Promise<void> {
  for (const name of ["a", "b"]) await store.recovery.saveStampHomes(name, homes[name] ?? [], ctx);
  await store.recovery.finish({ incomplete: true }, ctx);
  await sequenceAll(store, ctx);
}

async function differences(url: string) {
  return counterDifferences({
    async query(text, values = []) {
      const rows = await run(`${url}&options=-c%20search_path%3Dstampyard_control`, text, [...values]);
      return { rows: rows as never[], rowCount: rows.length };
    },
  });
}

const home = (state: string, epoch: number, more: Partial<HomeClaim> = {}): HomeClaim => ({
  tenant: "acme",
  state,
  epoch,
  ...more,
});

async function routeOf(store: Store) {
  const { changes } = await readSnapshot(store);
  return changes.find((change) => change.kind === "tenant-put");
}

describe("a backup", () => {
  test("holds moves, their places and their order", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    await activeTenant(store, ctx, "beta").catch(() => {});
    const { value: move } = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    await bringTo(store, ctx, move.id, "resting");
    await store.moves.rollback(move.id, {}, ctx);
    const before = (await store.moves.list()).items;
    await using again = await restored(await backupOf(store));
    expect((await again.store.moves.list()).items.map(({ value }) => value)).toEqual(before.map(({ value }) => value));
    expect(await differences(again.url)).toEqual([]);
    await expect(again.store.moves.abort(`${move.id}-back`, {}, again.ctx)).rejects.toMatchObject({
      code: "RECOVERING",
    });
    await recover(again, {
      a: [home("moved", 2, { moveId: move.id, movedTo: "b" })],
      b: [home("active", 2, { moveId: `${move.id}-back`, isWatched: true })],
    });
    expect((await moveOf(again.store, `${move.id}-back`)).value).toMatchObject({ state: { kind: "requested" } });
    await giveUp(again.store, again.ctx, `${move.id}-back`);
    await bringTo(again.store, again.ctx, move.id, "done");
    // Numbers go on after those that were restored.
    const next = await again.store.moves.request({ tenant: "acme", to: "a" }, again.ctx);
    expect((await again.store.moves.list({ limit: 1 })).items[0]?.value.id).toBe(next.value.id);
  });
});

describe("a recovery", () => {
  test("lands the move that was decided after the backup (I2, I25)", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    const { value: move } = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    await bringTo(store, ctx, move.id, "copying");
    await using again = await restored(await backupOf(store));
    await recover(again, {
      a: [home("moved", 2, { moveId: move.id, movedTo: "b" })],
      b: [home("active", 2, { moveId: `${move.id}-back`, isWatched: true })],
    });
    const moving = { state: { kind: "moving", move: move.id }, stamp: "b", epoch: 2, pool: "other" };
    expect(await tenantOf(again.store, "acme")).toMatchObject(moving);
    expect(await routeOf(again.store)).toMatchObject({ stamp: "b", epoch: 2 });
    expect((await moveOf(again.store, move.id)).value.state.kind).toBe("opening");
    expect((await again.store.capacity.loads()).get("a")?.waysBack).toEqual({ tenants: 1 });
    expect(await differences(again.url)).toEqual([]);
    expect(await again.store.moves.due(Date.now())).toEqual([move.id]);
    await bringTo(again.store, again.ctx, move.id, "done");
    expect(await tenantOf(again.store, "acme")).toMatchObject({ state: { kind: "active" }, stamp: "b", epoch: 2 });
    expect(await differences(again.url)).toEqual([]);
  });

  test("keeps the tenant where it is while its target has not opened (I45)", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    const { value: move } = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    await bringTo(store, ctx, move.id, "switching");
    await using again = await restored(await backupOf(store));
    await recover(again, {
      a: [home("moved", 2, { moveId: move.id, movedTo: "b" })],
      b: [home("importing", 2, { moveId: move.id })],
    });
    expect(await tenantOf(again.store, "acme")).toMatchObject({
      state: { kind: "moving", move: move.id },
      stamp: "a",
      epoch: 1,
    });
    expect(await routeOf(again.store)).toMatchObject({ stamp: "a", epoch: 1 });
    expect((await moveOf(again.store, move.id)).value).toMatchObject({ goal: "finish", state: { kind: "switching" } });
  });

  test("goes on with a decided move that was asked for after the backup", async () => {
    await using led = await withAcme();
    const bytes = await backupOf(led.store);
    await using again = await restored(bytes);
    const id = "mv-unknown00001";
    await recover(again, {
      a: [home("moved", 2, { moveId: id, movedTo: "b" })],
      b: [home("importing", 2, { moveId: id })],
    });
    expect(await tenantOf(again.store, "acme")).toMatchObject({
      state: { kind: "moving", move: id },
      stamp: "a",
      epoch: 1,
    });
    expect(await again.store.moves.due(Date.now())).toEqual([id]);
    expect((await again.store.capacity.loads()).get("b")?.incoming).toEqual({ tenants: 1 });
    await bringTo(again.store, again.ctx, id, "done");
    expect(await tenantOf(again.store, "acme")).toMatchObject({
      state: { kind: "active" },
      stamp: "b",
      epoch: 2,
      pool: "other",
    });
    expect(await differences(again.url)).toEqual([]);
  });

  test("leaves a finished move of after the backup to a person, with its way back (I18)", async () => {
    await using led = await withAcme();
    const bytes = await backupOf(led.store);
    await using again = await restored(bytes);
    const id = "mv-unknown00002";
    await recover(again, {
      a: [home("moved", 2, { moveId: id, movedTo: "b" })],
      b: [home("active", 2, { moveId: `${id}-back`, isWatched: true })],
    });
    expect(await tenantOf(again.store, "acme")).toMatchObject({ state: { kind: "active" }, stamp: "b", epoch: 2 });
    expect((await moveOf(again.store, id)).value).toMatchObject({
      from: "a",
      to: "b",
      epoch: 1,
      state: { kind: "disputed" },
    });
    expect(await again.store.moves.due(later)).toEqual([]);
    expect((await again.store.moves.rollback(id, {}, again.ctx)).value).toMatchObject({ from: "b", to: "a", epoch: 2 });
    expect(await differences(again.url)).toEqual([]);
  });

  test("cleans up after an undecided move that was asked for after the backup (I22)", async () => {
    await using led = await withAcme();
    const bytes = await backupOf(led.store);
    await using again = await restored(bytes);
    const id = "mv-unknown00003";
    await recover(again, { a: [home("active", 1, { moveId: id })], b: [home("importing", 2, { moveId: id })] });
    expect(await tenantOf(again.store, "acme")).toMatchObject({ state: { kind: "active" }, stamp: "a", epoch: 1 });
    const { value, revision } = await moveOf(again.store, id);
    expect(value).toMatchObject({ goal: "abort", state: { kind: "aborting" } });
    await expect(again.store.moves.request({ tenant: "acme", to: "b" }, again.ctx)).rejects.toMatchObject({
      code: "WRONG_PHASE",
    });
    await again.store.moves.write({ ...value, state: stateOf("aborted") }, revision, again.ctx);
    expect(await differences(again.url)).toEqual([]);
  });

  test("ends a move that was over before the store could know, and gives its place back", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    const { value: move } = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    await using again = await restored(await backupOf(store));
    // Back on its old stamp, by a move of later.
    await recover(again, { a: [home("active", 3)], b: [home("moved", 3, { moveId: "mv-later", movedTo: "a" })] });
    expect(await tenantOf(again.store, "acme")).toMatchObject({ stamp: "a", epoch: 3 });
    const open = (await again.store.moves.list({ isOpen: true })).items.map(({ value }) => value.id);
    expect(open).toEqual(["mv-later"]);
    expect((await moveOf(again.store, move.id)).value.state).toEqual({ kind: "done" });
    expect(await differences(again.url)).toEqual([]);
  });
});
