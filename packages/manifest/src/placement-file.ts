import type {
  GrowthPolicy,
  PlacementPolicy,
  Pool,
  PoolAutomation,
  ResidencyRule,
  Template,
  Tier,
} from "@stampyard/domain";
import { z } from "zod";
import { duration, fields, listOf, mapOf, name, oneOf, rule } from "./field.ts";
import { at, once } from "./findings.ts";
import { asMap } from "./outline.ts";
import type { Finding, Path } from "./problem.ts";
import { parseDuration } from "./quantity.ts";
import type { Plain, ReadFile } from "./read-yaml.ts";
import { didYouMean } from "./suggest.ts";

/** How tenants are placed and pools grow: the fields of `fleet.yaml` for it, and what has to fit together. */

function share(min: number, max: number) {
  const expects = `a share from ${min} to ${max}, such as ${max === 1 ? 0.8 : 0.2}`;
  return z.number({ error: expects }).min(min, { error: expects }).max(max, { error: expects });
}

const amountWords = "an amount from 0 to 1000000000";
const amount = z.number({ error: amountWords }).min(0, { error: amountWords }).max(1e9, { error: amountWords });

export const tierNames = listOf(name("tier"), "a list of tier names", 1, 100);

export const placement = fields("a map of placement fields", {
  strategy: oneOf(["spread", "pack"]).optional().describe("Fill stamps evenly, or one before the next. Default spread"),
  bigFrom: share(0.01, 1)
    .optional()
    .describe("A tenant is big from this share of a stamp in any unit but its place. Default 0.1"),
  bigShare: share(0.01, 1)
    .optional()
    .describe("Most of the pool's big tenants that one stamp should hold, as a share. Default 0.5"),
});

export const growth = fields("a map of growth fields", {
  low: share(0.01, 1).optional().describe("From this share of any unit on, the next stamp is built. Default 0.8"),
  high: share(0.01, 1).optional().describe("From this share of any unit on, a stamp is full. Default 1"),
  headroom: share(0, 0.9)
    .optional()
    .describe("Share of the pool's capacity that stays free, e.g. to take in the tenants of a lost stamp. Default 0"),
  buildTime: duration("1s", "48h", "10m")
    .optional()
    .describe(
      "How long the next stamp takes to build: growth that fills the pool sooner orders it now. Default measured",
    ),
}).refine(
  ({ low, high }) => low === undefined || high === undefined || low <= high,
  rule("Field low is above high", "Lower low to at most high, or raise high."),
);

export const automation = fields("a map of automation fields", {
  scaleUp: oneOf(["act", "propose"]).optional().describe("Building the next stamp. Default act"),
  scaleDown: oneOf(["act", "propose"]).optional().describe("Removing a stamp that is not needed. Default propose"),
  rebalance: oneOf(["act", "propose"]).optional().describe("Moving tenants off a full stamp. Default propose"),
  drift: oneOf(["report", "heal"])
    .optional()
    .describe("What to do when a stamp does not run what its release says. Default report"),
});

export const tiers = mapOf(
  name("tier"),
  fields("a map with weight", {
    weight: mapOf(name("unit"), amount, "a map of units and amounts")
      .optional()
      .describe("What a tenant of the tier takes of a stamp: tenants (places, 1 unless named) and units"),
  }),
  "a map of tier names and tiers",
);

export const residency = mapOf(
  name("rule"),
  fields("a map with regions, and tiers or when", {
    tiers: tierNames.optional().describe("Tenants of these tiers are under the rule. Default all, without when"),
    when: listOf(name("region"), "a list of words", 1, 100)
      .optional()
      .describe("Tenants whose own residency names one of these are under the rule; such a word means its regions"),
    regions: listOf(name("region"), "a list of region names", 1, 100).describe("Where their data may live"),
  }),
  "a map of rule names and rules",
);

export type PlacementFields = {
  readonly tiers?: z.infer<typeof tiers> | undefined;
  readonly residency?: z.infer<typeof residency> | undefined;
};

export type PoolPolicyFields = {
  readonly tiers?: readonly string[] | undefined;
  readonly channel?: string | undefined;
  readonly ring?: string | undefined;
  readonly placement?: z.infer<typeof placement> | undefined;
  readonly growth?: z.infer<typeof growth> | undefined;
  readonly automation?: z.infer<typeof automation> | undefined;
};

