import type { UnitVector } from "../capacity.ts";
import { StampyardError } from "../errors.ts";
import { type SizeDistribution, sizeOf } from "./size-distribution.ts";

/** A fleet that is not there: what tenants would take, and the rules by which stamps would be filled and built. */
export interface SimulationInput {
  /** The same seed gives the same answer. @default 1 */
  readonly seed?: number;
  /** Tenants today. */
  readonly tenants: number;
  /** How far to look. @default 12 */
  readonly months?: number;
  /** Share by which tenants grow every month: 0.05 is 5%. @default 0 */
  readonly growthPerMonth?: number;
  /** What a tenant takes of a unit. A unit without one is taken by nobody, but `tenants`: 1 each. */
  readonly sizes: Readonly<Record<string, SizeDistribution>>;
  /** 1: who is big in one unit is as big in all; 0: units know nothing of each other. @default 0.7 */
  readonly correlation?: number;
  /** @default one tier of all tenants */
  readonly tiers?: readonly SimulatedTier[];
  /** Where tenants are, as shares. @default the regions of the pools, alike */
  readonly regions?: Readonly<Record<string, number>>;
  readonly pools: readonly SimulatedPool[];
  /** Share of the tenants, the biggest first, that get a stamp of their own. @default 0 */
  readonly dedicatedShare?: number;
  /** Price of one stamp per month, by region; a region that is not there costs as much as `otherwise`. */
  readonly prices?: {
    readonly currency: string;
    readonly regions: Readonly<Record<string, number>>;
    readonly otherwise: number;
  };
}

export interface SimulatedTier {
  readonly name: string;
  /** Of the tenants; relative to the sum of all. */
  readonly share: number;
  /** Multiplies what the distributions say. @default 1 */
  readonly scale?: number;
  /** Takes exactly this of the units it names, whatever the distributions say. */
  readonly weight?: UnitVector;
  /** Each tenant of it gets a stamp of its own. @default false */
  readonly dedicated?: boolean;
}

export interface SimulatedPool {
  readonly name: string;
  readonly tenancy: "shared" | "dedicated";
  readonly regions: readonly string[];
  /** What one stamp holds, by unit. */
  readonly capacity: UnitVector;
  /** Tiers that may live here. @default any */
  readonly tiers?: readonly string[];
  /** @default "spread" */
  readonly strategy?: "spread" | "pack";
  /** The next stamp is built when so much of the pool is used, in a region. @default 0.8 */
  readonly low?: number;
  /** A stamp is full at so much of its limits. @default 1 */
  readonly high?: number;
  /** Share of the pool's capacity that stays free. @default 0 */
  readonly headroom?: number;
  /** `one`: what is left of a region holds all of it after the loss of any one stamp. @default "none" */
  readonly failover?: "none" | "one";
  /** A backup was restored into another stamp: only then can a lost stamp's tenants be taken in (decision D19). @default false */
  readonly restoreTested?: boolean;
  readonly stamps?: { readonly min?: number; readonly max?: number; readonly spare?: number };
}

/** Above so many tenants a simulation reckons with samples, and says how far off it may be. */
export const exactTenants = 1_000_000;
export const maxTenants = 1_000_000_000;
const maxMonths = 120;

