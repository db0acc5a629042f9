import { campaignSettings } from "@stampyard/domain";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../store/test-postgres.ts";
import { evenOut } from "../reconcile-pool.ts";
import { stampFixture } from "../../store/test-store.ts";
import { reconcileCampaign } from "./reconcile-campaign.ts";
import { beginDrains } from "./run-campaigns.ts";
import { type CampaignBed, openCampaigns } from "./test-campaigns.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(async () => {
  await postgres?.[Symbol.asyncDispose]();
});

const statesOf = async ({ store }: CampaignBed, id: string) => {
  return Object.fromEntries((await store.campaigns.allItems(id)).map(({ tenant, state }) => [tenant, state.kind]));
};

describe("a drain campaign", () => {
  test("begins when a stamp is to be drained, moves a few at a time, and is done when the stamp is empty (I26, I32)", async () => {
    await using bed = await openCampaigns(postgres);
    await bed.addTenants("old", ["a", "b", "c", "d"]);
    await bed.drain("old");
    await bed.turns();
    const { value } = await bed.campaignOf("old");
    expect(value).toMatchObject({
      kind: "drain",
      state: { kind: "running" },
      waitingOn: "2 moves under way; 2 still to begin",
    });
    const first = await bed.openMoves();
    expect(first.map(({ tenant, from, campaign }) => [tenant, from, campaign])).toEqual([
      ["a", "old", value.id],
      ["b", "old", value.id],
    ]);
    expect(first.map(({ to }) => to).sort(), "spread over both").toEqual(["one", "two"]);
    expect(await statesOf(bed, value.id)).toEqual({ a: "moving", b: "moving", c: "planned", d: "planned" });
    await bed.turns();
    expect(await bed.openMoves(), "a repeated turn begins nothing twice (I27)").toHaveLength(2);

    for (const { id } of first) await bed.bringTo(id, "resting");
    await bed.turns();
    const second = (await bed.openMoves()).filter(({ state }) => state.kind === "requested");
    expect(second.map(({ tenant }) => tenant)).toEqual(["c", "d"]);
    for (const { id } of second) await bed.bringTo(id, "done");
    await bed.turns();
    expect((await bed.campaignOf("old")).value).toMatchObject({ state: { kind: "done" } });
    expect(await statesOf(bed, value.id)).toEqual({ a: "moved", b: "moved", c: "moved", d: "moved" });
    expect((await bed.store.campaigns.counts([value.id])).get(value.id)).toMatchObject({ moved: 4, planned: 0 });
    const audits = (await bed.store.audit.list({ subject: `campaign/${value.id}` })).items.map(({ action }) => action);
    expect(audits).toEqual(["campaign.start", "campaign.done"]);
    await bed.turns();
    expect((await bed.store.campaigns.list({ subject: "old" })).items, "none is begun for an empty stamp").toHaveLength(
      1,
    );
  });

  test("keeps the settings of whoever wanted it, also when that comes while the leader finds it missing", async () => {
    await using bed = await openCampaigns(postgres);
    const { store } = bed;
    await bed.addTenants("old", ["a", "b"]);
    const moves = bed.settings({ wayBackMs: 0, concurrency: 1 });
    const asks = () => store.stamps.setGoal("old", "drained", { moves }, bed.ctx);
    const undrained = async () => {
      const found = await store.campaigns.undrained();
      await asks();
      return found;
    };
    await bed.drain("old");
    await beginDrains({ ...bed.deps, store: { ...store, campaigns: { ...store.campaigns, undrained } } }, bed.turn);
    const { value } = await bed.campaignOf("old");
    expect(value.settings).toMatchObject({ wayBackMs: 0, concurrency: 1 });
    expect((await store.audit.list({ subject: `campaign/${value.id}` })).items).toHaveLength(1);
  });

  test("killed before or after any of its writes, it begins each move once and ends (I26, I27)", async () => {
    await using bed = await openCampaigns(postgres);
    const { store } = bed;
    await bed.addTenants("old", ["a", "b", "c"]);
    await bed.drain("old");
    const started = await store.campaigns.start(
      { kind: "drain", subject: "old", settings: campaignSettings({}), items: [] },
      bed.ctx,
    );
    const { id } = started.value;
    /** Dies once at every point: with the write not done, and with it done and nobody told. */
    const points = ["write:before", "write:after", "request:before", "request:after"];
    const dying = <A extends readonly unknown[], R>(name: string, work: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        const die = (when: string) => {
          if (points[0] !== `${name}:${when}`) return;
          points.shift();
          throw new Error(`killed ${when} ${name}`);
        };
        die("before");
        const result = await work(...args);
        die("after");
        return result;
      };
    };
    const deps = {
      ...bed.deps,
      store: {
        ...store,
        campaigns: { ...store.campaigns, write: dying("write", store.campaigns.write) },
        moves: { ...store.moves, request: dying("request", store.moves.request) },
      },
    };
    for (let n = 0; n < 20; n++) {
      await reconcileCampaign(deps, id, bed.turn).catch(() => {});
      if (points.length > 0) continue;
      for (const move of await bed.openMoves()) await bed.bringTo(move.id, "done");
    }
    expect(points, "it died at every point").toEqual([]);
    expect((await bed.campaignOf("old")).value.state.kind).toBe("done");
    const moves = (await store.moves.list({ campaign: id })).items.map(({ value }) => value.tenant);
    expect(moves.sort()).toEqual(["a", "b", "c"]);
  });

  test("is cancelled by an uncordon: what is not decided comes back, and the next drain is another campaign", async () => {
    await using bed = await openCampaigns(postgres);
    await bed.addTenants("old", ["a", "b", "c"]);
    await bed.drain("old");
    await bed.turns();
    const [one, other] = await bed.openMoves();
    await bed.bringTo(other?.id ?? "", "opening");
    await bed.store.stamps.setGoal("old", "present", {}, bed.ctx);
    await bed.turns();
    const { value } = await bed.campaignOf("old");
    expect(value.state).toEqual({ kind: "cancelling", why: "stamp old is not to be drained any more" });
    expect((await bed.store.moves.read(one?.id ?? ""))?.value.goal).toBe("abort");
    const end = await reconcileCampaign(bed.deps, value.id, bed.turn);
    expect(end.kind, "it waits for the moves to end, and does not ask again and again").toBe("rest");
    await bed.giveUp(one?.id ?? "");
    await bed.bringTo(other?.id ?? "", "resting");
    await bed.turns(value.id);
    expect((await bed.campaignOf("old")).value.state.kind).toBe("cancelled");
    expect(await statesOf(bed, value.id)).toEqual({ a: "kept", b: "moved", c: "kept" });

    await bed.drain("old");
    await bed.turns();
    expect((await bed.store.campaigns.list({ subject: "old" })).items).toHaveLength(2);
  });

  test("can be paused, resumed and cancelled by a person, and is not begun again for the same word", async () => {
    await using bed = await openCampaigns(postgres);
    const { store, ctx } = bed;
    await bed.addTenants("old", ["a", "b", "c"]);
    await bed.drain("old");
    await bed.turns();
    const { id } = (await bed.campaignOf("old")).value;
    await store.campaigns.command(id, "pause", {}, ctx);
    for (const move of await bed.openMoves()) await bed.bringTo(move.id, "done");
    await bed.turns();
    expect(await bed.openMoves()).toEqual([]);
    expect((await bed.campaignOf("old")).value).toMatchObject({
      state: { kind: "paused" },
      waitingOn: `a person: stampyard campaign resume ${id}`,
    });
    await store.campaigns.command(id, "resume", {}, ctx);
    await bed.turns();
    expect(await bed.openMoves()).toHaveLength(1);
    const [last] = await bed.openMoves();
    await store.campaigns.command(id, "cancel", {}, { ...ctx, reason: "not today" });
    await store.campaigns.command(id, "cancel", {}, ctx);
    await bed.turns();
    await bed.giveUp(last?.id ?? "");
    await bed.turns();
    const { value, revision } = await bed.campaignOf("old");
    expect(value.state).toEqual({ kind: "cancelled", why: "a person cancelled the campaign: not today" });
    await expect(store.campaigns.command(id, "resume", {}, ctx)).rejects.toMatchObject({ code: "WRONG_PHASE" });
    const stale = store.campaigns.write({ ...value, state: { kind: "done" } }, revision - 1, [], ctx);
    await expect(stale).rejects.toMatchObject({ code: "STALE_REVISION" });
    await bed.turns();
    expect((await store.campaigns.list({ isOpen: true })).items, "the person's word stands").toEqual([]);
  });

  test("waits for a way back that rests, or ends it when told to; an aborted move is tried again within its budget", async () => {
    await using bed = await openCampaigns(postgres);
    const { store, ctx } = bed;
    await bed.addTenants("one", ["a"]);
    const before = await store.moves.request({ tenant: "a", to: "old" }, ctx);
    await bed.bringTo(before.value.id, "resting");
    await bed.drain("old");
    await bed.turns();
    const { value } = await bed.campaignOf("old");
    expect(value.waitingOn).toContain(`a: the way back of move ${before.value.id} rests`);
    const settings = campaignSettings({ finishWaysBack: true, maxPauseMs: 500, wayBackMs: 0 });
    await store.campaigns.start({ kind: "drain", subject: "old", settings, items: [] }, ctx);
    await bed.turns();
    expect((await store.moves.read(before.value.id))?.value.state).toMatchObject({ kind: "resting" });
    await bed.bringTo(before.value.id, "done");
    await bed.turns();
    const [move] = await bed.openMoves();
    expect(move).toMatchObject({ tenant: "a", maxPauseMs: 500, restMs: 0 });
    await bed.giveUp(move?.id ?? "");
    await bed.turns();
    expect((await bed.campaignOf("old")).value.waitingOn).toContain("a: retry of: a test");
    bed.clock.leap(70_000);
    await bed.turns();
    expect(await bed.openMoves()).toHaveLength(1);
  });

  test("says who has nowhere to go, and moves nobody above a limit (I32)", async () => {
    await using bed = await openCampaigns(postgres);
    await bed.addTenants("old", ["a", "b"], { tenants: 5 });
    await bed.addTenants("one", ["c"], { tenants: 6 });
    await bed.addTenants("two", ["d"], { tenants: 5 });
    await bed.drain("old");
    await bed.turns();
    expect((await bed.openMoves()).map(({ tenant, to }) => [tenant, to])).toEqual([["a", "two"]]);
    const { value } = await bed.campaignOf("old");
    expect(value.waitingOn).toMatch(/1 that cannot go now: b: stamp one has no room for 5 more tenants/);
    await bed.store.tenants.suspend("b", { reason: "unpaid" }, bed.ctx);
    await bed.turns();
    expect((await bed.campaignOf("old")).value.waitingOn).toContain("b: it is suspended");
  });

  test("tells its pool who still needs a place, so that it builds neither too much nor too little", async () => {
    await using bed = await openCampaigns(postgres);
    const { store } = bed;
    await bed.addTenants("old", ["a", "b", "c"]);
    await bed.drain("old");
    await bed.turns();
    const shared = await store.pools.facts("shared");
    expect(shared).toMatchObject({ canMove: true, leaving: [] });
    // Two have their place on their targets already.
    expect(shared?.stamps.find(({ name }) => name === "old")?.residents).toEqual({ tenants: 1 });
    expect(shared?.stamps.find(({ name }) => name === "one")?.residents).toBeUndefined();
  });

  test("takes the tenant of a dedicated stamp to the one that its pool builds for it", async () => {
    await using bed = await openCampaigns(postgres);
    const { store, ctx } = bed;
    await bed.addTenants("solo", ["vip"]);
    await bed.drain("solo");
    await bed.turns();
    expect((await bed.campaignOf("solo")).value.waitingOn).toContain("vip: pool alone has no other stamp");
    expect((await store.pools.facts("alone"))?.leaving).toEqual([{ key: "vip", regions: [], weight: { tenants: 1 } }]);
    const next = stampFixture("solo-2", { pool: "alone", capacity: { tenants: 1, units: {} }, reservedFor: "vip" });
    await store.stamps.create({ stamp: next, secrets: {} }, ctx);
    await bed.turns();
    expect(await bed.openMoves()).toMatchObject([{ tenant: "vip", from: "solo", to: "solo-2" }]);
    expect((await store.pools.facts("alone"))?.leaving).toEqual([]);
  });

  test("is not begun where no fence is enforced", async () => {
    await using bed = await openCampaigns(postgres, "report");
    await bed.addTenants("old", ["a"]);
    await bed.drain("old");
    await bed.turns();
    expect((await bed.store.campaigns.list()).items).toEqual([]);
    const world = await bed.store.campaigns.world({ kind: "drain", subject: "old" });
    expect(world.barred).toContain("the fence of component db is report");
  });
});

