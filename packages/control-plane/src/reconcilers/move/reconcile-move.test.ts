import { randomInt } from "node:crypto";
import { StampyardError } from "@stampyard/domain";
import { createSeededRandom, forSeeds } from "@stampyard/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../store/test-postgres.ts";
import { createMoveWorld, from, hasEnded, type MoveWorld, to } from "./test-move-world.ts";

let postgres: TestPostgres;
let world: MoveWorld;
beforeAll(async () => {
  postgres = await startTestPostgres();
  world = await createMoveWorld(postgres);
}, 60_000);
afterEach(() => world.setPoint(() => {}));
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

let made = 0;
const nextTenant = () => `mover-${made++}`;
const tenantOf = async (key: string) => (await world.store.tenants.read(key))?.value;

async function request(tenant: string, restMs = 0) {
  return (await world.store.moves.request({ tenant, to, restMs }, world.ctx())).value;
}

const old = (rows: number) => Array.from({ length: rows }, (_, n) => `old-${n + 1}`);
const sorted = (ids: readonly string[]) => [...ids].sort();

test("reconcileMove() takes a tenant to another stamp, and reports its pause", async () => {
  const tenant = nextTenant();
  await world.createTenant(tenant, 30);
  const { id } = await request(tenant);
  const move = await world.settleMove(id);
  expect(move).toMatchObject({ state: { kind: "done" } });
  expect(move.report).toMatchObject({
    expected: { tables: 1, rows: 30 },
    copied: { rows: 30 },
    compared: { policy: "incremental", isEqual: true, rows: 30 },
    switches: [{ outcome: "decided", pauseMs: expect.any(Number) }],
    erased: { tables: [{ table: "public.notes", rows: 30 }] },
  });
  expect(await tenantOf(tenant)).toMatchObject({ state: { kind: "active" }, stamp: to, epoch: 2 });
  expect(await world.rowsIn(to, tenant)).toEqual(sorted(old(30)));
  expect(await world.rowsIn(from, tenant)).toEqual([]);
  await world.expectNothingLeft();
});

interface History {
  readonly tenant: string;
  readonly id: string;
  readonly acknowledged: string[];
}

/** A move whose control plane is killed at one point, and another one goes on; a client writes at every point. */
async function moveKilledAt(crashAt: number, act?: (passed: number, id: string) => Promise<void>) {
  const tenant = nextTenant();
  await world.createTenant(tenant, 5);
  const history: History = { tenant, id: (await request(tenant)).id, acknowledged: old(5) };
  const points: string[] = [];
  let process = new AbortController();
  world.setPoint(async (where) => {
    if (process.signal.aborted) throw new Error("dead");
    const id = `new-${points.length}`;
    points.push(where);
    if ((await world.write(tenant, id)) !== undefined) history.acknowledged.push(id);
    await act?.(points.length, history.id);
    if (points.length - 1 !== crashAt) return;
    process.abort(new Error(`killed at ${where}`));
    throw process.signal.reason;
  });
  try {
    await world.settleMove(history.id, process.signal);
  } catch (caught) {
    if (!process.signal.aborted) throw caught;
    process = new AbortController();
    await world.settleMove(history.id, process.signal);
  }
  world.setPoint(() => {});
  return { history, points };
}

async function expectOneHome({ tenant, id, acknowledged }: History): Promise<"done" | "aborted" | "returned"> {
  const move = (await world.store.moves.read(id))?.value;
  const phase = move?.state.kind;
  if (phase !== "done" && phase !== "aborted") throw new Error(`The move is ${JSON.stringify(move)}`);
  const [home, other] = phase === "done" ? [to, from] : [from, to];
  expect(await tenantOf(tenant)).toMatchObject({ state: { kind: "active" }, stamp: home });
  expect(await world.rowsIn(home, tenant), "every acknowledged write, once (I15)").toEqual(sorted(acknowledged));
  expect(await world.rowsIn(other, tenant), "no copy is left (I22)").toEqual([]);
  expect(await world.homeIn(home, tenant)).toMatchObject({ state: "active", watching: false, move_id: null });
  expect(await world.write(tenant, "last")).toBe(home);
  await world.expectNothingLeft();
  return phase;
}

describe("a move, killed at any step,", () => {
  test("ends with one home and every acknowledged write (I15–I22, I26, I27)", async () => {
    const whole = await moveKilledAt(Number.POSITIVE_INFINITY);
    expect(await expectOneHome(whole.history)).toBe("done");
    const { points } = whole;
    expect(points).toContain("mover.flip:after");
    const places = points.flatMap((name, at) => (at > 0 && name.endsWith(":before") ? [] : [at]));
    expect(places.length).toBeGreaterThan(15);
    // All of them on real stamps: test/moves/crash.test.ts. Here, those of the pause, and some of the others.
    const random = createSeededRandom(randomInt(2 ** 31));
    const first = points.indexOf("mover.fence:before");
    const last = points.indexOf("holds.release:after");
    const chosen = places.filter((at) => (at >= first && at <= last) || random.chance(0.25));
    for (const crashAt of chosen) {
      const { history } = await moveKilledAt(crashAt);
      expect(await expectOneHome(history), `killed at ${crashAt}, ${points[crashAt]}`).toBe("done");
    }
  }, 180_000);

  test("and aborted at any step, too: then its source has it, or its target if that was decided (I19, I21)", async () => {
    const phases = new Set<string>();
    await forSeeds(10, async (random) => {
      const abortAt = 1 + Math.floor(random.next() * 40);
      const crashAt = Math.floor(random.next() * 50);
      const { history } = await moveKilledAt(crashAt, async (passed, id) => {
        if (passed !== abortAt) return;
        await world.store.moves.abort(id, {}, world.ctx()).catch((caught: { code?: string }) => {
          if (caught.code !== "WRONG_PHASE") throw caught;
        });
      });
      phases.add(await expectOneHome(history));
    });
    expect([...phases].sort()).toEqual(["aborted", "done"]);
  }, 120_000);
});

