import type { Routing, RoutingRule } from "@stampyard/domain";
import type { FleetFile } from "./fleet-file.ts";

type RoutingFile = FleetFile["routing"];
export type RuleFile = NonNullable<RoutingFile["rules"]>[number];

const tenantHost = "{tenant}.";
const tenantSegment = "/{tenant}";

export function buildRouting(file: RoutingFile): Routing {
  const { path, header, rules, geography, limits } = file;
  return {
    domains: file.domains ?? [],
    ...(path === undefined ? {} : { path: { prefix: path.prefix, strip: path.strip ?? false } }),
    // Header names have no case (RFC 9110 section 5.1); Node gives them in lower case.
    ...(header === undefined ? {} : { header: { ...header, name: header.name.toLowerCase() } }),
    ...(rules === undefined ? {} : { rules: rules.flatMap((rule) => buildRule(rule) ?? []) }),
    ...(geography === undefined ? {} : { geography: buildGeography(geography) }),
    ...(limits === undefined ? {} : { limits: defined(limits) as NonNullable<Routing["limits"]> }),
  };
}

/** undefined for one whose fields do not belong together; the checks say so. */
export function buildRule(file: RuleFile): RoutingRule | undefined {
  const { host, path, header, alias, until, trustedPeers } = file;
  if (host !== undefined) {
    return host.startsWith(tenantHost)
      ? { kind: "subdomain", domain: host.slice(tenantHost.length) }
      : { kind: "host", host };
  }
  if (file.hostnames === true) return { kind: "hostname" };
  if (path !== undefined) {
    return { kind: "path", prefix: path.slice(0, -tenantSegment.length), strip: file.strip ?? false };
  }
  if (header === undefined) return undefined;
  if (alias !== undefined && until !== undefined) return { kind: "alias", alias, header: header.toLowerCase(), until };
  return trustedPeers === undefined ? undefined : { kind: "header", name: header.toLowerCase(), trustedPeers };
}

function buildGeography(file: NonNullable<RoutingFile["geography"]>): NonNullable<Routing["geography"]> {
  const { country, pool, regions } = file;
  return {
    country: { header: country.header.toLowerCase(), trustedPeers: country.trustedPeers },
    pool,
    regions,
    ...(file.default === undefined ? {} : { default: file.default }),
  };
}

function defined<T extends object>(value: T): T {
  const entries = Object.entries(value).filter(([, part]) => part !== undefined);
  return Object.fromEntries(entries) as T;
}
