import { type DirectoryChange, type DirectoryView, encodeSnapshot, type FeedPosition } from "@stampyard/directory";
import { StampyardError } from "@stampyard/domain";
import { sha256, snapshotPorts } from "../snapshot-file.ts";
import type { RouterConfig } from "../config.ts";
import { addCounts, noCounts } from "../metrics.ts";
import type { ProcessIdentity } from "../process-record.ts";
import type { Servers } from "../servers.ts";
import { mergeUnresolved } from "../unresolved.ts";
import { addLosses, certificates, counts, factsOf, losses, reports, sum, tripped } from "./fleet-numbers.ts";
import { type Fleet, type FleetOptions, type Place, processes } from "./fleet-state.ts";
import { beatMs, type FromWorker, type ToWorker, type WorkerPulse } from "./messages.ts";
import { startWorker, type WorkerProcess } from "./place.ts";
import { createPublications } from "./publications.ts";
import { canReusePort, openSharedPort } from "./shared-port.ts";
import { createTenantShares } from "./tenant-shares.ts";
import {
  afterDrain,
  afterExit,
  afterHeard,
  afterListening,
  createPatientClock,
  defaultWorkerLimits,
  planWorker,
  type WorkerState,
} from "./worker-plan.ts";
import { createWorkerRecorder } from "./worker-record.ts";

const turnMs = 100;
/** Workers wake up at most so often for changes: a message costs them as much as a request. */
const batchMs = 5;

/** Serves by workers: starts them, watches them, tells them everything, adds up what they count (D17). */
export function createWorkerFleet(options: FleetOptions): Servers {
  const fleet = prepare(options);
  const clock = createPatientClock(() => performance.now(), turnMs * 3);
  const timer = setInterval(() => {
    fleet.now = clock.turn();
    for (const place of fleet.places) turn(fleet, place);
    if (fleet.now - fleet.sharedAt >= beatMs) tellParts(fleet, fleet.shares.turn());
  }, turnMs);
  return {
    replaceDirectory: (directory, position) => replace(fleet, directory, position),
    directoryChanged: (change, position) => changed(fleet, change, position),
    setKeys(stamp, keys) {
      if (keys.length === 0) fleet.keys.delete(stamp);
      else fleet.keys.set(stamp, keys);
      tellAll(fleet, { kind: "keys", stamp, keys });
    },
    hold(hold) {
      flush(fleet);
      tellAll(fleet, { kind: "hold", ...hold });
    },
    release({ tenant, moveId }) {
      flush(fleet);
      tellAll(fleet, { kind: "release", tenant, moveId });
    },
    listen: (host, port) => listen(fleet, host, port),
    securePort: () => (options.config.tls === undefined ? undefined : fleet.securePort),
    acknowledgeable: (durable) =>
      options.orphans().length > 0 ? undefined : fleet.publications.acknowledgeable(durable),
    inFlight: () => sum(fleet, (pulse) => pulse.inFlight),
    inFlightOf: async (tenant) =>
      (await reports(fleet, tenant)).reduce((total, { tenantInFlight }) => total + tenantInFlight, 0),
    unresolved: async () => mergeUnresolved((await reports(fleet)).flatMap((report) => report.unresolved)),
    counts: () => counts(fleet),
    losses: () => losses(fleet),
    certificates: () => certificates(fleet),
    connections: () => sum(fleet, (pulse) => pulse.connections),
    tripped: () => tripped(fleet),
    workers: () => fleet.places.map((place) => factsOf(fleet, place)),
    reopenLogs: () => tellAll(fleet, { kind: "reopen-log" }),
    orphansGone() {
      if (fleet.places.every(({ state }) => state.kind === "ended")) return;
      void fleet.recorder.save();
      options.onApplied();
    },
    async close(drainMs) {
      await drain(fleet, drainMs);
      clearInterval(timer);
      if (options.orphans().length === 0) await fleet.recorder.remove();
    },
  };
}

function prepare(options: FleetOptions): Fleet {
  const fleet: Fleet = {
    options,
    limits: options.limits ?? defaultWorkerLimits,
    places: Array.from({ length: options.workers }, (_, number) => ({
      number,
      // Nothing starts before there is an address.
      state: { kind: "waiting", until: Number.POSITIVE_INFINITY, failures: 0 } as WorkerState,
      process: undefined,
      restarts: -1,
    })),
    publications: createPublications(),
    keys: new Map(),
    shares: createTenantShares(options.workers),
    sharedAt: 0,
    recorder: createWorkerRecorder(
      options.config.stateDir,
      () => ({ port: fleet.address?.port ?? 0, workers: [...options.orphans(), ...identities(fleet)] }),
      (reason) => options.log("error", "workers cannot be written down", { reason }),
    ),
    retired: { counts: noCounts(), losses: { droppedLogLines: 0, sentSpans: 0, droppedSpans: 0 } },
    address: undefined,
    securePort: options.config.tls?.listen.port ?? 0,
    shared: undefined,
    directory: undefined,
    position: undefined,
    unsent: [],
    flushedAt: Number.NEGATIVE_INFINITY,
    written: undefined,
    now: 0,
    watchers: new Set(),
    reports: new Map(),
    lastReport: 0,
  };
  return fleet;
}

