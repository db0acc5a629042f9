import { forSeeds, type SeededRandom } from "@stampyard/testing";
import { describe, expect, test } from "vitest";
import { addUnits, type UnitVector } from "../capacity.ts";
import { movingPhases } from "../move/move.ts";
import {
  type Campaign,
  type CampaignItem,
  campaignNext,
  campaignSettings,
  endedCampaigns,
  endedItems,
  worstPauseMs,
} from "./campaign.ts";
import { afterRefusal, type CampaignPlan, planCampaign } from "./plan-campaign.ts";
import { planRebalance } from "./plan-rebalance.ts";
import { createSimulatedFleet, pausedWithinDay, type SimulatedFleet } from "./test-fleet.ts";

interface Run {
  readonly fleet: SimulatedFleet;
  campaign: Campaign;
  items: readonly CampaignItem[];
}

/** Plain, because it is asked a million times. */
function must(holds: boolean, what: () => string): void {
  if (!holds) throw new Error(what());
}

function look({ fleet, campaign, items }: Run) {
  if (campaign.kind === "drain") return fleet.world(fleet.tenantsOf(campaign.subject), campaign.subject);
  const named = new Set(items.map(({ tenant }) => tenant));
  return fleet.world(fleet.allTenants().filter(({ key }) => named.has(key)));
}

/** All that is planned fits together, whatever the store would still refuse (I32). */
function checkPlan(fleet: SimulatedFleet, items: readonly CampaignItem[], high: number): void {
  const used = new Map<string, UnitVector>();
  for (const { tenant, state } of items) {
    if (state.kind !== "planned") continue;
    const before = used.get(state.to) ?? fleet.usedOf(state.to);
    used.set(state.to, addUnits(before, { tenants: 1, ...fleet.tenants.get(tenant)?.weight }));
  }
  for (const { name, limits } of fleet.stamps) {
    for (const [unit, limit] of Object.entries(limits)) {
      const planned = used.get(name)?.[unit] ?? 0;
      must(planned <= limit * high + 1e-6, () => `${planned} ${unit} planned on ${name}, which has ${limit} (I32)`);
    }
  }
}

/** A turn that may die before its record, after it, or between two of its actions. */
function turn(run: Run, random: SeededRandom, crashes: number, high: number): CampaignPlan {
  const { fleet } = run;
  const plan = planCampaign(run.campaign, run.items, look(run), fleet.now());
  checkPlan(fleet, plan.items, high);
  if (random.chance(crashes)) return plan;
  const from = run.campaign.state.kind;
  const to = plan.next.kind;
  must(from === to || (campaignNext[from] as readonly string[]).includes(to), () => `${from} does not become ${to}`);
  run.campaign = { ...run.campaign, state: plan.next };
  run.items = plan.items;
  for (const action of plan.actions) {
    if (random.chance(crashes)) return plan;
    if (action.kind === "abort") fleet.abort(action.move);
    else if (action.kind === "finish") fleet.finish(action.move);
    else {
      const { settings, id } = run.campaign;
      const answer = random.chance(0.03) ? "refused" : fleet.request(action.tenant, action.to, id, settings);
      if (answer === "begun") continue;
      run.items = run.items.map((item) => {
        return item.tenant === action.tenant
          ? { ...item, state: afterRefusal(run.campaign, item, "it was refused", fleet.now()) }
          : item;
      });
    }
  }
  return plan;
}

/** What must hold after every turn, whatever happened. */
function check({ fleet, campaign }: Run, high: number): void {
  const { settings, id, subject, kind } = campaign;
  for (const { name, limits } of fleet.stamps) {
    const used = fleet.usedOf(name);
    for (const [unit, limit] of Object.entries(limits)) {
      // Nobody is placed above the mark; who lived there before may be.
      const came = fleet.moves.some((move) => move.to === name && move.phase !== "aborted");
      must(
        !came || (used[unit] ?? 0) <= limit * high + 1e-6,
        () => `${used[unit]} ${unit} on ${name}, which has ${limit} (I32)`,
      );
    }
  }
  const atWork = fleet.moves.filter((move) => movingPhases.includes(move.phase));
  const own = atWork.filter((move) => move.campaign === id);
  must(own.length <= settings.concurrency, () => `${own.length} moves at once`);
  for (const { name } of fleet.stamps) {
    const here = atWork.filter(({ from, to }) => from === name || to === name).length;
    must(here <= settings.perStamp || (kind === "drain" && name === subject), () => `${here} moves at ${name}`);
  }
  for (const key of new Set(atWork.map(({ tenant }) => tenant))) {
    const { ms, tries } = pausedWithinDay(fleet, key, fleet.now());
    must(ms <= settings.budget.pauseMs, () => `${key} was paused for ${ms} ms within a day`);
    must(tries <= settings.budget.tries, () => `${key} was moved ${tries} times within a day`);
    must(atWork.filter(({ tenant }) => tenant === key).length === 1, () => `${key} moves twice at once`);
  }
}

