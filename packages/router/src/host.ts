export interface HostAndPort {
  /** Lower case, without trailing dot; IPv6 in brackets. */
  readonly name: string;
  readonly port: number | undefined;
}

const label = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const namePattern = new RegExp(`^${label}(?:\\.${label})*$`);
const ipv6Pattern = /^\[(?=[^\]]*:[^\]]*:)[0-9a-f:.]{2,45}\]$/;

/**
 * Reads a Host header or the authority of an absolute target (RFC 9110 section 7.2): `name`, `name:port`, `[v6]:port`.
 * undefined for anything else: a comma, path, user, escape, empty port or control character makes two readers disagree
 * about the tenant.
 */
export function parseHost(text: string): HostAndPort | undefined {
  if (text.length === 0 || text.length > 262) return undefined;
  const match = /^(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const lower = (match[1] ?? "").toLowerCase();
  const name = lower.endsWith(".") ? lower.slice(0, -1) : lower;
  if (name.length > 253 || !(namePattern.test(name) || ipv6Pattern.test(name))) return undefined;
  if (match[2] === undefined) return { name, port: undefined };
  const port = Number(match[2]);
  return port >= 1 && port <= 65_535 ? { name, port } : undefined;
}

/** As a Host header says it. */
export function formatHost(host: HostAndPort): string {
  return host.port === undefined ? host.name : `${host.name}:${host.port}`;
}
