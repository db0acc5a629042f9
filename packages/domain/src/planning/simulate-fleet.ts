import {
  aboveMax,
  type BlastRadius,
  type FailoverHeadroom,
  failoverOf,
  type SimulatedMonth,
  type SimulatedStamps,
  tallyOf,
} from "./fleet-tally.ts";
import { type SimulatedFleet, simulatedFleet } from "./simulated-fleet.ts";
import { drawTenants } from "./simulated-tenants.ts";
import { checkSimulation, exactTenants, type SimulationInput, tenantsAt } from "./simulation-input.ts";
import { toCents } from "./stamp-cost.ts";

/** How a simulation was reckoned that is too big to do tenant by tenant. */
export interface Sampling {
  readonly samples: number;
  readonly tenantsPerSample: number;
  /** A sample stands for so many of its kind. */
  readonly factor: number;
  /** The count of stamps is within this share of what is said, in 95 of 100 cases. */
  readonly error: number;
}

export interface FleetSimulation {
  readonly seed: number;
  readonly units: readonly string[];
  /** Every month, from today on. */
  readonly months: readonly SimulatedMonth[];
  /** At the end. */
  readonly failover: readonly FailoverHeadroom[];
  /** Tenants that no stamp holds; each was given one of its own, which is over its limits. */
  readonly tooBig: { readonly tenants: number; readonly biggest: { readonly unit: string; readonly share: number } };
  /** Pools that need more stamps than they may have, from this month on. */
  readonly aboveMax: readonly {
    readonly pool: string;
    readonly max: number;
    readonly month: number;
    readonly stamps: number;
  }[];
  readonly currency?: string;
  /** Over all months but today's. */
  readonly totalCost?: number;
  readonly sampled?: Sampling;
  /** What was taken for granted. */
  readonly assumptions: readonly string[];
}

const samples = 5;
/** Student's t for 95% of both sides and 4 degrees of freedom. */
const tFor95 = 2.776;

/**
 * How many stamps these tenants would need, month by month, what that costs, and what the loss of one stamp takes with
 * it. Places tenants one after another by the pools' own rules and never moves one. Up to a million tenants each one
 * counts; above that, samples stand for the rest and the answer says how far off it may be.
 *
 * @throws StampyardError INVALID_REQUEST
 */
export function simulateFleet(input: SimulationInput): FleetSimulation {
  checkSimulation(input);
  const seed = input.seed ?? 1;
  const units = [...new Set(["tenants", ...input.pools.flatMap((pool) => Object.keys(pool.capacity))])].sort();
  const last = tenantsAt(input, input.months ?? 12);
  if (last <= exactTenants) {
    const { fleet, months } = grow(input, units, seed, 1);
    const biggest = { unit: fleet.biggest.unit, share: fleet.biggest.share };
    return finished(input, units, months, failoverOf(fleet, 1), { tenants: fleet.tooBig, biggest }, undefined);
  }
  const tenantsPerSample = exactTenants / samples;
  const factor = last / tenantsPerSample;
  const runs = Array.from({ length: samples }, (_, n) => grow(input, units, seed + n * 0x1_0000_0001, factor));
  const [first] = runs;
  if (first === undefined) throw new RangeError("A simulation has at least one sample");
  const stamps = runs.map((run) => run.months.at(-1)?.stamps ?? 0);
  const sampling = { samples, tenantsPerSample, factor, error: samplingError(stamps, first.fleet, factor) };
  const tooBig = runs.reduce((sum, run) => sum + run.fleet.tooBig, 0) / samples;
  const biggest = runs.map((run) => run.fleet.biggest).reduce((a, b) => (a.share >= b.share ? a : b));
  const months = first.months.map((_, month) => meanMonth(runs.map((run) => run.months[month])));
  const trouble = { tenants: Math.round(tooBig * factor), biggest };
  return finished(input, units, months, failoverOf(first.fleet, factor), trouble, sampling);
}

function grow(
  input: SimulationInput,
  units: readonly string[],
  seed: number,
  factor: number,
): { fleet: SimulatedFleet; months: SimulatedMonth[] } {
  const lastMonth = input.months ?? 12;
  const at = (month: number) => Math.round(tenantsAt(input, month) / factor);
  const tenants = drawTenants(input, units, at(lastMonth), seed);
  const fleet = simulatedFleet(input, units, tenants, factor !== 1);
  const months: SimulatedMonth[] = [];
  let there = 0;
  for (let month = 0; month <= lastMonth; month++) {
    for (const until = at(month); there < until; there++) fleet.add(there);
    months.push(tallyOf(fleet, input, month, factor));
  }
  return { fleet, months };
}

