import { movingPhases } from "../move/move.ts";
import type { Instant } from "../ports.ts";
import {
  type Campaign,
  type CampaignItem,
  type CampaignState,
  endedCampaigns,
  endedItems,
  type ItemState,
} from "./campaign.ts";
import type { CampaignMove, CampaignTenant, CampaignWorld } from "./campaign-world.ts";
import { pauseBudget } from "./pause-budget.ts";
import { openBookings } from "./place-bookings.ts";
import { bySize, planDrain } from "./plan-drain.ts";
import { waitingWords } from "./waiting-words.ts";

const firstRefusalMs = 5_000;
const longestRefusalMs = 600_000;
const mostRefusals = 5;

export interface CampaignPlan {
  /** Recorded before the actions (I26). */
  readonly next: CampaignState;
  /** All of them, those that did not change too. */
  readonly items: readonly CampaignItem[];
  /** In order; each is asked for once more by the next turn if it was not heard (I27). */
  readonly actions: readonly CampaignAction[];
  readonly waitingOn?: string;
  /** When there may be something to do without anything having happened. */
  readonly lookAt?: Instant;
}

export type CampaignAction =
  | { readonly kind: "move"; readonly tenant: string; readonly to: string }
  /** A move of this campaign that has not been decided is taken back. */
  | { readonly kind: "abort"; readonly move: string }
  /** A way back is ended before its time. */
  | { readonly kind: "finish"; readonly move: string };

/**
 * Decides one turn of a campaign. Reads nothing, changes nothing: same inputs, same plan. What is true of tenants and
 * their moves wins over the recorded items, so that a crash at any point costs only time.
 */
export function planCampaign(
  campaign: Campaign,
  items: readonly CampaignItem[],
  world: CampaignWorld,
  now: Instant,
): CampaignPlan {
  const { state } = campaign;
  if (endedCampaigns.includes(state.kind)) return { next: state, items, actions: [] };
  const moves = movesByTenant(world.moves);
  const seen = followed(campaign, items, world, moves);
  const own = world.moves.filter((move) => move.campaign === campaign.id && isAtWork(move));
  const why = state.kind === "cancelling" ? state.why : whyCancelled(campaign, world);
  if (why !== undefined) return planCancelling(campaign, state, seen, own, why);
  const end = endOf(campaign, seen, world, own);
  if (end !== undefined) return { next: end, items: seen, actions: [] };
  if (state.kind === "paused") {
    const waitingOn = `a person: stampyard campaign resume ${campaign.id}`;
    return { next: state, items: seen, actions: [], waitingOn };
  }
  const planned = planItems(campaign, seen, world, moves, now);
  const actions = world.barred === undefined ? startable(campaign, planned.items, world, own, planned.finish) : [];
  return {
    next: state,
    items: planned.items,
    actions,
    ...waitingWords(campaign, planned.items, world, now),
    ...(planned.lookAt === undefined ? {} : { lookAt: planned.lookAt }),
  };
}

function isAtWork({ phase }: CampaignMove): boolean {
  return movingPhases.includes(phase);
}

/** Newest first. */
function movesByTenant(moves: readonly CampaignMove[]): ReadonlyMap<string, readonly CampaignMove[]> {
  const byTenant = new Map<string, CampaignMove[]>();
  for (const move of [...moves].sort((a, b) => b.startedAt - a.startedAt || (a.id < b.id ? 1 : -1))) {
    const list = byTenant.get(move.tenant);
    if (list === undefined) byTenant.set(move.tenant, [move]);
    else list.push(move);
  }
  return byTenant;
}

