import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Progress, StampyardError } from "@stampyard/domain";
import { type Goal, redact, secretsOf } from "../goal.ts";
import { freePort, isPortFree, portOf } from "../ledger.ts";
import { isAlive } from "../process/identity.ts";
import { stopProcess } from "../process/stop.ts";
import { inTurn } from "./lanes.ts";
import { prepare } from "./prepare.ts";
import { definitionOf, inputsOf, needsPort, type ProcessPlan, planProcess, type Running } from "./process-plan.ts";
import { exitNote, launch } from "./spawn.ts";
import { type Host, type InstanceRecord, instanceKey, type ProcessRecord, saveState, setStatus } from "./state.ts";

export interface BringOptions {
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Set when the host mends by itself: these replicas and no others, one try each, since it comes again. */
  readonly heal?: ReadonlySet<string>;
  /** Of this update: once a part of it has failed, what runs stays as it is. */
  readonly fate?: { isLost: boolean };
}

/** A process that ends this often before it was ever healthy will not become so by waiting. */
const maxEarlyExits = 4;
/** How long an old process stays after the new one took over, so that routers hear of it first. */
export const lingerMs = 5_000;
/** A process without any check of its own counts as up when it survived this long. */
const settleMs = 150;

/**
 * Makes one replica run what the goal says, and waits until it is healthy. What mends a replica and what updates it take
 * turns, and updates go one after the other over the whole stamp.
 * @throws StampyardError STAMP_FAILED
 */
export async function bringInstance(
  host: Host,
  goal: Goal,
  component: Running,
  replica: number,
  options: BringOptions,
): Promise<void> {
  await inTurn(host, instanceKey(component.name, replica), () => bring(host, goal, component, replica, options));
}

async function bring(
  host: Host,
  goal: Goal,
  component: Running,
  replica: number,
  options: BringOptions,
): Promise<void> {
  options.signal.throwIfAborted();
  const record = recordOf(host, component, replica);
  // An update that was quicker has started it.
  if (options.heal !== undefined && record.current !== undefined && isAlive(record.current.identity)) return;
  record.wanted = true;
  delete record.leaving;
  await dropCandidate(host, record, component);
  const definition = definitionOf(component);
  const inputs = inputsOf(host, goal, component, replica);
  if (await takeBack(host, goal, component, record, { definition, inputs }, options)) return;
  const isSame = record.definition === definition && record.inputs === inputs;
  const { current } = record;
  const alive = current !== undefined && isAlive(current.identity);
  if (alive && isSame) {
    const plan = planProcess(host, goal, component, replica, current.port);
    const settled = plan.probe === undefined && record.status === "healthy";
    const why = settled ? undefined : await waitHealthy(host, current, plan, options.signal);
    if (why === undefined) return markHealthy(host, record, current);
    await stopProcess(current.identity, plan.stop);
  }
  const next = { definition, inputs };
  if (alive && !isSame && component.kind === "service") {
    // One after the other: beside the stamp as it is there is never more than one process of the new release unproven.
    await inTurn(host, "replace", async () => {
      const { fate } = options;
      if (fate?.isLost === true) {
        throw new StampyardError("CANCELLED", `Component ${component.name} stays as it is: another one failed`);
      }
      try {
        await replaceProcess(host, goal, component, record, next, options);
      } catch (error) {
        if (fate !== undefined) fate.isLost = true; // Said before the next one has its turn.
        throw error;
      }
    });
    return;
  }
  if (!isSame) record.restarts = 0;
  if (alive && !isSame) {
    options.progress({ stamp: host.place.stamp, component: component.name, step: "stop", state: "begin" });
    await stopProcess(current.identity, planProcess(host, goal, component, replica, current.port).stop);
  } else if (current !== undefined) {
    // What it started may have outlived it.
    await stopProcess(current.identity, { signal: "SIGKILL", graceMs: 0, group: true });
    if (current.generation !== record.generation) await freePortOf(host, record, current);
    if (isSame) record.restarts++;
  }
  await startProcess(host, goal, component, record, next, options);
}

/**
 * The process that ran this before, if it has not ended yet: the way back from an update that failed, without a start.
 * @returns whether it serves again
 */
