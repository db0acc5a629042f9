import { availableParallelism } from "node:os";
import { isName, type Problem, quote, StampyardError } from "@stampyard/domain";
import { type EntranceConfig, readEntranceConfig } from "./entrance-config.ts";
import { parseHost } from "./host.ts";
import { type LimitsConfig, readLimitsConfig } from "./limits-config.ts";
import { type RegionConfig, readRegionConfig } from "./region-config.ts";
import type { TracingConfig } from "./tracing/span-exporter.ts";

export interface ListenAddress {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
}

export interface RouterConfig extends RegionConfig, EntranceConfig, LimitsConfig {
  /** Lower-case name, unique among the routers of a control plane. */
  readonly name: string;
  readonly listen: ListenAddress;
  readonly admin: ListenAddress;
  /** Directory copy, keys and `router.json`; made if it is not there. */
  readonly stateDir: string;
  /** Without one the router serves what its disk holds. */
  readonly controlPlane?: { readonly url: string; readonly tokenFile?: string };
  readonly accessLog?: string;
  /** At this size the file is moved to `<file>.1` and begun anew. @default 268435456; 0 = never */
  readonly accessLogMaxBytes?: number;
  /** How long requests may take to end after SIGTERM, in milliseconds. @default 10000 */
  readonly drainMs?: number;
  /** @default 10000 */
  readonly maxConnections?: number;
  /** Of one address. @default 1000 */
  readonly maxConnectionsPerClient?: number;
  /** Processes that serve requests, under a parent that does not. 0 = this process serves by itself. @default 0 */
  readonly workers?: number;
  /** By Node's public interface, or past it where this Node allows that. @default "public" */
  readonly io?: "public" | "fast";
  /** So many tenants are counted by name, for `/metrics?tenants`. @default 0 */
  readonly tenantMetrics?: number;
  readonly tracing?: TracingConfig;
  /** Where ingresses may ask `GET /decide`; a loopback address. Absent = nobody may. */
  readonly decide?: ListenAddress;
}

export type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads the configuration of a router process:
 *
 * - `STAMPYARD_ROUTER_STATE` folder, needed
 * - `STAMPYARD_ROUTER_LISTEN` `host:port`, default `127.0.0.1:8080`; `STAMPYARD_ROUTER_ADMIN`, default `127.0.0.1:8081`
 * - `STAMPYARD_API` address of the control plane, and `STAMPYARD_TOKEN_FILE` with its token
 * - `STAMPYARD_ROUTER_NAME`, default `router`
 * - `STAMPYARD_ROUTER_ACCESS_LOG` file, `STAMPYARD_ROUTER_ACCESS_LOG_MAX_BYTES`
 * - `STAMPYARD_ROUTER_WORKERS` processes that serve, default one per core; 0 = the process serves by itself
 * - `STAMPYARD_ROUTER_IO` `public` or `fast`, how sockets are served, default public
 * - `STAMPYARD_ROUTER_TENANT_METRICS` tenants counted by name, default 0
 * - `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`,
 *   `OTEL_SERVICE_NAME`, as OpenTelemetry names them
 * - `STAMPYARD_ROUTER_REGIONS` regions that it serves, default all; `STAMPYARD_ROUTER_REDIRECT` where it sends others
 * - `STAMPYARD_ROUTER_PROXY_PEERS` who sends PROXY protocol headers, default nobody; `STAMPYARD_ROUTER_TLS_LISTEN` and
 *   `STAMPYARD_ROUTER_TLS_CERTIFICATES`, a folder of `<pattern>.crt` and `<pattern>.key`, default no TLS
 * - `STAMPYARD_ROUTER_ENTRANCE` where clients enter, as the control plane reaches it, default where it listens
 * - `STAMPYARD_ROUTER_DECIDE` `host:port` on loopback where ingresses ask `GET /decide`, default none
 * - `STAMPYARD_ROUTER_DRAIN_MS`, `STAMPYARD_ROUTER_MAX_CONNECTIONS`, `STAMPYARD_ROUTER_MAX_CONNECTIONS_PER_CLIENT`,
 *   and limits of stamps: `readLimitsConfig`
 *
 * @param cores what `STAMPYARD_ROUTER_WORKERS` is without a value
 * @throws StampyardError INVALID_REQUEST with all problems at once
 */