/** Names that must be somewhere else in the files: a mistyped one would place tenants where they must not be. */
export function checkPlacement(file: ReadFile, findings: Finding[], template: Template | undefined): void {
  const root = file.value ?? {};
  const pools = Object.entries(asMap(root["pools"]));
  const declared = root["tiers"] === undefined ? undefined : Object.keys(asMap(root["tiers"]));
  const known = (list: Plain | undefined, path: Path) => {
    once(file, findings, list, path, "Tier");
    if (declared !== undefined) checkTiers(file, findings, list, path, declared);
  };
  for (const [pool, raw] of pools) known(asMap(raw)["tiers"], ["pools", pool, "tiers"]);
  const regions = [...new Set(pools.flatMap(([, pool]) => texts(asMap(pool)["regions"])))].sort();
  for (const [rule, raw] of Object.entries(asMap(root["residency"]))) {
    const path = ["residency", rule];
    known(asMap(raw)["tiers"], [...path, "tiers"]);
    once(file, findings, asMap(raw)["when"], [...path, "when"], "Word");
    once(file, findings, asMap(raw)["regions"], [...path, "regions"], "Region");
    for (const [index, region] of texts(asMap(raw)["regions"]).entries()) {
      if (regions.includes(region)) continue;
      const mend = didYouMean(region, regions, "Name a region of one of the pools.");
      at(file, findings, "value", [...path, "regions", index], `No pool is in region ${region}`, mend);
    }
  }
  if (template !== undefined) checkWeights(file, findings, asMap(root["tiers"]), template);
}

/** The tier of a tenant that names none. */
const unnamedTier = "standard";

function checkTiers(
  file: ReadFile,
  findings: Finding[],
  list: Plain | undefined,
  path: Path,
  declared: readonly string[],
): void {
  for (const [index, tier] of texts(list).entries()) {
    if (tier === unnamedTier || declared.includes(tier)) continue;
    const mend = didYouMean(tier, declared, "Declare it in tiers first.");
    at(file, findings, "value", [...path, index], `Unknown tier ${tier}`, mend);
  }
}

/** A unit that no stamp limits would weigh nothing, and a weight above a whole stamp could never be placed. */
function checkWeights(
  file: ReadFile,
  findings: Finding[],
  given: { readonly [key: string]: Plain },
  { capacity }: Template,
): void {
  const limits: Readonly<Record<string, number>> = { ...capacity.units, tenants: capacity.tenants };
  for (const [tier, raw] of Object.entries(given)) {
    for (const [unit, weight] of Object.entries(asMap(asMap(raw)["weight"]))) {
      const path = ["tiers", tier, "weight", unit];
      const limit = Object.hasOwn(limits, unit) ? limits[unit] : undefined;
      if (limit === undefined) {
        const mend = didYouMean(unit, Object.keys(limits), "Declare it in the template's capacity first.");
        at(file, findings, "key", path, `Unknown capacity unit ${unit}`, mend);
      } else if (typeof weight === "number" && weight > limit) {
        const message = `A tenant of tier ${tier} takes ${weight} ${unit}, more than the ${limit} of a whole stamp`;
        at(file, findings, "value", path, message, `Write at most ${limit}, or raise the template's capacity.`);
      }
    }
  }
}

function texts(list: Plain | undefined): readonly string[] {
  return Array.isArray(list) ? list.filter((item): item is string => typeof item === "string") : [];
}

export function buildTiers(file: PlacementFields["tiers"]): Readonly<Record<string, Tier>> | undefined {
  if (file === undefined) return undefined;
  return Object.fromEntries(Object.entries(file).map(([tier, { weight }]) => [tier, { weight: weight ?? {} }]));
}

/** By name, so that the order in the file says nothing. */
export function buildResidency(file: PlacementFields["residency"]): readonly ResidencyRule[] | undefined {
  if (file === undefined) return undefined;
  const rules = Object.entries(file).map(([rule, { regions, ...who }]) => ({ name: rule, regions, ...given(who) }));
  return rules.sort((a, b) => (a.name < b.name ? -1 : 1));
}

type Policies = Pick<Pool, "tiers" | "channel" | "ring" | "placement" | "growth" | "automation">;

export function buildPolicies(file: PoolPolicyFields): Policies {
  const { buildTime, ...marks } = file.growth ?? {};
  const buildTimeMs = buildTime === undefined ? undefined : parseDuration(buildTime);
  return given({
    tiers: file.tiers,
    channel: file.channel,
    ring: file.ring,
    placement: filled<PlacementPolicy>(file.placement),
    growth: filled<GrowthPolicy>({ ...marks, buildTimeMs }),
    automation: filled<PoolAutomation>(file.automation),
  });
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the fields that the file does not have. */
function given<T extends object>(value: T): Given<T> {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as Given<T>;
}

function filled<T extends object>(value: object | undefined): T | undefined {
  const out = value === undefined ? {} : given(value);
  return Object.keys(out).length === 0 ? undefined : (out as T);
}
