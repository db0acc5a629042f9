import type { MoveProgress } from "@stampyard/domain";
import { openRowsMover } from "@stampyard/movers";
import { moveFixture } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bedPolicy, captureBed } from "./capture-bed.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { clock } from "./fence-bed.ts";

let clusters: readonly [Cluster, Cluster];
beforeAll(async () => {
  clusters = await Promise.all([startCluster(), startCluster()]);
});
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster[Symbol.asyncDispose]()));
});

const call = { signal: new AbortController().signal };

/** A tenant of 4,000 more rows, about 400 kB. */
async function largerBed() {
  const bed = await captureBed(clusters);
  await bed.stamps.a.run(
    "stampyard_app",
    `insert into tickets (tenant_id, n, title) select 'acme', 10000 + g, repeat('x', 60) from generate_series(1, 4000) g`,
  );
  const throttled = (bytesPerSecond: number) =>
    openRowsMover({
      move: moveFixture(),
      policy: bedPolicy,
      clock,
      source: bed.stamps.a.url("stampyard_mover"),
      target: bed.stamps.b.url("stampyard_mover"),
      throttle: { bytesPerSecond },
    });
  return { bed, throttled };
}

test("copy() keeps to its rate, tells how far it is, and holds no snapshot between its ranges", async () => {
  const { bed, throttled } = await largerBed();
  await using _ = bed;
  await using mover = await throttled(300_000);
  await mover.admit(call);
  await mover.arm(call);
  const progress: MoveProgress[] = [];
  let isOver = false;
  let oldest = 0;
  let looks = 0;
  const watched = (async () => {
    await using watcher = await bed.stamps.a.connect("postgres");
    while (!isOver) {
      const { rows } = await watcher.query(
        `select count(*) filter (where backend_xmin is not null or xact_start is not null)::int as busy,
           coalesce(max(extract(epoch from clock_timestamp() - xact_start) * 1000), 0)::int as age
         from pg_stat_activity where application_name like 'stampyard move %'`,
      );
      oldest = Math.max(oldest, Number(rows[0]?.["age"]));
      looks += rows[0]?.["busy"] === 0 ? 1 : 0;
      await clock.sleep(10);
    }
  })();
  const began = clock.now();
  const { rows, bytes } = await mover.copy({ ...call, onProgress: (of) => progress.push(of) });
  const ms = clock.now() - began;
  isOver = true;
  await watched;
  expect(rows).toBeGreaterThan(4_000);
  // The last range is not waited for, and the first second's worth is spent before it is owed.
  expect((bytes * 1_000) / 300_000).toBeLessThan(ms + 100);
  expect(looks, "moments without any snapshot").toBeGreaterThan(5);
  expect(oldest).toBeLessThan(ms / 2);
  expect(progress.length).toBeGreaterThan(1);
  expect(progress.length).toBeLessThan(ms / 200 + 2);
  expect(progress.some(({ waitingOn }) => waitingOn === "the limit of 300000 bytes a second")).toBe(true);
  // After the last range no table is under way any more, if that is told at all.
  const last = progress.findLast(({ table }) => table !== undefined);
  expect(last).toMatchObject({ step: "copy", table: expect.stringMatching(/^public\./), tables: 4 });
});

test("copy() ends at its signal, at once, and goes on where it was", async () => {
  const { bed, throttled } = await largerBed();
  await using _ = bed;
  await using slow = await throttled(20_000);
  await slow.admit(call);
  await slow.arm(call);
  const stop = new AbortController();
  const copied = slow.copy({ signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) });
  const began = clock.now();
  await expect(copied).rejects.toThrow("enough");
  expect(clock.now() - began).toBeLessThan(2_000);
  await using mover = await bed.open(moveFixture());
  const { rows } = await mover.copy(call);
  const [all] = await bed.stamps.b.run("postgres", "select count(*)::int as n from tickets where tenant_id = 'acme'");
  expect(all).toEqual({ n: 4_001 });
  expect(rows).toBeLessThan(4_001 + 6 + 300 + 600);
});

test("a connection that the server ends is told as a stamp that does not answer, and the next call has another", async () => {
  const { bed, throttled } = await largerBed();
  await using _ = bed;
  await using mover = await throttled(200_000);
  await mover.admit(call);
  await mover.arm(call);
  for (const side of ["a", "b"] as const) {
    const end = () =>
      bed.stamps[side].run(
        "postgres",
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'stampyard move %'",
      );
    let ended: Promise<unknown> | undefined;
    const onProgress = () => {
      if (ended === undefined) ended = end();
    };
    const copied = mover.copy({ ...call, onProgress });
    await expect(copied).rejects.toMatchObject({
      code: "STAMP_UNREACHABLE",
      message: `The database of stamp ${side} does not answer`,
    });
    await ended;
    expect((await mover.look()).source).toMatchObject({ kind: "present", moveId: "mv-1" });
  }
  await mover.copy(call);
  await mover.follow(call);
  expect(await bed.copy("b")).toEqual(await bed.copy("a"));
});

test("arm() of a way back brings each changed row once, however often it was written", async () => {
  await using bed = await captureBed(clusters);
  const move = moveFixture();
  await using there = await bed.open(move);
  for (const step of ["admit", "arm", "copy", "verify", "fence", "settle", "flip", "open"] as const) {
    await there[step](call);
  }
  await bed.stamps.b.run(
    "stampyard_app",
    `do $$ begin for i in 1..40 loop update accounts set n = i where tenant_id = 'acme'; end loop; end $$`,
  );
  const back = moveFixture({ id: "mv-1-back", from: "b", to: "a", epoch: 2, returns: "mv-1" });
  await using mover = await bed.open(back);
  expect((await mover.look()).lag).toBe(240);
  await mover.admit(call);
  await mover.arm(call);
  expect((await mover.look()).lag).toBe(6);
  await mover.follow(call);
  expect(await bed.copy("a")).toEqual(await bed.copy("b"));
});

test("erase() and reopen() wait for writers that captured for the move, so that no key of theirs stays (I22)", async () => {
  await using bed = await captureBed(clusters);
  const keysIn = async (stamp: "a" | "b") =>
    (await bed.stamps[stamp].run("postgres", "select move_id from stampyard.move_change")).length;
  /** Its key is captured at once, and committed when the mover has forgotten all that it could see. */
  const lateWriter = async (stamp: "a" | "b", end: () => Promise<unknown>) => {
    await using writer = await bed.stamps[stamp].connect("stampyard_app");
    await writer.query("begin");
    await writer.query("update accounts set n = n + 1 where tenant_id = 'acme'");
    const ending = end();
    await clock.sleep(300);
    await writer.query("commit");
    await ending;
  };
  const aborted = await bed.open(moveFixture());
  for (const step of ["admit", "arm"] as const) await aborted[step](call);
  // An abort waits for writers that hold the tenant; those of a way back hold nothing.
  await lateWriter("a", () => aborted.reopen(call));
  expect(await keysIn("a")).toBe(0);
  await aborted.forget(call);
  await aborted[Symbol.asyncDispose]();
  await using mover = await bed.open(moveFixture({ id: "mv-2" }));
  for (const step of ["admit", "arm", "copy", "verify", "fence", "settle", "flip", "open"] as const) {
    await mover[step](call);
  }
  await lateWriter("b", () => mover.erase(call));
  expect(await keysIn("b")).toBe(0);
});
