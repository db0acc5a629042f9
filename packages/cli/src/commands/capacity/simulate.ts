import type { SimulatedPool, SimulationInput } from "@stampyard/api";
import { Option } from "commander";
import { command, numberIn, type Run } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { type FleetQuestion, readFleetQuestion } from "./from-fleet.ts";
import { simulationText } from "./simulation-text.ts";
import { readAmounts, readDistributions, readGrowth, readShare, readShares, readTiers } from "./simulation-words.ts";

interface Options {
  readonly tenants?: number;
  readonly growth?: string;
  readonly months: number;
  readonly distribution?: readonly string[];
  readonly capacity?: string;
  readonly strategy?: "spread" | "pack";
  readonly regions?: string;
  readonly tiers?: string;
  readonly dedicated?: string;
  readonly low?: string;
  readonly high?: string;
  readonly headroom?: string;
  readonly failover?: boolean;
  readonly restoreTested?: boolean;
  readonly stampCost?: number;
  readonly currency: string;
  readonly correlation: number;
  readonly seed: number;
  readonly fromFleet?: boolean;
}

export const capacitySimulate = command<Options>({
  usage: "simulate",
  summary: "Try a fleet that is not there: stamps, cost and blast radius for so many tenants",
  about: `Places tenants one after the other by the pools' rules, as the platform would, and grows them month by month. It changes nothing, and works without a control plane. Up to 1,000,000 tenants are placed one by one; more are reckoned from samples, and the answer says how far off it may be.
What a tenant takes of a unit is fixed:2 (each takes 2), lognormal:median=0.5,sigma=1.2 (half take less than 0.5; the higher sigma, the more uneven), pareto:min=0.1,alpha=1.5 (few are very big; the lower alpha, the bigger) or buckets:90%=1,9%=10,1%=200 (as you counted them).`,
  options: (c) => {
    c.option("--tenants <count>", "tenants today", numberIn("tenants", 1, 1e9))
      .option("--growth <share>", "growth of their count: 5%/month, or 80%/year")
      .option("--months <count>", "how far to look", numberIn("months", 0, 120), 12)
      .option("--from-fleet", "pools, capacity, prices, sizes and growth of the fleet, or of its files; options win");
    c.optionsGroup("Tenants:")
      .option(
        "--distribution <size...>",
        "[unit=]kind:… as above: what a tenant takes of a unit (default: a place each)",
      )
      .option("--correlation <0-1>", "1: who is big in one unit is big in all", numberIn("correlation", 0, 1), 0.7)
      .option("--tiers <name=share,…>", "tiers, their size as a multiple, and whether each gets a stamp alone")
      .option("--dedicated <share>", "share of the tenants, the biggest first, that get a stamp alone")
      .option("--regions <name=share,…>", "where they are (default: the pools' regions alike)");
    return c
      .optionsGroup("Stamps:")
      .option("--capacity <unit=number,…>", "what one stamp holds")
      .addOption(new Option("--strategy <how>", "how stamps are filled").choices(["spread", "pack"]))
      .option("--low <share>", "the next stamp is built from here on (default: 80%)")
      .option("--high <share>", "a stamp is full from here on (default: 100%)")
      .option("--headroom <share>", "share of a pool that stays free")
      .option("--failover", "one stamp of a region may be lost with room for its tenants")
      .option("--restore-tested", "a restore was tried: only then does headroom count")
      .option("--stamp-cost <amount>", "what one stamp costs per month", numberIn("stamp-cost", 0, 1e9))
      .option("--currency <code>", "of the cost", "EUR")
      .option("--seed <number>", "the same seed gives the same answer", numberIn("seed", 0, 2 ** 53 - 1), 1);
  },
  examples: [
    ["capacity simulate --tenants 20000 --growth 5%/month --capacity tenants=400", "a place each, 400 per stamp"],
    [
      "capacity simulate --tenants 20000 --capacity tenants=400,rps=500 --distribution rps=lognormal:median=0.5,sigma=1.2",
      "uneven tenants: which unit fills first?",
    ],
    ["capacity simulate --from-fleet --growth 10%/month --months 24", "your own fleet, growing faster"],
    ["capacity simulate --tenants 5000 --tiers free=90%,pro=9%x8,big=1%x100:dedicated --capacity tenants=900", "tiers"],
    ["capacity simulate --from-fleet --tenants 10000000 -o json", "ten million, sampled, for a script"],
  ],
  run: async (run) => {
    const { simulateFleet } = await import("@stampyard/api");
    const input = await questionOf(run);
    const answer = simulateFleet(input);
    run.emit({ ...answer, input }, () => simulationText(answer, input, run.io.out.columns, run.style));
  },
});

