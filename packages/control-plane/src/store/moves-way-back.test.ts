import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run, startTestPostgres, type TestPostgres } from "./test-postgres.ts";
import { bringTo, giveUp, later, moveOf, openLed, stateOf, tenantOf } from "./test-moves.ts";
import { activeTenant, applyFleet, deleteTenant, stampFixture } from "./test-store.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const places = (tenants: number) => ({ capacity: { tenants, units: {} } });

/** Tenant `acme`, by a move from `a` to `b`. */
async function withMove(restMs?: number) {
  const led = await openLed(postgres);
  const { store, ctx } = led;
  await applyFleet(store, ctx, [stampFixture("a", places(5))]);
  await activeTenant(store, ctx, "acme");
  await store.stamps.create({ stamp: stampFixture("b", places(5)), secrets: {} }, ctx);
  const { value } = await store.moves.request(
    { tenant: "acme", to: "b", ...(restMs === undefined ? {} : { restMs }) },
    ctx,
  );
  return { ...led, id: value.id };
}

describe("moves.abort()", () => {
  test("is a wish until the source has decided, and repeats", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    const copying = await bringTo(store, ctx, id, "copying");
    const setback = { attempt: 3, cause: "no answer", retryAt: later };
    const waiting = await store.moves.write({ ...copying.value, setback }, copying.revision, ctx);
    expect(await store.moves.due(Date.now())).toEqual([]);
    const stale = store.moves.abort(id, { revision: copying.revision }, ctx);
    await expect(stale).rejects.toMatchObject({ code: "STALE_REVISION" });
    const aborted = await store.moves.abort(id, { revision: waiting.revision }, ctx);
    expect(aborted.value).toMatchObject({ goal: "abort", state: { kind: "copying" } });
    expect((await store.moves.abort(id, {}, ctx)).revision).toBe(aborted.revision);
    expect(await store.moves.due(Date.now())).toEqual([id]);
    await giveUp(store, ctx, id);
    expect((await store.moves.abort(id, {}, ctx)).value.state.kind).toBe("aborted");
    await expect(store.moves.abort("mv-none", {}, ctx)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("names the way back once the source has decided", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    await bringTo(store, ctx, id, "resting");
    const late = store.moves.abort(id, {}, ctx);
    await expect(late).rejects.toMatchObject({ code: "WRONG_PHASE", mend: expect.stringContaining(`rollback ${id}`) });
  });
});

describe("moves.finish()", () => {
  test("ends the way back now, and no earlier than there is one", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    await bringTo(store, ctx, id, "switching");
    await expect(store.moves.finish(id, {}, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
    await bringTo(store, ctx, id, "resting");
    expect(await store.moves.due(Date.now())).toEqual([]);
    await store.moves.finish(id, {}, ctx);
    expect(await store.moves.due(Date.now())).toEqual([id]);
    const again = await store.moves.finish(id, {}, ctx);
    expect(again.value.isAccepted).toBeUndefined();
    await bringTo(store, ctx, id, "done");
    expect((await store.moves.finish(id, {}, ctx)).value.state.kind).toBe("done");
  });

  test("of copies that differ takes a person's word for it (I18)", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    const verifying = await bringTo(store, ctx, id, "verifying");
    await store.moves.write({ ...verifying.value, state: stateOf("disputed") }, verifying.revision, ctx);
    expect(await store.moves.due(later)).toEqual([]);
    await expect(store.moves.finish(id, {}, ctx)).rejects.toMatchObject({
      code: "WRONG_PHASE",
      mend: expect.stringContaining("--accept"),
    });
    const accepted = await store.moves.finish(id, { accept: true }, ctx);
    expect(accepted.value).toMatchObject({ isAccepted: true, restMs: 0, state: { kind: "disputed" } });
    expect(await store.moves.due(later)).toEqual([id]);
    await expect(store.moves.rollback(id, {}, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
  });
});

describe("moves.rollback()", () => {
  test("takes the tenant back on the place that was kept, as a move of its own", async () => {
    await using led = await withMove();
    const { store, ctx, id, url } = led;
    await expect(store.moves.rollback(id, {}, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
    const resting = await bringTo(store, ctx, id, "resting");
    await run(url, "UPDATE stampyard_control.stamps SET capacity = '{\"tenants\": 1, \"units\": {}}' WHERE name = 'a'");
    const back = await store.moves.rollback(id, { maxPauseMs: 700, restMs: 5_000 }, ctx);
    expect(back.value).toMatchObject({
      id: `${id}-back`,
      returns: id,
      from: "b",
      to: "a",
      epoch: 2,
      maxPauseMs: 700,
      restMs: 5_000,
      state: { kind: "requested" },
    });
    expect(await tenantOf(store, "acme")).toMatchObject({ state: { kind: "moving", move: `${id}-back` }, stamp: "b" });
    expect((await store.moves.rollback(id, {}, ctx)).revision).toBe(back.revision);
    // Whoever was about to erase the copy on the source comes too late.
    const erasing = { ...resting.value, state: stateOf("erasing") };
    await expect(store.moves.write(erasing, resting.revision, ctx)).rejects.toMatchObject({ code: "STALE_REVISION" });
    const { revision } = await moveOf(store, id);
    await expect(store.moves.write(erasing, revision, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
    await expect(store.moves.finish(id, {}, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });

    expect(await store.moves.due(later * 2)).toEqual([`${id}-back`]);
    await bringTo(store, ctx, `${id}-back`, "resting");
    expect(await tenantOf(store, "acme")).toMatchObject({ state: { kind: "active" }, stamp: "a", epoch: 3 });
    expect(await store.moves.due(Date.now())).toEqual([id]);
    const first = await moveOf(store, id);
    await store.moves.write({ ...first.value, state: stateOf("returned") }, first.revision, ctx);
    await bringTo(store, ctx, `${id}-back`, "done");
    expect((await store.stamps.used()).get("b")).toBeUndefined();
    expect((await store.stamps.used()).get("a")?.tenants).toBe(1);
  });

  test("begins again after it was given up, with the place that it had", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    await bringTo(store, ctx, id, "resting");
    await store.moves.rollback(id, {}, ctx);
    await giveUp(store, ctx, `${id}-back`);
    expect(await tenantOf(store, "acme")).toMatchObject({ state: { kind: "active" }, stamp: "b", epoch: 2 });
    expect((await store.capacity.loads()).get("a")?.waysBack).toEqual({ tenants: 1 });
    expect(await store.moves.due(later)).toEqual([id]);
    // Its time was over while it was being taken back: there is some more for another try.
    await store.moves.finish(id, {}, ctx);
    await store.moves.rollback(id, {}, ctx);
    await giveUp(store, ctx, `${id}-back`);
    expect(await store.moves.due(Date.now() + 60_000)).toEqual([]);
    const again = await store.moves.rollback(id, {}, ctx);
    expect(again.value).toMatchObject({ id: `${id}-back`, state: { kind: "requested" }, goal: "finish", epoch: 2 });
    expect((await store.capacity.loads()).get("a")).toMatchObject({ incoming: { tenants: 1 }, waysBack: {} });
  });

  test("refuses where nothing is kept, and ids that grew too long", async () => {
    await using led = await withMove(0);
    const { store, ctx, id, url } = led;
    await bringTo(store, ctx, id, "resting");
    await expect(store.moves.rollback(id, {}, ctx)).rejects.toMatchObject({
      message: expect.stringContaining("keeps no way back"),
    });
    const long = `mv-${"a".repeat(56)}`;
    await run(
      url,
      `BEGIN; DELETE FROM stampyard_control.move_places;
       UPDATE stampyard_control.moves SET id = '${long}', rest_ms = 5 WHERE id = '${id}'; COMMIT`,
    );
    await expect(store.moves.rollback(long, {}, ctx)).rejects.toMatchObject({
      message: expect.stringContaining("too often"),
    });
  });

  test("refuses a tenant that is on its way out", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    await bringTo(store, ctx, id, "resting");
    await store.tenants.suspend("acme", { reason: "unpaid" }, ctx);
    await expect(store.moves.rollback(id, {}, ctx)).rejects.toMatchObject({
      message: expect.stringContaining("to be suspended"),
    });
  });
});

describe("moves.holding() and atWork()", () => {
  test("tell of both stamps, and what rests apart", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    await bringTo(store, ctx, id, "copying");
    for (const stamp of ["a", "b"]) expect(await store.moves.holding(stamp)).toEqual({ moving: [id], resting: [] });
    expect(await store.moves.atWork()).toEqual(
      new Map([
        ["a", 1],
        ["b", 1],
      ]),
    );
    await bringTo(store, ctx, id, "resting");
    expect(await store.moves.holding("a")).toEqual({ moving: [], resting: [id] });
    expect(await store.moves.atWork()).toEqual(new Map());
    await bringTo(store, ctx, id, "done");
    expect(await store.moves.holding("a")).toEqual({ moving: [], resting: [] });
  });
});

describe("a tenant that is deleted", () => {
  test("takes what was kept for its way back along, and is gone only after it", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    await bringTo(store, ctx, id, "resting");
    await expect(deleteTenant(store, ctx, "acme")).rejects.toMatchObject({
      code: "NOT_ERASED",
      message: `Stamp a still has a copy of tenant acme, by move ${id}`,
    });
    expect(await store.moves.due(Date.now())).toEqual([id]);
    await bringTo(store, ctx, id, "done");
    const leaving = await store.tenants.read("acme");
    if (leaving !== undefined) {
      await store.tenants.write({ ...leaving.value, state: { kind: "gone" } }, leaving.revision, {}, ctx);
    }
    expect((await store.tenants.create({ key: "acme" }, ctx)).value.epoch).toBe(3);
  });

  test("does not wait for a stamp that was destroyed by force, nor comes back beside its copy", async () => {
    await using led = await withMove();
    const { store, ctx, id, url } = led;
    await bringTo(store, ctx, id, "resting");
    await store.stamps.remove("a", { force: true }, ctx);
    await deleteTenant(store, ctx, "acme");
    expect(await store.moves.due(Date.now())).toEqual([id]);
    await run(url, `UPDATE stampyard_control.stamps SET goal = 'present' WHERE name = 'a'`);
    // A new tenant of this key must not meet what is left of the old one.
    await expect(store.tenants.create({ key: "acme" }, ctx)).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
      message: expect.stringContaining("copy of an earlier tenant"),
    });
  });

  test("accepts with its going what was disputed", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    const verifying = await bringTo(store, ctx, id, "verifying");
    await store.moves.write({ ...verifying.value, state: stateOf("disputed") }, verifying.revision, ctx);
    await store.tenants.remove("acme", {}, ctx);
    expect((await moveOf(store, id)).value).toMatchObject({ isAccepted: true, restMs: 0 });
    expect(await store.moves.due(Date.now())).toEqual([id]);
  });

  test("while it moves waits for the move to give it back", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    await store.tenants.remove("acme", {}, ctx);
    expect(await tenantOf(store, "acme")).toMatchObject({ goal: "absent", state: { kind: "moving", move: id } });
    expect(await store.tenants.due(later)).toEqual([]);
    await giveUp(store, ctx, id);
    expect(await tenantOf(store, "acme")).toMatchObject({ goal: "absent", state: { kind: "active" } });
    expect(await store.tenants.due(later)).toEqual(["acme"]);
  });

  test("or suspended while it moves is so by its goal alone, until it is served by one stamp", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    await store.tenants.suspend("acme", { reason: "unpaid" }, ctx);
    expect(await tenantOf(store, "acme")).toMatchObject({ goal: "suspended", state: { kind: "moving" } });
    await bringTo(store, ctx, id, "verifying");
    expect(await store.tenants.due(later)).toEqual(["acme"]);
  });
});

