import {
  addUnits,
  type Capacity,
  type Fleet,
  highMark,
  type PlacementCandidate,
  type PlacementOverride,
  type PlacementSettings,
  placementSettings,
  placementTrouble,
  roomToGrow,
  type Pool,
  type StampLoad,
  type StampObservation,
  type UnitVector,
  unitsOf,
  usedCapacity,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { type FleetFacts, phaseByGoal, readFleetFacts, readStampFacts, type StampFacts } from "./fleet-sight.ts";
import type { StoreEvent } from "./records.ts";

/**
 * The fleet as this process last saw it, for placements that must not read two thousand stamps each. It may be behind:
 * what it proposes is guarded in the database, and `full` is never answered from here alone.
 */
export interface FleetView {
  /** Brings what is known to have changed up to date; `exact` reads everything again, by `tx`. */
  look(tx: Queryable, options?: { readonly exact?: boolean }): Promise<FleetSight>;
  /** What this process wrote. */
  note(event: StoreEvent): void;
  observed(observation: StampObservation): void;
  /** These stamps are other than they were, or than was booked. */
  touch(stamps: Iterable<string>): void;
  /** So is what holds for all of them. */
  touchFleet(): void;
  /** A place was taken, as the next decision must see; `touch` takes it back. */
  book(stamp: string, taken: Taken): void;
}

interface Taken {
  readonly key: string;
  readonly weight: UnitVector;
  readonly isBig: boolean;
}

export interface FleetSight {
  readonly fleet: Fleet | undefined;
  /** Of fleet and stamps, by name. */
  readonly pools: readonly string[];
  readonly overrides: ReadonlyMap<string, PlacementOverride>;
  pool(name: string): Pool | undefined;
  /** By name. */
  candidates(pool: string): readonly PlacementCandidate[];
  candidate(stamp: string): PlacementCandidate | undefined;
  settings(pool: string): PlacementSettings;
}

/** A lost event costs this long, and a wrong guess meanwhile a second attempt. */
const refreshMs = 10_000;

interface State {
  readonly stamps: Map<string, { readonly facts: StampFacts; readonly candidate: PlacementCandidate }>;
  /** By name; a list is made when it is first asked for. */
  readonly byPool: Map<string, PlacementCandidate[]>;
  /** Their names; made again with the lists. */
  pools: readonly string[] | undefined;
  readonly touched: Set<string>;
  facts: FleetFacts | undefined;
  isFleetTouched: boolean;
  readAt: number;
}

export function createFleetView(now: () => number): FleetView {
  const state: State = {
    stamps: new Map(),
    byPool: new Map(),
    pools: undefined,
    touched: new Set(),
    facts: undefined,
    isFleetTouched: true,
    readAt: Number.NEGATIVE_INFINITY,
  };
  const sight = sightOf(state, now);
  return {
    async look(tx, options = {}) {
      const isOld = state.isFleetTouched || now() - state.readAt > refreshMs;
      if (options.exact === true || isOld) await readAll(state, tx, now);
      else if (state.touched.size > 0) await readTouched(state, tx, now);
      return sight;
    },
    note(event) {
      if (event.kind === "fleet" || event.kind === "mode") state.isFleetTouched = true;
      if (event.kind === "stamp") state.touched.add(event.stamp);
      if (event.kind === "tenant" && event.phase === "gone" && event.stamp !== undefined) {
        state.touched.add(event.stamp);
      }
    },
    observed(observation) {
      const seen = state.stamps.get(observation.stamp);
      const trouble = placementTrouble(observation);
      if (seen !== undefined && seen.facts.trouble !== trouble) put(state, { ...seen.facts, trouble }, now());
    },
    touch(names) {
      for (const name of names) state.touched.add(name);
    },
    touchFleet() {
      state.isFleetTouched = true;
    },
    book(stamp, taken) {
      const seen = state.stamps.get(stamp);
      if (seen === undefined) return;
      put(state, booked(seen.facts, taken, seen.candidate.tenancy), now());
      // Whether the stamp is now one for quarantined tenants only, its tenants say.
      if (state.facts?.overrides.get(taken.key)?.kind === "quarantine") state.isFleetTouched = true;
    },
  };
}

function booked(facts: StampFacts, { key, weight, isBig }: Taken, tenancy: PlacementCandidate["tenancy"]): StampFacts {
  const { use, reservedFor } = facts;
  const taken = { tenants: 1, ...weight };
  return {
    ...facts,
    use: {
      ...use,
      reserved: addUnits(use.reserved, taken),
      placed: addUnits(use.placed, taken),
      big: use.big + (isBig ? 1 : 0),
    },
    reservedFor: tenancy === "dedicated" ? (reservedFor ?? key) : reservedFor,
  };
}

function forgetLists(state: State): void {
  state.byPool.clear();
  state.pools = undefined;
}

function put(state: State, facts: StampFacts, now: number): void {
  const pool = poolOf(state.facts?.fleet, facts.pool);
  const candidate = candidateOf(facts, pool, state.facts?.quarantined.has(facts.name) ?? false, now);
  const seen = state.stamps.get(facts.name);
  state.stamps.set(facts.name, { facts, candidate });
  if (seen === undefined || seen.candidate.pool !== candidate.pool) {
    forgetLists(state);
    return;
  }
  const list = state.byPool.get(candidate.pool);
  const at = list === undefined ? -1 : indexByName(list, candidate.name);
  if (list !== undefined && at >= 0) list[at] = candidate;
}

async function readAll(state: State, tx: Queryable, now: () => number): Promise<void> {
  // Forgotten first: what changes while we read is touched again.
  state.touched.clear();
  state.isFleetTouched = false;
  const started = now();
  try {
    const facts = await readFleetFacts(tx);
    const found = await readStampFacts(tx);
    state.facts = facts;
    state.stamps.clear();
    forgetLists(state);
    for (const stamp of found) put(state, stamp, started);
    state.readAt = started;
  } catch (error) {
    state.isFleetTouched = true;
    throw error;
  }
}

async function readTouched(state: State, tx: Queryable, now: () => number): Promise<void> {
  const names = new Set(state.touched);
  state.touched.clear();
  try {
    for (const facts of await readStampFacts(tx, [...names])) {
      put(state, facts, now());
      names.delete(facts.name);
    }
    for (const name of names) if (state.stamps.delete(name)) forgetLists(state);
  } catch (error) {
    for (const name of names) state.touched.add(name);
    throw error;
  }
}

function sightOf(state: State, now: () => number): FleetSight {
  const poolNames = () => {
    const named = (state.facts?.fleet?.pools ?? []).map((pool) => pool.name);
    return [...new Set([...named, ...[...state.stamps.values()].map((seen) => seen.facts.pool)])].sort();
  };
  const candidates = (pool: string) => {
    const known = state.byPool.get(pool);
    if (known !== undefined) return known;
    const list = [...state.stamps.values()].map((seen) => seen.candidate).filter((each) => each.pool === pool);
    list.sort((a, b) => (a.name < b.name ? -1 : 1));
    state.byPool.set(pool, list);
    return list;
  };
  return {
    get fleet() {
      return state.facts?.fleet;
    },
    get pools() {
      state.pools ??= poolNames();
      return state.pools;
    },
    get overrides() {
      return inForce(state.facts?.overrides ?? new Map(), now());
    },
    pool: (name) => poolOf(state.facts?.fleet, name),
    candidates,
    candidate: (stamp) => state.stamps.get(stamp)?.candidate,
    settings(name) {
      const pool = poolOf(state.facts?.fleet, name);
      if (pool === undefined) return {};
      let present = 0;
      for (const { phase, adopted } of candidates(name)) {
        // What was adopted was there before: it does not count to what the pool may still get.
        if (phase !== "destroying" && phase !== "gone" && adopted !== true) present += 1;
      }
      return settingsOf(pool, present, state.facts?.capacity);
    },
  };
}

/** D19: the used capacity of a stamp is the larger of what is reserved and what was measured. */
export function candidateOf(
  facts: StampFacts,
  pool: Pool | undefined,
  isQuarantined: boolean,
  now: number,
): PlacementCandidate {
  const { name, region, origin, reservedFor, trouble, use } = facts;
  const tenancy = pool?.tenancy ?? "shared";
  const limits = unitsOf(facts.capacity);
  const { used, basis } = usedCapacity(loadOf(facts), now);
  return {
    name,
    pool: facts.pool,
    region,
    ...(pool?.channel === undefined ? {} : { channel: pool.channel }),
    phase: phaseByGoal(facts.goal, facts.phase),
    ...(trouble === undefined ? {} : { trouble }),
    // A dedicated stamp has one tenant, whatever its template could hold.
    limits: tenancy === "dedicated" ? { ...limits, tenants: Math.min(1, limits["tenants"] ?? 0) } : limits,
    used,
    usedBasis: basis,
    high: pool === undefined ? 1 : highMark(pool),
    ...(reservedFor === undefined ? {} : { reservedFor }),
    tenancy,
    bigTenants: use.big,
    ...(isQuarantined ? { quarantined: true } : {}),
    ...(origin === "adopted" ? { adopted: true } : {}),
  };
}

/** What weighs on a stamp, by source. The counters hold what moves take too: here it is told apart. */
export function loadOf({ use, load }: Pick<StampFacts, "use" | "load">): StampLoad {
  const { incoming, waysBack } = use;
  const reserved = without(without(use.reserved, incoming), waysBack);
  const booked = { reserved, incoming, waysBack };
  if (load === undefined) return booked;
  const { p95, windowStart, at, placedAtStart } = load;
  return { ...booked, observed: { p95, windowStart, at, placedSince: difference(use.placed, placedAtStart, p95) } };
}

function without(all: UnitVector, part: UnitVector): UnitVector {
  const units = Object.entries(part);
  if (units.length === 0) return all;
  return { ...all, ...Object.fromEntries(units.map(([unit, value]) => [unit, Math.max(0, (all[unit] ?? 0) - value)])) };
}

/** What came since, of the units that are measured. */
function difference(now: UnitVector, before: UnitVector, units: UnitVector): UnitVector {
  return Object.fromEntries(
    Object.keys(units).map((unit) => [unit, Math.max(0, (now[unit] ?? 0) - (before[unit] ?? 0))]),
  );
}

/** A pool grows by itself up to its maximum, unless its operator wants to be asked. */
function settingsOf(pool: Pool, present: number, declared: Capacity | undefined): PlacementSettings {
  const stampsLeft = pool.stamps.max - present;
  if (pool.automation?.scaleUp === "propose" || stampsLeft <= 0) return placementSettings(pool);
  const lowered =
    declared === undefined
      ? undefined
      : {
          tenants: Math.min(declared.tenants, pool.capacity?.tenants ?? declared.tenants),
          units: { ...declared.units, ...pool.capacity?.units },
        };
  return placementSettings(pool, roomToGrow(pool, present, lowered === undefined ? undefined : unitsOf(lowered)));
}

function poolOf(fleet: Fleet | undefined, name: string): Pool | undefined {
  return fleet?.pools.find((pool) => pool.name === name);
}

function inForce(overrides: ReadonlyMap<string, PlacementOverride>, now: number): typeof overrides {
  for (const { until } of overrides.values()) {
    if (until !== undefined && until <= now) {
      return new Map([...overrides].filter(([, each]) => each.until === undefined || each.until > now));
    }
  }
  return overrides;
}

/** Lists are by name, and long. */
function indexByName(list: readonly PlacementCandidate[], name: string): number {
  let low = 0;
  let high = list.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const other = list[middle]?.name ?? "";
    if (other === name) return middle;
    if (other < name) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
