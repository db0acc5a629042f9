import { type RoutingRule, standardTier, tenantLabel } from "@stampyard/domain";
import { at, once } from "./findings.ts";
import { asMap } from "./outline.ts";
import type { Finding, Path } from "./problem.ts";
import type { Plain, ReadFile } from "./read-yaml.ts";
import { buildRule, type RuleFile } from "./routing-rules.ts";
import { didYouMean } from "./suggest.ts";

type PlainMap = { readonly [key: string]: Plain };
type Say = (where: "key" | "value", path: Path, message: string, mend: string) => void;

/** Whether the rules of a fleet file can be told apart, and name pools and regions that are there. */
export function checkRouting(file: ReadFile, findings: Finding[]): void {
  const root = file.value ?? {};
  const raw = root["routing"];
  const routing = asMap(raw);
  const say: Say = (where, path, message, mend) => at(file, findings, where, path, message, mend);
  once(file, findings, routing["domains"], ["routing", "domains"], "Domain");
  const peers = asMap(routing["header"])["trustedPeers"];
  once(file, findings, peers, ["routing", "header", "trustedPeers"], "Trusted peer");
  if (typeof raw !== "object") return;

  const domains = routing["domains"];
  const short = (Array.isArray(domains) && domains.length > 0) || "path" in routing || "header" in routing;
  if (!short && !("rules" in routing)) {
    say("key", ["routing"], "Routing names no way to a tenant", "Add domains: [localhost], path: or header:.");
  }
  const rules = Array.isArray(routing["rules"]) ? routing["rules"] : [];
  if ("rules" in routing) {
    for (const name of ["domains", "path", "header"].filter((key) => key in routing)) {
      const message = `Routing has both rules and ${name}`;
      say("key", ["routing", name], message, "Write it as one of the rules, at the place where it is to be tried.");
    }
  }
  const built = rules.map((rule, index) => checkFields(asMap(rule), ["routing", "rules", index], say));
  checkOrder(built, say);
  checkGeography(routing, asMap(root["pools"]), built, say);
  checkLimits(asMap(routing["limits"]), root, say);
  checkCatchAlls(asMap(root["pools"]), say);
}

const kinds = ["host", "hostnames", "path", "header"];
/** Fields that mean something beside one other only. */
const companions = { strip: "path", trustedPeers: "header", alias: "header", until: "alias" } as const;

/** The rule, if its fields belong together. */
function checkFields(rule: PlainMap, path: Path, say: Say): RoutingRule | undefined {
  const given = Object.keys(rule).filter((key) => kinds.includes(key));
  const [kind, second] = given;
  if (kind === undefined) {
    say("value", path, "Rule reads nothing of a request", "Add host:, hostnames:, path: or header:.");
    return undefined;
  }
  if (second !== undefined) {
    say("key", [...path, second], `Rule reads both ${kind} and ${second}`, "Write two rules; the first decides.");
    return undefined;
  }
  for (const [field, owner] of Object.entries(companions)) {
    if (!(field in rule) || owner in rule) continue;
    say("key", [...path, field], `Field ${field} means nothing without ${owner}`, `Remove it, or add ${owner}:.`);
    return undefined;
  }
  if (kind === "header") {
    const alias = "alias" in rule;
    if (alias && !("until" in rule)) {
      const mend = 'Add until: with the sign between the public part of a key and its secret, such as ".".';
      say("key", [...path, "alias"], "Alias without until would keep whole secrets in the directory", mend);
      return undefined;
    }
    if (alias === "trustedPeers" in rule) {
      const mend = "Add trustedPeers: with your proxies, or alias: and until: for keys that clients send.";
      say("key", [...path, "header"], "Header rule needs trustedPeers or an alias", mend);
      return undefined;
    }
  }
  return isShaped(rule) ? buildRule(rule as RuleFile) : undefined;
}

/** What the schema refused is not looked at again. */
function isShaped(rule: PlainMap): boolean {
  return ["host", "path", "header", "alias", "until"].every((key) => !(key in rule) || typeof rule[key] === "string");
}

/** A rule that can never decide, or whose requests two rules read differently, is a mistake that a reader cannot see. */
function checkOrder(rules: readonly (RoutingRule | undefined)[], say: Say): void {
  for (const [index, later] of rules.entries()) {
    if (later === undefined) continue;
    for (const [before, earlier] of rules.slice(0, index).entries()) {
      const fault = earlier === undefined ? undefined : overlap(earlier, later);
      if (fault === undefined) continue;
      const key = {
        subdomain: "host",
        host: "host",
        hostname: "hostnames",
        path: "path",
        header: "header",
        alias: "header",
      };
      const message = `${fault.message} (rule ${before + 1})`;
      say("value", ["routing", "rules", index, key[later.kind]], message, fault.mend);
      break;
    }
  }
}