/** @throws StampyardError INVALID_REQUEST with every fault of the question */
export function checkSimulation(input: SimulationInput): void {
  const problems: string[] = [];
  const range = (value: number | undefined, what: string, min: number, max: number) => {
    if (value !== undefined && !(Number.isFinite(value) && value >= min && value <= max)) {
      problems.push(`${what} is ${value}, and should be from ${min} to ${max}`);
    }
  };
  if (!Number.isInteger(input.tenants)) problems.push(`Tenants is ${input.tenants}, and should be a whole number`);
  range(input.tenants, "Tenants", 1, maxTenants);
  range(input.months, "Months", 0, maxMonths);
  range(input.growthPerMonth, "Growth per month", 0, 1);
  range(input.correlation, "Correlation", 0, 1);
  range(input.dedicatedShare, "Dedicated share", 0, 1);
  range(tenantsAt(input, input.months ?? 12), "Tenants at the end", 0, maxTenants);
  for (const tier of input.tiers ?? []) {
    range(tier.share, `Share of tier ${tier.name}`, 0, 1e9);
    range(tier.scale, `Scale of tier ${tier.name}`, 0, 1e9);
  }
  for (const [region, share] of Object.entries(input.regions ?? {})) {
    range(share, `Share of region ${region}`, 0, 1e9);
    if (!input.pools.some((pool) => pool.regions.includes(region))) problems.push(`No pool is in region ${region}`);
  }
  if (!input.pools.some((pool) => pool.tenancy === "shared")) problems.push("There is no shared pool");
  for (const pool of input.pools) problems.push(...poolProblems(pool));
  problems.push(...homelessTiers(input));
  for (const unit of Object.keys(input.sizes)) {
    if (!input.pools.some((pool) => Object.hasOwn(pool.capacity, unit))) {
      problems.push(`Tenants take ${unit}, of which no pool says how much a stamp holds`);
    }
  }
  for (const distribution of Object.values(input.sizes)) sizeOf(distribution);
  if (problems.length === 0) return;
  throw new StampyardError("INVALID_REQUEST", problems[0] ?? "", {
    problems: problems.map((message) => ({ message })),
    mend: "Correct what the question says; nothing was reckoned.",
  });
}

/** Every tenant needs a pool that takes its tier, and so does one that wants a stamp of its own. */
function homelessTiers(input: SimulationInput): string[] {
  const problems: string[] = [];
  const anyBig = (input.dedicatedShare ?? 0) > 0;
  for (const tier of tiersOf(input)) {
    const takes = (tenancy: SimulatedPool["tenancy"]) => poolOf(input.pools, tier.name, tenancy) !== undefined;
    if (tier.dedicated !== true && !takes("shared")) problems.push(`No shared pool takes tier ${tier.name}`);
    if ((tier.dedicated === true || anyBig) && !takes("dedicated")) {
      problems.push(`No dedicated pool takes tier ${tier.name}`);
    }
  }
  return problems;
}

export function tiersOf(input: Pick<SimulationInput, "tiers">): readonly SimulatedTier[] {
  return input.tiers === undefined || input.tiers.length === 0 ? [{ name: "standard", share: 1 }] : input.tiers;
}

/** The first pool of this kind that takes the tier. */
export function poolOf(
  pools: readonly SimulatedPool[],
  tier: string,
  tenancy: SimulatedPool["tenancy"],
): SimulatedPool | undefined {
  return pools.find((pool) => pool.tenancy === tenancy && (pool.tiers === undefined || pool.tiers.includes(tier)));
}

function poolProblems(pool: SimulatedPool): string[] {
  const problems: string[] = [];
  if (pool.regions.length === 0) problems.push(`Pool ${pool.name} has no region`);
  for (const [unit, limit] of Object.entries(pool.capacity)) {
    if (!(Number.isFinite(limit) && limit > 0)) problems.push(`Pool ${pool.name} holds ${limit} ${unit} per stamp`);
  }
  const shares = { low: pool.low ?? 0.8, high: pool.high ?? 1 };
  for (const [name, share] of Object.entries(shares)) {
    if (!(share > 0 && share <= 1))
      problems.push(`${name} of pool ${pool.name} is ${share}, and should be above 0 and at most 1`);
  }
  const headroom = pool.headroom ?? 0;
  if (!(headroom >= 0 && headroom < 0.95)) {
    problems.push(`Headroom of pool ${pool.name} is ${headroom}, and should be from 0 to 0.95`);
  }
  return problems;
}

/** Tenants after so many months. */
export function tenantsAt(input: Pick<SimulationInput, "tenants" | "growthPerMonth">, month: number): number {
  return Math.round(input.tenants * (1 + (input.growthPerMonth ?? 0)) ** month);
}
