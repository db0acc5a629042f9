import { defaultStrategy, type Fleet, type Pool, type Template } from "@stampyard/domain";
import { type FleetFile, fleetFile } from "./fleet-file.ts";
import { checkShape } from "./issues.ts";
import { buildFreezes, checkFreezes } from "./freeze-file.ts";
import { kindFault } from "./kind.ts";
import { asMap } from "./outline.ts";
import { parameterFaults } from "./parameters.ts";
import { type Finding, type Path, type Problem, problemsOf } from "./problem.ts";
import { type Plain, type ReadFile, readYaml } from "./read-yaml.ts";
import { at, once } from "./findings.ts";
import { buildPolicies, buildResidency, buildTiers, checkPlacement } from "./placement-file.ts";
import { buildPrices, checkPrices } from "./prices-file.ts";
import { checkRollout, labelsOfFleet } from "./rollout-checks.ts";
import { buildStrategy } from "./rollout-strategy.ts";
import { checkRouting } from "./routing-checks.ts";
import { buildRouting } from "./routing-rules.ts";
import { didYouMean } from "./suggest.ts";

export interface FleetParseOptions {
  /** Name shown in problems. */
  readonly file: string;
  /** When known, pools are checked against it: parameters by name and type, capacity by unit and limit. */
  readonly template?: Template;
}

export type ParsedFleet =
  | { readonly ok: true; readonly fleet: Fleet }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Reads `fleet.yaml`; the same promises as `parseTemplate`. */
export function parseFleet(raw: string, options: FleetParseOptions): ParsedFleet {
  const text = raw.replace(/^\ufeff/, "");
  const file = readYaml(text);
  const fail = (findings: readonly Finding[]): ParsedFleet => ({
    ok: false,
    problems: problemsOf(options.file, text, findings),
  });
  if (file.value === undefined) return fail(file.findings);
  const foreign = kindFault(file, "Fleet");
  if (foreign !== undefined) return fail([...file.findings, foreign]);
  const shape = checkShape(fleetFile, file);
  const findings = [...file.findings, ...shape.findings, ...checkFleet(file, options.template)];
  if (shape.data === undefined || findings.length > 0) return fail(findings);
  return { ok: true, fleet: buildFleet(shape.data) };
}

interface Check {
  readonly file: ReadFile;
  readonly template: Template | undefined;
  readonly findings: Finding[];
}

function checkFleet(file: ReadFile, template: Template | undefined): readonly Finding[] {
  const check: Check = { file, template, findings: [] };
  const root = file.value ?? {};
  const pools = root["pools"];
  if (typeof pools === "object" && pools !== null && Object.keys(pools).length === 0) {
    at(
      check.file,
      check.findings,
      "key",
      ["pools"],
      "Fleet has no pool",
      "Add one, such as shared: with regions and stamps.",
    );
  }
  for (const [name, raw] of Object.entries(asMap(pools))) checkPool(check, asMap(raw), ["pools", name]);
  checkRouting(check.file, check.findings);
  checkPlacement(check.file, check.findings, template);
  checkPrices(check.file, check.findings, template);
  checkRollout(check.file, check.findings, labelsOfFleet(root));
  checkFreezes(check.file, check.findings);
  return check.findings;
}

function checkPool(check: Check, pool: { readonly [key: string]: Plain }, path: Path): void {
  const name = String(path.at(-1));
  once(check.file, check.findings, pool["regions"], [...path, "regions"], "Region");
  const tenants = asMap(pool["capacity"])["tenants"];
  if (pool["tenancy"] === "dedicated" && typeof tenants === "number" && tenants !== 1) {
    const message = `Dedicated pool ${name} has room for ${tenants} tenants per stamp`;
    at(
      check.file,
      check.findings,
      "value",
      [...path, "capacity", "tenants"],
      message,
      "Write tenants: 1, or tenancy: shared.",
    );
  }
  const { template } = check;
  if (template === undefined) return;
  const parameters = asMap(pool["parameters"]);
  for (const fault of parameterFaults(template, parameters)) {
    const given = fault.kind !== "missing";
    const here = given ? [...path, "parameters", fault.parameter] : [...path, "parameters"];
    const where = fault.kind === "type" ? "value" : "key";
    at(check.file, check.findings, where, here, `${fault.message} in pool ${name}`, fault.mend);
  }
  checkCapacity(check, asMap(pool["capacity"]), [...path, "capacity"], template);
}

/** A pool may only lower what the template declares. */
function checkCapacity(
  check: Check,
  capacity: { readonly [key: string]: Plain },
  path: Path,
  template: Template,
): void {
  const { tenants, units } = template.capacity;
  const above = (value: Plain | undefined, limit: number, where: Path) => {
    if (typeof value !== "number" || value <= limit) return;
    at(
      check.file,
      check.findings,
      "value",
      where,
      `Capacity ${String(where.at(-1))} is above the template's ${limit}`,
      `Write at most ${limit}.`,
    );
  };
  above(capacity["tenants"], tenants, [...path, "tenants"]);
  for (const [unit, value] of Object.entries(asMap(capacity["units"]))) {
    const limit = Object.hasOwn(units, unit) ? units[unit] : undefined;
    if (limit !== undefined) above(value, limit, [...path, "units", unit]);
    else {
      const mend = didYouMean(unit, Object.keys(units), "Declare it in the template's capacity first.");
      at(check.file, check.findings, "key", [...path, "units", unit], `Unknown capacity unit ${unit}`, mend);
    }
  }
}

function buildFleet(data: FleetFile): Fleet {
  const pools = Object.entries(data.pools).map(([name, pool]) => buildPool(name, pool));
  const tiers = buildTiers(data.tiers);
  const residency = buildResidency(data.residency);
  return {
    name: data.metadata.name,
    template: data.template,
    pools: pools.sort((a, b) => (a.name < b.name ? -1 : 1)),
    routing: buildRouting(data.routing),
    ...(tiers === undefined ? {} : { tiers }),
    ...(residency === undefined ? {} : { residency }),
    ...(data.prices === undefined ? {} : { prices: buildPrices(data.prices) }),
    ...(data.rollout === undefined ? {} : { rollout: buildStrategy(data.rollout, defaultStrategy) }),
    ...(data.freezes === undefined ? {} : { freezes: buildFreezes(data.freezes) }),
  };
}

function buildPool(name: string, file: FleetFile["pools"][string]): Pool {
  const { tenants, units } = file.capacity ?? {};
  const { min, max, spare } = file.stamps;
  const capacity = { ...(tenants === undefined ? {} : { tenants }), ...(units === undefined ? {} : { units }) };
  return {
    name,
    tenancy: file.tenancy ?? "shared",
    regions: file.regions,
    stamps: { min, max, ...(spare === undefined ? {} : { spare }) },
    ...buildPolicies(file),
    ...(Object.keys(capacity).length === 0 ? {} : { capacity }),
    parameters: file.parameters ?? {},
    ...(file.catchAll === undefined ? {} : { catchAll: file.catchAll }),
  };
}
