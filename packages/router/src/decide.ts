import type { DirectoryView } from "@stampyard/directory";
import { isTenantKey, type Routing } from "@stampyard/domain";

/** All of a request that routing may depend on. Reading it from sockets and headers is the caller's work. */
export interface RequestFacts {
  /** Normalised: lower case, no port, no trailing dot. */
  readonly host: string;
  /** Origin-form path as it was sent, without query; nothing decoded. */
  readonly path: string;
  /** Value of the header that routing names; undefined if absent. Looked at only if the peer is trusted. */
  readonly header: string | undefined;
  readonly peerTrusted: boolean;
}

export type Rule = "subdomain" | "hostname" | "path" | "header";

/** One place of the request that names a tenant, in the order of the rules. */
export interface Carrier {
  readonly rule: Rule;
  readonly tenant: string;
}

export type DecisionRefusal =
  | "malformed-path"
  | "malformed-header"
  | "conflicting-carriers"
  | "no-tenant"
  | "unknown-tenant"
  | "no-endpoint";

export type Decision =
  | {
      readonly kind: "forward";
      readonly rule: Rule;
      readonly tenant: string;
      readonly stamp: string;
      readonly epoch: number;
      /** What the stamp gets as path. */
      readonly path: string;
    }
  | {
      readonly kind: "refuse";
      readonly reason: DecisionRefusal;
      readonly rule?: Rule;
      /** Set only for tenants that exist, so that logs and counters stay bounded. */
      readonly tenant?: string;
      readonly stamp?: string;
      readonly epoch?: number;
    };

/**
 * The whole routing decision (I3–I5). The first rule that names a tenant decides: subdomain, hostname, path, header; a
 * second carrier that names another tenant is refused, because the stamp might believe that one.
 */
export function decide(directory: DirectoryView, facts: RequestFacts): Decision {
  const carriers = carriersOf(directory, facts);
  if (typeof carriers === "string") return { kind: "refuse", reason: carriers };

  const [first] = carriers;
  if (first === undefined) return { kind: "refuse", reason: "no-tenant" };
  const { rule } = first;
  if (carriers.some((carrier) => carrier.tenant !== first.tenant)) {
    return { kind: "refuse", reason: "conflicting-carriers", rule };
  }
  const home = directory.lookupTenant(first.tenant);
  if (home === undefined) return { kind: "refuse", reason: "unknown-tenant", rule };

  const { tenant, stamp, epoch } = home;
  const endpoints = directory.lookupStamp(stamp)?.endpoints ?? [];
  if (endpoints.length === 0) return { kind: "refuse", reason: "no-endpoint", rule, tenant, stamp, epoch };
  return { kind: "forward", rule, tenant, stamp, epoch, path: forwardedPath(directory.routing(), facts.path, rule) };
}

/** Every tenant that the request names, in the order of the rules; or why it cannot be read. */
export function carriersOf(
  directory: DirectoryView,
  facts: RequestFacts,
): readonly Carrier[] | "malformed-path" | "malformed-header" {
  const routing = directory.routing();
  const carriers: Carrier[] = [];

  const subdomain = subdomainOf(routing.domains, facts.host);
  if (subdomain !== undefined) carriers.push({ rule: "subdomain", tenant: subdomain });

  const owner = directory.lookupHostname(facts.host);
  if (owner !== undefined) carriers.push({ rule: "hostname", tenant: owner.tenant });

  const segment = segmentAfter(routing.path?.prefix, facts.path);
  if (segment !== undefined) {
    // Readers that decode or normalise would see another tenant than we do (decision D21).
    if (/[%\\;]/.test(segment) || segment === "." || segment === "..") return "malformed-path";
    carriers.push({ rule: "path", tenant: segment });
  }

  if (routing.header !== undefined && facts.peerTrusted && facts.header !== undefined) {
    if (!isTenantKey(facts.header)) return "malformed-header";
    carriers.push({ rule: "header", tenant: facts.header });
  }
  return carriers;
}

/** `acme` of `acme.notes.example.com` for the domain `notes.example.com`; exactly one label. */
function subdomainOf(domains: readonly string[], host: string): string | undefined {
  for (const domain of domains) {
    if (!host.endsWith(`.${domain}`)) continue;
    const label = host.slice(0, -domain.length - 1);
    if (isTenantKey(label)) return label;
  }
  return undefined;
}

/** The segment behind the prefix, undecoded; undefined if the path is not below the prefix or the segment is empty. */
function segmentAfter(prefix: string | undefined, path: string): string | undefined {
  if (prefix === undefined || !path.startsWith(`${prefix}/`)) return undefined;
  const start = prefix.length + 1;
  const end = path.indexOf("/", start);
  const segment = end < 0 ? path.slice(start) : path.slice(start, end);
  return segment === "" ? undefined : segment;
}

/** The prefix stays unless the path rule decided and asks to strip it. */
function forwardedPath(routing: Routing, path: string, rule: Rule): string {
  if (rule !== "path" || routing.path?.strip !== true) return path;
  const end = path.indexOf("/", routing.path.prefix.length + 1);
  return end < 0 ? "/" : path.slice(end);
}