/** The items as their tenants' moves and homes say that they are. Of a drain, whoever lives there has one. */
function followed(
  campaign: Campaign,
  items: readonly CampaignItem[],
  world: CampaignWorld,
  moves: ReadonlyMap<string, readonly CampaignMove[]>,
): readonly CampaignItem[] {
  const tenants = new Map(world.tenants.map((tenant) => [tenant.key, tenant]));
  const known = new Set(items.map(({ tenant }) => tenant));
  const came = campaign.kind === "drain" ? world.tenants.filter(({ key }) => !known.has(key)) : [];
  const fresh = bySize(came, world.candidates).map(({ key, stamp }): CampaignItem => {
    return { tenant: key, from: stamp, state: { kind: "blocked", why: "it is not planned yet" } };
  });
  return [...items, ...fresh].map((item) => {
    const state = stateNow(campaign, item, tenants.get(item.tenant), moves.get(item.tenant) ?? []);
    return state === item.state ? item : { ...item, state };
  });
}

function stateNow(
  campaign: Campaign,
  { state, from, tenant: key }: CampaignItem,
  tenant: CampaignTenant | undefined,
  moves: readonly CampaignMove[],
): ItemState {
  const atWork = moves.find(isAtWork);
  if (atWork !== undefined && atWork.from === from) {
    const isSame = state.kind === "moving" && state.move === atWork.id;
    return isSame ? state : { kind: "moving", to: atWork.to, move: atWork.id };
  }
  if (tenant?.stamp === from) {
    // It came back, by a rollback or as a new tenant of that key.
    const isAgain = campaign.kind === "drain" && endedItems.includes(state.kind);
    const isUnplanned = state.kind === "moving" || isAgain;
    return isUnplanned ? { kind: "blocked", why: "it is not planned yet" } : state;
  }
  if (endedItems.includes(state.kind)) return state;
  const landed = moves.find((move) => move.campaign === campaign.id && move.from === from && move.phase !== "aborted");
  // The move may be gone from sight by now, because it ended long ago.
  if (landed !== undefined) return { kind: "moved", to: landed.to, move: landed.id };
  if (state.kind === "moving" && tenant?.key === key && tenant.stamp === state.to) {
    return { kind: "moved", to: state.to, move: state.move };
  }
  return { kind: "left" };
}

/** Somebody wants the stamp to stay. */
function whyCancelled({ kind, subject }: Campaign, { stamp, tenants }: CampaignWorld): string | undefined {
  if (kind !== "drain" || stamp === undefined || stamp.goal === "drained") return undefined;
  if (stamp.goal !== "absent") return `stamp ${subject} is not to be drained any more`;
  return tenants.length === 0 ? undefined : `stamp ${subject} is to be destroyed`;
}

function planCancelling(
  campaign: Campaign,
  state: CampaignState,
  items: readonly CampaignItem[],
  own: readonly CampaignMove[],
  why: string,
): CampaignPlan {
  const kept = items.map((item): CampaignItem => {
    const { kind } = item.state;
    return kind === "planned" || kind === "blocked" ? { ...item, state: { kind: "kept", why } } : item;
  });
  const isAsked = state.kind === "cancelling";
  if (own.length === 0 && isAsked) return { next: { kind: "cancelled", why }, items: kept, actions: [] };
  const actions = own
    .filter(({ phase }) => isAsked && phase !== "opening" && phase !== "aborting")
    .map(({ id }): CampaignAction => ({ kind: "abort", move: id }));
  const next = isAsked ? state : ({ kind: "cancelling", why } as const);
  const waitingOn = `${own.length} ${own.length === 1 ? "move" : "moves"} to end: ${namesOf(own.map(({ id }) => id))}`;
  return { next, items: kept, actions, waitingOn: `${waitingOn} (${campaign.id} was cancelled)` };
}

function endOf(
  { kind, subject }: Campaign,
  items: readonly CampaignItem[],
  { stamp, tenants }: CampaignWorld,
  own: readonly CampaignMove[],
): CampaignState | undefined {
  if (own.length > 0) return undefined;
  if (kind === "rebalance")
    return items.every(({ state }) => endedItems.includes(state.kind)) ? { kind: "done" } : undefined;
  if (tenants.length === 0) return { kind: "done" };
  return stamp === undefined
    ? { kind: "failed", cause: `stamp ${subject} is gone, with ${tenants.length} tenants` }
    : undefined;
}

