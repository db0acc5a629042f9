import { abortMove, armMove, closeFence, flip, installFence, oldWriters, waitForOldWriters } from "@stampyard/movers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Cluster, startCluster } from "./cluster.ts";
import { begin, capturedKeys, clock, fencedDatabase, isolationLevels, notes, outcome } from "./fence-bed.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster[Symbol.asyncDispose]());

const acme = { tenant: "acme", moveId: "m1" };
const pause = { clock, maxPauseMs: 60_000 };
const write = "update notes set body = 'new' where tenant_id = 'acme' and id = 1";

describe.each(isolationLevels)("at %s", (level) => {
  test("closeFence() lets no later write of the tenant pass, whatever snapshot it has (I17)", async () => {
    const db = await fencedDatabase(cluster);
    await using mover = await db.connect("stampyard_mover");
    await using atRest = await db.connect("stampyard_app");
    await using armed = await db.connect("stampyard_app");
    await using late = await db.connect("stampyard_app");
    await begin(atRest, level);
    await armMove(mover, acme, 1);
    await begin(armed, level);
    await closeFence(mover, acme, pause);
    await begin(late, level);
    const seen = await Promise.all([atRest, armed, late].map((c) => outcome(c.query(write))));
    for (const state of seen) expect(["SY001", "40001"]).toContain(state);
    expect(seen[2]).toBe("SY001");
    await Promise.all([atRest, armed, late].map((c) => c.query("rollback")));
    // Neighbours never notice (I20).
    await db.run("stampyard_app", "update notes set body = 'new' where tenant_id = 'bolt'");
  });

  test("closeFence() waits for a writer of the armed tenant, and names one that stays (D13)", async () => {
    const db = await fencedDatabase(cluster);
    await using mover = await db.connect("stampyard_mover");
    await using writer = await db.connect("stampyard_app");
    await armMove(mover, acme, 1);
    await begin(writer, level);
    await writer.query(write);
    const refused = closeFence(mover, acme, { ...pause, attempts: 3 });
    await expect(refused).rejects.toThrow(`pid ${writer.pid}`);
    await writer.query("commit");
    await closeFence(mover, acme, pause);
    expect(await capturedKeys(db)).toEqual(['{"id":1,"tenant_id":"acme"}']);
    expect(await flip(mover, acme, "shared-2")).toBe(true);
  });

  test("waitForOldWriters() waits for a writer that came before the move, and nobody else (I18)", async () => {
    const db = await fencedDatabase(cluster);
    await using mover = await db.connect("stampyard_mover");
    await using old = await db.connect("stampyard_app");
    await begin(old, level);
    await old.query(write);
    await armMove(mover, acme, 1);
    await using reader = await db.connect("stampyard_app");
    await begin(reader, level);
    // What another move brings or erases is no change of this tenant.
    await using busy = await db.connect("stampyard_mover");
    await busy.query("begin; delete from notes where tenant_id = 'nobody'");
    expect((await oldWriters(mover, [notes])).map(({ pid }) => pid)).toEqual([old.pid]);
    const inVain = waitForOldWriters(mover, [notes], { clock, deadlineMs: 60 });
    await expect(inVain).rejects.toThrow(`pid ${old.pid}`);
    // Nothing is blocked by the wait: the same tenant goes on writing, and is captured.
    await db.run("stampyard_app", "update notes set body = 'new' where tenant_id = 'acme' and id = 2");
    const waiting = waitForOldWriters(mover, [notes], { clock, deadlineMs: 5_000 });
    await old.query("commit");
    await waiting;
    expect(await capturedKeys(db)).toEqual(['{"id":2,"tenant_id":"acme"}']);
  });

  test("of the first writer after the deadline, an abort and a flip exactly one decides (I19, I41)", async () => {
    const db = await fencedDatabase(cluster);
    const kinds = new Set<string>();
    await using mover = await db.connect("stampyard_mover");
    await using other = await db.connect("stampyard_mover");
    await using writer = await db.connect("stampyard_app");
    for (let round = 0; round < 25; round++) {
      const move = { tenant: "acme", moveId: `r${round}` };
      const [home] = await db.run(
        "stampyard_mover",
        "select epoch::int from stampyard.tenant_home where tenant = 'acme'",
      );
      const epoch = Number(home?.["epoch"]);
      await armMove(mover, move, epoch);
      await closeFence(mover, move, { clock, maxPauseMs: 4 + (round % 5) });
      const wrote = async () => {
        await clock.sleep(3 + (round % 7));
        const wrote = await outcome(writer.query(`begin isolation level ${level}; ${write}; commit`));
        if (wrote !== "ok") await writer.query("rollback");
        return wrote === "ok";
      };
      const aborted = async () => round % 3 === 0 && (await abortMove(other, move));
      const [hasFlipped, hasAborted, hasWritten] = await Promise.all([
        flip(mover, move, "shared-2"),
        aborted(),
        wrote(),
      ]);
      expect(hasFlipped && (hasAborted || hasWritten), `round ${round}`).toBe(false);
      kinds.add(hasFlipped ? "flipped" : "open");
      const [row] = await db.run(
        "stampyard_mover",
        "select state, epoch::int from stampyard.tenant_home where tenant = 'acme'",
      );
      expect(row?.["epoch"]).toBe(hasFlipped ? epoch + 1 : epoch);
      await db.run(
        "stampyard_mover",
        "update stampyard.tenant_home set state = 'active', move_id = null, moved_to = null, deadline = null where tenant = 'acme'",
      );
    }
    expect(kinds.has("flipped")).toBe(true);
  });
});

