import type { DirectoryView, TenantEntry } from "@stampyard/directory";
import { type Routing, routingRules } from "@stampyard/domain";
import { trialsOf } from "../decide-by-trials.ts";
import type { StampKeys } from "../route-signer.ts";

export type ExportFormat = "nginx-map" | "haproxy-map" | "json";

/**
 * One file per question. The value of a host or tenant is `tenant;stamp;epoch`, as the signed header has it, for
 * HAProxy, which signs by itself; and the stamp alone for nginx, which cannot sign.
 */
export type ExportFile = "hosts" | "tenants" | "stamps";

/** The lines of one file; made while they are read, so the table must not change meanwhile. */
export function* exportLines(directory: DirectoryView, format: ExportFormat, file: ExportFile): Iterable<string> {
  if (file === "stamps") {
    for (const { stamp, endpoints } of directory.stamps()) {
      const [first] = endpoints;
      if (first === undefined) continue;
      const host = first.host.includes(":") ? `[${first.host}]` : first.host;
      yield lineOf(format, stamp, `${host}:${first.port}`);
    }
    return;
  }
  const carriers = hostCarriers(directory);
  for (const tenant of directory.tenants()) {
    const value = format === "nginx-map" ? tenant.stamp : `${tenant.tenant};${tenant.stamp};${tenant.epoch}`;
    if (file === "tenants") yield lineOf(format, tenant.tenant, value);
    else for (const host of hostsOf(tenant, carriers, directory)) yield lineOf(format, host, value);
  }
}

/** What rules say of hosts: domains below which a tenant's key stands, and hosts that are no tenant's. */
interface HostRules {
  readonly domains: readonly string[];
  readonly claimed: ReadonlySet<string>;
}

interface HostCarriers {
  readonly fleet: HostRules;
  readonly byStamp: ReadonlyMap<string, HostRules>;
}

function hostCarriers(directory: DirectoryView): HostCarriers {
  const routing = directory.routing();
  const trials = trialsOf(routing).map((trial) => [trial.stamps, hostRules(trial.routing)] as const);
  return {
    fleet: hostRules(routing),
    byStamp: new Map(trials.flatMap(([stamps, rules]) => [...stamps].map((stamp) => [stamp, rules] as const))),
  };
}

function hostRules(routing: Routing): HostRules {
  const rules = routingRules(routing);
  return {
    domains: rules.flatMap((rule) => (rule.kind === "subdomain" ? [rule.domain] : [])),
    claimed: new Set(rules.flatMap((rule) => (rule.kind === "host" ? [rule.host] : []))),
  };
}

/**
 * Subdomains and own hostnames, as the rules of the tenant's stamp read them: a host that names two tenants names none (I5).
 * Rules on trial are only asked about what the fleet's give to that tenant, or to nobody.
 */
function hostsOf(
  { tenant, stamp, hostnames }: TenantEntry,
  { fleet, byStamp }: HostCarriers,
  directory: DirectoryView,
): readonly string[] {
  const here = byStamp.get(stamp) ?? fleet;
  const isElsewhere = (host: string) =>
    fleet.claimed.has(host) || here.claimed.has(host) || isOthers(host, tenant, fleet) || isOthers(host, tenant, here);
  const below = here.domains.map((domain) => `${tenant}.${domain}`);
  const clear = below.filter((host) => {
    const owner = directory.lookupHostname(host)?.tenant;
    return !isElsewhere(host) && (owner === undefined || owner === tenant);
  });
  return [...new Set([...clear, ...hostnames.filter((host) => !isElsewhere(host))])];
}

/** Whether it stands below a domain with one label that is another tenant's key. */
function isOthers(host: string, tenant: string, { domains }: HostRules): boolean {
  const domain = domains.find((one) => host.endsWith(`.${one}`));
  const label = domain === undefined ? "" : host.slice(0, -domain.length - 1);
  return label !== "" && !label.includes(".") && label !== tenant;
}

/** `stamp kid;key` for HAProxy's `hmac`, which takes plain base64. Secrets: for a file that only HAProxy reads. */
export function* exportKeys(keys: ReadonlyMap<string, StampKeys>): Iterable<string> {
  for (const [stamp, [first]] of keys) {
    if (first === undefined) continue;
    yield `${stamp} ${first.kid};${Buffer.from(first.secret, "base64url").toString("base64")}`;
  }
}

export function exportJson(directory: DirectoryView): unknown {
  return {
    routing: directory.routing(),
    stamps: [...directory.stamps()],
    tenants: [...directory.tenants()],
  };
}

function lineOf(format: ExportFormat, key: string, value: string): string {
  return format === "nginx-map" ? `${key} "${value}";` : `${key} ${value}`;
}
