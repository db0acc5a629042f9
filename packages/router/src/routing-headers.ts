import { type Routing, routingRules } from "@stampyard/domain";
import { makeTrustedPeers, type TrustedPeers } from "./trusted-peers.ts";

/** Which headers routing reads, in lower case, and whom it believes. */
export interface RoutingHeaders {
  readonly tenant: string | undefined;
  readonly alias: string | undefined;
  readonly country: string | undefined;
  /** Whose tenant header and X-Forwarded-For are believed. */
  readonly trusted: TrustedPeers;
  /** Whose country header is believed. */
  readonly trustedForCountry: TrustedPeers;
}

let last: { readonly routing: Routing; readonly headers: RoutingHeaders } | undefined;
/** While there are trials, several are asked in turn. */
const known = new WeakMap<Routing, NonNullable<typeof last>>();

/** Worked out once for each routing. */
export function routingHeaders(routing: Routing): RoutingHeaders {
  if (last?.routing === routing) return last.headers;
  last = known.get(routing);
  if (last === undefined) {
    last = { routing, headers: headersOf(routing) };
    known.set(routing, last);
  }
  return last.headers;
}

function headersOf(routing: Routing): RoutingHeaders {
  let tenant: string | undefined;
  let alias: string | undefined;
  let peers: readonly string[] = [];
  for (const rule of routingRules(routing)) {
    if (rule.kind === "header") {
      tenant = rule.name.toLowerCase();
      peers = rule.trustedPeers;
    }
    if (rule.kind === "alias") alias = rule.header.toLowerCase();
  }
  const { geography } = routing;
  return {
    tenant,
    alias,
    country: geography?.country.header.toLowerCase(),
    trusted: makeTrustedPeers(peers),
    trustedForCountry: makeTrustedPeers(geography?.country.trustedPeers ?? []),
  };
}

export interface RoutingValues {
  readonly tenant: string | undefined;
  readonly alias: string | undefined;
  readonly country: string | undefined;
  /** Last address in X-Forwarded-For, i.e. whom the trusted peer itself saw. */
  readonly forwardedFor: string | undefined;
}

const nothing: RoutingValues = { tenant: undefined, alias: undefined, country: undefined, forwardedFor: undefined };

/** Fields as they stand in a head. */
export interface RawFields {
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
}

/**
 * Picks what routing reads. undefined when one that decides is there twice: the stamp might read the other one.
 * @param request asked for its fields only where routing looks at one
 * @param peerTrusted whether the tenant header of this peer is believed; it is not looked at otherwise
 */
export function readRoutingHeaders(
  headers: RoutingHeaders,
  request: RawFields,
  peerTrusted: boolean,
  countryTrusted: boolean,
): RoutingValues | undefined {
  const wantsTenant = headers.tenant !== undefined && peerTrusted;
  const wantsCountry = headers.country !== undefined && countryTrusted;
  if (!wantsTenant && !wantsCountry && headers.alias === undefined) return nothing;
  const { rawHeaders } = request;
  const tenants = wantsTenant ? valuesOf(rawHeaders, headers.tenant) : [];
  const aliases = headers.alias === undefined ? [] : valuesOf(rawHeaders, headers.alias);
  const countries = wantsCountry ? valuesOf(rawHeaders, headers.country) : [];
  if (tenants.length > 1 || aliases.length > 1 || countries.length > 1) return undefined;
  const hops = wantsCountry ? valuesOf(rawHeaders, "x-forwarded-for").at(-1) : undefined;
  return {
    tenant: tenants[0],
    alias: aliases[0],
    country: countries[0],
    forwardedFor: hops?.slice(hops.lastIndexOf(",") + 1).trim(),
  };
}

function valuesOf(rawHeaders: readonly string[], name: string): readonly string[] {
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
}
