import { addCounts, type Counts, noCounts } from "../metrics.ts";
import type { Losses } from "../open-plane.ts";
import type { WorkerFacts } from "../servers.ts";
import type { CertificateFacts } from "../tls/certificate-store.ts";
import { type Fleet, type Place, processes, type Report } from "./fleet-state.ts";
import type { WorkerPulse } from "./messages.ts";

/** How long a worker may take to say its numbers, in milliseconds. */
const reportMs = 400;

/** Asks all that listen; one that does not answer in time is left out. */
export async function reports(fleet: Fleet, tenant?: string): Promise<Report[]> {
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
export async function counts(fleet: Fleet): Promise<Counts> {
  await reports(fleet);
  const total = noCounts();
  addCounts(total, fleet.retired.counts);
  for (const { pulse } of processes(fleet)) if (pulse?.counts !== undefined) addCounts(total, pulse.counts);
  return total;
}

/** Of one pattern the pair that ends first: for a moment after a renewal workers may differ. */
export async function certificates(fleet: Fleet): Promise<readonly CertificateFacts[]> {
  if (fleet.options.config.tls === undefined) return [];
  const first = new Map<string, CertificateFacts>();
  for (const one of (await reports(fleet)).flatMap((report) => report.certificates)) {
    const known = first.get(one.pattern);
    if (known === undefined || one.validUntil < known.validUntil) first.set(one.pattern, one);
  }
  return [...first.values()];
}

export function losses(fleet: Fleet): Losses {
  let total = fleet.retired.losses;
  for (const { pulse } of processes(fleet)) if (pulse !== undefined) total = addLosses(total, pulse.losses);
  return total;
}

export function addLosses(left: Losses, right: Losses): Losses {
  return {
    droppedLogLines: left.droppedLogLines + right.droppedLogLines,
    sentSpans: left.sentSpans + right.sentSpans,
    droppedSpans: left.droppedSpans + right.droppedSpans,
  };
}

export function sum(fleet: Fleet, of: (pulse: WorkerPulse) => number): number {
  return processes(fleet).reduce((total, { pulse }) => total + (pulse === undefined ? 0 : of(pulse)), 0);
}

export function factsOf(fleet: Fleet, { number, state, process: worker, restarts }: Place): WorkerFacts {
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

/** How many workers hold each stamp's breaker not closed. */
export function tripped(fleet: Fleet): Map<string, number> {
  const found = new Map<string, number>();
  for (const { pulse } of processes(fleet)) {
    for (const stamp of pulse?.tripped ?? []) found.set(stamp, (found.get(stamp) ?? 0) + 1);
  }
  return found;
}