interface PlannedItems {
  readonly items: readonly CampaignItem[];
  /** Ways back that stand in the way, to be ended. */
  readonly finish: readonly string[];
  readonly lookAt: Instant | undefined;
}

/** A target for everybody who can go now, and a reason for everybody else. */
function planItems(
  campaign: Campaign,
  items: readonly CampaignItem[],
  world: CampaignWorld,
  moves: ReadonlyMap<string, readonly CampaignMove[]>,
  now: Instant,
): PlannedItems {
  const { settings } = campaign;
  const tenants = new Map(world.tenants.map((tenant) => [tenant.key, tenant]));
  const open = items.filter(({ state }) => state.kind === "planned" || state.kind === "blocked");
  const targets = new Map(
    open.flatMap(({ tenant, state }) => ("to" in state && state.to !== undefined ? [[tenant, state.to] as const] : [])),
  );
  const there = open.flatMap(({ tenant }) => tenants.get(tenant) ?? []);
  const homes = new Map(homesFor(campaign, there, world, targets).map((item) => [item.tenant, item.state]));
  const finish: string[] = [];
  let lookAt: Instant | undefined;
  const soonest = (at: Instant) => {
    lookAt = Math.min(lookAt ?? at, at);
  };
  const planned = items.map((item): CampaignItem => {
    const tenant = tenants.get(item.tenant);
    const home = homes.get(item.tenant);
    if (tenant === undefined || home === undefined) return item;
    const own = moves.get(item.tenant) ?? [];
    const resting = own.find((move) => isWayBack(move));
    if (resting !== undefined && settings.finishWaysBack && resting.phase === "resting") finish.push(resting.id);
    if (resting?.restsUntil !== undefined) soonest(resting.restsUntil);
    const refusals = refusalsOf(item.state) === 0 ? {} : { refusals: refusalsOf(item.state) };
    const why = whyStillRefused(item, now) ?? whyNotNow(tenant, resting, settings, own, now);
    if (why === undefined) return same(item, home.kind === "planned" ? { ...home, ...refusals } : home);
    if (campaign.kind === "rebalance" && why.isLong === true) return same(item, { kind: "kept", why: why.why });
    if (why.until !== undefined) soonest(why.until);
    const to = home.kind === "planned" ? { to: home.to } : {};
    const until = why.until === undefined ? {} : { until: why.until };
    return same(item, { kind: "blocked", why: why.why, ...to, ...until, ...refusals });
  });
  return { items: planned, finish, lookAt };
}

function homesFor(
  { kind }: Campaign,
  tenants: readonly CampaignTenant[],
  world: CampaignWorld,
  targets: ReadonlyMap<string, string>,
): readonly CampaignItem[] {
  if (kind === "drain") return planDrain(tenants, world, targets);
  // What was planned together is kept together: another target would be another plan.
  const bookings = openBookings(world.candidates, world.settingsOf);
  return tenants.map((tenant): CampaignItem => {
    const { key, stamp, request } = tenant;
    const to = targets.get(key);
    const filter = to === undefined ? "pool" : bookings.against(request, to);
    if (to === undefined || filter !== undefined) {
      const why = to === undefined ? "nowhere is better" : `stamp ${to} does not take it any more (${filter})`;
      return { tenant: key, from: stamp, state: { kind: "kept", why } };
    }
    bookings.take(request, to);
    return { tenant: key, from: stamp, state: { kind: "planned", to } };
  });
}

/** Rests, or is disputed: until it has ended, no move of its tenant can begin. */
function isWayBack({ phase }: CampaignMove): boolean {
  return phase === "verifying" || phase === "resting" || phase === "disputed" || phase === "erasing";
}

interface NotNow {
  readonly why: string;
  readonly until?: Instant;
  /** No rebalancing is worth waiting for the end of it. */
  readonly isLong?: boolean;
}