test("reconcileMove() gives the tenant back when it is to be suspended meanwhile", async () => {
  const tenant = nextTenant();
  await world.createTenant(tenant, 3);
  const { id } = await request(tenant);
  world.setPoint(async (where) => {
    if (where === "mover.copy:before") await world.store.tenants.suspend(tenant, { reason: "unpaid" }, world.ctx());
  });
  const move = await world.settleMove(id);
  expect(move.state).toMatchObject({ kind: "aborted", cause: "the tenant is to be suspended or deleted" });
  expect(await world.rowsIn(to, tenant)).toEqual([]);
  await world.expectNothingLeft();
});

test("reconcileMove() rests for its way back, which returns the tenant with its new writes", async () => {
  const tenant = nextTenant();
  await world.createTenant(tenant, 4);
  const { id } = await request(tenant, 3_600_000);
  const resting = await world.settleMove(id, undefined, ({ state }) => state.kind === "resting");
  expect(resting.state.kind).toBe("resting");
  expect(await world.write(tenant, "after")).toBe(to);
  const back = (await world.store.moves.rollback(id, { restMs: 0 }, world.ctx())).value;
  const returned = await world.settleMove(back.id);
  expect(returned, JSON.stringify(returned)).toMatchObject({ state: { kind: "done" } });
  expect(await world.settleMove(id)).toMatchObject({ state: { kind: "returned" } });
  expect(await tenantOf(tenant)).toMatchObject({ state: { kind: "active" }, stamp: from, epoch: 3 });
  expect(await world.rowsIn(from, tenant)).toEqual(sorted([...old(4), "after"]));
  expect(await world.rowsIn(to, tenant)).toEqual([]);
  await world.expectNothingLeft();
});

test("reconcileMove() gives the tenant back when its target is destroyed (I21)", async () => {
  const tenant = nextTenant();
  await world.createTenant(tenant, 3);
  const { id } = await request(tenant);
  world.setPoint((where) => {
    if (where === "mover.copy:after") throw new StampyardError("STAMP_UNREACHABLE", "Gone");
  });
  await world.settleMove(id, undefined, ({ setback }) => setback !== undefined);
  world.setPoint(() => {});
  // As after a forced destroy: no such stamp, and no database.
  const move = await world.settleMove(id, undefined, undefined, to);
  expect(move.state).toMatchObject({ kind: "aborted", cause: "stamp move-b is destroyed" });
  expect(await world.write(tenant, "goes-on")).toBe(from);
  // What a destroyed stamp takes with it.
  await world.databases.get(to)?.query("delete from notes where tenant_id = $1", [tenant]);
  await world.databases.get(to)?.query("delete from stampyard.tenant_home where tenant = $1", [tenant]);
  await world.databases.get(to)?.query("delete from stampyard.move_copied where move_id = $1", [id]);
});

test("reconcileMove() ends a way back whose source is destroyed: its target captures no more (I22)", async () => {
  const tenant = nextTenant();
  await world.createTenant(tenant, 3);
  const { id } = await request(tenant, 3_600_000);
  await world.settleMove(id, undefined, ({ state }) => state.kind === "resting");
  expect(await world.homeIn(to, tenant)).toMatchObject({ state: "active", watching: true });
  await world.store.moves.finish(id, {}, world.ctx());
  const move = await world.settleMove(id, undefined, undefined, from);
  expect(move.state.kind).toBe("done");
  expect(await world.homeIn(to, tenant)).toMatchObject({ state: "active", watching: false, move_id: null });
  expect(await world.write(tenant, "goes-on")).toBe(to);
  await world.databases.get(from)?.query("delete from stampyard.tenant_home where tenant = $1", [tenant]);
  await world.expectNothingLeft();
});

test("reconcileMove() ends in aborted with the reason when a preflight refuses", async () => {
  const tenant = nextTenant();
  await world.createTenant(tenant, 2);
  await world.databases.get(to)?.query("alter table notes add column more text");
  const { id } = await request(tenant);
  const move = await world.settleMove(id);
  expect(move.state).toMatchObject({ kind: "aborted", cause: expect.stringMatching(/^MOVE_REFUSED: .*notes/) });
  expect(await world.homeIn(to, tenant)).toBeUndefined();
  await world.databases.get(to)?.query("alter table notes drop column more");
  expect(hasEnded(move)).toBe(true);
});
