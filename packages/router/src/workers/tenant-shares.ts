import type { TenantDemand } from "../tenant-parts.ts";

/**
 * Which part of a tenant's rate each worker may give (decision D17). Equal parts cost a tenant whose connections all lie
 * on one of N workers all but 1/N of its rate, so the parts follow demand, from beat to beat. Pure: the parent calls it,
 * the workers are told.
 */

export interface TenantShares {
  /** A worker's word of one beat. */
  note(place: number, demand: readonly TenantDemand[]): void;
  /** Works out the parts anew. @returns places whose parts changed, to be told */
  turn(): readonly number[];
  /** Parts of a place by tenant; of all other tenants it has one of N equal parts. */
  of(place: number): ReadonlyMap<string, number>;
}

interface Tracked {
  /** What each place was told last. */
  readonly told: number[];
  /** Requests per turn, smoothed. */
  readonly demand: number[];
  /** Turns since it was first refused something, and since it was last. */
  age: number;
  quiet: number;
}

/** A place without demand keeps this part of its equal part, so that its first requests pass while the parts follow. */
const keptPart = 0.1;
/** Tenants beyond these keep equal parts. */
const mostTracked = 256;
/** After so many turns without a refusal the parts become equal again. */
const quietTurns = 40;
/** By then every place has said what it sees of a tenant that another place told of first. */
const turnsToHear = 2;
const tooSmall = 0.01;
const rounding = 1e-9;

/**
 * The sum of a tenant's parts is at most one at every moment, even where a worker reads what it is told a whole turn
 * late: a part grows only by what others gave back a turn before.
 */
export function createTenantShares(places: number): TenantShares {
  const tracked = new Map<string, Tracked>();
  const equal = 1 / places;
  const each = <T>(of: (place: number) => T) => Array.from({ length: places }, (_, place) => of(place));

  function wanted({ demand, quiet, age }: Tracked): number[] {
    const sum = demand.reduce((total, one) => total + one, 0);
    if (quiet > quietTurns || age <= turnsToHear || sum === 0) return each(() => equal);
    const kept = equal * keptPart;
    return demand.map((one) => kept + (1 - kept * places) * (one / sum));
  }

  function move(one: Tracked): number[] {
    const want = wanted(one);
    const next = each((place) => Math.min(one.told[place] ?? equal, want[place] ?? equal));
    // Who gives something back may use it until he reads that.
    const held = next.reduce((sum, part, place) => sum + Math.max(part, one.told[place] ?? 0), 0);
    let free = Math.max(0, 1 - held);
    for (const [place, goal] of want.entries()) {
      const add = Math.min(free, goal - (next[place] ?? 0));
      if (add <= 0) continue;
      next[place] = (next[place] ?? 0) + add;
      free -= add;
    }
    return next;
  }

  return {
    note(place, demand) {
      for (const { tenant, asked, refused } of demand) {
        let one = tracked.get(tenant);
        if (one === undefined) {
          if (refused === 0 || tracked.size >= mostTracked) continue;
          one = { told: each(() => equal), demand: each(() => 0), age: 0, quiet: 0 };
          tracked.set(tenant, one);
        }
        one.demand[place] = ((one.demand[place] ?? 0) + asked) / 2;
        if (refused > 0) one.quiet = 0;
      }
    },
    turn() {
      const changed = new Set<number>();
      for (const [tenant, one] of tracked) {
        one.age += 1;
        one.quiet += 1;
        const next = move(one);
        const calm = one.quiet > quietTurns;
        for (const [place, part] of next.entries()) {
          const old = one.told[place] ?? equal;
          // Decreases are told however small: what others get is counted on them.
          const matters = part < old || part - old >= tooSmall || (calm && part > old);
          if (matters) one.told[place] = part;
          // The first time, so that they say what they see.
          if (matters || one.age === 1) changed.add(place);
        }
        if (!calm || one.told.some((part) => Math.abs(part - equal) > rounding)) continue;
        tracked.delete(tenant);
        for (let place = 0; place < places; place++) changed.add(place);
      }
      return [...changed];
    },
    of(place) {
      return new Map([...tracked].map(([tenant, { told }]) => [tenant, told[place] ?? equal]));
    },
  };
}
