import { describe, expect, test } from "vitest";
import type { Template } from "../template.ts";
import { candidate } from "../placement/test-candidates.ts";
import { type Campaign, type CampaignItem, campaignSettings } from "./campaign.ts";
import { whyTenantsStay } from "./can-move.ts";
import type { CampaignMove, CampaignTenant, CampaignWorld } from "./campaign-world.ts";
import { estimateCampaign } from "./estimate.ts";
import { planCampaign } from "./plan-campaign.ts";
import { planDrain } from "./plan-drain.ts";
import { planRebalance } from "./plan-rebalance.ts";

const now = 1_750_000_000_000;
const hour = 3_600_000;

function tenant(key: string, stamp: string, over: Partial<CampaignTenant["request"]> = {}): CampaignTenant {
  const request = {
    key,
    pool: "main",
    tenancy: "shared",
    tier: "standard",
    residency: [],
    weight: {},
    ...over,
  } as const;
  return { key, stamp, phase: "active", goal: "present", request };
}

const limits = { tenants: 10, rps: 100 };
const old = candidate("old", { phase: "draining", limits, used: { tenants: 3, rps: 60 } });
const one = candidate("one", { limits, used: { tenants: 1, rps: 30 } });
const far = candidate("far", { limits, region: "us" });

function world(over: Partial<CampaignWorld> = {}): CampaignWorld {
  return {
    stamp: { goal: "drained" },
    tenants: [tenant("a", "old"), tenant("b", "old", { weight: { rps: 50 } }), tenant("c", "old")],
    candidates: [old, one, far],
    settingsOf: () => ({}),
    moves: [],
    atWork: new Map(),
    ...over,
  };
}

const drain: Campaign = {
  id: "cp-1",
  kind: "drain",
  subject: "old",
  state: { kind: "running" },
  settings: campaignSettings({}),
};

function move(over: Partial<CampaignMove>): CampaignMove {
  const fixed = { id: "mv-1", tenant: "a", from: "old", to: "one", phase: "copying", campaign: "cp-1" } as const;
  return { ...fixed, startedAt: now - 1_000, changedAt: now - 1_000, pausedMs: 0, ...over };
}

const statesOf = (items: readonly CampaignItem[]) => Object.fromEntries(items.map((item) => [item.tenant, item.state]));

describe("planDrain()", () => {
  test("places the biggest first, near if there is room, and keeps what was planned", () => {
    const items = planDrain(world().tenants, world());
    expect(items.map((item) => [item.tenant, item.state])).toEqual([
      ["b", { kind: "planned", to: "one" }],
      ["a", { kind: "planned", to: "one" }],
      ["c", { kind: "planned", to: "one" }],
    ]);
    const kept = planDrain(world().tenants, world(), new Map([["a", "far"]]));
    expect(statesOf(kept)["a"]).toEqual({ kind: "planned", to: "far" });
  });

  test("goes far only when near is full, and says why somebody can go nowhere (I32)", () => {
    const full = { ...one, used: { tenants: 9, rps: 90 } };
    const bound = tenant("d", "old", { residency: ["eu"], weight: { rps: 20 } });
    const facts = world({ candidates: [old, full, far] });
    const states = statesOf(planDrain([...facts.tenants, bound], facts));
    expect(states["b"]).toEqual({ kind: "planned", to: "far" });
    expect(states["a"]).toEqual({ kind: "planned", to: "one" });
    expect(states["d"]).toMatchObject({
      kind: "blocked",
      why: expect.stringContaining("one has no room for 20 more rps"),
    });
    const alone = planDrain([tenant("a", "old")], world({ candidates: [old] }));
    expect(statesOf(alone)["a"]).toEqual({ kind: "blocked", why: "pool main has no other stamp" });
    const pinned = planDrain([tenant("a", "old", { override: { kind: "pin", stamp: "old" } })], world());
    expect(statesOf(pinned)["a"]).toMatchObject({ why: expect.stringContaining("pinned") });
  });
});