export function readRouterConfig(env: Env, cores = availableParallelism()): RouterConfig {
  const problems: Problem[] = [];
  const complain = (path: string, message: string, mend: string) => void problems.push({ path, message, mend });

  const name = env["STAMPYARD_ROUTER_NAME"] ?? "router";
  if (!isName(name)) {
    complain("STAMPYARD_ROUTER_NAME", `${quote(name)} is not a name`, "Use lower-case letters, digits and hyphens.");
  }
  const stateDir = env["STAMPYARD_ROUTER_STATE"] ?? "";
  if (stateDir === "") {
    complain("STAMPYARD_ROUTER_STATE", "No state folder is given", "Name a folder that only the router writes to.");
  }
  const listen = address(env, "STAMPYARD_ROUTER_LISTEN", "127.0.0.1:8080", complain);
  const admin = address(env, "STAMPYARD_ROUTER_ADMIN", "127.0.0.1:8081", complain);
  if (!isLoopback(admin.host)) {
    complain("STAMPYARD_ROUTER_ADMIN", `${quote(admin.host)} is not a loopback address`, "Use 127.0.0.1 and a port.");
  }
  const api = env["STAMPYARD_API"];
  const url = api === undefined || api === "" ? undefined : URL.parse(api);
  if (url === null || (url !== undefined && !/^https?:$/.test(url.protocol))) {
    complain("STAMPYARD_API", `${quote(api ?? "")} is not an http address`, "Write it like http://127.0.0.1:4300.");
  }
  const number = (key: string, least: number, most: number) => integer(env, key, least, most, complain);
  const drainMs = number("STAMPYARD_ROUTER_DRAIN_MS", 0, 600_000);
  const maxConnections = number("STAMPYARD_ROUTER_MAX_CONNECTIONS", 1, 1_000_000);
  const maxConnectionsPerClient = number("STAMPYARD_ROUTER_MAX_CONNECTIONS_PER_CLIENT", 1, 1_000_000);
  const limits = readLimitsConfig(number);
  const workers = number("STAMPYARD_ROUTER_WORKERS", 0, 256) ?? Math.min(cores, 256);
  const tenantMetrics = number("STAMPYARD_ROUTER_TENANT_METRICS", 0, 10_000);
  const io = env["STAMPYARD_ROUTER_IO"] || "public";
  if (io !== "public" && io !== "fast") {
    complain("STAMPYARD_ROUTER_IO", `${quote(io)} is not a way to serve sockets`, "Use public or fast.");
  }
  const accessLogMaxBytes = number("STAMPYARD_ROUTER_ACCESS_LOG_MAX_BYTES", 0, 999_999_999);
  const tracing = readTracing(env, name, complain);
  const scope = readRegionConfig(env, complain);
  const entrance = readEntranceConfig(env, (key) => address(env, key, "0.0.0.0:8443", complain), complain);
  const decide = readDecide(env, complain);
  if (problems.length > 0) throw new StampyardError("INVALID_REQUEST", "Invalid router configuration", { problems });

  const tokenFile = env["STAMPYARD_TOKEN_FILE"];
  const accessLog = env["STAMPYARD_ROUTER_ACCESS_LOG"];
  return Object.freeze({
    name,
    stateDir,
    listen,
    admin,
    ...(url === undefined || url === null
      ? {}
      : { controlPlane: { url: url.origin, ...(tokenFile === undefined || tokenFile === "" ? {} : { tokenFile }) } }),
    ...(accessLog === undefined || accessLog === "" ? {} : { accessLog }),
    ...(drainMs === undefined ? {} : { drainMs }),
    ...(maxConnections === undefined ? {} : { maxConnections }),
    ...(maxConnectionsPerClient === undefined ? {} : { maxConnectionsPerClient }),
    ...limits,
    workers,
    ...(io === "fast" ? { io } : {}),
    ...(tenantMetrics === undefined ? {} : { tenantMetrics }),
    ...(accessLogMaxBytes === undefined ? {} : { accessLogMaxBytes }),
    ...(tracing === undefined ? {} : { tracing }),
    ...scope,
    ...entrance,
    ...(decide === undefined ? {} : { decide }),
  });
}

