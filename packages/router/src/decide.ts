import type { DirectoryView, HomeRef, StampEntry } from "@stampyard/directory";
import {
  catchAllEnd,
  isTenantKey,
  type Routing,
  type RoutingRule,
  type RoutingTrial,
  routingRules,
  suspendedHome,
  tenantLabel,
} from "@stampyard/domain";
import { homeByRendezvous } from "./rendezvous.ts";

/** All of a request that routing may depend on. Reading it from sockets and headers is the caller's work. */
export interface RequestFacts {
  /** Normalised: lower case, no port, no trailing dot. */
  readonly host: string;
  /** Origin-form path as it was sent, without query; nothing decoded. */
  readonly path: string;
  /** Value of the header that routing names; undefined if absent. Looked at only if the peer is trusted. */
  readonly header: string | undefined;
  readonly peerTrusted: boolean;
  /** Value of the header of the alias rule. Believed of anybody: the stamp checks what follows it. */
  readonly alias: string | undefined;
  /** Country as a peer says it that geography trusts; undefined if it is silent or not trusted. */
  readonly country: string | undefined;
  /** Who asks, e.g. an address: requests of one client without a tenant keep going to one stamp. */
  readonly client: string;
  /** Wall time in milliseconds; read only where a fallback has an end. */
  readonly nowMs: number;
}

export type Rule = Exclude<RoutingRule["kind"], "host"> | "geography" | "catch-all";

/** The regions that a router serves; others are answered, never proxied to. undefined = all. */
export type RegionScope = ReadonlySet<string> | undefined;

export type DecisionRefusal =
  | "malformed-path"
  | "malformed-header"
  | "conflicting-carriers"
  | "no-tenant"
  | "unknown-tenant"
  | "tenant-suspended"
  | "no-endpoint"
  | "no-region"
  | "other-region";

export interface Forward {
  readonly kind: "forward";
  readonly rule: Rule;
  /** undefined = of no tenant, by geography or fallback; the signed header then says `-` (I4). */
  readonly tenant: string | undefined;
  readonly stamp: string;
  /** 0 for no tenant. */
  readonly epoch: number;
  /** What the stamp gets as path. */
  readonly path: string;
  /** Why no tenant was found, where the fallback takes the request. */
  readonly unresolved?: "no-tenant" | "unknown-tenant";
  readonly trial?: RoutingTrial;
  readonly lost?: LostRequest;
}

/** By the fleet's rules it belongs to this stamp, and to this tenant of it; those of the stamp's trial say otherwise. */
export interface LostRequest {
  readonly stamp: string;
  /** undefined = of no tenant. */
  readonly tenant: string | undefined;
}

export interface Refuse {
  readonly kind: "refuse";
  readonly reason: DecisionRefusal;
  readonly rule?: Rule;
  /** Set only for tenants that exist, so that logs and counters stay bounded. */
  readonly tenant?: string;
  readonly stamp?: string;
  readonly epoch?: number;
  /** Where the home is, when it is in a region that this router does not serve. */
  readonly region?: string;
  /** Whose rules decided; absent = the fleet's. */
  readonly trial?: RoutingTrial;
  readonly lost?: LostRequest;
}

export type Decision = Forward | Refuse;

/** The request matches and belongs to no tenant. */
export const tenantless: unique symbol = Symbol("tenantless");
export const malformedPath: unique symbol = Symbol("malformed-path");
export const malformedHeader: unique symbol = Symbol("malformed-header");
export type Named = string | typeof tenantless | typeof malformedPath | typeof malformedHeader | undefined;

/**
 * The whole routing decision (I3–I5). Rules are tried in their order and the first that matches decides; a later one
 * that names another tenant refuses the request, because the stamp might believe that one. A host without tenant that
 * comes after a rule that named one says nothing against it. Trials are not looked at: `withTrials` is for them.
 * @param facts as these rules want them
 */
