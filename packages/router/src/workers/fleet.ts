import { type DirectoryChange, type DirectoryView, encodeSnapshot, type FeedPosition } from "@stampyard/directory";
import type { RouterConfig } from "../config.ts";
import { sha256 } from "../directory-files.ts";
import type { Log } from "../log.ts";
import { addCounts, type Counts, noCounts } from "../metrics.ts";
import type { Losses } from "../open-plane.ts";
import type { ProcessIdentity } from "../process-record.ts";
import type { StampKeys } from "../route-signer.ts";
import type { Servers, WorkerFacts } from "../servers.ts";
import type { FromWorker, ToWorker, WorkerPulse } from "./messages.ts";
import { startWorker, type WorkerProcess } from "./place.ts";
import { createPublications, type Publications } from "./publications.ts";
import {
  afterDrain,
  afterExit,
  afterHeard,
  afterListening,
  createPatientClock,
  defaultWorkerLimits,
  planWorker,
  type WorkerLimits,
  type WorkerState,
} from "./worker-plan.ts";
import { mergeUnresolved } from "../unresolved.ts";
import { createWorkerRecorder, type WorkerRecorder } from "./worker-record.ts";

export interface FleetOptions {
  readonly config: RouterConfig;
  readonly workers: number;
  readonly log: Log;
  /** Workers of a parent that is gone, until they are. */
  readonly orphans: () => readonly ProcessIdentity[];
  /** Something may be acknowledged that could not be before. */
  readonly onApplied: () => void;
  readonly limits?: WorkerLimits;
}

interface Place {
  readonly number: number;
  state: WorkerState;
  process: WorkerProcess | undefined;
  restarts: number;
}

type Report = Extract<FromWorker, { kind: "report" }>;

interface Fleet {
  readonly options: FleetOptions;
  readonly limits: WorkerLimits;
  readonly places: readonly Place[];
  readonly publications: Publications;
  readonly keys: Map<string, StampKeys>;
  readonly recorder: WorkerRecorder;
  /** Of workers that are gone. */
  readonly retired: { readonly counts: Counts; losses: Losses };
  address: { readonly host: string; port: number } | undefined;
  directory: DirectoryView | undefined;
  position: FeedPosition | undefined;
  unsent: { readonly change: DirectoryChange; readonly seq: number }[];
  /** The last table that was written out, so that workers that start together share it. */
  written: { readonly seq: number; readonly bytes: Uint8Array } | undefined;
  now: number;
  /** Told at every change of a place. */
  readonly watchers: Set<(place: Place, failure: string | undefined) => void>;
  readonly reports: Map<number, (worker: WorkerProcess, report: Report | undefined) => void>;
  lastReport: number;
}

const turnMs = 100;
const reportMs = 400;

