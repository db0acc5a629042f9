import { digestOf, type Json } from "./canonical.ts";
import type { Fleet } from "./fleet.ts";
import { StampyardError } from "./errors.ts";
import { isHostname, isTenantKey, quote, requireHostname } from "./names.ts";
import type { Digest, Sha256 } from "./ports.ts";

/**
 * How a request names its tenant: all of routing that goes over a fleet by waves. `domains`, `path` and `header` are the
 * short form, tried in this order with custom hostnames after the domains; `rules` is the long form, in an order of one's
 * own, and stands instead of the short one.
 */
export interface RoutingRules {
  /** `{tenant}.<domain>`, e.g. `localhost` or `notes.example.com`. */
  readonly domains: readonly string[];
  /** `/t` makes `/t/{tenant}/…` a rule; `strip` removes it before forwarding (decision D21). */
  readonly path?: { readonly prefix: string; readonly strip: boolean };
  /** Believed only from these peers, as addresses or CIDR blocks. */
  readonly header?: { readonly name: string; readonly trustedPeers: readonly string[] };
  readonly rules?: readonly RoutingRule[];
  /** Where requests go that name no tenant, for hosts that a rule of kind `host` lists. */
  readonly geography?: Geography;
}

export interface Routing extends RoutingRules {
  readonly limits?: RoutingLimits;
  /** Takes what no tenant claims until that day has ended, UTC (decision D18); written by `publishedRouting`. */
  readonly catchAll?: CatchAll;
  /** Newest first, at most `mostTrials`, no stamp twice. Absent = the rules above hold for everybody. */
  readonly trials?: readonly RoutingTrial[];
}

/**
 * Other rules, for requests of tenants that these stamps are home to; limits and fallback are those of the fleet. So a rule
 * goes over the fleet like a release: what it breaks, it breaks for the tenants of these stamps only.
 */
export interface RoutingTrial {
  readonly stamps: readonly string[];
  readonly routing: RoutingRules;
}

/** Every trial costs requests that name no tenant another look, so there are few. */
export const mostTrials = 8;
/** Stamps of one trial: as many as a frame of the feed can name beside all else. */
export const mostTrialStamps = 5_000;

export interface CatchAll {
  readonly stamp: string;
  /** Last day of it, e.g. `2027-03-31`, UTC. */
  readonly until: string;
}

/** One rule. The first that matches decides; a later one that names another tenant refuses the request (I5). */
export type RoutingRule =
  /** `{tenant}.<domain>`. */
  | { readonly kind: "subdomain"; readonly domain: string }
  /** Custom hostnames of tenants, from the directory. */
  | { readonly kind: "hostname" }
  | { readonly kind: "path"; readonly prefix: string; readonly strip: boolean }
  | { readonly kind: "header"; readonly name: string; readonly trustedPeers: readonly string[] }
  /** What stands before `until` in this header is an alias of the tenant, e.g. the public part of an API key. */
  | { readonly kind: "alias"; readonly alias: string; readonly header: string; readonly until: string }
  /** Requests for this host carry no tenant; geography chooses their stamp. */
  | { readonly kind: "host"; readonly host: string };

/** Chooses a stamp for a request without a tenant: country, then region, then one stamp of that region by its client. */
export interface Geography {
  /** Header with a two-letter country, believed only from these peers. */
  readonly country: { readonly header: string; readonly trustedPeers: readonly string[] };
  /** Only stamps of this pool are chosen: a dedicated one belongs to its tenant. */
  readonly pool: string;
  /** Countries of a region, ISO 3166-1 alpha-2, upper case. */
  readonly regions: Readonly<Record<string, readonly string[]>>;
  /** For other countries and for peers that are not believed; absent = such requests are refused. */
  readonly default?: string;
}

export interface TenantLimits {
  readonly requestsPerSecond?: number;
  /** Requests that may come at once after a quiet time. @default twice requestsPerSecond */
  readonly burst?: number;
  /** Requests of one tenant on their way at the same time. */
  readonly concurrency?: number;
}

/** What one tenant may take of one router process. */
export interface RoutingLimits extends TenantLimits {
  /** Instead of the above for tenants at home in these pools. */
  readonly pools?: Readonly<Record<string, TenantLimits>>;
  /** Instead of all of the above for tenants of these tiers. A router from before them applies the others. */
  readonly tiers?: Readonly<Record<string, TenantLimits>>;
}

