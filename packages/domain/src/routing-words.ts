import { canonicalJson, type Json } from "./canonical.ts";
import { type Routing, type RoutingRule, type RoutingRules, routingRules } from "./routing.ts";

/** A rule as the fleet file writes it. */
export function ruleText(rule: RoutingRule): string {
  switch (rule.kind) {
    case "subdomain":
      return `host {tenant}.${rule.domain}`;
    case "hostname":
      return "hostnames of tenants";
    case "path":
      return `path ${rule.prefix}/{tenant}`;
    case "header":
      return `header ${rule.name}`;
    case "alias":
      return `alias ${rule.alias} in header ${rule.header}`;
    case "host":
      return `host ${rule.host}, without tenant`;
  }
}

/** What comes (`+`), goes (`−`) and changes (`~`) from one set of rules to another, in the order of the newer. Empty = nothing. */
export function rulesDifference(from: RoutingRules, to: RoutingRules): readonly string[] {
  const [before, after] = [textsOf(from), textsOf(to)];
  const words = [
    ...[...after].flatMap(([text, rule]) => {
      const old = before.get(text);
      return old === undefined ? [`+ ${text}`] : old === rule ? [] : [`~ ${text}`];
    }),
    ...[...before.keys()].filter((text) => !after.has(text)).map((text) => `− ${text}`),
  ];
  const isOrdered = [...before.keys()].join("\n") === [...after.keys()].join("\n");
  return words.length === 0 && !isOrdered ? ["~ order of the rules"] : words;
}

/** As `rulesDifference`, and with what holds at once for the whole fleet. */
export function routingDifference(from: Routing, to: Routing): readonly string[] {
  const fields = [["limits", from.limits, to.limits] as const, ["fallback", from.catchAll, to.catchAll] as const];
  const others = fields.filter(([, old, now]) => jsonOf(old) !== jsonOf(now)).map(([name]) => `~ ${name}`);
  return [...rulesDifference(from, to), ...others];
}

/** Canonical rule by its text. Two of one text are one: the second never decides. */
function textsOf(routing: RoutingRules): ReadonlyMap<string, string> {
  const { geography } = routing;
  const texts = routingRules(routing).map((rule) => [ruleText(rule), jsonOf(rule)] as const);
  return new Map(geography === undefined ? texts : [...texts, ["geography", jsonOf(geography)] as const]);
}

function jsonOf(value: unknown): string {
  return value === undefined ? "" : canonicalJson(value as Json);
}