/** Serves by workers: starts them, watches them, tells them everything, adds up what they count (D17). */
export function createWorkerFleet(options: FleetOptions): Servers {
  const fleet = prepare(options);
  const clock = createPatientClock(() => performance.now(), turnMs * 3);
  const timer = setInterval(() => {
    fleet.now = clock.turn();
    for (const place of fleet.places) turn(fleet, place);
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
    acknowledgeable: (durable) =>
      options.orphans().length > 0 ? undefined : fleet.publications.acknowledgeable(durable),
    inFlight: () => sum(fleet, (pulse) => pulse.inFlight),
    inFlightOf: async (tenant) =>
      (await reports(fleet, tenant)).reduce((total, { tenantInFlight }) => total + tenantInFlight, 0),
    unresolved: async () => mergeUnresolved((await reports(fleet)).flatMap((report) => report.unresolved)),
    counts: () => counts(fleet),
    losses: () => losses(fleet),
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
    recorder: createWorkerRecorder(
      options.config.stateDir,
      () => ({ port: fleet.address?.port ?? 0, workers: [...options.orphans(), ...identities(fleet)] }),
      (reason) => options.log("error", "workers cannot be written down", { reason }),
    ),
    retired: { counts: noCounts(), losses: { droppedLogLines: 0, sentSpans: 0, droppedSpans: 0 } },
    address: undefined,
    directory: undefined,
    position: undefined,
    unsent: [],
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
  const { config, workers } = fleet.options;
  place.restarts += 1;
  // What is in the table already must not come again as a change.
  flush(fleet);
  const worker = startWorker({
    message: (from, message) => hear(fleet, place, from, message),
    exit: (from, how) => ended(fleet, place, from, how),
  });
  place.process = worker;
  worker.send({ kind: "begin", config, shares: workers, keys: fleet.keys });
  if (fleet.directory !== undefined) worker.send({ kind: "table", ...tableOf(fleet, fleet.directory) });
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
  worker.send({ kind: "listen", ...fleet.address });
}

function ended(fleet: Fleet, place: Place, worker: WorkerProcess, how: string): void {
  if (worker.pulse?.counts !== undefined) addCounts(fleet.retired.counts, worker.pulse.counts);
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

/** Of port 0 the first worker learns what it is, and the others follow. Rejects when one fails before all listen. */
async function listen(fleet: Fleet, host: string, port: number): Promise<number> {
  fleet.address = { host, port };
  const [first, ...others] = fleet.places;
  if (first === undefined) return port;
  if (port === 0) await startAll(fleet, [first]);
  await startAll(fleet, port === 0 ? others : fleet.places);
  return fleet.address.port;
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

/** Changes of one turn of the event loop go in one message. */
function changed(fleet: Fleet, change: DirectoryChange, position: FeedPosition): void {
  fleet.position = position;
  const seq = fleet.publications.next(position);
  fleet.unsent.push({ change, seq });
  if (fleet.unsent.length === 1) setImmediate(() => flush(fleet));
}

function flush(fleet: Fleet): void {
  const { unsent } = fleet;
  const last = unsent.at(-1);
  if (last === undefined) return;
  fleet.unsent = [];
  tellAll(fleet, { kind: "changes", seq: last.seq, changes: unsent.map(({ change }) => change) });
}

function tableOf(fleet: Fleet, directory: DirectoryView): { seq: number; bytes: Uint8Array } {
  const seq = fleet.publications.last();
  if (fleet.written?.seq !== seq && fleet.position !== undefined) {
    const written = { seq, bytes: encodeSnapshot(directory, fleet.position, sha256) };
    fleet.written = written;
    // Not kept for long: it is as large as the table itself.
    setTimeout(() => {
      if (fleet.written === written) fleet.written = undefined;
    }, 1_000).unref();
  }
  return fleet.written ?? { seq, bytes: new Uint8Array() };
}

function processes({ places }: Fleet): WorkerProcess[] {
  return places.flatMap(({ process: worker }) => (worker === undefined ? [] : [worker]));
}

function tellAll(fleet: Fleet, message: ToWorker): void {
  for (const worker of processes(fleet)) worker.send(message);
}

/** Asks all that listen; one that does not answer in time is left out. */
async function reports(fleet: Fleet, tenant?: string): Promise<Report[]> {
  fleet.lastReport += 1;
  const id = fleet.lastReport;
  const serving = fleet.places.filter(({ state }) => state.kind === "serving" || state.kind === "draining");
  const missing = new Set(serving.flatMap(({ process: worker }) => (worker === undefined ? [] : [worker])));
  const found: Report[] = [];
  if (missing.size === 0) return found;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, reportMs);
    fleet.reports.set(id, (worker, report) => {
      if (report !== undefined) found.push(report);
      missing.delete(worker);
      if (missing.size > 0) return;
      clearTimeout(timer);
      resolve();
    });
    for (const worker of missing) worker.send({ kind: "report", id, ...(tenant === undefined ? {} : { tenant }) });
  });
  fleet.reports.delete(id);
  return found;
}

/** Of a worker that does not answer the last numbers count. */
async function counts(fleet: Fleet): Promise<Counts> {
  await reports(fleet);
  const total = noCounts();
  addCounts(total, fleet.retired.counts);
  for (const { pulse } of processes(fleet)) if (pulse?.counts !== undefined) addCounts(total, pulse.counts);
  return total;
}

function losses(fleet: Fleet): Losses {
  let total = fleet.retired.losses;
  for (const { pulse } of processes(fleet)) if (pulse !== undefined) total = addLosses(total, pulse.losses);
  return total;
}

function addLosses(left: Losses, right: Losses): Losses {
  return {
    droppedLogLines: left.droppedLogLines + right.droppedLogLines,
    sentSpans: left.sentSpans + right.sentSpans,
    droppedSpans: left.droppedSpans + right.droppedSpans,
  };
}

function sum(fleet: Fleet, of: (pulse: WorkerPulse) => number): number {
  return processes(fleet).reduce((total, { pulse }) => total + (pulse === undefined ? 0 : of(pulse)), 0);
}

function factsOf(fleet: Fleet, { number, state, process: worker, restarts }: Place): WorkerFacts {
  const pulse = worker?.pulse;
  return {
    place: number,
    pid: worker?.pid ?? 0,
    state: state.kind,
    restarts: Math.max(0, restarts),
    inFlight: pulse?.inFlight ?? 0,
    rssBytes: pulse?.rssBytes ?? 0,
    lateMs: pulse?.lateMs ?? 0,
    silentMs: state.kind === "serving" ? Math.round(fleet.now - state.heardAt) : 0,
    changesBehind: worker === undefined ? 0 : fleet.publications.last() - worker.appliedSeq,
  };
}

async function drain(fleet: Fleet, drainMs: number): Promise<void> {
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
