import { copyFileSync, readdirSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { componentsOf } from "@stampyard/domain";
import { freePort } from "../ledger.ts";
import { isAlive } from "../process/identity.ts";
import { stopProcess } from "../process/stop.ts";
import { portKey } from "./bring-up.ts";
import { graceOf, mendEndpoints } from "./converge.ts";
import { goalOf } from "./known-goal.ts";
import { endLeaving } from "./leaving.ts";
import { planProcess, type Running } from "./process-plan.ts";
import { type Host, type InstanceRecord, instanceKey, saveState, setStatus } from "./state.ts";

const lookEveryMs = 500;
const probeEveryMs = 3_000;
const rotateEveryMs = 10_000;
const maxLogBytes = 10 * 1_048_576;
/** This many failed checks in a row and the process is taken for hung. A database is never ended for being slow. */
const maxFailedProbes = 4;
const maxBackoffMs = 30_000;
/** After so long without an exit, a component is trusted again and its next restart is quick. */
const forgetAfterMs = 60_000;

interface Watch {
  failures: number;
  nextTry: number;
  lastExit: number;
  failedProbes: number;
  probing: boolean;
}

/** The host's clockwork: restarts with back-off, health checks, retirement and log rotation. */
export function startSupervision(host: Host, heal: (due: ReadonlySet<string>) => Promise<void>): () => void {
  const watches = new Map<string, Watch>();
  const watchOf = (key: string): Watch => {
    const known = watches.get(key) ?? { failures: 0, nextTry: 0, lastExit: 0, failedProbes: 0, probing: false };
    watches.set(key, known);
    return known;
  };
  const lookNow = () => {
    const now = performance.now();
    const due = new Set<string>();
    for (const [key, record] of Object.entries(host.state.instances)) {
      if (noteDeath(record, watchOf(key), now)) due.add(key);
    }
    if (due.size > 0) heal(due).catch(() => {}); // It is on record, and comes again with the next tick.
    for (const record of Object.values(host.state.instances)) void retire(host, record).catch(() => {});
    void endLeaving(host, host.goal).catch(() => {});
    mendEndpoints(host);
  };
  host.onExit = lookNow;
  const timers = [
    setInterval(lookNow, lookEveryMs),
    setInterval(() => {
      for (const [key, record] of Object.entries(host.state.instances)) void checkHealth(host, record, watchOf(key));
    }, probeEveryMs),
    setInterval(() => rotateLogs(host.place.logDir), rotateEveryMs),
  ];
  return () => {
    host.onExit = () => {};
    for (const timer of timers) clearInterval(timer);
  };
}

/** @returns whether a restart is due now */
function noteDeath(record: InstanceRecord, watch: Watch, now: number): boolean {
  if (!record.wanted || record.status === "starting") return false;
  if (record.current !== undefined && isAlive(record.current.identity)) return false;
  if (watch.nextTry === 0) {
    if (now - watch.lastExit > forgetAfterMs) watch.failures = 0;
    watch.lastExit = now;
    // The first restart is at once; then 0.4 s, 0.8 s, … up to half a minute.
    watch.nextTry = now + (watch.failures === 0 ? 0 : Math.min(maxBackoffMs, 200 * 2 ** watch.failures));
    watch.failures++;
    setStatus(record, "unhealthy", "its process ended; it is restarted");
  }
  if (now < watch.nextTry) return false;
  watch.nextTry = 0;
  return true;
}

async function checkHealth(host: Host, record: InstanceRecord, watch: Watch): Promise<void> {
  const goal = goalOf(host, record);
  const { current } = record;
  // What runs by neither goal is on its way out; that it lives must do.
  if (goal === undefined || current === undefined || !record.wanted || watch.probing) return;
  if (record.status !== "healthy" && record.status !== "unhealthy") return;
  const component = componentsOf(goal.rendered).find((candidate) => candidate.name === record.component);
  if (component === undefined || component.kind === "job" || component.kind === "external") return;
  watch.probing = true;
  try {
    const plan = planProcess(host, goal, component as Running, record.replica, current.port);
    const why = plan.probe === undefined ? undefined : await plan.probe(plan.probeTimeoutMs);
    if (record.current !== current || !isAlive(current.identity)) return;
    watch.failedProbes = why === undefined ? 0 : watch.failedProbes + 1;
    if (why === undefined) setStatus(record, "healthy");
    else if (watch.failedProbes > 1) setStatus(record, "unhealthy", why);
    if (watch.failedProbes >= maxFailedProbes && record.kind !== "postgres") {
      watch.failedProbes = 0;
      await stopProcess(current.identity, { ...plan.stop, graceMs: Math.min(plan.stop.graceMs, 5_000) });
    }
  } catch {
    // The plan cannot be made while another component has no address; the next round looks again.
  } finally {
    watch.probing = false;
  }
}

/** Ends replaced processes whose time is over. */
async function retire(host: Host, record: InstanceRecord): Promise<void> {
  const named = new Set(host.state.endpoints.map(({ port }) => port));
  // What the endpoints still name is where routers send requests: an update that takes long must not lose them.
  const due = record.retiring.filter(
    (old) => Date.now() >= old.until && !(old.port !== undefined && named.has(old.port)),
  );
  if (due.length === 0) return;
  record.retiring = record.retiring.map((old) =>
    due.includes(old) ? { ...old, until: Number.MAX_SAFE_INTEGER } : old,
  );
  for (const old of due) {
    const graceMs = graceOf(host.goal, record);
    await stopProcess(old.identity, { signal: "SIGTERM", graceMs, group: true });
    if (old.port !== undefined) {
      await freePort(host.ledger, host.place.stateDir, host.place.stamp, portKey(record, old.generation));
    }
    record.retiring = record.retiring.filter((other) => other.identity.pid !== old.identity.pid);
    if (host.state.instances[instanceKey(record.component, record.replica)] === record) saveState(host);
  }
}

/** Copies a grown log aside and empties it: its writers append, so they go on at its new beginning (decision D11). */
export function rotateLogs(logDir: string, maxBytes = maxLogBytes): void {
  try {
    for (const name of readdirSync(logDir).filter((entry) => entry.endsWith(".log"))) {
      const path = join(logDir, name);
      if (statSync(path).size <= maxBytes) continue;
      copyFileSync(path, `${path}.1`);
      truncateSync(path);
    }
  } catch {
    // A log that cannot be copied now (disk full, stamp going away) is tried again in a while.
  }
}
