import {
  abortMove,
  armMove,
  closeFence,
  flip,
  forgetCaptured,
  mostMovesAtOnce,
  unwatch,
  waitForOldWriters,
} from "@stampyard/movers";
import { stampSchemaSql } from "@stampyard/domain";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Cluster, startCluster, type TestDatabase } from "./cluster.ts";
import { begin, capturedKeys, clock, fencedDatabase, isolationLevels, notes, outcome } from "./fence-bed.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster[Symbol.asyncDispose]());

const back = { tenant: "acme", moveId: "m1-back" };
const write = "update notes set body = 'new' where tenant_id = 'acme' and id = 1";

/** As the target of a move has it after it opened: active at the next epoch, captured for the way back. */
async function watchedDatabase(more = ""): Promise<TestDatabase> {
  const db = await fencedDatabase(cluster, more);
  await db.run(
    "stampyard_mover",
    "update stampyard.tenant_home set epoch = 2, move_id = 'm1-back', watching = true where tenant = 'acme'",
  );
  return db;
}

async function homeOf(db: TestDatabase): Promise<Record<string, unknown> | undefined> {
  const [home] = await db.run(
    "stampyard_mover",
    "select state, epoch::int, move_id, watching from stampyard.tenant_home where tenant = 'acme'",
  );
  return home;
}

const watched = { state: "active", epoch: 2, move_id: "m1-back", watching: true };

describe.each(isolationLevels)("a watched tenant at %s", (level) => {
  test("is captured without a lock of ours, and its row can be armed beside open writers", async () => {
    const db = await watchedDatabase();
    await using mover = await db.connect("stampyard_mover");
    await using writer = await db.connect("stampyard_app");
    await begin(writer, level);
    await writer.query(write);
    const locks = await db.run("postgres", "select mode from pg_locks where locktype = 'advisory'");
    expect(locks).toEqual([]);
    // Not even the row is held: nobody who follows can keep the arming waiting.
    await mover.query("set lock_timeout = '100ms'");
    await armMove(mover, back, 2);
    expect(await homeOf(db)).toEqual({ ...watched, watching: false });
    await expect(waitForOldWriters(mover, [notes], { clock, deadlineMs: 50 })).rejects.toThrow(`pid ${writer.pid}`);
    await writer.query("commit");
    await waitForOldWriters(mover, [notes], { clock, deadlineMs: 5_000 });
    expect(await capturedKeys(db)).toEqual(['{"id":1,"tenant_id":"acme"}']);
    // From here on its writers hold the lock that the fence waits for.
    await begin(writer, level);
    await writer.query(write);
    await expect(closeFence(mover, back, { clock, maxPauseMs: 60_000, attempts: 2 })).rejects.toThrow("fenced");
    await writer.query("commit");
  });

  test("a snapshot from before another tenant's move, or from before its own, is captured or fails", async () => {
    const db = await watchedDatabase();
    await using mover = await db.connect("stampyard_mover");
    await using first = await db.connect("stampyard_app");
    await using second = await db.connect("stampyard_app");
    await begin(first, level);
    await armMove(mover, { tenant: "bolt", moveId: "m2" }, 1);
    expect(await outcome(first.query(write))).toBe("ok");
    await first.query("commit");
    expect(await capturedKeys(db)).toEqual(['{"id":1,"tenant_id":"acme"}']);
    await begin(second, level);
    await armMove(mover, back, 2);
    expect(await outcome(second.query(write))).toBe(level === "read committed" ? "ok" : "40001");
    await second.query("rollback");
  });
});

test("a way back that aborts, or whose fence nobody opened, is watched again with its keys (I21, I41)", async () => {
  const db = await watchedDatabase();
  await using mover = await db.connect("stampyard_mover");
  await db.run("stampyard_app", write);
  await armMove(mover, back, 2);
  await armMove(mover, back, 2);
  expect(await abortMove(mover, back)).toBe(true);
  expect(await abortMove(mover, back)).toBe(false);
  expect(await homeOf(db)).toEqual(watched);
  await armMove(mover, back, 2);
  await closeFence(mover, back, { clock, maxPauseMs: 60_000 });
  expect(await abortMove(mover, back)).toBe(true);
  expect(await homeOf(db)).toEqual(watched);
  await armMove(mover, back, 2);
  await closeFence(mover, back, { clock, maxPauseMs: 50 });
  const other = "update notes set body = 'new' where tenant_id = 'acme' and id = 2";
  await expect.poll(() => outcome(db.run("stampyard_app", other)), { timeout: 5_000, interval: 20 }).toBe("ok");
  expect(await homeOf(db)).toEqual(watched);
  expect(await capturedKeys(db)).toEqual(['{"id":1,"tenant_id":"acme"}', '{"id":2,"tenant_id":"acme"}']);
  await armMove(mover, back, 2);
  await closeFence(mover, back, { clock, maxPauseMs: 60_000 });
  expect(await flip(mover, back, "shared-1")).toBe(true);
  expect(await homeOf(db)).toEqual({ state: "moved", epoch: 3, move_id: "m1-back", watching: false });
});

