import {
  type Geography,
  isName,
  mostTrials,
  mostTrialStamps,
  type Routing,
  type RoutingLimits,
  type RoutingRule,
  type RoutingRules,
  type RoutingTrial,
  type TenantLimits,
} from "@stampyard/domain";
import { arrayOf, isRecord, nameOf, recordOf, textOf, UnknownKind, Unreadable } from "./read-change.ts";

const maxEntries = 100;
const domainText = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
const prefixText = /^(?=.{1,128}$)(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+$/;
const headerNameText = /^(?!stampyard-)[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
const peerText = /^[0-9A-Fa-f.:]{2,45}(?:\/[0-9]{1,3})?$/;
const countryText = /^[A-Z]{2}$/;
const dayText = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const separatorText = /^[!-/:-@[-`{-~]$/;

/** Reads the routing of a change. A rule of a kind that is not known here cannot be left out: it may decide (I5). */
export function routingOf(value: unknown, at: string): Routing {
  const { limits, catchAll, trials } = recordOf(value, ["domains"], at, ["limits", "catchAll", "trials"]) as Fields &
    Names;
  return {
    ...rulesOf(value, at),
    ...(limits === undefined ? {} : { limits: routingLimitsOf(limits, `${at}.limits`) }),
    ...(catchAll === undefined ? {} : { catchAll: catchAllOf(catchAll, `${at}.catchAll`) }),
    ...(trials === undefined ? {} : { trials: trialsOf(trials, `${at}.trials`) }),
  };
}

interface Names {
  readonly limits?: unknown;
  readonly catchAll?: unknown;
  readonly trials?: unknown;
}

function rulesOf(value: unknown, at: string): RoutingRules {
  const fields = recordOf(value, ["domains"], at, ["path", "header", "rules", "geography"]);
  const domains = arrayOf(fields["domains"], maxEntries, `${at}.domains`);
  const { path, header, rules, geography } = fields as Fields & RuleNames;
  return {
    domains: domains.map((domain, index) => textOf(domain, domainText, `${at}.domains[${index}]`)),
    ...(path === undefined ? {} : { path: pathOf(recordOf(path, ["prefix", "strip"], `${at}.path`), `${at}.path`) }),
    ...(header === undefined
      ? {}
      : { header: headerOf(recordOf(header, ["name", "trustedPeers"], `${at}.header`), `${at}.header`) }),
    ...(rules === undefined
      ? {}
      : {
          rules: arrayOf(rules, maxEntries, `${at}.rules`).map((rule, index) => ruleOf(rule, `${at}.rules[${index}]`)),
        }),
    ...(geography === undefined ? {} : { geography: geographyOf(geography, `${at}.geography`) }),
  };
}

interface RuleNames {
  readonly path?: unknown;
  readonly header?: unknown;
  readonly rules?: unknown;
  readonly geography?: unknown;
}

/** A stamp of two trials would have two sets of rules. */
function trialsOf(value: unknown, at: string): readonly RoutingTrial[] {
  const seen = new Set<string>();
  return arrayOf(value, mostTrials, at).map((trial, index): RoutingTrial => {
    const here = `${at}[${index}]`;
    const fields = recordOf(trial, ["stamps", "routing"], here);
    const stamps = arrayOf(fields["stamps"], mostTrialStamps, `${here}.stamps`).map((stamp) => {
      const name = nameOf(stamp, `${here}.stamps`);
      if (seen.has(name)) throw new Unreadable(`${at} names a stamp twice`);
      seen.add(name);
      return name;
    });
    return { stamps, routing: rulesOf(fields["routing"], `${here}.routing`) };
  });
}

type Fields = Readonly<Record<string, unknown>>;

function ruleOf(value: unknown, at: string): RoutingRule {
  const kind = isRecord(value) ? value["kind"] : undefined;
  switch (kind) {
    case "subdomain": {
      const fields = exactly(value, ["kind", "domain"], at);
      return { kind, domain: textOf(fields["domain"], domainText, `${at}.domain`) };
    }
    case "hostname":
      exactly(value, ["kind"], at);
      return { kind };
    case "path":
      return { kind, ...pathOf(exactly(value, ["kind", "prefix", "strip"], at), at) };
    case "header":
      return { kind, ...headerOf(exactly(value, ["kind", "name", "trustedPeers"], at), at) };
    case "alias": {
      const fields = exactly(value, ["kind", "alias", "header", "until"], at);
      return {
        kind,
        alias: nameOf(fields["alias"], `${at}.alias`),
        header: headerNameOf(fields["header"], `${at}.header`),
        until: textOf(fields["until"], separatorText, `${at}.until`),
      };
    }
    case "host": {
      const fields = exactly(value, ["kind", "host"], at);
      return { kind, host: textOf(fields["host"], domainText, `${at}.host`) };
    }
    default:
      // A rule that is left out could have been the first to match: only a newer version may route by this.
      if (typeof kind === "string" && isName(kind)) throw new UnknownKind(`routing-put with a rule of kind ${kind}`);
      throw new Unreadable(`${at}.kind is not a kind of rule`);
  }
}

/** Nothing more than these: what a newer version says of a rule may narrow what it reads, so it cannot be left out. */
function exactly(value: unknown, names: readonly string[], at: string): Fields {
  const fields = recordOf(value, names, at);
  if (Object.keys(fields).length === names.length) return fields;
  throw new Unreadable(`${at} has a field that is not known for its kind`);
}

function pathOf(fields: Fields, at: string): { readonly prefix: string; readonly strip: boolean } {
  if (typeof fields["strip"] !== "boolean") throw new Unreadable(`${at}.strip is not true or false`);
  return { prefix: textOf(fields["prefix"], prefixText, `${at}.prefix`), strip: fields["strip"] };
}

function headerOf(fields: Fields, at: string): { readonly name: string; readonly trustedPeers: readonly string[] } {
  return { name: headerNameOf(fields["name"], `${at}.name`), trustedPeers: peersOf(fields["trustedPeers"], at) };
}

/** As written, because the chain is computed over what was written. */
function headerNameOf(value: unknown, at: string): string {
  textOf(typeof value === "string" ? value.toLowerCase() : value, headerNameText, at);
  return value as string;
}

function peersOf(value: unknown, at: string): readonly string[] {
  const peers = arrayOf(value, maxEntries, `${at}.trustedPeers`);
  return peers.map((peer, index) => textOf(peer, peerText, `${at}.trustedPeers[${index}]`));
}

function geographyOf(value: unknown, at: string): Geography {
  const fields = recordOf(value, ["country", "pool", "regions"], at, ["default"]);
  const country = recordOf(fields["country"], ["header", "trustedPeers"], `${at}.country`);
  const regions = entriesOf(fields["regions"], `${at}.regions`).map(([region, countries]) => {
    const list = arrayOf(countries, 300, `${at}.regions`);
    return [region, list.map((one) => textOf(one, countryText, `${at}.regions`))] as const;
  });
  const fallback = fields["default"];
  return {
    country: {
      header: headerNameOf(country["header"], `${at}.country.header`),
      trustedPeers: peersOf(country["trustedPeers"], `${at}.country`),
    },
    pool: nameOf(fields["pool"], `${at}.pool`),
    regions: Object.fromEntries(regions),
    ...(fallback === undefined ? {} : { default: nameOf(fallback, `${at}.default`) }),
  };
}

function routingLimitsOf(value: unknown, at: string): RoutingLimits {
  const { pools, tiers, ...own } = recordOf(value, [], at, [...limitNames, "pools", "tiers"]);
  return {
    ...tenantLimitsOf(own, at),
    ...(pools === undefined ? {} : { pools: limitsByName(pools, `${at}.pools`) }),
    ...(tiers === undefined ? {} : { tiers: limitsByName(tiers, `${at}.tiers`) }),
  };
}

function limitsByName(value: unknown, at: string): Readonly<Record<string, TenantLimits>> {
  const limits = entriesOf(value, at).map(([name, own]) => [
    name,
    tenantLimitsOf(recordOf(own, [], at, limitNames), at),
  ]);
  return Object.fromEntries(limits);
}

const limitNames = ["requestsPerSecond", "burst", "concurrency"];

function tenantLimitsOf(fields: Fields, at: string): TenantLimits {
  for (const name of limitNames) {
    const value = fields[name];
    if (value === undefined) continue;
    if (typeof value === "number" && value > 0 && value <= 1_000_000) continue;
    throw new Unreadable(`${at}.${name} is not a number from above 0 to 1000000`);
  }
  return fields as TenantLimits;
}

function catchAllOf(value: unknown, at: string): NonNullable<Routing["catchAll"]> {
  const fields = recordOf(value, ["stamp", "until"], at);
  return { stamp: nameOf(fields["stamp"], `${at}.stamp`), until: textOf(fields["until"], dayText, `${at}.until`) };
}

function entriesOf(value: unknown, at: string): readonly (readonly [string, unknown])[] {
  if (!isRecord(value)) throw new Unreadable(`${at} is not an object`);
  const entries = Object.entries(value);
  if (entries.length > maxEntries) throw new Unreadable(`${at} has more than ${maxEntries} entries`);
  for (const [name] of entries) if (!isName(name)) throw new Unreadable(`${at} holds something that is no name`);
  return entries;
}
