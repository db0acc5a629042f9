import { type SimulatedPool, type SimulationInput, poolOf, tiersOf } from "./simulation-input.ts";
import { cumulative, indexIn, type SimulatedTenants } from "./simulated-tenants.ts";
import { type StampBins, stampBins } from "./stamp-bins.ts";

/** Stamps of a pool in one region: shared ones, and those that one tenant has for itself. */
export interface SimulatedPlace {
  readonly pool: SimulatedPool;
  readonly region: string;
  /** What a stamp may be filled to, by unit; 0 = the pool does not limit it. */
  readonly limits: Float64Array;
  readonly bins: StampBins;
  own: number;
  /** Largest amount of each unit on a stamp of its own. */
  readonly ownLargest: Float64Array;
}

/** A fleet that is being filled. */
export interface SimulatedFleet {
  readonly units: readonly string[];
  readonly places: readonly SimulatedPlace[];
  tenants: number;
  /** Everything that tenants take, by unit. */
  readonly totals: Float64Array;
  /** Tenants that are bigger than a stamp, and the biggest of them as a share of its tightest unit. */
  tooBig: number;
  biggest: { unit: string; share: number };
  add(tenant: number): void;
}

/** An empty fleet that places these tenants; they keep the place they got, as real ones do. */
export function simulatedFleet(
  input: SimulationInput,
  units: readonly string[],
  tenants: SimulatedTenants,
  isSample: boolean,
): SimulatedFleet {
  const width = units.length;
  const tiers = tiersOf(input);
  const byPool = input.pools.map((pool) => placesOf(pool, units, input, isSample));
  const choice = (tier: string, tenancy: SimulatedPool["tenancy"]) => {
    const pool = poolOf(input.pools, tier, tenancy);
    return pool === undefined ? undefined : byPool[input.pools.indexOf(pool)];
  };
  const shared = tiers.map((tier) => choice(tier.name, "shared"));
  const dedicated = tiers.map((tier) => choice(tier.name, "dedicated"));
  const isOwn = ownStamps(input, units, tenants, shared);
  const weight = new Float64Array(width);
  const fleet: SimulatedFleet = {
    units,
    places: byPool.flatMap((pool) => pool.places),
    tenants: 0,
    totals: new Float64Array(width),
    tooBig: 0,
    biggest: { unit: "tenants", share: 0 },
    add(tenant) {
      const tier = tenants.tier[tenant] ?? 0;
      const alone = isOwn(tenant);
      const home = alone ? dedicated[tier] : shared[tier];
      const place = home?.places[indexIn(home.upTo, tenants.region[tenant] ?? 0)];
      if (place === undefined) return;
      fleet.tenants += 1;
      let heaviest = 0;
      for (let unit = 0; unit < width; unit++) {
        const size = tenants.sizes[tenant * width + unit] ?? 0;
        fleet.totals[unit] = (fleet.totals[unit] ?? 0) + size;
        const limit = place.limits[unit] ?? 0;
        const share = limit > 0 ? size / limit : 0;
        weight[unit] = share;
        if (share > heaviest) heaviest = share;
        if (share > fleet.biggest.share) fleet.biggest = { unit: units[unit] ?? "tenants", share };
      }
      if (heaviest > 1) fleet.tooBig += 1;
      if (alone || heaviest > 1) putAlone(place, tenants.sizes, tenant * width, width);
      else putTogether(place, weight, isSample);
    },
  };
  return fleet;
}

interface PoolPlaces {
  readonly places: readonly SimulatedPlace[];
  /** Share of its tenants up to and with each region. */
  readonly upTo: Float64Array;
}

