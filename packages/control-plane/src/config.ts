import { isAbsolute } from "node:path";

export interface ControlPlaneConfig {
  /** State directory of the fleet, absolute. */
  readonly stateDir: string;
  readonly listen: { readonly host: string /** 0 = any free one. */; readonly port: number };
  /** PostgreSQL of the store. @default an embedded one below the state directory */
  readonly databaseUrl?: string;
  /** Base64 of the key that seals secrets. @default the file `secrets/master.key`, made at first start */
  readonly masterKey?: string;
  /** The store came out of a backup: learn what is true before serving it (decision D9). */
  readonly isRestored: boolean;
  readonly logLevel: (typeof logLevels)[number];
  /** Access log of an ingress that is not our router, to judge releases by; absolute. */
  readonly ingressLog?: string;
}

const logLevels = ["trace", "debug", "info", "warn", "error", "silent"] as const;

/**
 * Reads the environment once, and complains about everything at once.
 * @throws RangeError naming every problem; never with the value of a secret
 */
export function readControlPlaneConfig(env: Readonly<Record<string, string | undefined>>): ControlPlaneConfig {
  const problems: string[] = [];
  const stateDir = env["STAMPYARD_STATE"] ?? "";
  if (!isAbsolute(stateDir)) problems.push("STAMPYARD_STATE must be the absolute path of the state directory");
  const listen = readListen(env["STAMPYARD_LISTEN"] || "127.0.0.1:4300", problems);
  const databaseUrl = env["DATABASE_URL"] || undefined;
  if (databaseUrl !== undefined && !isPostgresUrl(databaseUrl)) {
    problems.push("DATABASE_URL must be a postgres:// or postgresql:// URL");
  } else if (databaseUrl !== undefined && new URL(databaseUrl).searchParams.has("options")) {
    // Ours (search path, time zone, timeouts) would be lost without a word, and with them the store's own schema.
    problems.push("DATABASE_URL must not have options=: set them on the database or its role (ALTER ROLE … SET …)");
  }
  const masterKey = env["STAMPYARD_MASTER_KEY"] || undefined;
  if (masterKey !== undefined && !masterKey.split(",").every(isKey)) {
    problems.push("STAMPYARD_MASTER_KEY must be 32 bytes as base64 (openssl rand -base64 32)");
  }
  const isRestored = readFlag("STAMPYARD_RESTORED", env, problems);
  const logLevel = logLevels.find((level) => level === (env["STAMPYARD_LOG_LEVEL"] || "info"));
  if (logLevel === undefined) problems.push(`STAMPYARD_LOG_LEVEL must be one of ${logLevels.join(", ")}`);
  const ingressLog = env["STAMPYARD_INGRESS_LOG"] || undefined;
  if (ingressLog !== undefined && !isAbsolute(ingressLog)) {
    problems.push("STAMPYARD_INGRESS_LOG must be the absolute path of a file");
  }

  if (problems.length > 0) throw new RangeError(`Invalid control plane config:\n- ${problems.join("\n- ")}`);
  return Object.freeze({
    stateDir,
    listen,
    isRestored,
    logLevel: logLevel ?? "info",
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
    ...(masterKey === undefined ? {} : { masterKey }),
    ...(ingressLog === undefined ? {} : { ingressLog }),
  });
}

/** `host:port`, `[::1]:port`, or a port alone on loopback. */
function readListen(text: string, problems: string[]): ControlPlaneConfig["listen"] {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):)?([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[2] ?? Number.NaN);
  if (match === null || port > 65_535) {
    problems.push("STAMPYARD_LISTEN must be host:port with a port from 0 to 65535, such as 127.0.0.1:4300");
    return { host: "127.0.0.1", port: 0 };
  }
  return { host: (match[1] ?? "127.0.0.1").replace(/^\[|\]$/g, ""), port };
}

function readFlag(name: string, env: Readonly<Record<string, string | undefined>>, problems: string[]): boolean {
  const text = env[name] || "0";
  if (text !== "0" && text !== "1") problems.push(`${name} must be 0 or 1`);
  return text === "1";
}

function isPostgresUrl(text: string): boolean {
  return URL.canParse(text) && ["postgres:", "postgresql:"].includes(new URL(text).protocol);
}

function isKey(text: string): boolean {
  return Buffer.from(text.trim(), "base64").length === 32;
}