function identities({ places }: Fleet): ProcessIdentity[] {
  return places.flatMap(({ process: worker }) => (worker?.identity === undefined ? [] : [worker.identity]));
}

/** Moves one place on. */
function turn(fleet: Fleet, place: Place): void {
  const { next, action, reason } = planWorker(place.state, fleet.now, fleet.limits);
  place.state = next;
  if (action === "start") start(fleet, place);
  if (action !== "kill") return;
  fleet.options.log("error", "worker is killed", { worker: place.number, pid: place.process?.pid, reason });
  place.process?.kill();
}

function start(fleet: Fleet, place: Place): void {
  const { workers } = fleet.options;
  place.restarts += 1;
  // What is in the table already must not come again as a change.
  flush(fleet);
  const worker = startWorker({
    message: (from, message) => hear(fleet, place, from, message),
    exit: (from, how) => ended(fleet, place, from, how),
  });
  place.process = worker;
  worker.send({ kind: "begin", config: configFor(fleet), shares: workers, keys: fleet.keys });
  tellParts(fleet, [place.number]);
  if (fleet.directory !== undefined) worker.send({ kind: "table", ...tableOf(fleet, fleet.directory) });
}

/** All workers share the door for TLS, also where the first one was given any free port. */
function configFor({ options: { config }, securePort }: Fleet): RouterConfig {
  const { tls } = config;
  return tls === undefined ? config : { ...config, tls: { ...tls, listen: { ...tls.listen, port: securePort } } };
}

function tellParts(fleet: Fleet, places: readonly number[]): void {
  fleet.sharedAt = fleet.now;
  for (const number of places) {
    fleet.places[number]?.process?.send({ kind: "tenant-parts", parts: fleet.shares.of(number) });
  }
}

function hear(fleet: Fleet, place: Place, worker: WorkerProcess, message: FromWorker): void {
  place.state = afterHeard(place.state, fleet.now);
  switch (message.kind) {
    case "ready":
      void letListen(fleet, place, worker);
      return;
    case "listening":
      place.state = afterListening(place.state, fleet.now);
      if (fleet.address?.port === 0) fleet.address.port = message.port;
      if (fleet.securePort === 0) fleet.securePort = message.securePort;
      fleet.options.log("info", "worker listens", { worker: place.number, pid: worker.pid });
      tellWatchers(fleet, place, undefined);
      return;
    case "failed":
      tellWatchers(fleet, place, message.code);
      return;
    case "applied":
      worker.appliedSeq = message.seq;
      fleet.publications.applied(worker, message.seq);
      fleet.options.onApplied();
      return;
    case "report":
      worker.pulse = message.pulse;
      fleet.reports.get(message.id)?.(worker, message);
      return;
    case "beat":
      fleet.shares.note(place.number, message.demand);
      worker.pulse = withCounts(message, worker.pulse);
      return;
    case "drained":
      worker.pulse = withCounts(message, worker.pulse);
      return;
  }
}

function withCounts(pulse: WorkerPulse, before: WorkerPulse | undefined): WorkerPulse {
  const counted = pulse.counts ?? before?.counts;
  return counted === undefined ? pulse : { ...pulse, counts: counted };
}

async function letListen(fleet: Fleet, place: Place, worker: WorkerProcess): Promise<void> {
  // Written down before it can serve: should we die now, our successor finds it.
  await fleet.recorder.save();
  if (place.process !== worker || place.state.kind !== "starting" || fleet.address === undefined) return;
  fleet.publications.join(worker);
  if (fleet.shared === undefined) worker.send({ kind: "listen", ...fleet.address });
  else worker.send({ kind: "listen-shared" }, fleet.shared.server);
}

function ended(fleet: Fleet, place: Place, worker: WorkerProcess, how: string): void {
  if (worker.pulse?.counts !== undefined) addCounts(fleet.retired.counts, worker.pulse.counts);
  // Totals stay for ever; who failed lately is known by those who live.
  for (const { failing } of fleet.retired.counts.stamps.values()) failing.clear();
  if (worker.pulse !== undefined) fleet.retired.losses = addLosses(fleet.retired.losses, worker.pulse.losses);
  place.process = undefined;
  fleet.publications.leave(worker);
  fleet.options.onApplied();
  place.state = afterExit(place.state, fleet.now, fleet.limits);
  const level = place.state.kind === "ended" ? "info" : "error";
  fleet.options.log(level, "worker ended", { worker: place.number, pid: worker.pid, how });
  tellWatchers(fleet, place, how);
  // Reports do not wait for it.
  for (const heard of fleet.reports.values()) heard(worker, undefined);
}