test("watched tenants count neither as moves nor against TRUNCATE, and unwatch() leaves nothing behind (I22, I44)", async () => {
  const db = await watchedDatabase();
  await using mover = await db.connect("stampyard_mover");
  await db.run(
    "stampyard_mover",
    "insert into stampyard.tenant_home (tenant, state, epoch, move_id, watching) select 'x' || g, 'active', 1, 'w' || g, true from generate_series(1, $1::int) g",
    [mostMovesAtOnce],
  );
  await armMove(mover, { tenant: "bolt", moveId: "m9" }, 1);
  expect(await outcome(db.run("stampyard_owner", "truncate notes"))).toBe("SY003");
  await abortMove(mover, { tenant: "bolt", moveId: "m9" });
  await db.run("stampyard_app", "insert into notes values ('acme', 6), ('x1', 1)");
  await using late = await db.connect("stampyard_app");
  await late.query("begin");
  await late.query(write);
  expect(await unwatch(mover, back)).toBe(true);
  expect(await unwatch(mover, back)).toBe(false);
  await late.query("commit");
  await db.run("stampyard_app", write);
  expect(await homeOf(db)).toEqual({ state: "active", epoch: 2, move_id: null, watching: false });
  // The writer that was open left a key; those of other tenants stay.
  expect(await capturedKeys(db)).toHaveLength(2);
  expect(await forgetCaptured(mover)).toBe(1);
  expect(await capturedKeys(db)).toEqual(['{"id":1,"tenant_id":"x1"}']);
  await db.run("stampyard_owner", "truncate notes");
});

test("of a tenant that is deleted the application may delete rows and write none; of a suspended one it may do neither", async () => {
  const db = await fencedDatabase(cluster);
  const states = (state: string) =>
    db.run("stampyard_mover", "update stampyard.tenant_home set state = $1 where tenant = 'acme'", [state]);
  const erase = "delete from notes where tenant_id = 'acme' and id = 1";
  await states("suspended");
  expect(await outcome(db.run("stampyard_app", erase))).toBe("SY001");
  await states("deleting");
  expect(await outcome(db.run("stampyard_app", write))).toBe("SY001");
  expect(await outcome(db.run("stampyard_app", "insert into notes values ('acme', 99)"))).toBe("SY001");
  expect(await outcome(db.run("stampyard_app", erase))).toBe("ok");
});

test("a busy writer that keeps its snapshot cannot keep an abort waiting (I21)", async () => {
  const db = await fencedDatabase(cluster);
  await using mover = await db.connect("stampyard_mover");
  await armMove(mover, { tenant: "acme", moveId: "m1" }, 1);
  let isOver = false;
  const writeOn = async () => {
    await using app = await db.connect("stampyard_app");
    while (!isOver) {
      await begin(app, "repeatable read");
      const id = 100 + app.pid;
      const upsert = "insert into notes values ('acme', $1) on conflict (tenant_id, id) do update set body = ''";
      const state = await outcome(app.query(upsert, [id]));
      if (state === "ok") await clock.sleep(15);
      await app.query(state === "ok" ? "commit" : "rollback");
      expect(["ok", "40001"]).toContain(state);
    }
  };
  const writers = Array.from({ length: 6 }, writeOn);
  await clock.sleep(60);
  expect(await abortMove(mover, { tenant: "acme", moveId: "m1" })).toBe(true);
  isOver = true;
  await Promise.all(writers);
});

test("a stamp made before there was a watch gets its columns and states, and a repeat changes nothing", async () => {
  const db = await cluster.database();
  await db.run(
    "stampyard_mover",
    "insert into stampyard.tenant_home (tenant, state, epoch) values ('acme', 'active', 1)",
  );
  await db.run(
    "postgres",
    `alter table stampyard.tenant_home drop column watching, drop column is_way_back, drop constraint tenant_home_state_check;
     alter table stampyard.tenant_home add constraint tenant_home_state_check check (state in ('importing', 'active', 'moved'))`,
  );
  await db.run("postgres", stampSchemaSql);
  await db.run("postgres", stampSchemaSql);
  await db.run("stampyard_mover", "update stampyard.tenant_home set state = 'suspended' where tenant = 'acme'");
  expect(await homeOf(db)).toEqual({ state: "suspended", epoch: 1, move_id: null, watching: false });
});

test("six writers at three isolation levels: of a watched tenant that is armed and fenced no acknowledged write is uncaptured (I15, I18)", async () => {
  const db = await watchedDatabase();
  await using mover = await db.connect("stampyard_mover");
  let isOver = false;
  const acknowledged: number[] = [];
  const writeOn = async (writer: number) => {
    await using app = await db.connect("stampyard_app");
    for (let id = writer * 100_000; !isOver; id++) {
      const insert = `begin isolation level ${isolationLevels[writer % 3]}; insert into notes values ('acme', ${id}); commit`;
      const state = await outcome(app.query(insert));
      if (state === "ok") acknowledged.push(id);
      else await app.query("rollback");
      expect(["ok", "SY001", "40001"]).toContain(state);
    }
  };
  const writers = [1, 2, 3, 4, 5, 6].map(writeOn);
  for (let round = 0; round < 4; round++) {
    await clock.sleep(40);
    await armMove(mover, back, 2);
    await waitForOldWriters(mover, [notes], { clock, deadlineMs: 5_000 });
    await clock.sleep(20);
    await closeFence(mover, back, { clock, maxPauseMs: 60_000, attempts: 40 });
    const atFence = await capturedKeys(db);
    const [rows] = await db.run("postgres", "select count(*)::int as n from notes where id >= 100000");
    expect(new Set(atFence).size, "all that is there is captured, and nothing comes any more").toBe(rows?.["n"]);
    await abortMove(mover, back);
  }
  isOver = true;
  await Promise.all(writers);
  const captured = new Set(await capturedKeys(db));
  const lost = acknowledged.filter((id) => !captured.has(`{"id":${id},"tenant_id":"acme"}`));
  expect({ lost, isBusy: acknowledged.length > 200 }).toEqual({ lost: [], isBusy: true });
});
