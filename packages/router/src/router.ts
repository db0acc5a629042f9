import { mkdir } from "node:fs/promises";
import type { Server } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { StampyardError } from "@stampyard/domain";
import { rotateBySize } from "./access-log-rotation.ts";
import { type AdminOptions, createAdminServer } from "./admin.ts";
import type { ListenAddress, RouterConfig } from "./config.ts";
import { type ControlPlane, createControlPlane } from "./control-plane.ts";
import { createDecider, type Decider } from "./decide-endpoint/decider.ts";
import { withDecider } from "./decide-endpoint/with-decider.ts";
import { loadDirectory } from "./directory-files.ts";
import { type Backoff, type Follower, startFollower } from "./follower.ts";
import { loadKeys } from "./key-file.ts";
import { type Log, stderrLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import type { PlanePorts } from "./open-plane.ts";
import { removeRecord, writeRecord } from "./process-record.ts";
import { type Servers, serveHere } from "./servers.ts";
import { lockState } from "./state-lock.ts";
import { createWorkerFleet } from "./workers/fleet.ts";
import { canReusePort } from "./workers/shared-port.ts";
import { type Orphans, takeOver } from "./workers/orphans.ts";
import type { PortSharing } from "./workers/fleet-state.ts";
import type { WorkerLimits } from "./workers/worker-plan.ts";

/** What tests and embedders may set; a process takes the defaults. */
export interface RouterPorts extends PlanePorts {
  readonly log?: Log;
  readonly backoff?: Backoff;
  readonly snapshotEveryMs?: number;
  readonly workerLimits?: WorkerLimits;
  readonly portSharing?: PortSharing;
}

export interface RunningRouter {
  readonly listenPort: number;
  readonly adminPort: number;
  /** Where clients come by TLS; undefined unless configured. */
  readonly tlsPort: number | undefined;
  /** Where ingresses ask; undefined unless configured. */
  readonly decidePort: number | undefined;
  /** The access log was moved away. */
  reopenLogs(): void;
  /** Lets requests end, then stops; safe to call twice. */
  close(): Promise<void>;
}

const defaultBackoff: Backoff = { firstMs: 250, mostMs: 10_000 };
const defaultDrainMs = 10_000;
const defaultLogBytes = 256 << 20;

/**
 * Starts a router: loads the last known good directory, listens, then follows the feed. It resolves when it listens,
 * with or without a directory and with or without a control plane (I3); `/readyz` says whether it can route. With
 * workers this process serves nobody; it follows the feed and watches them (D17).
 * @throws StampyardError PORT_TAKEN, LOCKED
 */
export async function startRouter(config: RouterConfig, ports: RouterPorts = {}): Promise<RunningRouter> {
  await mkdir(config.stateDir, { recursive: true, mode: 0o700 });
  const lock = await lockState(config.stateDir, ports.log ?? stderrLog);
  try {
    return await startIn(lock, config, ports);
  } catch (caught) {
    lock[Symbol.dispose]();
    throw caught;
  }
}

/** @param lock of the state folder, given back at the end */
async function startIn(lock: Disposable, config: RouterConfig, ports: RouterPorts): Promise<RunningRouter> {
  const { stateDir, name } = config;
  const { log = stderrLog } = ports;
  const loaded = await loadDirectory(stateDir);
  for (const problem of loaded.problems) log("error", "directory file is damaged", { problem });
  log("info", "directory is loaded from disk", { ...loaded.position, ...loaded.directory?.counts() });

  const metrics = createMetrics();
  const keys = await loadKeys(stateDir);
  const orphans = await takeOver(stateDir);
  let follower: Follower | undefined;
  const onApplied = () => follower?.applied();
  const { regions, redirect } = config;
  const decider = createDecider({ regions, redirect, now: ports.now ?? Date.now });
  const servers = withDecider(openServers(config, ports, orphans, onApplied), decider);
  // Before the first request can come.
  if (loaded.directory !== undefined) servers.replaceDirectory(loaded.directory, loaded.position);
  for (const [stamp, list] of keys) servers.setKeys(stamp, list);

  let served: AdminOptions | undefined;
  const admin = createAdminServer(() => served);
  const { listenPort, adminPort } = await listenBoth(config, servers, admin, orphans);
  const decidePort =
    config.decide === undefined ? undefined : await listenDecider(decider, config.decide, servers, admin);
  // Only now: until here they were all who served.
  const retired = retire(config, orphans).then(() => servers.orphansGone());
  const url = `http://${hostText(config.listen.host)}:${listenPort}`;
  const adminUrl = `http://${hostText(config.admin.host)}:${adminPort}`;
  follower = startFollower({
    router: name,
    folder: stateDir,
    loaded,
    keys,
    controlPlane: openControlPlane(config, adminUrl, url),
    servers,
    metrics,
    log,
    backoff: ports.backoff ?? defaultBackoff,
    ...(ports.snapshotEveryMs === undefined ? {} : { snapshotEveryMs: ports.snapshotEveryMs }),
  });
  let closing: Promise<void> | undefined;
  const draining = () => closing !== undefined;
  served = { name, follower, keys, servers, decider, metrics, draining, startedAt: performance.now() };
  const tlsPort = servers.securePort();
  await writeRecord(stateDir, { name, url, adminUrl, listenPort, adminPort, tlsPort, decidePort });
  log("info", "router listens", { url, adminUrl, workers: servers.workers().length });
  const rotation = openRotation(config, servers);

  const following = follower;
  const stop = async () => {
    log("info", "router stops", { inFlight: servers.inFlight() });
    await retired;
    await servers.close(config.drainMs ?? defaultDrainMs);
    rotation?.close();
    await following.close();
    await closeServer(admin);
    await removeRecord(stateDir);
    lock[Symbol.dispose]();
  };
  return {
    listenPort,
    adminPort,
    tlsPort,
    decidePort,
    reopenLogs: () => servers.reopenLogs(),
    close() {
      closing ??= stop();
      return closing;
    },
  };
}

function openServers(config: RouterConfig, ports: RouterPorts, orphans: Orphans, onApplied: () => void): Servers {
  const { workers = 0 } = config;
  if (workers === 0) return serveHere(config, ports);
  return createWorkerFleet({
    config,
    workers,
    log: ports.log ?? stderrLog,
    orphans: orphans.living,
    onApplied,
    ...(ports.workerLimits === undefined ? {} : { limits: ports.workerLimits }),
    ...(ports.portSharing === undefined ? {} : { sharing: ports.portSharing }),
  });
}

function openRotation({ accessLog, accessLogMaxBytes = defaultLogBytes }: RouterConfig, servers: Servers) {
  if (accessLog === undefined || accessLogMaxBytes === 0) return undefined;
  return rotateBySize(accessLog, accessLogMaxBytes, () => servers.reopenLogs());
}

function openControlPlane(config: RouterConfig, adminUrl: string, front: string): ControlPlane | undefined {
  if (config.controlPlane === undefined) return undefined;
  const { url, tokenFile } = config.controlPlane;
  // Behind a load balancer that speaks the PROXY protocol, our own door is closed to everybody else.
  const entrance = config.entrance ?? (config.proxyPeers === undefined ? front : undefined);
  return createControlPlane({ url, tokenFile, router: config.name, adminUrl, entrance });
}

/** The last of the three: without it the other two are given back. */
async function listenDecider(decider: Decider, address: ListenAddress, servers: Servers, admin: Server) {
  try {
    return await named(address, () => decider.listen(address.host, address.port));
  } catch (caught) {
    await servers.close(0);
    await closeServer(admin);
    throw caught;
  }
}

/** Both ports or none. */
async function listenBoth(config: RouterConfig, servers: Servers, admin: Server, orphans: Orphans) {
  const { listen } = config;
  let adminPort: number | undefined;
  try {
    adminPort = await named(config.admin, () => listenOn(admin, config.admin));
    // Workers share a port on purpose, so the system would let them share that of a stranger as well.
    const shared = config.tls === undefined ? [listen] : [listen, config.tls.listen];
    const isOurs = (config.workers ?? 0) === 0 || orphans.holds(listen.port);
    for (const one of isOurs ? [] : shared) await named(one, () => tryPort(one));
    // Some of us cannot share it with those who have it: one process alone, and systems that share no ports.
    const alone = (config.workers ?? 0) === 0 || !(await canReusePort(listen.host));
    if (alone && orphans.holds(listen.port)) await retire(config, orphans);
    return { adminPort, listenPort: await named(listen, () => servers.listen(listen.host, listen.port)) };
  } catch (caught) {
    await servers.close(0);
    if (adminPort !== undefined) await closeServer(admin);
    throw caught;
  }
}

/** A second more than workers give their requests. */
function retire({ drainMs = defaultDrainMs }: RouterConfig, orphans: Orphans): Promise<void> {
  return orphans.retire(drainMs + 1_000);
}

/** Listens for a moment, and alone. */
function tryPort({ host, port }: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(port)));
  });
}

async function named(address: ListenAddress, listen: () => Promise<number>): Promise<number> {
  try {
    return await listen();
  } catch (caught) {
    if (caught instanceof StampyardError && caught.code !== "INTERNAL") throw caught;
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
