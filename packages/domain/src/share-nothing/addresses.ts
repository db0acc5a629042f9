import type { SharedKind } from "./facts.ts";

/** An address in a value of an environment, a command or a parameter. */
export interface Address {
  readonly kind: SharedKind;
  /** Server and port, without names, passwords or databases: two databases on one server fail together. */
  readonly identity: string;
  readonly shown: string;
  /** Of the URL. */
  readonly password?: string;
}

/** Stands for a reference that only the engine resolves: what it completes is the stamp's own. */
export const reference = "\0";

const families: readonly (readonly [RegExp, SharedKind, port: string])[] = [
  [/^postgres(?:ql)?$/, "database", "5432"],
  [/^(?:mysql|mariadb)(?:\+.*)?$/, "database", "3306"],
  [/^mongodb(?:\+srv)?$/, "database", "27017"],
  [/^(?:sqlserver|mssql)$/, "database", "1433"],
  [/^(?:jdbc|cassandra|clickhouse|cockroachdb|oracle)$/, "database", ""],
  [/^(?:rediss?|valkey)$/, "cache", "6379"],
  [/^memcached?$/, "cache", "11211"],
  [/^(?:nats|tls\+nats)$/, "queue", "4222"],
  [/^amqps?$/, "queue", "5672"],
  [/^(?:kafka|pulsar|mqtts?|stomp|sqs)$/, "queue", "9092"],
  [/^https$/, "external", "443"],
  [/^http$/, "external", "80"],
];
const kindOfPort: Readonly<Record<string, SharedKind>> = Object.fromEntries(
  families.flatMap(([, kind, port]) => (port === "" || kind === "external" ? [] : [[port, kind]])),
);
const kindOfName: readonly (readonly [RegExp, SharedKind])[] = [
  [/(?:^|_)(?:DB|DATABASE|POSTGRES(?:QL)?|PG|MYSQL|MONGO(?:DB)?)/i, "database"],
  [/(?:REDIS|CACHE|MEMCACHE|VALKEY)/i, "cache"],
  [/(?:NATS|AMQP|KAFKA|QUEUE|RABBIT|BROKER)/i, "queue"],
];

const url =
  /\b([a-z][a-z0-9+.-]*):\/\/(?:([^\s/@"'\0]*)@)?(\[[0-9a-f:.]+\]|[^\s/:?#,"'@\0]*)(?::([0-9]+))?(:?\0)?([^\s"',\0]*)/gi;
const hostAndPort = /(?<![\w.:/@-])((?:[a-z0-9-]+\.)+[a-z0-9-]+|localhost):([0-9]{2,5})(?![\w.:])/gi;
const namedHost = /(?:HOST|HOSTNAME|SERVERS?|ENDPOINT|BROKERS?|ADDR(?:ESS)?|DOMAIN)$/i;
const bareHost = /^(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*$/i;
/** Addresses to listen on, not to go to. */
const everywhere = new Set(["0.0.0.0", "[::]", "::", "*"]);

/**
 * Addresses that a text spells out. Its references stand as `reference`: an address that one of them completes, such as
 * `http://127.0.0.1:${self.port}`, is the stamp's own and not among them.
 * @param name of the variable or parameter: `DB_HOST` with a host alone is an address too
 */
export function addressesIn(name: string, text: string): readonly Address[] {
  const found: Address[] = [];
  for (const match of text.matchAll(url)) {
    const [, scheme = "", user = "", host = "", port, completed, rest = ""] = match;
    const address = completed !== undefined ? undefined : addressOfUrl(scheme.toLowerCase(), user, host, port, rest);
    if (address !== undefined) found.push(address);
  }
  const left = text.replace(url, " ");
  for (const [, host = "", port = ""] of left.matchAll(hostAndPort)) {
    if (!everywhere.has(host)) found.push(addressOf(kindOfPort[port] ?? kindNamed(name), host, port));
  }
  if (namedHost.test(name) && bareHost.test(left.trim())) found.push(addressOf(kindNamed(name), left.trim(), ""));
  return found;
}

function addressOfUrl(
  scheme: string,
  user: string,
  host: string,
  port: string | undefined,
  rest: string,
): Address | undefined {
  if (scheme === "file") return { kind: "directory", identity: rest, shown: `file://${rest}` };
  const [, kind, usual] = families.find(([names]) => names.test(scheme)) ?? [undefined, "external" as const, ""];
  const colon = user.indexOf(":");
  const password = colon < 0 ? {} : { password: user.slice(colon + 1) };
  // A socket, as libpq and Redis clients spell it.
  const socket =
    /[?&]host=([^&]+)/.exec(rest)?.[1] ?? (scheme === "unix" || scheme === "redis+unix" ? rest : undefined);
  if (socket?.startsWith("/") === true || socket?.startsWith("%2F") === true) {
    const path = socket.replaceAll("%2F", "/").replace(/\?.*$/, "");
    return { kind: scheme === "unix" ? "cache" : kind, identity: `socket ${path}`, shown: path, ...password };
  }
  if (host === "" || everywhere.has(host)) return undefined;
  return { ...addressOf(kind, host, port ?? usual), ...password };
}

function addressOf(kind: SharedKind, host: string, port: string): Address {
  const lower = host.toLowerCase().replace(/\.$/, "");
  const name = lower === "127.0.0.1" || lower === "[::1]" ? "localhost" : lower;
  const shown = port === "" ? name : `${name}:${port}`;
  return { kind, identity: shown, shown };
}

function kindNamed(name: string): SharedKind {
  return kindOfName.find(([names]) => names.test(name))?.[1] ?? "external";
}
