/** Everything the processes of this example read from their environment, checked once at the start. */
export interface Environment {
  readonly databaseUrl: string;
  readonly cacheUrl: string;
  readonly queueUrl: string;
  readonly stamp: string;
  readonly region: string;
  readonly release: string;
  readonly routeKeys: string;
  /** 0 = any free port. */
  readonly port: number;
}

type Source = Readonly<Record<string, string | undefined>>;

/**
 * Reads the named variables and no others, so that each process asks only for what it needs.
 * @throws Error that lists every missing or wrong variable at once, and never a value
 */
export function readEnvironment<K extends keyof Environment>(source: Source, keys: readonly K[]): Pick<Environment, K> {
  const problems: string[] = [];
  const found: Partial<Record<keyof Environment, string | number>> = {};
  for (const key of keys) {
    const name = variableOf[key];
    const text = source[name] ?? "";
    if (text === "") problems.push(`${name} is not set`);
    else if (key !== "port") found[key] = text;
    else if (/^[0-9]{1,5}$/.test(text) && Number(text) <= 65_535) found.port = Number(text);
    else problems.push(`${name} must be a port number, 0 to 65535`);
  }
  if (problems.length > 0) throw new Error(`Invalid environment:\n- ${problems.join("\n- ")}`);
  return found as Pick<Environment, K>;
}

const variableOf = {
  databaseUrl: "DATABASE_URL",
  cacheUrl: "CACHE_URL",
  queueUrl: "QUEUE_URL",
  stamp: "STAMP",
  region: "REGION",
  release: "RELEASE",
  routeKeys: "ROUTE_KEYS",
  port: "PORT",
} as const satisfies Record<keyof Environment, string>;