export function decide(
  directory: DirectoryView,
  facts: RequestFacts,
  scope?: RegionScope,
  routing: Routing = directory.routing(),
): Decision {
  const { rules, hosts } = compiled(routing);
  let found: string | typeof tenantless | undefined;
  let by: RoutingRule | undefined;
  let conflict = false;
  for (const rule of rules) {
    const named = namedBy(rule, directory, facts, hosts);
    if (named === undefined) continue;
    if (named === malformedPath) return { kind: "refuse", reason: "malformed-path" };
    if (named === malformedHeader) return { kind: "refuse", reason: "malformed-header" };
    if (by === undefined) {
      found = named;
      by = rule;
    } else if (named !== found && named !== tenantless) conflict = true;
  }
  if (by === undefined || found === undefined) return unresolved(directory, routing, facts, scope, "no-tenant");
  const rule = ruleName(by);
  if (conflict) return { kind: "refuse", reason: "conflicting-carriers", rule };
  if (found === tenantless) return byGeography(directory, routing, facts, scope);

  const home = directory.findTenant(found);
  const stamp = home < 0 ? undefined : directory.stampAt(home);
  if (stamp === undefined) return unresolved(directory, routing, facts, scope, "unknown-tenant", rule);
  const tenant = found;
  const epoch = directory.epochAt(home);
  if (stamp === suspendedHome) return { kind: "refuse", reason: "tenant-suspended", rule, tenant, epoch };
  const entry = directory.lookupStamp(stamp);
  if (entry !== undefined && isOutside(scope, entry.region)) {
    return { kind: "refuse", reason: "other-region", rule, tenant, region: entry.region };
  }
  if (!answers(entry)) return { kind: "refuse", reason: "no-endpoint", rule, tenant, stamp, epoch };
  return { kind: "forward", rule, tenant, stamp, epoch, path: forwardedPath(by, facts.path) };
}

/**
 * What one rule reads in the request: a tenant's key (of a tenant that may not exist), nothing, or something that cannot
 * be read in one way only.
 * @param hosts hosts that rules of kind `host` claim: their first label names no tenant
 */
export function namedBy(
  rule: RoutingRule,
  directory: DirectoryView,
  facts: RequestFacts,
  hosts: ReadonlySet<string> | undefined,
): Named {
  switch (rule.kind) {
    case "subdomain":
      return hosts?.has(facts.host) === true ? undefined : tenantLabel(rule.domain, facts.host);
    case "hostname":
      return tenantAt(directory, directory.findHostname(facts.host));
    case "path": {
      const segment = segmentAfter(rule.prefix, facts.path);
      if (segment === undefined) return undefined;
      // Readers that decode or normalise would see another tenant than we do (decision D21).
      return /[%\\;]/.test(segment) || segment === "." || segment === ".." ? malformedPath : segment;
    }
    case "header":
      if (!facts.peerTrusted || facts.header === undefined) return undefined;
      return isTenantKey(facts.header) ? facts.header : malformedHeader;
    case "alias": {
      const end = facts.alias?.indexOf(rule.until) ?? -1;
      if (facts.alias === undefined || end < 1 || end > 128) return undefined;
      return tenantAt(directory, directory.findAlias(`${rule.alias}:${facts.alias.slice(0, end)}`));
    }
    case "host":
      return facts.host === rule.host ? tenantless : undefined;
  }
}

function tenantAt(directory: DirectoryView, home: HomeRef): string | undefined {
  return home < 0 ? undefined : directory.tenantAt(home);
}

/** A name for logs: hosts without a tenant are a matter of geography. */
export function ruleName(rule: RoutingRule): Rule {
  return rule.kind === "host" ? "geography" : rule.kind;
}

/** Country, then region, then one stamp of it. Never a stamp of another region: residency comes before an answer. */
function byGeography(directory: DirectoryView, routing: Routing, facts: RequestFacts, scope: RegionScope): Decision {
  const rule = "geography";
  const region = regionOf(routing, facts.country);
  if (routing.geography === undefined || region === undefined) return { kind: "refuse", reason: "no-region", rule };
  if (isOutside(scope, region)) return { kind: "refuse", reason: "other-region", rule, region };
  const stamp = homeByRendezvous(directory.stamps(), facts.client, routing.geography.pool, region);
  if (stamp === undefined) return { kind: "refuse", reason: "no-endpoint", rule };
  return { kind: "forward", rule, tenant: undefined, stamp, epoch: 0, path: facts.path };
}