test.each(["repeatable read", "serializable"])(
  "a snapshot from before the move either fails or is captured, and never holds the move up at rest, at %s (I18)",
  async (level) => {
    const db = await fencedDatabase(cluster);
    await using mover = await db.connect("stampyard_mover");
    await using idle = await db.connect("stampyard_app");
    await using writer = await db.connect("stampyard_app");
    await begin(idle, level);
    await begin(writer, level);
    await writer.query("update notes set body = 'first' where tenant_id = 'acme' and id = 2");
    // The writer is waited for later; the move begins beside it.
    await armMove(mover, acme, 1);
    expect(await outcome(idle.query(write))).toBe("40001");
    expect(await outcome(writer.query(write))).toBe("40001");
    await Promise.all([idle, writer].map((c) => c.query("rollback")));
    await begin(idle, level);
    await idle.query(write);
    await idle.query("commit");
    expect(await capturedKeys(db)).toEqual(['{"id":1,"tenant_id":"acme"}']);
  },
);

test("a control plane that dies while a tenant is fenced leaves it open to the first writer after the deadline (I41)", async () => {
  const db = await fencedDatabase(cluster);
  await using mover = await db.connect("stampyard_mover");
  await armMove(mover, acme, 1);
  await closeFence(mover, acme, { clock, maxPauseMs: 150 });
  expect(await outcome(db.run("stampyard_app", write))).toBe("SY001");
  await expect.poll(() => outcome(db.run("stampyard_app", write)), { timeout: 5_000, interval: 20 }).toBe("ok");
  expect(await flip(mover, acme, "shared-2")).toBe(false);
  const [home] = await db.run(
    "stampyard_mover",
    "select state, move_id from stampyard.tenant_home where tenant = 'acme'",
  );
  expect(home).toEqual({ state: "active", move_id: null });
});

