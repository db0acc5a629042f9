import type { SeededRandom } from "@stampyard/testing";
import { addUnits, type UnitVector } from "../capacity.ts";
import { type MovePhase, movingPhases, mostSwitches } from "../move/move.ts";
import type { PlacementCandidate, PlacementRequest, PlacementSettings } from "../placement/candidate.ts";
import { filterOf } from "../placement/filters.ts";
import type { StampGoal } from "../stamp.ts";
import type { CampaignMove, CampaignTenant, CampaignWorld } from "./campaign-world.ts";

/** Stamps, tenants and moves of a simulated fleet: what the store and the movers would do with a campaign's wishes. */

export interface SimulatedTenant {
  readonly key: string;
  readonly weight: UnitVector;
  readonly residency: readonly string[];
  stamp: string;
  goal: "present" | "suspended" | "absent";
}

export interface SimulatedStamp {
  readonly name: string;
  readonly region: string;
  readonly limits: UnitVector;
  goal: StampGoal;
}

export interface SimulatedMove {
  readonly id: string;
  readonly tenant: string;
  readonly from: string;
  readonly to: string;
  readonly campaign: string | undefined;
  readonly startedAt: number;
  readonly maxPauseMs: number;
  readonly wayBackMs: number;
  phase: MovePhase;
  changedAt: number;
  restsUntil: number;
  switches: { at: number; ms: number }[];
  cause?: string;
}

const dayMs = 86_400_000;

interface Book {
  readonly stamps: SimulatedStamp[];
  readonly tenants: Map<string, SimulatedTenant>;
  readonly moves: SimulatedMove[];
  readonly high: number;
  readonly settings: PlacementSettings;
  now: number;
}

export function createSimulatedFleet(high = 1, strategy: "spread" | "pack" = "spread") {
  const book: Book = {
    stamps: [],
    tenants: new Map(),
    moves: [],
    high,
    settings: { strategy },
    now: 1_750_000_000_000,
  };
  const { stamps, tenants, moves } = book;
  const seenOf = (all: readonly SimulatedTenant[]) => all.map((tenant) => tenantOf(book, tenant));
  return {
    stamps,
    tenants,
    moves,
    usedOf: (stamp: string) => usedOf(book, stamp),
    now: () => book.now,
    pass(ms: number) {
      book.now += ms;
    },
    addStamp(name: string, region: string, limits: UnitVector): void {
      stamps.push({ name, region, limits, goal: "present" });
    },
    /** Puts it there, whether there is room or not. */
    addTenant(key: string, stamp: string, weight: UnitVector = {}, residency: readonly string[] = []): void {
      tenants.set(key, { key, stamp, weight, residency, goal: "present" });
    },
    tenantsOf: (stamp: string) => seenOf([...tenants.values()].filter((tenant) => tenant.stamp === stamp)),
    allTenants: () => seenOf([...tenants.values()]),
    world: (seen: readonly CampaignTenant[], stamp?: string) => worldOf(book, seen, stamp),
    request: (key: string, to: string, campaign: string, limits: { maxPauseMs: number; wayBackMs: number }) =>
      request(book, key, to, campaign, limits),
    abort(id: string): void {
      const move = moves.find((each) => each.id === id);
      if (move !== undefined && ["requested", "checking", "copying", "switching"].includes(move.phase)) {
        end(book, move, "aborted", "it was asked for");
      }
    },
    finish(id: string): void {
      const move = moves.find((each) => each.id === id);
      if (move?.phase === "resting") end(book, move, "done");
    },
    /** One step of every move; `fails` = how likely a switch, or the whole move, fails. */
    step(random: SeededRandom, fails: number): void {
      for (const move of moves) advance(book, move, random, fails);
    },
  };
}

function weightOf({ tenants }: Book, key: string): UnitVector {
  return { tenants: 1, ...tenants.get(key)?.weight };
}

function usedOf(book: Book, stamp: string): UnitVector {
  let used: UnitVector = {};
  for (const { key, stamp: home } of book.tenants.values()) {
    if (home === stamp) used = addUnits(used, weightOf(book, key));
  }
  for (const { tenant, phase, from, to } of book.moves) {
    const isIncoming = movingPhases.includes(phase) && to === stamp && book.tenants.get(tenant)?.stamp !== stamp;
    const isKept = phase === "resting" && from === stamp;
    if (book.tenants.has(tenant) && (isIncoming || isKept)) used = addUnits(used, weightOf(book, tenant));
  }
  return used;
}

function candidatesOf(book: Book): readonly PlacementCandidate[] {
  return book.stamps.map(({ name, region, limits, goal }) => ({
    name,
    pool: "main",
    region,
    phase: goal === "present" ? "active" : goal === "cordoned" ? "cordoned" : "draining",
    limits,
    used: usedOf(book, name),
    usedBasis: "reserved",
    high: book.high,
    tenancy: "shared",
  }));
}

function requestOf({ key, weight, residency }: SimulatedTenant): PlacementRequest {
  return { key, pool: "main", tenancy: "shared", tier: "standard", residency, weight };
}