function whyStillRefused({ state }: CampaignItem, now: Instant): NotNow | undefined {
  if (state.kind !== "blocked" || state.refusals === undefined || state.until === undefined) return undefined;
  return now < state.until ? { why: state.why, until: state.until } : undefined;
}

function whyNotNow(
  tenant: CampaignTenant,
  resting: CampaignMove | undefined,
  settings: Campaign["settings"],
  moves: readonly CampaignMove[],
  now: Instant,
): NotNow | undefined {
  if (tenant.goal === "suspended") {
    return { why: "it is suspended; it leaves once it is resumed, or deleted", isLong: true };
  }
  if (tenant.goal === "absent") return { why: "it is being deleted", isLong: true };
  if (tenant.phase !== "active") return { why: `it is ${tenant.phase}` };
  if (resting !== undefined) {
    const { id, phase, restsUntil } = resting;
    if (phase === "disputed") return { why: `a person has to decide on move ${id}`, isLong: true };
    const why =
      phase === "resting"
        ? `the way back of move ${id} rests; stampyard move finish ${id} ends it`
        : `move ${id} is ${phase}`;
    return { why, ...(restsUntil === undefined ? {} : { until: restsUntil }) };
  }
  const waiting = pauseBudget(settings, moves, now);
  return waiting === undefined ? undefined : { ...waiting, isLong: waiting.isSpent === true };
}

/** The same object while nothing differs, so that only what changed is written. */
function same(item: CampaignItem, state: ItemState): CampaignItem {
  return sameState(item.state, state) ? item : { ...item, state };
}

export function sameState(a: ItemState, b: ItemState): boolean {
  const keys = ["kind", "to", "why", "move", "until", "refusals"] as const;
  const left: Partial<Record<(typeof keys)[number], unknown>> = a;
  const right: Partial<Record<(typeof keys)[number], unknown>> = b;
  return keys.every((key) => left[key] === right[key]);
}

/** Moves to begin now: as many as the campaign may have at a time, and no more than a stamp may have. */
function startable(
  campaign: Campaign,
  items: readonly CampaignItem[],
  world: CampaignWorld,
  own: readonly CampaignMove[],
  finish: readonly string[],
): readonly CampaignAction[] {
  const { settings, kind, subject } = campaign;
  const atWork = new Map(world.atWork);
  let left = settings.concurrency - own.length;
  const actions: CampaignAction[] = finish.map((move) => ({ kind: "finish", move }));
  const isBusy = (stamp: string) => {
    return !(kind === "drain" && stamp === subject) && (atWork.get(stamp) ?? 0) >= settings.perStamp;
  };
  for (const { tenant, from, state } of items) {
    if (left <= 0) break;
    if (state.kind !== "planned" || isBusy(from) || isBusy(state.to)) continue;
    actions.push({ kind: "move", tenant, to: state.to });
    left -= 1;
    for (const stamp of [from, state.to]) atWork.set(stamp, (atWork.get(stamp) ?? 0) + 1);
  }
  return actions;
}

/** After a move was refused when it was to begin: later, and longer each time. Only a rebalancing gives up. */
export function afterRefusal(
  { kind }: Pick<Campaign, "kind">,
  { state }: CampaignItem,
  why: string,
  now: Instant,
): ItemState {
  const refusals = refusalsOf(state) + 1;
  if (kind === "rebalance" && refusals >= mostRefusals) return { kind: "kept", why };
  const to = state.kind === "planned" ? { to: state.to } : {};
  const until = now + Math.min(longestRefusalMs, firstRefusalMs * 2 ** Math.min(refusals - 1, 10));
  return { kind: "blocked", why, ...to, until, refusals };
}

function refusalsOf(state: ItemState): number {
  return "refusals" in state ? (state.refusals ?? 0) : 0;
}

/** The first few, and how many more. */
function namesOf(names: readonly string[]): string {
  const more = names.length - 3;
  return `${names.slice(0, 3).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