function placesOf(
  pool: SimulatedPool,
  units: readonly string[],
  input: SimulationInput,
  isSample: boolean,
): PoolPlaces {
  const high = pool.high ?? 1;
  const limits = Float64Array.from(units, (unit) => (pool.capacity[unit] ?? 0) * high);
  const places = pool.regions.map((region) => ({
    pool,
    region,
    limits,
    bins: stampBins(units.length, pool.strategy ?? "spread"),
    own: 0,
    ownLargest: new Float64Array(units.length),
  }));
  // A sample is a part of a fleet whose minimum is long passed.
  const atLeast = isSample || pool.tenancy === "dedicated" ? 0 : (pool.stamps?.min ?? 0);
  for (let stamp = 0; stamp < atLeast; stamp++) places[stamp % places.length]?.bins.open();
  return { places, upTo: cumulative(pool.regions.map((region) => input.regions?.[region] ?? (input.regions ? 0 : 1))) };
}

function putAlone(place: SimulatedPlace, sizes: Float64Array, at: number, width: number): void {
  place.own += 1;
  for (let unit = 0; unit < width; unit++) {
    place.ownLargest[unit] = Math.max(place.ownLargest[unit] ?? 0, sizes[at + unit] ?? 0);
  }
}

function putTogether(place: SimulatedPlace, weight: Float64Array, isSample: boolean): void {
  while (wantsAnother(place, weight, isSample)) place.bins.open();
  if (place.bins.place(weight) >= 0) return;
  place.bins.open();
  place.bins.place(weight);
}

/** Whether the pool builds one more before this tenant comes: its watermark, its headroom, and a stamp to lose. */
function wantsAnother({ pool, bins }: SimulatedPlace, weight: Float64Array, isSample: boolean): boolean {
  const most = Math.min(pool.low ?? 0.8, 1 - (pool.headroom ?? 0));
  // One stamp to lose is one per region, and not one per region of every sample: added when samples are scaled up.
  const toLose = pool.failover === "one" && !isSample ? 1 : 0;
  for (let unit = 0; unit < bins.units; unit++) {
    const total = bins.totalOf(unit) + (weight[unit] ?? 0);
    if (total > most * bins.count + 1e-9 && bins.count > 0) return true;
    if (total > bins.count - toLose + 1e-9) return true;
  }
  return false;
}

/** Who gets a stamp alone: whole tiers, and the biggest share of all tenants by their tightest unit. */
function ownStamps(
  input: SimulationInput,
  units: readonly string[],
  tenants: SimulatedTenants,
  shared: readonly (PoolPlaces | undefined)[],
): (tenant: number) => boolean {
  const byTier = tiersOf(input).map((tier) => tier.dedicated === true);
  const share = input.dedicatedShare ?? 0;
  if (share <= 0) return (tenant) => byTier[tenants.tier[tenant] ?? 0] === true;
  const width = units.length;
  const limits = shared.find((pool) => pool !== undefined)?.places[0]?.limits ?? new Float64Array(width);
  const bigness = new Float64Array(tenants.count);
  for (let tenant = 0; tenant < tenants.count; tenant++) {
    for (let unit = 0; unit < width; unit++) {
      const limit = limits[unit] ?? 0;
      const of = limit > 0 ? (tenants.sizes[tenant * width + unit] ?? 0) / limit : 0;
      if (of > (bigness[tenant] ?? 0)) bigness[tenant] = of;
    }
  }
  const wanted = Math.round(tenants.count * share);
  if (wanted === 0) return (tenant) => byTier[tenants.tier[tenant] ?? 0] === true;
  const least = bigness.toSorted()[tenants.count - wanted] ?? 0;
  // Of equals the first ones: a threshold alone would give every tenant a stamp where all are alike.
  const above = bigness.reduce((count, value) => count + (value > least ? 1 : 0), 0);
  const equals = equalsTaken(bigness, least, wanted - above);
  return (tenant) => byTier[tenants.tier[tenant] ?? 0] === true || (bigness[tenant] ?? 0) > least || equals.has(tenant);
}

function equalsTaken(bigness: Float64Array, least: number, count: number): ReadonlySet<number> {
  const taken = new Set<number>();
  for (let tenant = 0; tenant < bigness.length && taken.size < count; tenant++) {
    if (bigness[tenant] === least) taken.add(tenant);
  }
  return taken;
}