function isMoving({ moves }: Book, key: string): boolean {
  return moves.some((move) => move.tenant === key && movingPhases.includes(move.phase));
}

function tenantOf(book: Book, tenant: SimulatedTenant): CampaignTenant {
  const { key, stamp, goal } = tenant;
  const phase = isMoving(book, key) ? "moving" : goal === "suspended" ? "suspended" : "active";
  return { key, stamp, goal, phase, request: requestOf(tenant) };
}

function moveOf({ now }: Book, move: SimulatedMove): CampaignMove {
  const { campaign, restsUntil, cause, switches, maxPauseMs: _, wayBackMs: __, ...rest } = move;
  return {
    ...rest,
    pausedMs: switches.filter(({ at }) => at > now - dayMs).reduce((sum, { ms }) => sum + ms, 0),
    ...(campaign === undefined ? {} : { campaign }),
    ...(move.phase === "resting" ? { restsUntil } : {}),
    ...(cause === undefined ? {} : { cause }),
  };
}

function worldOf(book: Book, tenants: readonly CampaignTenant[], stamp: string | undefined): CampaignWorld {
  const atWork = new Map<string, number>();
  for (const move of book.moves.filter(({ phase }) => movingPhases.includes(phase))) {
    for (const name of [move.from, move.to]) atWork.set(name, (atWork.get(name) ?? 0) + 1);
  }
  const found = book.stamps.find(({ name }) => name === stamp);
  const isSeen = ({ phase, changedAt }: SimulatedMove) => {
    return !["done", "aborted", "returned"].includes(phase) || changedAt > book.now - dayMs;
  };
  return {
    ...(found === undefined ? {} : { stamp: { goal: found.goal } }),
    tenants,
    candidates: candidatesOf(book),
    settingsOf: () => book.settings,
    moves: book.moves.filter(isSeen).map((move) => moveOf(book, move)),
    atWork,
  };
}

/** As the store would: refuses what does not fit, or cannot move now. */
function request(
  book: Book,
  key: string,
  to: string,
  campaign: string,
  limits: { readonly maxPauseMs: number; readonly wayBackMs: number },
): "begun" | "refused" {
  const { moves, now, settings } = book;
  const tenant = book.tenants.get(key);
  const target = candidatesOf(book).find(({ name }) => name === to);
  if (tenant === undefined || target === undefined || tenant.goal !== "present" || isMoving(book, key)) {
    return "refused";
  }
  if (moves.some((move) => move.tenant === key && move.phase === "resting")) return "refused";
  if (filterOf(requestOf(tenant), target, settings) !== undefined) return "refused";
  const id = `mv-${moves.length + 1}`;
  const fixed = { id, tenant: key, from: tenant.stamp, to, campaign, startedAt: now, changedAt: now, restsUntil: 0 };
  moves.push({ ...fixed, ...limits, phase: "requested", switches: [] });
  return "begun";
}

function end({ now }: Book, move: SimulatedMove, phase: "aborted" | "done", cause?: string): void {
  move.phase = phase;
  move.changedAt = now;
  if (cause !== undefined) move.cause = cause;
}

function advance(book: Book, move: SimulatedMove, random: SeededRandom, fails: number): void {
  const { phase } = move;
  const { now } = book;
  const tenant = book.tenants.get(move.tenant);
  if (phase === "resting" && (tenant === undefined || now >= move.restsUntil)) end(book, move, "done");
  if (!movingPhases.includes(phase) || random.chance(0.3)) return;
  if (phase === "opening") {
    if (tenant !== undefined) tenant.stamp = move.to;
    [move.phase, move.changedAt, move.restsUntil] = ["resting", now, now + move.wayBackMs];
  } else if (tenant === undefined || tenant.goal !== "present") {
    end(book, move, "aborted", "the tenant is to be suspended or deleted");
  } else if (phase !== "switching") {
    if (random.chance(fails / 3)) end(book, move, "aborted", "its target went away");
    else move.phase = phase === "requested" ? "checking" : phase === "checking" ? "copying" : "switching";
  } else {
    move.switches.push({ at: now, ms: random.int(1, move.maxPauseMs) });
    if (!random.chance(fails)) move.phase = "opening";
    else if (move.switches.length >= mostSwitches) end(book, move, "aborted", "it could not be switched");
  }
}

export type SimulatedFleet = ReturnType<typeof createSimulatedFleet>;

/** Of the last 24 hours, at any time in the past. */
export function pausedWithinDay(fleet: SimulatedFleet, tenant: string, at: number): { ms: number; tries: number } {
  const own = fleet.moves.filter((move) => move.tenant === tenant);
  const switches = own.flatMap((move) => move.switches).filter((each) => each.at > at - dayMs && each.at <= at);
  return {
    ms: switches.reduce((sum, { ms }) => sum + ms, 0),
    tries: own.filter(({ startedAt }) => startedAt > at - dayMs && startedAt <= at).length,
  };
}