function overlap(earlier: RoutingRule, later: RoutingRule): { message: string; mend: string } | undefined {
  if (earlier.kind === "subdomain" && later.kind === "host" && tenantLabel(earlier.domain, later.host) !== undefined) {
    return {
      message: `Host ${later.host} is read as a tenant by an earlier rule`,
      mend: "Move it before that rule.",
    };
  }
  if (earlier.kind !== later.kind) return undefined;
  switch (later.kind) {
    case "subdomain":
      return earlier.kind === "subdomain" && earlier.domain === later.domain ? twice : undefined;
    case "host":
      return earlier.kind === "host" && earlier.host === later.host ? twice : undefined;
    case "hostname":
      return twice;
    case "path": {
      if (earlier.kind !== "path") return undefined;
      if (earlier.prefix === later.prefix) return twice;
      const nested = earlier.prefix.startsWith(`${later.prefix}/`) || later.prefix.startsWith(`${earlier.prefix}/`);
      return nested
        ? {
            message: `Paths below ${later.prefix} name two tenants`,
            mend: "Choose prefixes of which none begins another.",
          }
        : undefined;
    }
    case "header":
    case "alias":
      return { message: `A second rule of kind ${later.kind} is not possible`, mend: "Keep one of the two." };
  }
}

const twice = { message: "Rule is never reached: an earlier one reads the same", mend: "Keep one of the two." };

function checkGeography(
  routing: PlainMap,
  pools: PlainMap,
  rules: readonly (RoutingRule | undefined)[],
  say: Say,
): void {
  const hosts = rules.findIndex((rule) => rule?.kind === "host");
  if (!("geography" in routing)) {
    if (hosts < 0) return;
    const mend = "Add geography: to routing, or write '{tenant}.' before the host.";
    say("value", ["routing", "rules", hosts, "host"], "Host without {tenant} needs geography to choose a stamp", mend);
    return;
  }
  const path = ["routing", "geography"];
  if (hosts < 0) {
    const mend = "Add a rule with a host without {tenant}, such as host: www.example.com.";
    say("key", path, "Geography is used by no rule", mend);
  }
  const geography = asMap(routing["geography"]);
  const pool = geography["pool"];
  const known = typeof pool === "string" && Object.hasOwn(pools, pool) ? asMap(pools[pool]) : undefined;
  if (typeof pool === "string" && known === undefined) {
    const mend = didYouMean(pool, Object.keys(pools), "Name a pool of this file.");
    say("value", [...path, "pool"], `Unknown pool ${pool}`, mend);
  }
  if (known?.["tenancy"] === "dedicated") {
    const mend = "Name a shared pool: a dedicated stamp serves its tenant only.";
    say("value", [...path, "pool"], `Pool ${String(pool)} is dedicated`, mend);
  }
  checkRegions(geography, known?.["regions"], say);
}

function checkRegions(geography: PlainMap, poolRegions: Plain | undefined, say: Say): void {
  const path = ["routing", "geography"];
  const there = Array.isArray(poolRegions) ? poolRegions.map(String) : undefined;
  const owner = new Map<string, string>();
  for (const [region, countries] of Object.entries(asMap(geography["regions"]))) {
    if (there !== undefined && !there.includes(region)) {
      const mend = didYouMean(region, there, "Name a region of that pool.");
      say("key", [...path, "regions", region], `The pool has no stamp in region ${region}`, mend);
    }
    for (const [index, country] of (Array.isArray(countries) ? countries : []).entries()) {
      const other = owner.get(String(country));
      if (other !== undefined) {
        const message = `Country ${String(country)} belongs to region ${other} already`;
        say("value", [...path, "regions", region, index], message, "Keep it in one region.");
      }
      owner.set(String(country), region);
    }
  }
  const fallback = geography["default"];
  if (typeof fallback === "string" && there !== undefined && !there.includes(fallback)) {
    const mend = didYouMean(fallback, there, "Name a region of that pool.");
    say("value", [...path, "default"], `The pool has no stamp in region ${fallback}`, mend);
  }
}

function checkLimits(limits: PlainMap, root: PlainMap, say: Say): void {
  const path = ["routing", "limits"];
  const pools = asMap(root["pools"]);
  // Without a list of tiers every tier is known.
  const tiers = root["tiers"] === undefined ? undefined : asMap(root["tiers"]);
  for (const tier of tiers === undefined ? [] : Object.keys(asMap(limits["tiers"]))) {
    if (tier === standardTier || Object.hasOwn(tiers ?? {}, tier)) continue;
    const mend = didYouMean(tier, Object.keys(tiers ?? {}), "Declare it in tiers first.");
    say("key", [...path, "tiers", tier], `Unknown tier ${tier}`, mend);
  }
  for (const pool of Object.keys(asMap(limits["pools"]))) {
    if (Object.hasOwn(pools, pool)) continue;
    say(
      "key",
      [...path, "pools", pool],
      `Unknown pool ${pool}`,
      didYouMean(pool, Object.keys(pools), "Name a pool of this file."),
    );
  }
  const all: [Path, PlainMap][] = [
    [path, limits],
    ...["pools", "tiers"].flatMap((kind) =>
      Object.entries(asMap(limits[kind])).map(([one, own]): [Path, PlainMap] => [[...path, kind, one], asMap(own)]),
    ),
  ];
  for (const [where, one] of all) {
    if (!("burst" in one) || "requestsPerSecond" in one) continue;
    say("key", [...where, "burst"], "Field burst means nothing without requestsPerSecond", "Add it, or remove burst.");
  }
}

/** Two stamps cannot both take what no tenant claims. */
function checkCatchAlls(pools: PlainMap, say: Say): void {
  const fallbacks = Object.entries(pools).filter(([, pool]) => "catchAll" in asMap(pool));
  for (const [name] of fallbacks.slice(1)) {
    const message = `Pool ${fallbacks[0]?.[0] ?? ""} has a catchAll already`;
    say("key", ["pools", name, "catchAll"], message, "Keep one: one stamp takes what no tenant claims.");
  }
}
