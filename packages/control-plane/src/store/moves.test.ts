import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { bringTo, giveUp, later, moveOf, openLed, stateOf, tenantOf } from "./test-moves.ts";
import { activeTenant, applyFleet, nextEvent, readSnapshot, sequenceAll, stampFixture } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const places = (tenants: number) => ({ capacity: { tenants, units: {} } });

/** Tenant `acme` on `a`, with `b` and `c` beside it. */
async function withAcme() {
  const led = await openLed(postgres);
  const { store, ctx } = led;
  await applyFleet(store, ctx, [stampFixture("a", places(5))]);
  await activeTenant(store, ctx, "acme");
  for (const name of ["b", "c"]) await store.stamps.create({ stamp: stampFixture(name, places(5)), secrets: {} }, ctx);
  return led;
}

describe("moves.request()", () => {
  test("registers the move, makes the tenant moving and tells its history, in one transaction (I26, I39)", async () => {
    await using led = await withAcme();
    const { store, ctx, url } = led;
    const told = nextEvent(store, (event) => event.kind === "move");
    const { value: move } = await store.moves.request(
      { tenant: "acme", to: "b", maxPauseMs: 500, campaign: "c1" },
      ctx,
    );
    expect(move).toMatchObject({
      tenant: "acme",
      from: "a",
      to: "b",
      epoch: 1,
      mode: "capture",
      verify: "incremental",
      goal: "finish",
      state: { kind: "requested" },
      maxPauseMs: 500,
      restMs: 3_600_000,
      campaign: "c1",
      report: {},
    });
    expect(move.id).toMatch(/^mv-[a-z0-9]{12}$/);
    expect(await told).toEqual({ kind: "move", move: move.id, tenant: "acme", phase: "requested" });
    expect(await tenantOf(store, "acme")).toMatchObject({
      state: { kind: "moving", move: move.id },
      stamp: "a",
      epoch: 1,
    });
    const events = (await store.tenants.history("acme")).items;
    expect(events.at(-1)).toMatchObject({ event: "move-requested", phase: "moving", stamp: "a" });
    const audits = await run(url, `SELECT action FROM stampyard_control.audit WHERE subject = 'move/${move.id}'`);
    expect(audits).toEqual([{ action: "move.request" }]);
    expect((await moveOf(store, move.id)).value).toEqual(move);
    expect(await store.tenants.due(later)).toEqual([]);
  });

  test("50 requests at once for one tenant make one move", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    const tries = await Promise.allSettled(
      Array.from({ length: 50 }, () => store.moves.request({ tenant: "acme" }, ctx)),
    );
    const made = tries.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    expect(made).toHaveLength(1);
    for (const each of tries) {
      if (each.status === "rejected")
        expect(each.reason).toMatchObject({ code: "WRONG_PHASE", mend: expect.stringContaining("mv-") });
    }
    expect((await store.moves.list({ isOpen: true })).items).toHaveLength(1);
  });

  test("refuses what cannot move, and says what to do", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    const refused = async (input: Parameters<typeof store.moves.request>[0], code: string, text: RegExp) => {
      const refusal = { code, message: expect.stringMatching(text) };
      await expect(store.moves.request(input, ctx)).rejects.toMatchObject(refusal);
      await expect(store.moves.propose(input)).rejects.toMatchObject(refusal);
    };
    await refused({ tenant: "nobody" }, "TENANT_NOT_FOUND", /nobody/);
    await refused({ tenant: "acme", to: "nowhere" }, "STAMP_NOT_FOUND", /nowhere/);
    await refused({ tenant: "acme", toPool: "nowhere" }, "POOL_NOT_FOUND", /nowhere/);
    await refused({ tenant: "acme", to: "a" }, "INVALID_REQUEST", /on stamp a already/);
    await refused({ tenant: "acme", mode: "stream" }, "INVALID_REQUEST", /stream is not built/);
    await refused({ tenant: "acme", maxPauseMs: 99 }, "INVALID_REQUEST", /99 ms/);
    await refused({ tenant: "acme", restMs: -1 }, "INVALID_REQUEST", /-1 ms/);
    await refused({ tenant: "acme", to: "b", toPool: "shared" }, "INVALID_REQUEST", /not to both/);
    await store.tenants.create({ key: "young" }, ctx);
    await refused({ tenant: "young" }, "WRONG_PHASE", /preparing/);
    await store.tenants.suspend("acme", { reason: "unpaid" }, ctx);
    await refused({ tenant: "acme" }, "WRONG_PHASE", /to be suspended/);
    expect((await store.moves.list()).items).toEqual([]);
    expect((await store.stamps.used(["b", "c"])).size).toBe(1);
  });

  test("waits for the end of the move before it, and names how to end it", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    const { value: first } = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    await bringTo(store, ctx, first.id, "resting");
    await expect(store.moves.request({ tenant: "acme", to: "c" }, ctx)).rejects.toMatchObject({
      code: "WRONG_PHASE",
      mend: expect.stringContaining(`stampyard move finish ${first.id}`),
    });
    await bringTo(store, ctx, first.id, "done");
    expect((await store.moves.request({ tenant: "acme", to: "c" }, ctx)).value).toMatchObject({ from: "b", epoch: 2 });
    const newest = (await store.moves.list({ tenant: "acme" })).items.map(({ value }) => value.from);
    expect(newest).toEqual(["b", "a"]);
  });
});