describe("a rebalancing", () => {
  test("moves what was planned and keeps what fits no more", async () => {
    await using bed = await openCampaigns(postgres);
    const { store, ctx } = bed;
    await bed.addTenants("old", ["a", "b"], { tenants: 4 });
    const items = [
      { tenant: "a", from: "old", state: { kind: "planned", to: "one" } },
      { tenant: "b", from: "old", state: { kind: "planned", to: "two" } },
    ] as const;
    await store.campaigns.start({ kind: "rebalance", subject: "shared", settings: campaignSettings({}), items }, ctx);
    await bed.addTenants("two", ["c"], { tenants: 9 });
    await bed.turns();
    const { value } = await bed.campaignOf("shared");
    expect((await store.campaigns.items(value.id)).items.map(({ state }) => state)).toEqual([
      { kind: "moving", to: "one", move: expect.any(String) },
      { kind: "kept", why: "stamp two does not take it any more (room)" },
    ]);
    for (const { id } of await bed.openMoves()) await bed.bringTo(id, "resting");
    await bed.turns();
    expect((await bed.campaignOf("shared")).value.state.kind).toBe("done");
  });

  test("is begun by a pool that may, and not again for an hour", async () => {
    await using bed = await openCampaigns(postgres);
    await bed.addTenants("old", ["a", "b", "c", "d"], { tenants: 2 });
    const even = () => evenOut(bed.deps, "shared", "stamp old is at 80%", bed.turn);
    await even();
    const { value } = await bed.campaignOf("shared");
    expect((await bed.store.campaigns.allItems(value.id)).map(({ tenant, from }) => [tenant, from])).toEqual([
      ["a", "old"],
      ["b", "old"],
    ]);
    await bed.store.campaigns.command(value.id, "cancel", {}, bed.ctx);
    await bed.turns();
    bed.clock.leap(3_000_000);
    await even();
    expect((await bed.store.campaigns.list()).items).toHaveLength(1);
    bed.clock.leap(700_000);
    await even();
    expect((await bed.store.campaigns.list()).items).toHaveLength(2);
  });

  test("is left as it is by a pool that may, also a day later: a person has paused it", async () => {
    await using bed = await openCampaigns(postgres);
    await bed.addTenants("old", ["a", "b", "c", "d"], { tenants: 2 });
    const settings = bed.settings({ concurrency: 1 });
    const asked = { kind: "rebalance", subject: "shared", settings, items: [] } as const;
    const { id } = (await bed.store.campaigns.start(asked, bed.ctx)).value;
    await bed.store.campaigns.command(id, "pause", {}, bed.ctx);
    bed.clock.leap(86_400_000);
    await evenOut(bed.deps, "shared", "stamp old is at 80%", bed.turn);
    expect((await bed.campaignOf("shared")).value).toMatchObject({ id, settings, state: { kind: "paused" } });
  });

  test("refuses settings that no move could keep to", async () => {
    await using bed = await openCampaigns(postgres);
    const settings = campaignSettings({ maxPauseMs: 2_000, budget: { pauseMs: 2_000 } });
    const start = bed.store.campaigns.start({ kind: "rebalance", subject: "shared", settings, items: [] }, bed.ctx);
    await expect(start).rejects.toMatchObject({ code: "INVALID_REQUEST", message: /not enough for one move/ });
  });
});
