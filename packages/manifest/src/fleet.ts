import type { Fleet, Pool, Routing, Template } from "@stampyard/domain";
import { type FleetFile, fleetFile } from "./fleet-file.ts";
import { checkShape } from "./issues.ts";
import { kindFault } from "./kind.ts";
import { asMap } from "./outline.ts";
import { parameterFaults } from "./parameters.ts";
import { type Finding, type Path, type Problem, problemsOf } from "./problem.ts";
import { keyOffset, type Plain, type ReadFile, readYaml, valueOffset } from "./read-yaml.ts";
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
    at(check, "key", ["pools"], "Fleet has no pool", "Add one, such as shared: with regions and stamps.");
  }
  for (const [name, raw] of Object.entries(asMap(pools))) checkPool(check, asMap(raw), ["pools", name]);
  const routing = asMap(root["routing"]);
  once(check, routing["domains"], ["routing", "domains"], "Domain");
  once(check, asMap(routing["header"])["trustedPeers"], ["routing", "header", "trustedPeers"], "Trusted peer");
  const domains = routing["domains"];
  const ways = (Array.isArray(domains) && domains.length > 0) || "path" in routing || "header" in routing;
  if (typeof root["routing"] === "object" && !ways) {
    const mend = "Add domains: [localhost], path: or header:.";
    at(check, "key", ["routing"], "Routing names no way to a tenant", mend);
  }
  return check.findings;
}

function checkPool(check: Check, pool: { readonly [key: string]: Plain }, path: Path): void {
  const name = String(path.at(-1));
  once(check, pool["regions"], [...path, "regions"], "Region");
  const tenants = asMap(pool["capacity"])["tenants"];
  if (pool["tenancy"] === "dedicated" && typeof tenants === "number" && tenants !== 1) {
    const message = `Dedicated pool ${name} has room for ${tenants} tenants per stamp`;
    at(check, "value", [...path, "capacity", "tenants"], message, "Write tenants: 1, or tenancy: shared.");
  }
  const { template } = check;
  if (template === undefined) return;
  const parameters = asMap(pool["parameters"]);
  for (const fault of parameterFaults(template, parameters)) {
    const given = fault.kind !== "missing";
    const here = given ? [...path, "parameters", fault.parameter] : [...path, "parameters"];
    const where = fault.kind === "type" ? "value" : "key";
    at(check, where, here, `${fault.message} in pool ${name}`, fault.mend);
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
      check,
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
      at(check, "key", [...path, "units", unit], `Unknown capacity unit ${unit}`, mend);
    }
  }
}

function once(check: Check, list: Plain | undefined, path: Path, what: string): void {
  const seen = new Set<string>();
  for (const [index, item] of (Array.isArray(list) ? list : []).entries()) {
    if (typeof item !== "string") continue;
    if (seen.has(item))
      at(check, "value", [...path, index], `${what} stands twice in the list`, "Keep one of the two.");
    seen.add(item);
  }
}

function at(check: Check, where: "key" | "value", path: Path, message: string, mend: string): void {
  const offset = where === "key" ? keyOffset(check.file.places, path) : valueOffset(check.file.places, path);
  check.findings.push({ offset, path, message, mend });
}

function buildFleet(data: FleetFile): Fleet {
  const pools = Object.entries(data.pools).map(([name, pool]) => buildPool(name, pool));
  return {
    name: data.metadata.name,
    template: data.template,
    pools: pools.sort((a, b) => (a.name < b.name ? -1 : 1)),
    routing: buildRouting(data.routing),
  };
}

function buildPool(name: string, file: FleetFile["pools"][string]): Pool {
  const { tenants, units } = file.capacity ?? {};
  const capacity = { ...(tenants === undefined ? {} : { tenants }), ...(units === undefined ? {} : { units }) };
  return {
    name,
    tenancy: file.tenancy ?? "shared",
    regions: file.regions,
    stamps: file.stamps,
    ...(Object.keys(capacity).length === 0 ? {} : { capacity }),
    parameters: file.parameters ?? {},
    ...(file.catchAll === undefined ? {} : { catchAll: file.catchAll }),
  };
}

function buildRouting(file: FleetFile["routing"]): Routing {
  const { path, header } = file;
  return {
    domains: file.domains ?? [],
    ...(path === undefined ? {} : { path: { prefix: path.prefix, strip: path.strip ?? false } }),
    // Header names have no case (RFC 9110 section 5.1); Node gives them in lower case.
    ...(header === undefined ? {} : { header: { ...header, name: header.name.toLowerCase() } }),
  };
}
