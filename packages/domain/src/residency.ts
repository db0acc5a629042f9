import type { ResidencyRule } from "./fleet.ts";

/** What a tenant says of itself that residency rules ask for. */
export interface ResidencyWish {
  readonly tier: string;
  /** Regions, or words that a rule's `when` explains (`eu`); empty = any. */
  readonly residency: readonly string[];
}

export type Residency =
  | {
      readonly kind: "allowed";
      /** Regions it may live in; empty = any. */
      readonly regions: readonly string[];
      /** The rule that narrowed them; absent = its own wish, or nothing. */
      readonly rule?: string;
    }
  /** Its own wish and the rules, or two rules, leave no region. */
  | { readonly kind: "conflict"; readonly rule: string; readonly why: string };

/** Where a tenant may live: its own wish, and every rule that it is under. */
export function residencyOf(rules: readonly ResidencyRule[], wish: ResidencyWish): Residency {
  const mine = rules.filter((rule) => isUnder(rule, wish));
  let regions: readonly string[] = ownRegions(mine, wish.residency);
  let narrowedBy: string | undefined;
  for (const rule of mine) {
    const left = regions.length === 0 ? rule.regions : regions.filter((region) => rule.regions.includes(region));
    if (left.length === 0) return { kind: "conflict", rule: rule.name, why: conflict(rule, regions) };
    if (left.length < regions.length || regions.length === 0) narrowedBy = rule.name;
    regions = left;
  }
  return { kind: "allowed", regions, ...(narrowedBy === undefined ? {} : { rule: narrowedBy }) };
}

/** Why a tenant may not live in a region, to be read after its name, or undefined when it may. */
export function residencyBreach(
  rules: readonly ResidencyRule[],
  wish: ResidencyWish,
  region: string,
): { readonly rule?: string; readonly why: string } | undefined {
  const residency = residencyOf(rules, wish);
  if (residency.kind === "conflict") return { rule: residency.rule, why: `can live nowhere: ${residency.why}` };
  if (residency.regions.length === 0 || residency.regions.includes(region)) return undefined;
  const only = `only in ${residency.regions.join(", ")}`;
  // The rule that forbids this very region is the one to name, if there is one.
  const rule = rules.find((each) => isUnder(each, wish) && !each.regions.includes(region))?.name;
  if (rule === undefined) return { why: `asks to live ${only}, not in ${region}` };
  return { rule, why: `may live ${only}, not in ${region}: residency rule ${rule}` };
}

/** With both `tiers` and `when` either puts a tenant under the rule; with neither, every tenant is. */
function isUnder(rule: ResidencyRule, wish: ResidencyWish): boolean {
  const { tiers, when } = rule;
  if (tiers?.includes(wish.tier) === true) return true;
  if (when?.some((name) => wish.residency.includes(name)) === true) return true;
  return tiers === undefined && when === undefined;
}

/** A word that a rule explains stands for the rule's regions; any other is a region itself. */
function ownRegions(rules: readonly ResidencyRule[], residency: readonly string[]): readonly string[] {
  const out = residency.flatMap((name) => {
    const meant = rules.filter((rule) => rule.when?.includes(name) === true).flatMap((rule) => rule.regions);
    return [name, ...meant];
  });
  return [...new Set(out)];
}

function conflict(rule: ResidencyRule, regions: readonly string[]): string {
  return `residency rule ${rule.name} allows ${rule.regions.join(", ")}, and not ${regions.join(", ")}`;
}