/** The tier of a tenant that names none; the directory does not say it. */
export const standardTier = "standard";

/** The rules of either form, in their order. */
export function routingRules(routing: RoutingRules): readonly RoutingRule[] {
  if (routing.rules !== undefined) return routing.rules;
  const { domains, path, header } = routing;
  return [
    ...domains.map((domain) => ({ kind: "subdomain", domain }) as const),
    { kind: "hostname" },
    ...(path === undefined ? [] : [{ kind: "path", ...path } as const]),
    ...(header === undefined ? [] : [{ kind: "header", ...header } as const]),
  ];
}

/** The part of routing that goes over the fleet by waves. */
export function rulesOf(routing: Routing): RoutingRules {
  const { limits: _, catchAll: __, trials: ___, ...rules } = routing;
  return rules;
}

/** What aims and stamps name rules by. */
export function rulesDigest(routing: Routing, sha256: Sha256): Digest {
  return digestOf(rulesOf(routing) as unknown as Json, sha256);
}

/** Limits of one routing with the rules of another. */
export function withRules({ limits }: Routing, rules: RoutingRules): Routing {
  return { ...rulesOf(rules), ...(limits === undefined ? {} : { limits }) };
}

/**
 * What routers are told: the file's routing and the pools' fallback, of which there is one at most, and the rules that
 * some stamps have instead.
 */
export function publishedRouting(fleet: Fleet, trials: readonly RoutingTrial[] = []): Routing {
  const catchAll = fleet.pools.find((pool) => pool.catchAll !== undefined)?.catchAll;
  const routing = catchAll === undefined ? fleet.routing : { ...fleet.routing, catchAll };
  return trials.length === 0 ? routing : { ...routing, trials };
}

/** The rule that reads this host as something else than a custom hostname, or undefined (I5). */
export function hostMeaning(routing: RoutingRules, hostname: string): RoutingRule | undefined {
  return routingRules(routing).find((rule) => {
    if (rule.kind === "subdomain") return hostname === rule.domain || hostname.endsWith(`.${rule.domain}`);
    return rule.kind === "host" && rule.host === hostname;
  });
}

/** The one tenant label of `host` below `domain`, or undefined. */
export function tenantLabel(domain: string, host: string): string | undefined {
  const length = host.length - domain.length - 1;
  if (length < 1 || host.charCodeAt(length) !== 46 || !host.endsWith(domain)) return undefined;
  const label = host.slice(0, length);
  return isTenantKey(label) ? label : undefined;
}

const aliasPattern = /^[a-z](?:-?[a-z0-9])*:[A-Za-z0-9_-]{1,128}$/;

/**
 * Another unique key of a tenant: a hostname, or `kind:value` such as `api-key:ak_4f2c`. A colon is in no hostname, so
 * both kinds live in one table and no Host header can spell the second.
 */
export function isAlias(text: string): boolean {
  return text.includes(":") ? text.length <= 160 && aliasPattern.test(text) : isHostname(text);
}

/** A tenant's names as the directory has them: hostnames, and other aliases only where there are any. */
export function directoryNames(names: readonly string[]): {
  readonly hostnames: readonly string[];
  readonly aliases?: readonly string[];
} {
  const hostnames = names.filter((name) => !name.includes(":"));
  return hostnames.length === names.length
    ? { hostnames }
    : { hostnames, aliases: names.filter((name) => name.includes(":")) };
}

/** @throws StampyardError INVALID_NAME */
export function requireAlias(text: string): string {
  if (!text.includes(":")) return requireHostname(text);
  if (isAlias(text)) return text;
  throw new StampyardError("INVALID_NAME", `Invalid alias ${quote(text)}`, {
    mend: "Write kind:value such as api-key:ak_4f2c; letters, digits, hyphens and _ in the value.",
  });
}

/** First millisecond after the last day of a fallback, UTC. */
export function catchAllEnd({ until }: CatchAll): number {
  const [year = 0, month = 0, day = 0] = until.split("-").map(Number);
  return daysFromCivil(year, month, day + 1) * 86_400_000;
}

/** Days since 1970-01-01 of the Gregorian calendar; a day past the month's end counts on. */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
