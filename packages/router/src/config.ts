import { isName, type Problem, quote, StampyardError } from "@stampyard/domain";
import { parseHost } from "./host.ts";

export interface ListenAddress {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
}

export interface RouterConfig {
  /** Lower-case name, unique among the routers of a control plane. */
  readonly name: string;
  readonly listen: ListenAddress;
  readonly admin: ListenAddress;
  /** Directory copy, keys and `router.json`; made if it is not there. */
  readonly stateDir: string;
  /** Without one the router serves what its disk holds. */
  readonly controlPlane?: { readonly url: string; readonly tokenFile?: string };
  readonly accessLog?: string;
  /** How long requests may take to end after SIGTERM, in milliseconds. @default 10000 */
  readonly drainMs?: number;
  /** @default 10000 */
  readonly maxConnections?: number;
  /** Of one address. @default 1000 */
  readonly maxConnectionsPerClient?: number;
  /** To one stamp. @default 1024 */
  readonly maxInFlightPerStamp?: number;
}

export type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads the configuration of a router process:
 *
 * - `STAMPYARD_ROUTER_STATE` folder, needed
 * - `STAMPYARD_ROUTER_LISTEN` `host:port`, default `127.0.0.1:8080`; `STAMPYARD_ROUTER_ADMIN`, default `127.0.0.1:8081`
 * - `STAMPYARD_API` address of the control plane, and `STAMPYARD_TOKEN_FILE` with its token
 * - `STAMPYARD_ROUTER_NAME`, default `router`
 * - `STAMPYARD_ROUTER_ACCESS_LOG` file
 * - `STAMPYARD_ROUTER_DRAIN_MS`, `STAMPYARD_ROUTER_MAX_CONNECTIONS`, `STAMPYARD_ROUTER_MAX_CONNECTIONS_PER_CLIENT`,
 *   `STAMPYARD_ROUTER_MAX_IN_FLIGHT_PER_STAMP`
 *
 * @throws StampyardError INVALID_REQUEST with all problems at once
 */
export function readRouterConfig(env: Env): RouterConfig {
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
  if (!/^(?:127\.|\[?::1\]?$|localhost$)/.test(admin.host)) {
    complain("STAMPYARD_ROUTER_ADMIN", `${quote(admin.host)} is not a loopback address`, "Use 127.0.0.1 and a port.");
  }
  const api = env["STAMPYARD_API"];
  const url = api === undefined || api === "" ? undefined : URL.parse(api);
  if (url === null || (url !== undefined && !/^https?:$/.test(url.protocol))) {
    complain("STAMPYARD_API", `${quote(api ?? "")} is not an http address`, "Write it like http://127.0.0.1:7400.");
  }
  const number = (key: string, least: number, most: number) => integer(env, key, least, most, complain);
  const drainMs = number("STAMPYARD_ROUTER_DRAIN_MS", 0, 600_000);
  const maxConnections = number("STAMPYARD_ROUTER_MAX_CONNECTIONS", 1, 1_000_000);
  const maxConnectionsPerClient = number("STAMPYARD_ROUTER_MAX_CONNECTIONS_PER_CLIENT", 1, 1_000_000);
  const maxInFlightPerStamp = number("STAMPYARD_ROUTER_MAX_IN_FLIGHT_PER_STAMP", 1, 1_000_000);
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
    ...(maxInFlightPerStamp === undefined ? {} : { maxInFlightPerStamp }),
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

function integer(env: Env, key: string, least: number, most: number, complain: Complain): number | undefined {
  const text = env[key];
  if (text === undefined || text === "") return undefined;
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  complain(key, `${quote(text)} is not a number`, `Use a whole number from ${least} to ${most}.`);
  return undefined;
}