test("the fence captures the final keys of every way to write a row (D14, I18)", async () => {
  const db = await fencedDatabase(
    cluster,
    `create table tags (tenant_id text not null, note bigint not null, tag text not null, primary key (tenant_id, note, tag),
       foreign key (tenant_id, note) references notes on delete cascade on update cascade);
     insert into tags values ('acme', 4, 'x'), ('acme', 5, 'y');
     create function renumber() returns trigger language plpgsql as 'begin if new.id = 70 then new.id := 77; end if; return new; end';
     create trigger zzz before insert on notes for each row execute function renumber();`,
  );
  await using admin = await db.connect("postgres");
  const tags = { schema: "public", table: "tags", tenantColumn: "tenant_id", key: ["tenant_id", "note", "tag"] };
  await installFence(admin, [notes, tags], "enforce", { clock });
  await using mover = await db.connect("stampyard_mover");
  await armMove(mover, acme, 1);
  const app = await db.connect("stampyard_app");
  const captured = async (sql: string) => {
    await db.run("stampyard_mover", "delete from stampyard.move_change");
    await app.query(sql);
    const keys = await capturedKeys(db);
    return keys.map((key) => Object.values(JSON.parse(key) as Record<string, unknown>).join(" ")).sort();
  };
  expect(await captured("insert into notes values ('acme', 70), ('bolt', 70)")).toEqual(["77 acme"]);
  expect(await captured("update notes set id = 10 where tenant_id = 'acme' and id = 1")).toEqual(["1 acme", "10 acme"]);
  expect(await captured("delete from notes where tenant_id = 'acme' and id = 4")).toEqual(["4 acme", "x 4 acme"]);
  expect(await captured("update notes set id = 50 where tenant_id = 'acme' and id = 5")).toEqual(
    ["5 acme", "50 acme", "y 5 acme", "y 50 acme"].sort(),
  );
  expect(
    await captured("insert into notes values ('acme', 2, 'x') on conflict (tenant_id, id) do update set body = 'up'"),
  ).toEqual(["2 acme"]);
  expect(
    await captured(
      "merge into notes n using (values ('acme', 3::bigint)) v (t, i) on n.tenant_id = v.t and n.id = v.i when matched then update set body = 'm'",
    ),
  ).toEqual(["3 acme"]);
  expect(
    await captured(
      "with gone as (delete from notes where id = 3 returning *) insert into notes select 'acme', 30, '' from gone where tenant_id = 'acme'",
    ),
  ).toEqual(["3 acme", "30 acme"]);
  await app[Symbol.asyncDispose]();
});

test("a row that its transaction rolled back leaves no key, and one savepoint does not hide another", async () => {
  const db = await fencedDatabase(cluster);
  await using mover = await db.connect("stampyard_mover");
  await armMove(mover, acme, 1);
  await db.run("stampyard_app", `begin; ${write}; savepoint s; delete from notes where id = 2; rollback to s; commit`);
  await db.run("stampyard_app", "begin; delete from notes where tenant_id = 'acme'; rollback");
  expect(await capturedKeys(db)).toEqual(['{"id":1,"tenant_id":"acme"}']);
});

test("armMove() refuses a tenant that is not at home at that epoch, and more moves than there may be (I44)", async () => {
  const db = await fencedDatabase(cluster);
  await using mover = await db.connect("stampyard_mover");
  await expect(armMove(mover, acme, 2)).rejects.toMatchObject({ code: "WRONG_PHASE" });
  await expect(armMove(mover, { tenant: "nobody", moveId: "m1" }, 1)).rejects.toMatchObject({ code: "WRONG_PHASE" });
  await armMove(mover, acme, 1);
  await armMove(mover, acme, 1);
  await expect(armMove(mover, { ...acme, moveId: "m2" }, 1)).rejects.toMatchObject({ code: "WRONG_PHASE" });
  await db.run(
    "stampyard_mover",
    "insert into stampyard.tenant_home (tenant, state, epoch, move_id) select 'x' || g, 'active', 1, 'm' || g from generate_series(1, 15) g",
  );
  await expect(armMove(mover, { tenant: "bolt", moveId: "m9" }, 1)).rejects.toThrow("16 moves are on");
});

test("the mover may bring rows of a tenant that is not open yet, and erase those of one that left; the application may not", async () => {
  const db = await fencedDatabase(cluster);
  await db.run(
    "stampyard_mover",
    `insert into stampyard.tenant_home (tenant, state, epoch, move_id, moved_to)
     values ('comet', 'importing', 3, 'm3', null), ('delta', 'moved', 4, 'm4', 'shared-2')`,
  );
  const bring = "insert into notes values ('comet', 1), ('delta', 1)";
  expect(await outcome(db.run("stampyard_app", bring))).toBe("SY001");
  expect(await outcome(db.run("stampyard_app", `set role stampyard_mover; ${bring}`))).not.toBe("ok");
  await db.run("stampyard_mover", bring);
  await db.run("stampyard_mover", "delete from notes where tenant_id = 'delta'");
});
