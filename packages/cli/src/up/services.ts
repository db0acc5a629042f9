import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { exitCode } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import type { Io } from "../io.ts";
import { stopProcess } from "../process/stop.ts";
import { waitFor } from "../process/wait.ts";
import { readRecorded, readWorkers, type StateDir } from "../state-dir.ts";
import { type Addresses, choosePort, portOf, readAddresses, rememberAddresses } from "./addresses.ts";
import { ensureService, type Running } from "./service.ts";

/** Ports asked for. 0 = any; absent = the last one, or the usual one. */
export interface ListenPorts {
  readonly api?: number | undefined;
  readonly router?: number | undefined;
  readonly routerAdmin?: number | undefined;
}

export const defaultPorts: { readonly [Service in keyof ListenPorts]-?: number } = {
  api: 4300,
  router: 8080,
  routerAdmin: 8081,
};

type ServiceIo = Pick<Io, "fetch" | "signal" | "env">;

/** Path of a process entry that another package exports; it runs what was built. */
export function entryOf(
  name: "@stampyard/control-plane/main" | "@stampyard/router/main" | "@stampyard/router/worker-main",
): string {
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch (error) {
    throw new CommandFailure("INTERNAL", `Cannot find ${name}`, { mend: "Run `npm run build` first.", cause: error });
  }
}

/** Tells processes of different fleets apart. */
export function markOf(state: StateDir): string {
  return `--state=${state.root}`;
}

export function controlPlaneEnv(state: StateDir, port: number): Record<string, string> {
  return { STAMPYARD_STATE: state.root, STAMPYARD_LISTEN: `127.0.0.1:${port}` };
}

/** Starts the control plane with its store, if it does not run, and returns when it answers. */
export async function ensureControlPlane(
  io: ServiceIo,
  state: StateDir,
  port: number | undefined,
  timeoutMs: number,
  extraEnv: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const isRunning = readRecorded(state.controlPlaneFile)?.alive === true;
  const last = readAddresses(state).api;
  const choice = { wanted: port, last, fallback: defaultPorts.api, service: "control plane", flag: "--api-port" };
  const listen = isRunning ? 0 : await choosePort(choice);
  const running = await ensureService(io, {
    name: "control plane",
    entry: entryOf("@stampyard/control-plane/main"),
    mark: markOf(state),
    env: { ...io.env, ...controlPlaneEnv(state, listen), ...extraEnv },
    cwd: state.root,
    recordFile: state.controlPlaneFile,
    logFile: state.controlPlaneLog,
    readyUrl: ({ url }) => `${url}/readyz`,
    timeoutMs,
  });
  rememberAddresses(state, withPort("api", portOf(running.url)));
  return running;
}

function withPort(service: keyof ListenPorts, port: number | undefined): Addresses {
  return port === undefined ? {} : { [service]: port };
}

export function routerEnv(
  state: StateDir,
  controlPlane: string,
  ports: { router: number; routerAdmin: number },
): Record<string, string> {
  return {
    STAMPYARD_ROUTER_STATE: dirname(state.routerFile),
    STAMPYARD_ROUTER_LISTEN: `127.0.0.1:${ports.router}`,
    STAMPYARD_ROUTER_ADMIN: `127.0.0.1:${ports.routerAdmin}`,
    STAMPYARD_API: controlPlane,
    STAMPYARD_TOKEN_FILE: state.routerToken,
  };
}

/** Starts the router, if it does not run or follows another control plane, and returns when it has a directory. */
export async function ensureRouter(
  io: ServiceIo,
  state: StateDir,
  controlPlane: string,
  ports: ListenPorts,
  timeoutMs: number,
): Promise<Running> {
  const last = readAddresses(state);
  const before = readRecorded(state.routerFile);
  const follows = last.routerFollows ?? controlPlane;
  if (before?.alive === true && follows !== controlPlane) await stopProcess(before.identity, drainMs, io.signal);
  const isRunning = readRecorded(state.routerFile)?.alive === true;
  const listen = isRunning ? { router: 0, routerAdmin: 0 } : await chooseRouterPorts(state, ports);
  const running = await ensureService(io, {
    name: "router",
    entry: entryOf("@stampyard/router/main"),
    mark: markOf(state),
    env: { ...io.env, ...routerEnv(state, controlPlane, listen) },
    cwd: state.root,
    recordFile: state.routerFile,
    logFile: state.routerLog,
    readyUrl: ({ url, adminUrl }) => `${adminUrl ?? url}/readyz`,
    timeoutMs,
  });
  rememberAddresses(state, {
    ...withPort("router", portOf(running.url)),
    ...withPort("routerAdmin", portOf(running.adminUrl)),
    ...(running.started ? { routerFollows: controlPlane } : {}),
  });
  return running;
}

/** @throws CommandFailure PORT_TAKEN */
async function chooseRouterPorts(
  state: StateDir,
  ports: ListenPorts,
): Promise<{ router: number; routerAdmin: number }> {
  const last = readAddresses(state);
  const { router: front, routerAdmin: admin } = defaultPorts;
  // Workers whose parent was killed serve on; the router that we start takes the port over from them.
  const orphans = readWorkers(state.routerWorkersFile);
  const ours = orphans.alive.length > 0 ? orphans.port : undefined;
  const router = { wanted: ports.router, last: last.router, fallback: front, ours, service: "router", flag: "--port" };
  const routerAdmin = {
    wanted: ports.routerAdmin,
    last: last.routerAdmin,
    fallback: admin,
    service: "router's admin listener",
    flag: "--admin-port",
  };
  return { router: await choosePort(router), routerAdmin: await choosePort(routerAdmin) };
}

/**
 * What is about to be started must be able to listen, and that is known before anything is started.
 *
 * @throws CommandFailure PORT_TAKEN naming port and flag
 */
export async function requireFreePorts(state: StateDir, ports: ListenPorts): Promise<void> {
  if (readRecorded(state.routerFile)?.alive !== true) await chooseRouterPorts(state, ports);
}

const drainMs = 10_000;

/** The first token is made by the first leader, a moment after the control plane answers. */
export async function waitForAdminToken(state: StateDir, timeoutMs: number, signal: AbortSignal): Promise<string> {
  const token = await waitFor(() => readToken(state.adminToken), { timeoutMs, signal });
  if (token !== undefined) return token;
  throw new CommandFailure("TIMEOUT", `The control plane made no ${state.adminToken}`, {
    mend: `Read ${state.controlPlaneLog}: it may not have become leader.`,
    exit: exitCode.notReady,
  });
}

function readToken(file: string): string | undefined {
  try {
    const token = readFileSync(file, "utf8").trim();
    return token === "" ? undefined : token;
  } catch {
    return undefined;
  }
}
