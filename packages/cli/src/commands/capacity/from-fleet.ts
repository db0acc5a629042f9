import type { CapacitySizesView, Client, PoolCapacityView, SimulatedPool, SimulationInput } from "@stampyard/api";
import type { Run } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { readManifestsChecked } from "../../manifest-files.ts";

/** What a simulation takes over from a real fleet. */
export interface FleetQuestion {
  /** Where it was read. */
  readonly source: "control plane" | "files";
  readonly pools: readonly SimulatedPool[];
  readonly prices?: NonNullable<SimulationInput["prices"]>;
  /** Only a control plane knows tenants. */
  readonly tenants?: number;
  readonly sizes?: SimulationInput["sizes"];
  readonly growthPerMonth?: number;
  /** What a tenant of a tier takes, by tier. */
  readonly tiers?: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** From the control plane when one answers, else from the files: a plan must not need a running fleet. */
export async function readFleetQuestion(run: Run<unknown>): Promise<FleetQuestion> {
  const client = await run.client().catch((error: unknown) => {
    if (run.options.server !== undefined || !isMissing(error)) throw error;
    return undefined;
  });
  if (client === undefined) return fromFiles(run);
  try {
    return await fromControlPlane(client, run.io.signal);
  } catch (error) {
    if (run.options.server !== undefined || !isMissing(error)) throw error;
    return fromFiles(run);
  }
}

export function isMissing(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return code === "CONTROL_PLANE_UNREACHABLE" || code === "UNAUTHENTICATED" || code === "NOT_FOUND";
}

async function fromControlPlane(client: Client, signal: AbortSignal): Promise<FleetQuestion> {
  const [capacity, sizes, forecast] = await Promise.all([
    client.capacityGet({ signal }),
    client.capacitySizes({ signal }),
    client.capacityForecast({ signal }),
  ]);
  const growth = forecast.pools.flatMap((pool) =>
    pool.units.filter(({ unit }) => unit === "tenants").map(({ growthPerMonth }) => growthPerMonth ?? 0),
  );
  const priced = capacity.pools.find((pool) => pool.stampCost !== undefined)?.stampCost;
  return {
    source: "control plane",
    pools: capacity.pools.filter((pool) => pool.rules.regions.length > 0).map(simulatedPool),
    ...(priced === undefined
      ? {}
      : {
          prices: {
            ...pricesOf(
              priced.currency,
              capacity.pools.map((p) => p.stampCost),
            ),
          },
        }),
    tenants: sizes.pools.reduce((sum, pool) => sum + pool.tenants, 0),
    sizes: sizesOf(sizes),
    growthPerMonth: Math.min(1, Math.max(0, ...growth)),
    ...(capacity.tiers === undefined ? {} : { tiers: capacity.tiers }),
  };
}

/** Regions of all pools; they share one price list, so the same region costs the same everywhere. */
function pricesOf(currency: string, costs: readonly PoolCapacityView["stampCost"][]) {
  const regions: Record<string, number> = {};
  for (const cost of costs) Object.assign(regions, cost?.regions);
  return { currency, regions, otherwise: Math.max(0, ...Object.values(regions)) };
}

function simulatedPool({ pool, tenancy, rules, newStamp }: PoolCapacityView): SimulatedPool {
  const { regions, tiers, strategy, low, high, headroom, stamps } = rules;
  return {
    name: pool,
    tenancy,
    regions,
    capacity: newStamp,
    ...(tiers === undefined ? {} : { tiers }),
    strategy,
    low,
    high,
    headroom,
    stamps,
  };
}

/** One distribution per unit over all tenants: each pool counts as much as it has tenants. */
function sizesOf(view: CapacitySizesView): NonNullable<FleetQuestion["sizes"]> {
  const units = new Set(view.pools.flatMap((pool) => pool.units.map((row) => row.unit)));
  const out: Record<string, NonNullable<SimulationInput["sizes"]>[string]> = {};
  for (const unit of units) {
    const buckets = view.pools.flatMap((pool) => {
      const row = pool.units.find((one) => one.unit === unit);
      if (row === undefined) return [{ share: pool.tenants, value: 0 }];
      return row.buckets.map(({ share, value }) => ({ share: share * pool.tenants, value }));
    });
    if (buckets.some((bucket) => bucket.share > 0)) out[unit] = { kind: "buckets", buckets };
  }
  return out;
}

async function fromFiles(run: Run<unknown>): Promise<FleetQuestion> {
  const { texts } = await readManifestsChecked(run.io.cwd, run.options.file);
  const { parseFleet, parseTemplate } = await import("@stampyard/manifest");
  const { stampCost } = await import("@stampyard/api");
  const template = parseTemplate(texts.templateYaml, { file: texts.templateFile });
  const fleet = parseFleet(texts.fleetYaml, { file: texts.fleetFile });
  if (!template.ok || !fleet.ok) throw new CommandFailure("INVALID_MANIFEST", `${texts.fleetFile} cannot be read`);
  const { capacity } = template.template;
  const pools = fleet.fleet.pools.map((pool): SimulatedPool => {
    const tenants = pool.tenancy === "dedicated" ? 1 : (pool.capacity?.tenants ?? capacity.tenants);
    return {
      name: pool.name,
      tenancy: pool.tenancy,
      regions: pool.regions,
      capacity: { ...capacity.units, ...pool.capacity?.units, tenants },
      ...(pool.tiers === undefined ? {} : { tiers: pool.tiers }),
      ...(pool.placement?.strategy === undefined ? {} : { strategy: pool.placement.strategy }),
      ...(pool.growth?.low === undefined ? {} : { low: pool.growth.low }),
      ...(pool.growth?.high === undefined ? {} : { high: pool.growth.high }),
      ...(pool.growth?.headroom === undefined ? {} : { headroom: pool.growth.headroom }),
      stamps: pool.stamps,
    };
  });
  const { prices } = fleet.fleet;
  const tiers = Object.fromEntries(Object.entries(fleet.fleet.tiers ?? {}).map(([name, tier]) => [name, tier.weight]));
  if (prices === undefined) return { source: "files", pools, tiers };
  const all = [...new Set(pools.flatMap((pool) => pool.regions))];
  const regions = Object.fromEntries(
    all.map((region) => [region, stampCost(template.template, region, prices).monthly] as const),
  );
  return {
    source: "files",
    pools,
    tiers,
    prices: { currency: prices.currency, regions, otherwise: Math.max(...Object.values(regions)) },
  };
}
