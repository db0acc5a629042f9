import { installFence } from "@stampyard/movers";
import { driveMove, moveFixture } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { captureBed } from "./capture-bed.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { clock, notes } from "./fence-bed.ts";

let clusters: readonly [Cluster, Cluster];
beforeAll(async () => {
  clusters = await Promise.all([startCluster(), startCluster()]);
});
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster[Symbol.asyncDispose]()));
});

/** As where the administrator cannot grant `session_replication_role`. */
async function plainBed() {
  const bed = await captureBed(clusters);
  for (const db of Object.values(bed.stamps)) {
    await db.run("postgres", "revoke set on parameter session_replication_role from stampyard_mover");
    const refused = db.run("stampyard_mover", "set session_replication_role = replica");
    await expect(refused).rejects.toMatchObject({ code: "42501" });
  }
  return bed;
}

test("without session_replication_role a tenant moves under writers, there and back, exactly (I15, I16, I20)", async () => {
  await using bed = await plainBed();
  const before = await Promise.all([bed.neighbours("a"), bed.neighbours("b")]);
  let isOver = false;
  let home: "a" | "b" = "a";
  const writers = [1, 2, 3].map(async (writer) => {
    const acknowledged: string[] = [];
    for (let n = 0; !isOver; ) {
      if (await bed.write(home, `${writer}-${n}`)) acknowledged.push(`${writer}-${n++}`);
      else {
        home = home === "a" ? "b" : "a";
        await clock.sleep(3);
      }
    }
    return acknowledged;
  });
  const drive = { clock, open: bed.open };
  const there = await driveMove(moveFixture({ maxPauseMs: 20_000 }), drive);
  expect(there.state).toEqual({ kind: "resting", until: expect.any(Number) });
  const returns = moveFixture({ id: "mv-1-back", from: "b", to: "a", epoch: 2, returns: "mv-1", maxPauseMs: 20_000 });
  const back = await driveMove(returns, drive);
  expect(back.state).toEqual({ kind: "resting", until: expect.any(Number) });
  isOver = true;
  const acknowledged = (await Promise.all(writers)).flat().sort();
  expect(acknowledged.length).toBeGreaterThan(20);
  expect(await bed.values("a")).toEqual(acknowledged);
  await driveMove({ ...back, state: { kind: "erasing" } }, drive);
  expect(await bed.values("b")).toEqual([]);
  expect(await bed.values("a")).toEqual(acknowledged);
  expect(await Promise.all([bed.neighbours("a"), bed.neighbours("b")])).toEqual(before);
}, 60_000);

test("without session_replication_role a table that points at itself comes whole, whatever the order of its keys", async () => {
  await using bed = await plainBed();
  const { a, b } = bed.stamps;
  for (const db of [a, b]) {
    await db.run(
      "stampyard_owner",
      `create table folders (tenant_id text not null, id bigint not null, parent bigint, primary key (tenant_id, id),
         foreign key (tenant_id, parent) references folders)`,
    );
    await using admin = await db.connect("postgres");
    await installFence(admin, [{ ...notes, table: "folders" }], "enforce", { clock });
    await db.run("postgres", "revoke set on parameter session_replication_role from stampyard_mover");
  }
  // More than one range, and every row points at the last.
  await a.run(
    "stampyard_app",
    "insert into folders select 'acme', g, case when g < 3000 then 3000 end from generate_series(1, 3000) g",
  );
  await using mover = await bed.open(moveFixture());
  const call = { signal: new AbortController().signal };
  await mover.admit(call);
  await mover.arm(call);
  await mover.copy(call);
  await mover.verify(call);
  const [seen] = await b.run("postgres", "select count(*)::int as n from folders where parent = 3000");
  expect(seen).toEqual({ n: 2_999 });
  await mover.reopen(call);
  await mover.forget(call);
  expect(await bed.notes("b")).toEqual([]);
});