async function takeBack(
  host: Host,
  goal: Goal,
  component: Running,
  record: InstanceRecord,
  next: Next,
  options: BringOptions,
): Promise<boolean> {
  const { current } = record;
  if (current !== undefined && isAlive(current.identity) && isStartedFrom(record, next)) return false;
  const old = record.retiring.find(
    (one) => isStartedFrom(one, next) && one.until !== Number.MAX_SAFE_INTEGER && isAlive(one.identity),
  );
  if (old === undefined) return false;
  const plan = planProcess(host, goal, component, record.replica, old.port);
  const { identity, generation, port } = old;
  const back: ProcessRecord = port === undefined ? { identity, generation } : { identity, generation, port };
  if ((await waitHealthy(host, back, { ...plan, startWithinMs: plan.probeTimeoutMs }, options.signal)) !== undefined) {
    return false;
  }
  // It may have been ended while it was asked.
  if (!record.retiring.includes(old)) return false;
  const { definition, inputs } = record;
  const others = record.retiring.filter((one) => one !== old);
  const isLeft = current !== undefined && isAlive(current.identity);
  record.retiring = isLeft ? [...others, { ...current, definition, inputs, until: untilOf(current.port) }] : others;
  Object.assign(record, next, { current: back, restarts: 0, since: Date.now() });
  markHealthy(host, record, back);
  return true;
}

function isStartedFrom(one: Partial<Next>, { definition, inputs }: Next): boolean {
  return one.definition === definition && one.inputs === inputs;
}

/** Until when a process that was replaced stays. */
function untilOf(port: number | undefined): number {
  return Date.now() + (port === undefined ? 0 : lingerMs);
}

interface Next {
  readonly definition: string;
  readonly inputs: string;
}

/** Starts where nothing runs, again and again until it is healthy or its time is over. */
async function startProcess(
  host: Host,
  goal: Goal,
  component: Running,
  record: InstanceRecord,
  next: Next,
  options: BringOptions,
): Promise<void> {
  setStatus(record, "starting");
  const began = performance.now();
  for (let exits = 0; ; exits++) {
    const port = await freePortFor(host, component, record);
    const step = component.kind === "postgres" ? "clone" : "prepare";
    await timed(host, component, step, options, () => prepare(host, goal, component, port, options.signal));
    const plan = planProcess(host, goal, component, record.replica, port);
    const current = await startOne(host, plan, record.generation, port);
    Object.assign(record, next, { current });
    saveState(host);
    const why = await timed(host, component, "start", options, () => waitHealthy(host, current, plan, options.signal));
    if (why === undefined) return markHealthy(host, record, current);
    const waited = performance.now() - began;
    const tries = options.heal === undefined ? maxEarlyExits : 1;
    if (isAlive(current.identity) || exits + 1 >= tries || waited > plan.startWithinMs) {
      await stopProcess(current.identity, plan.stop);
      // What ran well before is tried again by the host; what never did waits for another apply.
      record.wanted = record.proven !== undefined && record.proven === record.inputs;
      setStatus(record, record.wanted ? "unhealthy" : "failed", why);
      saveState(host);
      throw failure(host, goal, record, why, waited);
    }
    await sleep(100 * 2 ** exits, undefined, { signal: options.signal });
  }
}

/** Start the new one, wait until it is healthy, switch, let the old one finish: no request is lost. */
async function replaceProcess(
  host: Host,
  goal: Goal,
  component: Running,
  record: InstanceRecord,
  next: Next,
  options: BringOptions,
): Promise<void> {
  const began = performance.now();
  const old = record.current;
  const generation = record.generation + 1;
  const key = portKey(record, generation);
  const port = needsPort(component) ? await portOf(host.ledger, host.place.stateDir, host.place.stamp, key) : undefined;
  await prepare(host, goal, component, port, options.signal);
  const plan = planProcess(host, goal, component, record.replica, port);
  const candidate = await startOne(host, plan, generation, port);
  record.candidate = candidate;
  saveState(host);
  const why = await timed(host, component, "replace", options, () =>
    waitHealthy(host, candidate, plan, options.signal),
  ).catch(async (error) => {
    await dropCandidate(host, record, component);
    throw error;
  });
  if (why !== undefined) {
    const error = failure(host, goal, record, why, performance.now() - began);
    await dropCandidate(host, record, component);
    throw error; // The old process still serves, and nothing about it has changed.
  }
  delete record.candidate;
  record.generation = generation;
  if (old !== undefined) {
    const { definition, inputs } = record;
    record.retiring = [...record.retiring, { ...old, definition, inputs, until: untilOf(port) }];
  }
  // Another process, with a life of its own to count.
  Object.assign(record, next, { current: candidate, restarts: 0, since: Date.now() });
  markHealthy(host, record, candidate);
}

async function startOne(
  host: Host,
  plan: ProcessPlan,
  generation: number,
  port: number | undefined,
): Promise<ProcessRecord> {
  const identity = await launch(host, plan.launch);
  return port === undefined ? { identity, generation } : { identity, generation, port };
}