function randomFleet(random: SeededRandom, high: number): SimulatedFleet {
  const fleet = createSimulatedFleet(high, random.chance(0.7) ? "spread" : "pack");
  const limits = { tenants: random.int(6, 12), rps: 100 };
  const count = random.int(2, 6);
  for (let n = 1; n <= count; n++) fleet.addStamp(`s-${n}`, random.pick(["eu", "eu", "us"]), limits);
  let keys = 0;
  for (const { name, region } of fleet.stamps) {
    const fill = random.pick([0, 2, 4, Math.floor(limits.tenants * high)]);
    for (let n = 0; n < fill; n++) {
      keys += 1;
      const weight = { rps: random.int(0, Math.floor((100 * high) / Math.max(1, fill))) };
      fleet.addTenant(`t-${keys}`, name, weight, random.chance(0.3) ? [region] : []);
    }
  }
  return fleet;
}

function disturb({ fleet, campaign }: Run, random: SeededRandom): void {
  const keys = [...fleet.tenants.keys()];
  if (keys.length > 0 && random.chance(0.05)) fleet.tenants.delete(random.pick(keys));
  const some = keys.length === 0 ? undefined : fleet.tenants.get(random.pick(keys));
  if (some !== undefined && random.chance(0.1)) some.goal = some.goal === "present" ? "suspended" : "present";
  const stamp = random.pick(fleet.stamps);
  if (stamp.name !== campaign.subject && random.chance(0.05)) stamp.goal = random.pick(["present", "cordoned"]);
}

/** Once faults stop: nobody is suspended, every other stamp takes tenants, and days go by. */
function settle(run: Run, random: SeededRandom, high: number): CampaignPlan {
  const { fleet, campaign } = run;
  for (const tenant of fleet.tenants.values()) tenant.goal = "present";
  for (const stamp of fleet.stamps) if (stamp.name !== campaign.subject) stamp.goal = "present";
  if (run.campaign.state.kind === "paused") run.campaign = { ...run.campaign, state: { kind: "running" } };
  let plan = turn(run, random, 0, high);
  for (let n = 0; n < 2_000 && !endedCampaigns.includes(run.campaign.state.kind); n++) {
    fleet.pass(plan.actions.length > 0 ? 1_000 : 3_600_000);
    fleet.step(random, 0);
    plan = turn(run, random, 0, high);
    check(run, high);
    const stuck = run.items.every(
      ({ state }) => endedItems.includes(state.kind) || (state.kind === "blocked" && state.until === undefined),
    );
    if (stuck && n > 100) break;
  }
  return plan;
}

function history(random: SeededRandom): void {
  const high = random.pick([1, 0.9]);
  const fleet = randomFleet(random, high);
  const maxPauseMs = random.pick([200, 2_000]);
  const budget = { pauseMs: worstPauseMs(maxPauseMs) * random.pick([1, 1, 2]), tries: random.int(1, 3) };
  const asked = {
    concurrency: random.int(1, 3),
    perStamp: random.int(1, 3),
    wayBackMs: random.pick([0, 60_000, 3_600_000]),
  };
  const settings = campaignSettings({ maxPauseMs, ...asked, budget, finishWaysBack: random.chance(0.5) });
  const kind = random.pick(["drain", "rebalance"] as const);
  const subject = kind === "drain" ? "s-1" : "main";
  const items = kind === "drain" ? [] : planRebalance("main", fleet.allTenants(), fleet.world([])).items;
  checkPlan(fleet, items, high);
  const run: Run = { fleet, campaign: { id: "cp-1", kind, subject, state: { kind: "running" }, settings }, items };
  const first = fleet.stamps[0];
  if (kind === "drain" && first !== undefined) first.goal = "drained";
  const fails = random.pick([0, 0.2, 0.8]);
  const crashes = random.pick([0, 0.2]);
  for (let n = 0; n < 60; n++) {
    disturb(run, random);
    fleet.pass(random.chance(0.1) ? random.int(1, 40_000_000) : random.int(1, 20_000));
    fleet.step(random, fails);
    turn(run, random, crashes, high);
    check(run, high);
  }
  const cancels = random.chance(0.2);
  if (cancels && first !== undefined) {
    if (kind === "drain") first.goal = "present";
    else if (!endedCampaigns.includes(run.campaign.state.kind))
      run.campaign = { ...run.campaign, state: { kind: "cancelling", why: "a person said so" } };
  }
  const plan = settle(run, random, high);
  ended(run, plan, cancels);
}

function ended({ fleet, campaign, items }: Run, plan: CampaignPlan, cancels: boolean): void {
  const { kind } = campaign.state;
  must(
    !fleet.moves.some((move) => move.campaign === "cp-1" && movingPhases.includes(move.phase)),
    () => "a move goes on",
  );
  if (kind === "done" && campaign.kind === "drain")
    must(fleet.tenantsOf("s-1").length === 0, () => "done, and not empty");
  if (kind === "done" || kind === "cancelled") {
    must(
      items.every(({ state }) => endedItems.includes(state.kind)),
      () => `ended with ${JSON.stringify(items)}`,
    );
    return;
  }
  must(campaign.kind === "drain" && !cancels, () => `it did not end: ${JSON.stringify(plan)}`);
  // Whoever is still there has nowhere to go, and it is said.
  const left = items.filter(({ state }) => !endedItems.includes(state.kind));
  must(left.length > 0 && left.every(({ state }) => state.kind === "blocked" && state.why !== ""), () =>
    JSON.stringify(left),
  );
  expect(plan.waitingOn).toMatch(/cannot go now/);
}

describe("a simulated campaign", () => {
  test("keeps capacity and budgets through crashes, refusals and failed moves, and every item ends (I26, I29, I32)", async () => {
    await forSeeds(1_500, history);
  }, 60_000);
});
