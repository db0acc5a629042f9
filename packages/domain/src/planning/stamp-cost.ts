import type { PriceList } from "../fleet.ts";
import type { ComponentKind, Template } from "../template.ts";

/** What one component of a stamp costs per month, and which entry of the price list said so. */
export interface CostPart {
  readonly component: string;
  readonly kind: ComponentKind;
  /** Replicas of a service; 1 for everything else. */
  readonly count: number;
  /** Per month and piece, before the region's factor; absent when the list prices neither its name nor its kind. */
  readonly price?: number;
  readonly by?: "name" | "kind";
}

/** What one stamp costs per month in one region, by an operator's price list. */
export interface StampCost {
  readonly currency: string;
  readonly region: string;
  /** What the region multiplies prices by. */
  readonly factor: number;
  readonly monthly: number;
  readonly parts: readonly CostPart[];
  /** Components without a price: the sum leaves them out. A job runs for moments, so it may be without one. */
  readonly unpriced: readonly string[];
}

export function stampCost(template: Pick<Template, "stages">, region: string, prices: PriceList): StampCost {
  const parts = template.stages.flatMap((stage) =>
    stage.components.map((component): CostPart => {
      const count = component.kind === "service" ? component.replicas : 1;
      const found = priceOf(component.name, component.kind, prices);
      return { component: component.name, kind: component.kind, count, ...found };
    }),
  );
  const factor = Object.hasOwn(prices.regions, region) ? (prices.regions[region] ?? 1) : 1;
  const sum = parts.reduce((total, part) => total + (part.price ?? 0) * part.count, 0);
  return {
    currency: prices.currency,
    region,
    factor,
    monthly: toCents(sum * factor),
    parts,
    unpriced: parts.filter((part) => part.price === undefined && part.kind !== "job").map((part) => part.component),
  };
}

function priceOf(name: string, kind: ComponentKind, prices: PriceList): Pick<CostPart, "price" | "by"> {
  for (const [key, by] of [
    [name, "name"],
    [kind, "kind"],
  ] as const) {
    const price = Object.hasOwn(prices.components, key) ? prices.components[key] : undefined;
    if (price !== undefined) return { price, by };
  }
  return {};
}

/** One stamp before and after a change; `from` is absent for a new one, `to` for one that goes. */
export interface StampShift {
  readonly stamp: string;
  readonly region: string;
  readonly from?: Pick<Template, "stages">;
  readonly to?: Pick<Template, "stages">;
}

/** What a plan does to the monthly cost. Both sides are reckoned by one price list: a new price is no new cost here. */
export interface PlanCost {
  readonly currency: string;
  /** Per month, over all stamps. */
  readonly before: number;
  readonly after: number;
  /** Stamps whose cost changes. */
  readonly changes: readonly { readonly stamp: string; readonly region: string; readonly monthly: number }[];
  /** Components that the list has no price for. */
  readonly unpriced: readonly string[];
}

export function planCost(prices: PriceList, shifts: readonly StampShift[]): PlanCost {
  let before = 0;
  let after = 0;
  const changes: { stamp: string; region: string; monthly: number }[] = [];
  const unpriced = new Set<string>();
  // Hundreds of stamps share one or two templates: each is reckoned once per region.
  const known = new Map<Pick<Template, "stages">, Map<string, StampCost>>();
  const costOf = (template: Pick<Template, "stages"> | undefined, region: string): number => {
    if (template === undefined) return 0;
    const byRegion = known.get(template) ?? new Map<string, StampCost>();
    known.set(template, byRegion);
    const cost = byRegion.get(region) ?? stampCost(template, region, prices);
    byRegion.set(region, cost);
    for (const component of cost.unpriced) unpriced.add(component);
    return cost.monthly;
  };
  for (const { stamp, region, from, to } of shifts) {
    const was = costOf(from, region);
    const will = costOf(to, region);
    before += was;
    after += will;
    const monthly = toCents(will - was);
    if (monthly !== 0) changes.push({ stamp, region, monthly });
  }
  return {
    currency: prices.currency,
    before: toCents(before),
    after: toCents(after),
    changes,
    unpriced: [...unpriced].sort(),
  };
}

/** Sums of cents would drift as binary fractions. */
export function toCents(amount: number): number {
  return Math.round(amount * 100) / 100;
}