describe("planRebalance()", () => {
  test("brings a stamp below its mark by the fewest moves, the biggest gain first (I32)", () => {
    const full = candidate("full", { limits, used: { tenants: 5, rps: 110 }, high: 0.9 });
    const free = candidate("free", { limits, used: { tenants: 1, rps: 10 }, high: 0.9 });
    const tenants = [
      tenant("small", "full", { weight: { rps: 5 } }),
      tenant("middle", "full", { weight: { rps: 50 } }),
      tenant("big", "full", { weight: { rps: 90 } }),
    ];
    const plan = planRebalance("main", tenants, world({ candidates: [full, free, far] }));
    expect(plan.items).toEqual([{ tenant: "middle", from: "full", state: { kind: "planned", to: "free" } }]);
    expect(plan.unmet).toEqual([]);
    expect(plan.shares).toContainEqual({ stamp: "full", before: 1.1, after: 0.6 });
  });

  test("does not count what is kept for ways back as uneven, nor as room", () => {
    const left = candidate("left", { limits: { tenants: 10 }, used: { tenants: 8 } });
    const right = candidate("right", { limits: { tenants: 10 }, used: { tenants: 4 } });
    const tenants = [1, 2, 3, 4].flatMap((n) => [tenant(`l-${n}`, "left"), tenant(`r-${n}`, "right")]);
    const resting = [1, 2, 3, 4].map((n) => {
      return move({ id: `mv-${n}`, tenant: `r-${n}`, from: "left", to: "right", phase: "resting" });
    });
    const facts = { candidates: [left, right], settingsOf: () => ({}), moves: resting };
    expect(planRebalance("main", tenants, facts).items).toEqual([]);
    expect(planRebalance("main", tenants, { ...facts, moves: [] }).items).toHaveLength(2);
    const full = { ...left, used: { tenants: 10 } };
    const crowded = { ...right, used: { tenants: 9 } };
    const back = planRebalance("main", tenants, { ...facts, candidates: [full, crowded] });
    expect(
      back.items.every(({ from }) => from !== "right"),
      "room that is kept is taken",
    ).toBe(true);
  });

  test("says what stays too full, and leaves a packed pool packed", () => {
    const full = candidate("full", { limits: { rps: 100 }, used: { tenants: 1, rps: 130 } });
    const free = candidate("free", { limits: { rps: 100 } });
    const stuck = planRebalance(
      "main",
      [tenant("big", "full", { weight: { rps: 130 } })],
      world({ candidates: [full, free] }),
    );
    expect(stuck).toMatchObject({ items: [], unmet: [{ stamp: "full", why: expect.stringContaining("130%") }] });
    const packed = candidate("full", { limits, used: { tenants: 9 } });
    const tenants = Array.from({ length: 9 }, (_, n) => tenant(`t-${n}`, "full"));
    const facts = { candidates: [packed, candidate("free", { limits })], moves: [] };
    expect(planRebalance("main", tenants, { ...facts, settingsOf: () => ({ strategy: "pack" }) }).items).toEqual([]);
    expect(planRebalance("main", tenants, { ...facts, settingsOf: () => ({}) }).items).toHaveLength(4);
  });
});

