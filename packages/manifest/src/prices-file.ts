import type { PriceList, Template } from "@stampyard/domain";
import { z } from "zod";
import { componentKinds } from "./component-file.ts";
import { fields, mapOf, name, words } from "./field.ts";
import { at } from "./findings.ts";
import { asMap } from "./outline.ts";
import type { Finding } from "./problem.ts";
import type { ReadFile } from "./read-yaml.ts";
import { didYouMean } from "./suggest.ts";

const amountWords = "an amount from 0 to 1000000000";
const amount = z.number({ error: amountWords }).min(0, { error: amountWords }).max(1e9, { error: amountWords });
const factorWords = "a factor from 0.01 to 100";
const factor = z.number({ error: factorWords }).min(0.01, { error: factorWords }).max(100, { error: factorWords });

/** What a stamp costs, as its operator writes it down: estimates, for plans and simulations. */
export const prices = fields("a map with currency, components and regions", {
  currency: words("an ISO 4217 code such as EUR", /^[A-Z]{3}$/, 3).describe("ISO 4217 code, such as EUR"),
  components: mapOf(name("component"), amount, "a map of component names or kinds and amounts").describe(
    "Price per month of a component, by its name or by its kind (a name wins); a service's is that of one replica",
  ),
  regions: mapOf(name("region"), factor, "a map of regions and factors")
    .optional()
    .describe("What the prices are multiplied by in a region. Default 1"),
});

export type PricesFile = z.infer<typeof prices>;

/** Whether prices name what is there: a mistyped name would be a stamp that costs too little. */
export function checkPrices(file: ReadFile, findings: Finding[], template: Template | undefined): void {
  const root = file.value ?? {};
  const given = asMap(root["prices"]);
  const pools = Object.values(asMap(root["pools"]));
  const regions = new Set(
    pools.map((pool) => asMap(pool)["regions"]).flatMap((list) => (Array.isArray(list) ? list : [])),
  );
  const known = [...regions].filter((region) => typeof region === "string").sort();
  for (const region of Object.keys(asMap(given["regions"]))) {
    if (regions.has(region)) continue;
    const mend = didYouMean(region, known, "Name a region of one of the pools.");
    at(file, findings, "key", ["prices", "regions", region], `No pool is in region ${region}`, mend);
  }
  if (template === undefined) return;
  const components = template.stages.flatMap((stage) => stage.components);
  const names = [...components.map((component) => component.name), ...componentKinds];
  for (const priced of Object.keys(asMap(given["components"]))) {
    if (names.includes(priced)) continue;
    const mend = didYouMean(priced, names, "Name a component of the template, or a kind.");
    const message = `Price of ${priced}, which is neither a component nor a kind`;
    at(file, findings, "key", ["prices", "components", priced], message, mend);
  }
}

export function buildPrices(file: PricesFile): PriceList {
  return { currency: file.currency, components: file.components, regions: file.regions ?? {} };
}
