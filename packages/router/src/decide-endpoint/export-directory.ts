import type { DirectoryView, TenantEntry } from "@stampyard/directory";
import { routingRules } from "@stampyard/domain";
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
  const domains = routingRules(directory.routing()).flatMap((rule) => (rule.kind === "subdomain" ? [rule.domain] : []));
  const claimed = new Set(
    routingRules(directory.routing()).flatMap((rule) => (rule.kind === "host" ? [rule.host] : [])),
  );
  for (const tenant of directory.tenants()) {
    const value = format === "nginx-map" ? tenant.stamp : `${tenant.tenant};${tenant.stamp};${tenant.epoch}`;
    if (file === "tenants") yield lineOf(format, tenant.tenant, value);
    else for (const host of hostsOf(tenant, domains, claimed, directory)) yield lineOf(format, host, value);
  }
}

/** Subdomains and own hostnames, as the rules read them: a host that names two tenants names none (I5). */
function hostsOf(
  { tenant, hostnames }: TenantEntry,
  domains: readonly string[],
  claimed: ReadonlySet<string>,
  directory: DirectoryView,
): readonly string[] {
  const below = domains.map((domain) => `${tenant}.${domain}`).filter((host) => !claimed.has(host));
  const clear = below.filter((host) => {
    const owner = directory.lookupHostname(host)?.tenant;
    return owner === undefined || owner === tenant;
  });
  const own = hostnames.filter((host) => {
    const domain = domains.find((one) => host.endsWith(`.${one}`));
    if (claimed.has(host)) return false;
    const label = domain === undefined ? "" : host.slice(0, -domain.length - 1);
    return label === "" || label.includes(".") || label === tenant;
  });
  return [...new Set([...clear, ...own])];
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
