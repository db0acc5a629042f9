import { levelLists, levels } from "./level-lists.ts";

/** Stamps of one pool in one region, while tenants are put on them. Loads are shares of what a stamp may be filled to. */
export interface StampBins {
  readonly units: number;
  readonly count: number;
  open(): void;
  /** Puts a tenant on a stamp that has room for it in every unit. @returns the stamp, or -1 when none was found */
  place(weight: Float64Array): number;
  loadOf(stamp: number, unit: number): number;
  tenantsOf(stamp: number): number;
  /** Sum over all stamps; 1 is one full stamp. */
  totalOf(unit: number): number;
}

/** A stamp that is tight in one unit may have room in another; so many of those are looked at before giving up. */
const closeLooks = 16;
const slack = 1e-9;

/** `pack` takes the tightest stamp that has room, `spread` the emptiest, each to within a thousandth of a stamp. */
export function stampBins(units: number, strategy: "spread" | "pack"): StampBins {
  let count = 0;
  let loads = new Float64Array(64 * units);
  let tenants = new Int32Array(64);
  const totals = new Float64Array(units);
  const lists = levelLists();

  function fits(stamp: number, weight: Float64Array): boolean {
    for (let unit = 0; unit < units; unit++) {
      if ((loads[stamp * units + unit] ?? 0) + (weight[unit] ?? 0) > 1 + slack) return false;
    }
    return true;
  }

  function take(stamp: number, weight: Float64Array): number {
    let tightest = 0;
    for (let unit = 0; unit < units; unit++) {
      const load = (loads[stamp * units + unit] ?? 0) + (weight[unit] ?? 0);
      loads[stamp * units + unit] = load;
      totals[unit] = (totals[unit] ?? 0) + (weight[unit] ?? 0);
      if (load > tightest) tightest = load;
    }
    tenants[stamp] = (tenants[stamp] ?? 0) + 1;
    lists.move(stamp, Math.min(levels - 1, Math.floor(tightest * levels)));
    return stamp;
  }

  /** The first stamp with room from this level upwards, among a bounded number. */
  function firstFrom(from: number, weight: Float64Array): number {
    let looks = closeLooks;
    for (let level = lists.lowestFrom(from); level >= 0; level = lists.lowestFrom(level + 1)) {
      for (let stamp = lists.first(level); stamp >= 0; stamp = lists.next(stamp)) {
        if (fits(stamp, weight)) return stamp;
        if (--looks === 0) return -1;
      }
    }
    return -1;
  }

  function find(weight: Float64Array): number {
    if (strategy === "spread") return firstFrom(0, weight);
    let heaviest = 0;
    for (let unit = 0; unit < units; unit++) heaviest = Math.max(heaviest, weight[unit] ?? 0);
    // Up to this level whoever stands there has room, whatever its units look like.
    const sure = Math.floor((1 - heaviest) * levels) - 1;
    const tight = firstFrom(Math.max(0, sure + 1), weight);
    if (tight >= 0) return tight;
    const level = lists.highestUpTo(sure);
    return level < 0 ? -1 : lists.first(level);
  }

  return {
    units,
    get count() {
      return count;
    },
    open() {
      if (count === tenants.length) {
        const size = count * 2;
        loads = copied(loads, new Float64Array(size * units));
        tenants = copied(tenants, new Int32Array(size));
      }
      lists.add(0);
      count += 1;
    },
    place(weight) {
      const stamp = find(weight);
      return stamp < 0 ? -1 : take(stamp, weight);
    },
    loadOf: (stamp, unit) => loads[stamp * units + unit] ?? 0,
    tenantsOf: (stamp) => tenants[stamp] ?? 0,
    totalOf: (unit) => totals[unit] ?? 0,
  };
}

function copied<A extends Float64Array | Int32Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