/** Spread of the samples, and up to half a stamp per pool and region that a sample has begun and not filled. */
function samplingError(stamps: readonly number[], fleet: SimulatedFleet, factor: number): number {
  const mean = stamps.reduce((sum, count) => sum + count, 0) / stamps.length;
  if (mean === 0) return 0;
  const squares = stamps.reduce((sum, count) => sum + (count - mean) ** 2, 0) / (stamps.length - 1);
  const spread = (tFor95 * Math.sqrt(squares / stamps.length)) / mean;
  const begun = fleet.places.filter((place) => place.bins.count > 0).length;
  return spread + (begun * factor) / 2 / mean;
}

function meanMonth(rows: readonly (SimulatedMonth | undefined)[]): SimulatedMonth {
  const months = rows.filter((row) => row !== undefined);
  const [first] = months;
  if (first === undefined) throw new RangeError("A month has at least one sample");
  const mean = (of: (month: SimulatedMonth) => number) =>
    months.reduce((sum, month) => sum + of(month), 0) / months.length;
  const pools = first.pools.map((row, index): SimulatedStamps => {
    const over = (of: (row: SimulatedStamps) => number) => mean((month) => of(month.pools[index] ?? row));
    const used = Object.fromEntries(Object.keys(row.used).map((unit) => [unit, over((one) => one.used[unit] ?? 0)]));
    const counts = { stamps: Math.round(over((one) => one.stamps)), own: Math.round(over((one) => one.own)) };
    return {
      ...row,
      ...counts,
      used,
      ...(row.cost === undefined ? {} : { cost: toCents(over((one) => one.cost ?? 0)) }),
    };
  });
  const blastRadius: BlastRadius = {
    worstTenants: mean((month) => month.blastRadius.worstTenants),
    worstLoad: {
      unit: first.blastRadius.worstLoad.unit,
      share: mean((month) => month.blastRadius.worstLoad.share),
    },
    averageTenants: mean((month) => month.blastRadius.averageTenants),
  };
  return {
    ...first,
    tenants: Math.round(mean((month) => month.tenants)),
    stamps: pools.reduce((sum, row) => sum + row.stamps, 0),
    pools,
    fullest: { ...first.fullest, share: mean((month) => month.fullest.share) },
    blastRadius,
    ...(first.cost === undefined ? {} : { cost: toCents(mean((month) => month.cost ?? 0)) }),
  };
}

function finished(
  input: SimulationInput,
  units: readonly string[],
  months: readonly SimulatedMonth[],
  failover: readonly FailoverHeadroom[],
  tooBig: FleetSimulation["tooBig"],
  sampled: Sampling | undefined,
): FleetSimulation {
  const total = toCents(months.slice(1).reduce((sum, month) => sum + (month.cost ?? 0), 0));
  return {
    seed: input.seed ?? 1,
    units,
    months,
    failover,
    tooBig,
    aboveMax: aboveMax(months, input.pools),
    ...(input.prices === undefined ? {} : { currency: input.prices.currency, totalCost: total }),
    ...(sampled === undefined ? {} : { sampled }),
    assumptions: assumptionsOf(input, units, sampled),
  };
}

function assumptionsOf(input: SimulationInput, units: readonly string[], sampled: Sampling | undefined): string[] {
  const said = ["Tenants keep the stamp they were placed on, and do not grow themselves"];
  const drawn = units.filter((unit) => input.sizes[unit] !== undefined && input.sizes[unit]?.kind !== "fixed");
  if (drawn.length > 1) {
    said.push(`Who is big in one unit is big in the others, with a correlation of ${input.correlation ?? 0.7}`);
  }
  const unsized = units.filter((unit) => unit !== "tenants" && input.sizes[unit] === undefined);
  if (unsized.length > 0) said.push(`Nobody takes any ${unsized.join(", ")}: no distribution names it`);
  if (sampled !== undefined) {
    said.push("The biggest tenants of the whole fleet may be bigger than any in the samples");
  }
  if (input.prices !== undefined) said.push("A stamp costs the same from its first tenant to its last");
  return said;
}