describe("planCampaign()", () => {
  test("begins as many moves as it may, and no more than a target may have", () => {
    const { actions, items, waitingOn } = planCampaign(drain, [], world(), now);
    expect(actions).toEqual([
      { kind: "move", tenant: "b", to: "one" },
      { kind: "move", tenant: "a", to: "one" },
    ]);
    expect(waitingOn).toBe("3 still to begin");
    const busy = world({ atWork: new Map([["one", 1]]) });
    expect(planCampaign(drain, items, busy, now).actions).toHaveLength(1);
    const other = { ...drain, settings: campaignSettings({ concurrency: 1 }) };
    const own = world({
      moves: [move({})],
      atWork: new Map([
        ["one", 1],
        ["old", 1],
      ]),
    });
    expect(planCampaign(other, items, own, now)).toMatchObject({
      actions: [],
      waitingOn: "1 move under way; 2 still to begin",
    });
  });

  test("names a way back that is in the way, waits for its end, or ends it when told to", () => {
    const resting = move({ from: "two", to: "old", phase: "resting", restsUntil: now + hour, campaign: "cp-0" });
    const seen = world({ tenants: [tenant("a", "old")], moves: [resting] });
    const plan = planCampaign(drain, [], seen, now);
    expect(plan).toMatchObject({ actions: [], lookAt: now + hour });
    expect(plan.waitingOn).toContain("a: the way back of move mv-1 rests; stampyard move finish mv-1 ends it");
    const ending = { ...drain, settings: campaignSettings({ finishWaysBack: true }) };
    expect(planCampaign(ending, [], seen, now).actions).toEqual([{ kind: "finish", move: "mv-1" }]);
  });

  test("tries an aborted move again later, and not beyond the budget of its tenant", () => {
    const aborted = move({ phase: "aborted", cause: "its target went away" });
    const seen = (moves: readonly CampaignMove[]) => world({ tenants: [tenant("a", "old")], moves });
    const soon = planCampaign(drain, [], seen([aborted]), now);
    expect(soon.waitingOn).toContain("retry of: its target went away");
    expect(planCampaign(drain, soon.items, seen([aborted]), soon.lookAt ?? 0).actions).toHaveLength(1);
    const often = [1, 2, 3].map((n) => ({
      ...aborted,
      id: `mv-${n}`,
      startedAt: now - n * hour,
      changedAt: now - n * hour,
    }));
    const spent = planCampaign(drain, [], seen(often), now);
    expect(spent.waitingOn).toContain("moved 3 times within a day");
    expect(spent.lookAt).toBe(now - 3 * hour + 24 * hour);
    const paused = { ...aborted, pausedMs: 16_001, startedAt: now - hour, changedAt: now - hour };
    expect(planCampaign(drain, [], seen([paused]), now).waitingOn).toContain("its writes were paused for 16001 ms");
  });

  test("ends when the stamp is empty, is cancelled by an uncordon, and then takes back what is not decided", () => {
    const empty = planCampaign(
      drain,
      [{ tenant: "a", from: "old", state: { kind: "moving", to: "one", move: "mv-1" } }],
      world({ tenants: [], moves: [move({ phase: "resting" })] }),
      now,
    );
    expect(empty).toMatchObject({
      next: { kind: "done" },
      items: [{ state: { kind: "moved", to: "one", move: "mv-1" } }],
    });
    const uncordoned = world({
      stamp: { goal: "present" },
      moves: [move({}), move({ id: "mv-2", tenant: "b", phase: "opening" })],
    });
    const first = planCampaign(drain, [], uncordoned, now);
    expect(first, "recorded first (I26)").toMatchObject({ next: { kind: "cancelling" }, actions: [] });
    const second = planCampaign({ ...drain, state: first.next }, first.items, uncordoned, now);
    expect(second.actions).toEqual([{ kind: "abort", move: "mv-1" }]);
    const over = planCampaign({ ...drain, state: first.next }, first.items, { ...uncordoned, moves: [] }, now);
    expect(over.next).toMatchObject({ kind: "cancelled", why: "stamp old is not to be drained any more" });
    expect(over.items.every(({ state }) => state.kind === "kept")).toBe(true);
  });

  test("says that its deadline has passed, who is suspended, and that nobody can be moved", () => {
    const late = { ...drain, deadline: now - 1 };
    const suspended = { ...tenant("a", "old"), goal: "suspended", phase: "suspended" } as const;
    const plan = planCampaign(late, [], world({ tenants: [suspended], barred: "the fence is off" }), now);
    expect(plan.waitingOn).toMatch(/^past its deadline, the fence is off; 1 that cannot go now: a: it is suspended/);
    expect(plan.actions).toEqual([]);
  });
});

describe("estimateCampaign()", () => {
  test("goes by sizes, then by past moves, and never by nothing", () => {
    expect(estimateCampaign([{}, {}], [], 2)).toBeUndefined();
    expect(estimateCampaign([{}, {}, {}, {}], [{ tookMs: 1_000 }, { tookMs: 3_000 }], 2)).toEqual({
      ms: 4_000,
      basis: "the median of the last 2 moves",
    });
    const past = [1, 2, 3].map((n) => ({ tookMs: n * 1_000, bytes: n * 1_000_000 }));
    expect(estimateCampaign([{ bytes: 10_000_000 }, {}], past, 1)).toEqual({
      ms: 12_000,
      basis: "the rate of the last 3 moves, and the sizes of 1 of 2 tenants",
    });
  });
});

test("whyTenantsStay() wants rows and a fence that is enforced", () => {
  const db = {
    kind: "postgres",
    name: "db",
    version: 18,
    maxConnections: 9,
    resources: {},
    protect: true,
    ids: {},
    via: {},
  } as const;
  const template = (fence?: "report" | "enforce"): Pick<Template, "tenancy" | "stages"> => ({
    tenancy: { model: "rows", column: "tenant_id" },
    stages: [{ name: "main", engine: "local", components: [{ ...db, ...(fence === undefined ? {} : { fence }) }] }],
  });
  expect(whyTenantsStay(template("enforce"))).toBeUndefined();
  expect(whyTenantsStay(template("report"))).toContain("the fence of component db is report");
  expect(whyTenantsStay({ ...template("enforce"), tenancy: { model: "schema" } })).toContain("tenancy is schema");
});
