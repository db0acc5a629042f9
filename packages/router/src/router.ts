import { mkdir } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { StampyardError } from "@stampyard/domain";
import { type AccessLog, openAccessLog } from "./access-log.ts";
import { type AdminOptions, createAdminServer } from "./admin.ts";
import type { ListenAddress, RouterConfig } from "./config.ts";
import { type ControlPlane, createControlPlane } from "./control-plane.ts";
import { createDataPlane, type DataPlane } from "./data-plane.ts";
import { loadDirectory } from "./directory-files.ts";
import { type Backoff, startFollower } from "./follower.ts";
import type { Timeouts } from "./forward.ts";
import { loadKeys } from "./key-file.ts";
import { type Log, stderrLog } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { removeRecord, requireUnused, writeRecord } from "./process-record.ts";

/** What tests and embedders may set; a process takes the defaults. */
export interface RouterPorts {
  readonly log?: Log;
  /** Wall time, milliseconds. @default Date.now */
  readonly now?: () => number;
  readonly backoff?: Backoff;
  readonly timeouts?: Timeouts;
  readonly snapshotEveryMs?: number;
}

export interface RunningRouter {
  readonly listenPort: number;
  readonly adminPort: number;
  /** Lets requests end, then stops; safe to call twice. */
  close(): Promise<void>;
}

const defaultBackoff: Backoff = { firstMs: 250, mostMs: 10_000 };
const defaultTimeouts: Timeouts = { connectMs: 1_000, idleMs: 60_000 };

/**
 * Starts a router: loads the last known good directory, listens, then follows the feed. It resolves when it listens,
 * with or without a directory and with or without a control plane (I3); `/readyz` says whether it can route.
 * @throws StampyardError PORT_TAKEN, LOCKED
 */
export async function startRouter(config: RouterConfig, ports: RouterPorts = {}): Promise<RunningRouter> {
  const { stateDir, name } = config;
  const { log = stderrLog } = ports;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await requireUnused(stateDir);
  const loaded = await loadDirectory(stateDir);
  for (const problem of loaded.problems) log("error", "directory file is damaged", { problem });
  log("info", "directory is loaded from disk", { ...loaded.position, ...loaded.directory?.counts() });

  const metrics = createMetrics();
  const accessLog = config.accessLog === undefined ? undefined : openAccessLog(config.accessLog);
  const plane = openPlane(config, ports, metrics, accessLog);
  const keys = await loadKeys(stateDir);
  // Before the first request can come.
  if (loaded.directory !== undefined) plane.replaceDirectory(loaded.directory);
  for (const [stamp, list] of keys) plane.setKeys(stamp, list);

  let served: AdminOptions | undefined;
  const admin = createAdminServer(() => served);
  const { listenPort, adminPort } = await listenBoth(config, plane, admin).catch(async (caught: unknown) => {
    await accessLog?.close();
    throw caught;
  });
  const url = `http://${hostText(config.listen.host)}:${listenPort}`;
  const adminUrl = `http://${hostText(config.admin.host)}:${adminPort}`;
  const follower = startFollower({
    router: name,
    folder: stateDir,
    loaded,
    keys,
    controlPlane: openControlPlane(config, adminUrl),
    plane,
    metrics,
    log,
    backoff: ports.backoff ?? defaultBackoff,
    ...(ports.snapshotEveryMs === undefined ? {} : { snapshotEveryMs: ports.snapshotEveryMs }),
  });
  const droppedLogLines = () => accessLog?.dropped() ?? 0;
  served = { name, follower, plane, metrics, droppedLogLines, startedAt: performance.now() };
  await writeRecord(stateDir, { name, url, adminUrl, listenPort, adminPort });
  log("info", "router listens", { url, adminUrl });

  const stop = async () => {
    log("info", "router stops", { inFlight: plane.inFlight() });
    await plane.close(config.drainMs ?? 10_000);
    await follower.close();
    await closeServer(admin);
    await accessLog?.close();
    await removeRecord(stateDir);
  };
  let closing: Promise<void> | undefined;
  return {
    listenPort,
    adminPort,
    close() {
      closing ??= stop();
      return closing;
    },
  };
}

function openPlane(config: RouterConfig, ports: RouterPorts, metrics: Metrics, accessLog: AccessLog | undefined) {
  return createDataPlane({
    limits: {
      maxConnections: config.maxConnections ?? 10_000,
      maxConnectionsPerClient: config.maxConnectionsPerClient ?? 1_000,
    },
    timeouts: ports.timeouts ?? defaultTimeouts,
    maxInFlightPerStamp: config.maxInFlightPerStamp ?? 1_024,
    metrics,
    accessLog,
    now: ports.now ?? Date.now,
  });
}

function openControlPlane(config: RouterConfig, adminUrl: string): ControlPlane | undefined {
  if (config.controlPlane === undefined) return undefined;
  const { url, tokenFile } = config.controlPlane;
  return createControlPlane({ url, tokenFile, router: config.name, adminUrl });
}

/** Both ports or none. */
async function listenBoth(config: RouterConfig, plane: DataPlane, admin: Server) {
  const adminPort = await named(config.admin, () => listenOn(admin, config.admin));
  try {
    const { host, port } = config.listen;
    return { adminPort, listenPort: await named(config.listen, () => plane.listen(host, port)) };
  } catch (caught) {
    await closeServer(admin);
    throw caught;
  }
}

async function named(address: ListenAddress, listen: () => Promise<number>): Promise<number> {
  try {
    return await listen();
  } catch (caught) {
    const { code } = caught as NodeJS.ErrnoException;
    const where = `${hostText(address.host)}:${address.port}`;
    if (code !== "EADDRINUSE") throw new StampyardError("INTERNAL", `Cannot listen on ${where}`, { cause: caught });
    throw new StampyardError("PORT_TAKEN", `Port ${where} is taken`, {
      mend: "Stop what listens there, or choose another port.",
    });
  }
}

function listenOn(server: Server, { host, port }: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** For a URL: IPv6 in brackets, and an address that people can open where we listen on all. */
function hostText(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}