describe("a stamp that moves hold", () => {
  test("is not removed, nor built again under its name, and says which hold it (I31)", async () => {
    await using led = await withMove();
    const { store, ctx, id } = led;
    await expect(store.stamps.remove("b", { force: false }, ctx)).rejects.toMatchObject({
      code: "STAMP_NOT_EMPTY",
      message: expect.stringContaining(id),
      mend: expect.stringContaining(`stampyard move abort ${id}`),
    });
    expect(await store.stamps.tenants("b")).toEqual({ count: 0, some: [], keptBy: [id] });
    await bringTo(store, ctx, id, "resting");
    await expect(store.stamps.remove("a", { force: false }, ctx)).rejects.toMatchObject({
      mend: expect.stringContaining(`stampyard move finish ${id}`),
    });
    const removed = await store.stamps.remove("a", { force: true }, ctx);
    for (const state of [{ kind: "destroying", attempt: 0 }, { kind: "gone" }] as const) {
      const found = await store.stamps.read("a");
      await store.stamps.write({ ...removed.value, state }, found?.revision ?? 0, {}, ctx);
    }
    expect(await store.stamps.reservedNames()).toEqual(["a"]);
    const again = store.stamps.create({ stamp: stampFixture("a"), secrets: {} }, ctx);
    await expect(again).rejects.toMatchObject({ code: "ALREADY_EXISTS", message: expect.stringContaining(id) });
    await expect(store.moves.rollback(id, {}, ctx)).rejects.toMatchObject({
      message: expect.stringContaining("destroyed"),
    });
  });
});