/** The region of a country; the default for one that is not in the map or not known. */
export function regionOf(routing: Routing, country: string | undefined): string | undefined {
  const region = country === undefined ? undefined : compiled(routing).regions.get(country.toUpperCase());
  return region ?? routing.geography?.default;
}

/** Unknown fails closed, unless stamp zero takes what no tenant claims and its time has not run out (D18, I4). */
function unresolved(
  directory: DirectoryView,
  routing: Routing,
  facts: RequestFacts,
  scope: RegionScope,
  reason: "no-tenant" | "unknown-tenant",
  rule?: Rule,
): Refuse | Forward {
  const refuse: Refuse = rule === undefined ? { kind: "refuse", reason } : { kind: "refuse", reason, rule };
  if (routing.catchAll === undefined || facts.nowMs >= compiled(routing).catchAllEndMs) return refuse;
  const { stamp } = routing.catchAll;
  const entry = directory.lookupStamp(stamp);
  if (entry !== undefined && isOutside(scope, entry.region)) return refuse;
  if (!answers(entry)) return { kind: "refuse", reason: "no-endpoint", rule: "catch-all", stamp, epoch: 0 };
  return {
    kind: "forward",
    rule: "catch-all",
    tenant: undefined,
    stamp,
    epoch: 0,
    path: facts.path,
    unresolved: reason,
  };
}

function answers(entry: StampEntry | undefined): boolean {
  return entry !== undefined && entry.endpoints.length > 0;
}

function isOutside(scope: RegionScope, region: string): boolean {
  return scope !== undefined && !scope.has(region);
}

interface Compiled {
  readonly rules: readonly RoutingRule[];
  readonly hosts: ReadonlySet<string> | undefined;
  /** Region by country. */
  readonly regions: ReadonlyMap<string, string>;
  readonly catchAllEndMs: number;
}

/** Routing changes rarely and is asked for every request, so the last one is kept in its worked-out form. */
let last: { readonly routing: Routing; readonly compiled: Compiled } | undefined;
/** While there are trials, several are asked in turn. */
const known = new WeakMap<Routing, NonNullable<typeof last>>();

export function compiled(routing: Routing): Compiled {
  if (last?.routing === routing) return last.compiled;
  last = known.get(routing);
  if (last === undefined) {
    last = { routing, compiled: compile(routing) };
    known.set(routing, last);
  }
  return last.compiled;
}

function compile(routing: Routing): Compiled {
  const rules = routingRules(routing);
  const hosts = rules.flatMap((rule) => (rule.kind === "host" ? [rule.host] : []));
  const regions = new Map<string, string>();
  for (const [region, countries] of Object.entries(routing.geography?.regions ?? {})) {
    for (const country of countries) regions.set(country, region);
  }
  return {
    rules,
    hosts: hosts.length === 0 ? undefined : new Set(hosts),
    regions,
    catchAllEndMs: routing.catchAll === undefined ? 0 : catchAllEnd(routing.catchAll),
  };
}

/** The segment behind the prefix, undecoded; undefined if the path is not below the prefix or the segment is empty. */
function segmentAfter(prefix: string, path: string): string | undefined {
  const start = prefix.length + 1;
  if (path.charCodeAt(prefix.length) !== 47 || !path.startsWith(prefix)) return undefined;
  const end = path.indexOf("/", start);
  const segment = end < 0 ? path.slice(start) : path.slice(start, end);
  return segment === "" ? undefined : segment;
}

/** The prefix stays unless the path rule decided and asks to strip it. */
function forwardedPath(rule: RoutingRule, path: string): string {
  if (rule.kind !== "path" || !rule.strip) return path;
  const end = path.indexOf("/", rule.prefix.length + 1);
  return end < 0 ? "/" : path.slice(end);
}