type Complain = (path: string, message: string, mend: string) => void;

function address(env: Env, key: string, fallback: string, complain: Complain): ListenAddress {
  const text = env[key] ?? fallback;
  const anyPort = text.endsWith(":0");
  const parsed = parseHost(anyPort ? text.slice(0, -2) : text);
  if (parsed !== undefined && (anyPort || parsed.port !== undefined)) {
    return { host: parsed.name.replace(/^\[|\]$/g, ""), port: anyPort ? 0 : (parsed.port ?? 0) };
  }
  complain(key, `${quote(text)} is not host:port`, `Write it like ${fallback}.`);
  return { host: "127.0.0.1", port: 0 };
}

/** Whoever can ask there gets headers that stamps believe, so only this machine may. */
function readDecide(env: Env, complain: Complain): ListenAddress | undefined {
  const key = "STAMPYARD_ROUTER_DECIDE";
  if ((env[key] ?? "") === "") return undefined;
  const decide = address(env, key, "127.0.0.1:8082", complain);
  if (isLoopback(decide.host)) return decide;
  complain(key, `${quote(decide.host)} is not a loopback address`, "Use 127.0.0.1 and a port.");
  return undefined;
}

function isLoopback(host: string): boolean {
  return /^(?:127\.|\[?::1\]?$|localhost$)/.test(host);
}

function integer(env: Env, key: string, least: number, most: number, complain: Complain): number | undefined {
  const text = env[key];
  if (text === undefined || text === "") return undefined;
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  complain(key, `${quote(text)} is not a number`, `Use a whole number from ${least} to ${most}.`);
  return undefined;
}

/** As OpenTelemetry names it: the general endpoint gets `/v1/traces` behind it, the one for traces is taken as it is. */
function readTracing(env: Env, name: string, complain: Complain): TracingConfig | undefined {
  const exact = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] ?? "";
  const general = env["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? "";
  const key = exact === "" ? "OTEL_EXPORTER_OTLP_ENDPOINT" : "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  const text = exact === "" ? general : exact;
  if (text === "") return undefined;
  const url = URL.parse(exact === "" ? `${general.replace(/\/+$/, "")}/v1/traces` : exact);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    complain(key, `${quote(text)} is not an http address`, "Write it like http://127.0.0.1:4318.");
    return undefined;
  }
  const headers: Record<string, string> = {};
  for (const pair of (env["OTEL_EXPORTER_OTLP_HEADERS"] ?? "").split(",")) {
    const match = /^\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*([\x21-\x7e][\x20-\x7e]*?)?\s*$/.exec(pair);
    // The value may be a secret, so the message does not hold it.
    if (match === null && pair.trim() !== "") {
      complain("OTEL_EXPORTER_OTLP_HEADERS", "A header is not name=value", "Separate headers by commas.");
    }
    if (match?.[1] !== undefined) headers[match[1].toLowerCase()] = decode(match[2] ?? "");
  }
  return { url: url.href, headers, service: env["OTEL_SERVICE_NAME"] ?? `stampyard-router-${name}` };
}

/** Values are percent-encoded, as in baggage; what cannot be decoded is meant as it is. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text).replace(/[^\x20-\x7e]/g, "");
  } catch {
    return text;
  }
}