function tellWatchers(fleet: Fleet, place: Place, failure: string | undefined): void {
  for (const watcher of fleet.watchers) watcher(place, failure);
}

/** Of a port 0 the first worker learns what it is, and the others follow. Rejects when one fails before all listen. */
async function listen(fleet: Fleet, host: string, port: number): Promise<number> {
  fleet.address = { host, port };
  const { sharing = (await canReusePort(host)) ? "reuse" : "handle" } = fleet.options;
  if (sharing === "handle") return await listenShared(fleet, host, port);
  const [first, ...others] = fleet.places;
  if (first === undefined) return port;
  const isOpen = port === 0 || fleet.options.config.tls?.listen.port === 0;
  if (isOpen) await startAll(fleet, [first]);
  await startAll(fleet, isOpen ? others : fleet.places);
  return fleet.address.port;
}

/** One socket for all: what the system gives to this process is handed on to the workers in turn. */
async function listenShared(fleet: Fleet, host: string, port: number): Promise<number> {
  if (fleet.options.config.tls !== undefined) {
    throw new StampyardError("INVALID_REQUEST", "Several workers cannot share the port for TLS on this system", {
      mend: "Set STAMPYARD_ROUTER_WORKERS=0.",
    });
  }
  let turn = 0;
  const shared = await openSharedPort(host, port, (socket) => {
    const serving = fleet.places.filter(({ state }) => state.kind === "serving");
    turn += 1;
    const worker = serving[turn % Math.max(1, serving.length)]?.process;
    if (worker === undefined) socket.destroy();
    else worker.send({ kind: "connection" }, socket);
  });
  fleet.shared = shared;
  fleet.address = { host, port: shared.port };
  await startAll(fleet, fleet.places);
  return shared.port;
}

function startAll(fleet: Fleet, places: readonly Place[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const missing = new Set(places);
    const settle = (place: Place, failure: string | undefined) => {
      if (!missing.has(place)) return;
      if (failure === undefined) missing.delete(place);
      if (failure === undefined && missing.size > 0) return;
      fleet.watchers.delete(settle);
      if (failure === undefined) resolve();
      else reject(Object.assign(new Error(`A worker could not start: ${failure}`), { code: failure }));
    };
    fleet.watchers.add(settle);
    for (const place of places) {
      place.state = { kind: "waiting", until: 0, failures: 0 };
      turn(fleet, place);
    }
    if (missing.size === 0) resolve();
  });
}

function replace(fleet: Fleet, directory: DirectoryView, position: FeedPosition): void {
  flush(fleet);
  fleet.directory = directory;
  fleet.position = position;
  fleet.publications.next(position);
  if (processes(fleet).length > 0) tellAll(fleet, { kind: "table", ...tableOf(fleet, directory) });
}

/** The first change after a quiet time goes at once; in a busy one those of some milliseconds share a message. */
function changed(fleet: Fleet, change: DirectoryChange, position: FeedPosition): void {
  fleet.position = position;
  const seq = fleet.publications.next(position);
  fleet.unsent.push({ change, seq });
  if (fleet.unsent.length > 1) return;
  if (performance.now() - fleet.flushedAt > batchMs) setImmediate(() => flush(fleet));
  else setTimeout(() => flush(fleet), batchMs);
}

function flush(fleet: Fleet): void {
  const { unsent } = fleet;
  const last = unsent.at(-1);
  if (last === undefined) return;
  fleet.unsent = [];
  fleet.flushedAt = performance.now();
  tellAll(fleet, { kind: "changes", seq: last.seq, changes: unsent.map(({ change }) => change) });
}

function tableOf(fleet: Fleet, directory: DirectoryView): { seq: number; bytes: Uint8Array } {
  const seq = fleet.publications.last();
  if (fleet.written?.seq !== seq && fleet.position !== undefined) {
    const written = { seq, bytes: encodeSnapshot(directory, fleet.position, sha256, snapshotPorts) };
    fleet.written = written;
    // Not kept for long: it is as large as the table itself.
    setTimeout(() => {
      if (fleet.written === written) fleet.written = undefined;
    }, 1_000).unref();
  }
  return fleet.written ?? { seq, bytes: new Uint8Array() };
}

function tellAll(fleet: Fleet, message: ToWorker): void {
  for (const worker of processes(fleet)) worker.send(message);
}

async function drain(fleet: Fleet, drainMs: number): Promise<void> {
  fleet.shared?.close();
  flush(fleet);
  for (const place of fleet.places) {
    const { process: worker } = place;
    // A second more than the worker gives its requests, for its last words.
    place.state = afterDrain(place.state, fleet.now + drainMs + 1_000, worker !== undefined);
    worker?.send({ kind: "drain", ms: drainMs });
  }
  await new Promise<void>((resolve) => {
    const settle = () => {
      if (fleet.places.every(({ state }) => state.kind === "ended")) resolve();
    };
    fleet.watchers.add(settle);
    settle();
  });
}