/** The recorded port, unless somebody else sits on it by now: then a new one, which raises the endpoint revision. */
async function freePortFor(host: Host, component: Running, record: InstanceRecord): Promise<number | undefined> {
  if (!needsPort(component)) return undefined;
  const { ledger, place } = host;
  for (;;) {
    const port = await portOf(ledger, place.stateDir, place.stamp, portKey(record, record.generation));
    if (await isPortFree(port)) return port;
    await freePort(ledger, place.stateDir, place.stamp, portKey(record, record.generation));
    record.generation++;
  }
}

/** @returns why it is not healthy, or undefined. Ends early when the process does. */
async function waitHealthy(
  host: Host,
  process: ProcessRecord,
  plan: ProcessPlan,
  signal: AbortSignal,
): Promise<string | undefined> {
  const began = performance.now();
  let why = "it did not start in time";
  for (let wait = 8; ; wait = Math.min(wait * 1.5, 60)) {
    signal.throwIfAborted();
    if (!isAlive(process.identity)) return exitNote(host, process.identity.pid, 100);
    if (plan.probe !== undefined) {
      const answer = await plan.probe(plan.probeTimeoutMs);
      // A stranger on the same port could have answered: only an answer while it lives counts.
      if (answer === undefined && isAlive(process.identity)) return undefined;
      why = answer ?? why;
    } else if (performance.now() - began > settleMs) {
      return undefined;
    }
    if (performance.now() - began > plan.startWithinMs) return why;
    await sleep(wait);
  }
}

function markHealthy(host: Host, record: InstanceRecord, process: ProcessRecord): void {
  setStatus(record, "healthy");
  record.proven = record.inputs;
  if (process.port !== undefined) record.servedPort = process.port;
  saveState(host);
}

async function dropCandidate(host: Host, record: InstanceRecord, component: Running): Promise<void> {
  const { candidate } = record;
  if (candidate === undefined) return;
  const graceMs = component.kind === "service" ? component.stopGraceMs : 10_000;
  await stopProcess(candidate.identity, { signal: "SIGTERM", graceMs, group: true });
  await freePortOf(host, record, candidate);
  delete record.candidate;
  saveState(host);
}

async function freePortOf(
  { ledger, place }: Host,
  record: InstanceRecord,
  { generation }: ProcessRecord,
): Promise<void> {
  await freePort(ledger, place.stateDir, place.stamp, portKey(record, generation));
}

function recordOf(host: Host, component: Running, replica: number): InstanceRecord {
  const key = instanceKey(component.name, replica);
  host.state.instances[key] ??= {
    component: component.name,
    replica,
    kind: component.kind,
    definition: "",
    inputs: "",
    generation: 0,
    retiring: [],
    wanted: true,
    status: "starting",
    restarts: 0,
    since: Date.now(),
  };
  return host.state.instances[key];
}

export function portKey(record: Pick<InstanceRecord, "component" | "replica">, generation: number): string {
  return `${instanceKey(record.component, record.replica)}:${generation}`;
}

function failure(host: Host, goal: Goal, record: InstanceRecord, why: string, ms: number): StampyardError {
  const log = logTail(host, instanceKey(record.component, record.replica), goal);
  const reason = `${why} (gave up after ${(ms / 1000).toFixed(1)} s)`;
  return new StampyardError("STAMP_FAILED", `Component ${record.component} does not get healthy: ${reason}${log}`, {
    mend: `Read its log with: stampyard stamp logs ${host.place.stamp} --component ${record.component}. Mend the cause and apply again; what is up stays up.`,
  });
}

/** The last lines of a log for an error message, without any secret. */
export function logTail(host: Host, key: string, goal: Goal): string {
  try {
    const file = openSync(join(host.place.logDir, `${key}.log`), "r");
    try {
      const { size } = fstatSync(file);
      const bytes = Buffer.alloc(Math.min(size, 4096));
      readSync(file, bytes, 0, bytes.length, size - bytes.length);
      const lines = bytes.toString("utf8").trim().split("\n").slice(-6);
      const text = redact(lines.join("\n"), secretsOf(goal)).trim();
      return text === "" ? "" : `\nLast lines of its log:\n${text}`;
    } finally {
      closeSync(file);
    }
  } catch {
    return "";
  }
}

async function timed<T>(
  host: Host,
  component: { readonly name: string },
  step: string,
  options: BringOptions,
  work: () => Promise<T>,
): Promise<T> {
  const { stamp } = host.place;
  const began = performance.now();
  options.progress({ stamp, component: component.name, step, state: "begin" });
  try {
    const result = await work();
    options.progress({ stamp, component: component.name, step, state: "end", ms: performance.now() - began });
    return result;
  } catch (error) {
    options.progress({ stamp, component: component.name, step, state: "fail", ms: performance.now() - began });
    throw error;
  }
}