describe("moves.write()", () => {
  test("follows the table of phases, one writer at a time (I30), each step audited once (I39)", async () => {
    await using led = await withAcme();
    const { store, ctx, url } = led;
    const made = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    const { id } = made.value;
    const opening = { ...made.value, state: stateOf("verifying") };
    await expect(store.moves.write(opening, made.revision, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
    const next = await store.moves.write({ ...made.value, state: stateOf("checking") }, made.revision, ctx);
    const stale = store.moves.write({ ...made.value, state: stateOf("checking") }, made.revision, ctx);
    await expect(stale).rejects.toMatchObject({ code: "STALE_REVISION" });
    // What is not its own to write stays as it is.
    const forged = {
      ...next.value,
      to: "c",
      goal: "abort",
      epoch: 9,
      waitingOn: "a load",
      report: { drainMs: 5 },
    } as const;
    const noted = await store.moves.write(forged, next.revision, ctx);
    expect(noted.value).toEqual({ ...next.value, waitingOn: "a load", report: { drainMs: 5 } });
    expect((await store.moves.write(noted.value, noted.revision, ctx)).revision).toBe(noted.revision);
    await bringTo(store, ctx, id, "done");
    const audits = await run(
      url,
      `SELECT action FROM stampyard_control.audit WHERE subject = 'move/${id}' ORDER BY id`,
    );
    expect(audits.map((row) => row["action"])).toEqual([
      "move.request",
      ...["checking", "copying", "switching", "opening"].map((step) => `move.${step}`),
      "move.land",
      ...["verifying", "resting", "erasing", "done"].map((step) => `move.${step}`),
    ]);
  });

  test("of an aborted move gives the tenant back to its stamp (I21)", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    const { value: move } = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    await bringTo(store, ctx, move.id, "switching");
    await giveUp(store, ctx, move.id);
    expect(await tenantOf(store, "acme")).toMatchObject({ state: { kind: "active" }, stamp: "a", epoch: 1 });
    expect((await store.tenants.history("acme")).items.at(-1)).toMatchObject({
      event: "move-aborted",
      phase: "active",
    });
  });

  test("refuses a tenant at rest before it has landed (I1)", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    const { value: move } = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    const opened = await bringTo(store, ctx, move.id, "opening");
    const early = store.moves.write({ ...opened.value, state: stateOf("verifying") }, opened.revision, ctx);
    await expect(early).rejects.toMatchObject({
      code: "WRONG_PHASE",
      message: expect.stringContaining("still on stamp a"),
    });
  });
});

describe("moves.land()", () => {
  test("gives the tenant its new home, epoch and pool, and the directory with them, once (I1, I2, I27)", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    await store.tenants.addHostname("acme", "acme.example", {}, ctx);
    const { value: move } = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    await store.tenants.addHostname("acme", "www.acme.example", {}, ctx);
    await bringTo(store, ctx, move.id, "switching");
    await expect(store.moves.land(move.id, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
    await bringTo(store, ctx, move.id, "opening");
    await sequenceAll(store, ctx);
    expect(await store.moves.land(move.id, ctx)).toEqual({});
    expect(await tenantOf(store, "acme")).toMatchObject({ state: { kind: "moving" }, stamp: "b", epoch: 2 });
    await sequenceAll(store, ctx);
    const head = await store.directory.head();
    expect(await store.moves.land(move.id, ctx)).toEqual({ version: head.version });
    const { changes } = await readSnapshot(store);
    expect(changes.filter((change) => change.kind === "tenant-put")).toEqual([
      expect.objectContaining({
        tenant: "acme",
        stamp: "b",
        epoch: 2,
        hostnames: ["acme.example", "www.acme.example"],
      }),
    ]);
    await bringTo(store, ctx, move.id, "verifying");
    expect(await tenantOf(store, "acme")).toMatchObject({ state: { kind: "active" }, stamp: "b", epoch: 2 });
  });

  test("tells in history where the tenant was served, all along", async () => {
    await using led = await withAcme();
    const { store, ctx } = led;
    const { value: move } = await store.moves.request({ tenant: "acme", to: "b" }, ctx);
    const moving = (await store.tenants.history("acme")).items.at(-1)?.at ?? 0;
    await bringTo(store, ctx, move.id, "resting");
    const landed = (await store.tenants.history("acme")).items.find((event) => event.event === "moved")?.at ?? 0;
    expect(await store.tenants.where("acme", moving)).toMatchObject({ stamp: "a", epoch: 1 });
    expect(await store.tenants.where("acme", later)).toEqual({ stamp: "b", epoch: 2, since: landed });
  });
});
