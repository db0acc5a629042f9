import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { exitCode } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import type { Io } from "../io.ts";
import { isPortFree } from "../process/ports.ts";
import { waitFor } from "../process/wait.ts";
import { readRecorded, type StateDir } from "../state-dir.ts";
import { ensureService, type Running } from "./service.ts";

export interface ListenPorts {
  /** Control plane. 0 = any. */
  readonly api: number;
  readonly router: number;
  readonly routerAdmin: number;
}

export const defaultPorts: ListenPorts = { api: 4300, router: 8080, routerAdmin: 8081 };

type ServiceIo = Pick<Io, "fetch" | "signal" | "env">;

/** Path of a process entry that another package exports; it runs what was built. */
export function entryOf(name: "@stampyard/control-plane/main" | "@stampyard/router/main"): string {
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
  port: number,
  timeoutMs: number,
  extraEnv: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const listen = await portAgain(state.controlPlaneFile, port, "control plane", "--api-port");
  return await ensureService(io, {
    name: "control plane",
    entry: entryOf("@stampyard/control-plane/main"),
    mark: markOf(state),
    env: { ...io.env, ...controlPlaneEnv(state, listen), ...extraEnv },
    cwd: state.root,
    recordFile: state.controlPlaneFile,
    logFile: state.controlPlaneLog,
    readyUrl: (running) => `${running.url}/readyz`,
    timeoutMs,
  });
}

export function routerEnv(state: StateDir, controlPlane: string, ports: ListenPorts): Record<string, string> {
  return {
    STAMPYARD_ROUTER_STATE: dirname(state.routerFile),
    STAMPYARD_ROUTER_LISTEN: `127.0.0.1:${ports.router}`,
    STAMPYARD_ROUTER_ADMIN: `127.0.0.1:${ports.routerAdmin}`,
    STAMPYARD_API: controlPlane,
    STAMPYARD_TOKEN_FILE: state.routerToken,
  };
}

/** Starts the router, if it does not run, and returns when it has a directory. */
export async function ensureRouter(
  io: ServiceIo,
  state: StateDir,
  controlPlane: string,
  ports: ListenPorts,
  timeoutMs: number,
): Promise<Running> {
  const router = await portAgain(state.routerFile, ports.router, "router", "--port");
  return await ensureService(io, {
    name: "router",
    entry: entryOf("@stampyard/router/main"),
    mark: markOf(state),
    env: { ...io.env, ...routerEnv(state, controlPlane, { ...ports, router }) },
    cwd: state.root,
    recordFile: state.routerFile,
    logFile: state.routerLog,
    readyUrl: (running) => `${running.adminUrl ?? running.url}/readyz`,
    timeoutMs,
  });
}

/**
 * The port a service had last, if it is free, so that addresses people wrote down stay right; else the wanted one.
 *
 * @throws CommandFailure PORT_TAKEN
 */
async function portAgain(recordFile: string, wanted: number, name: string, flag: string): Promise<number> {
  const recorded = readRecorded(recordFile);
  if (recorded?.alive === true || wanted === 0) return wanted;
  const last = recorded?.url === undefined ? undefined : Number(new URL(recorded.url).port);
  if (last !== undefined && last > 0 && (await isPortFree(last))) return last;
  if (await isPortFree(wanted)) return wanted;
  throw new CommandFailure("PORT_TAKEN", `Port ${wanted} for the ${name} is taken by another program`, {
    mend: `Choose another with ${flag}, or ${flag} 0 for any free one.`,
  });
}

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