async function questionOf(run: Run<Options>): Promise<SimulationInput> {
  const { options } = run;
  const fleet = options.fromFleet === true ? await readFleetQuestion(run) : undefined;
  if (fleet !== undefined) run.say(`Pools of the ${fleet.source === "files" ? "files" : "control plane"}`);
  const tenants = options.tenants ?? (fleet?.tenants === 0 ? undefined : fleet?.tenants);
  if (tenants === undefined) {
    throw new CommandFailure("INVALID_REQUEST", "How many tenants is not said", {
      mend: "Give --tenants, or --from-fleet of a fleet that has some.",
    });
  }
  const regions = options.regions === undefined ? undefined : readShares("regions", options.regions);
  const tiers = options.tiers === undefined ? undefined : weighed(readTiers("tiers", options.tiers), fleet);
  const dedicatedShare = options.dedicated === undefined ? undefined : readShare("dedicated", options.dedicated);
  const isAlone = (dedicatedShare ?? 0) > 0 || (tiers ?? []).some((tier) => tier.dedicated === true);
  const pools = poolsOf(options, fleet, regions === undefined ? ["anywhere"] : Object.keys(regions), isAlone);
  const growth = options.growth === undefined ? fleet?.growthPerMonth : readGrowth("growth", options.growth);
  const prices = pricesOf(options, fleet);
  const sizes = { ...fleet?.sizes, ...readDistributions("distribution", options.distribution ?? [], pools) };
  return {
    seed: options.seed,
    tenants,
    months: options.months,
    ...(growth === undefined ? {} : { growthPerMonth: growth }),
    sizes,
    correlation: options.correlation,
    ...(tiers === undefined ? {} : { tiers }),
    ...(regions === undefined ? {} : { regions }),
    ...(dedicatedShare === undefined ? {} : { dedicatedShare }),
    pools,
    ...(prices === undefined ? {} : { prices }),
  };
}

/** A tier that the fleet knows weighs what the fleet says, unless a multiple is given. */
function weighed(
  tiers: NonNullable<SimulationInput["tiers"]>,
  fleet: FleetQuestion | undefined,
): NonNullable<SimulationInput["tiers"]> {
  return tiers.map((tier) => {
    const known =
      fleet?.tiers !== undefined && Object.hasOwn(fleet.tiers, tier.name) ? fleet.tiers[tier.name] : undefined;
    return known === undefined || tier.scale !== undefined ? tier : { ...tier, weight: { tenants: 1, ...known } };
  });
}

function poolsOf(
  options: Options,
  fleet: FleetQuestion | undefined,
  regions: readonly string[],
  isAlone: boolean,
): readonly SimulatedPool[] {
  if (fleet === undefined && options.capacity === undefined) {
    throw new CommandFailure("INVALID_REQUEST", "What one stamp holds is not said", {
      mend: "Give --capacity such as tenants=400,rps=500, or --from-fleet.",
    });
  }
  const capacity = options.capacity === undefined ? undefined : readAmounts("capacity", options.capacity);
  const made = fleet?.pools ?? [{ name: "shared", tenancy: "shared" as const, regions, capacity: capacity ?? {} }];
  const rules = {
    ...(options.strategy === undefined ? {} : { strategy: options.strategy }),
    ...(options.low === undefined ? {} : { low: readShare("low", options.low) }),
    ...(options.high === undefined ? {} : { high: readShare("high", options.high) }),
    ...(options.headroom === undefined ? {} : { headroom: readShare("headroom", options.headroom) }),
    ...(options.failover === true ? { failover: "one" as const } : {}),
    ...(options.restoreTested === true ? { restoreTested: true } : {}),
  };
  const pools = made.map((pool): SimulatedPool => {
    if (pool.tenancy === "dedicated") return pool;
    return { ...pool, ...rules, capacity: capacity ?? pool.capacity };
  });
  if (!isAlone || pools.some((pool) => pool.tenancy === "dedicated")) return pools;
  const all = [...new Set(pools.flatMap((pool) => pool.regions))];
  return [...pools, { name: "dedicated", tenancy: "dedicated", regions: all, capacity: {} }];
}

function pricesOf(options: Options, fleet: FleetQuestion | undefined): SimulationInput["prices"] {
  if (options.stampCost === undefined) return fleet?.prices;
  return { currency: options.currency, regions: {}, otherwise: options.stampCost };
}
