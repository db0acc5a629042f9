import { setTimeout as sleep } from "node:timers/promises";
import { type JobComponent, StampyardError } from "@stampyard/domain";
import type { Goal } from "../goal.ts";
import { isAlive } from "../process/identity.ts";
import { stopProcess } from "../process/stop.ts";
import { logTail, type BringOptions } from "./bring-up.ts";
import { definitionOf, planLaunch } from "./process-plan.ts";
import { prepareHome } from "./prepare.ts";
import { exitNote, launch } from "./spawn.ts";
import { hasRunFor, type Host, instanceKey, ranAgain, saveState } from "./state.ts";

/** Whether a release job was already run for this stamp and release, at any time. */
export function isJobDone(host: Host, goal: Goal, job: JobComponent): boolean {
  return hasRunFor(host.state.jobs[job.name], goal.rendered.stampDigest);
}

/** Runs a release job once per stamp and release; a job that was cut off runs again, so jobs must be idempotent. */
export async function runReleaseJob(host: Host, goal: Goal, job: JobComponent, options: BringOptions): Promise<void> {
  if (isJobDone(host, goal, job)) return;
  const { stamp } = host.place;
  const began = performance.now();
  options.progress({ stamp, component: job.name, step: "job", state: "begin" });
  const failure = await runJob(host, goal, job, {}, options.signal);
  const ms = performance.now() - began;
  options.progress({ stamp, component: job.name, step: "job", state: failure === undefined ? "end" : "fail", ms });
  if (failure !== undefined) {
    throw new StampyardError("STAMP_FAILED", `Job ${job.name} failed: ${failure}`, {
      mend: `Mend the cause and apply again; the job then runs once more.`,
    });
  }
  const { stampDigest, releaseDigest } = goal.rendered;
  const done = { stampDigest, releaseDigest, definition: definitionOf(job), at: Date.now() };
  host.state.jobs[job.name] = ranAgain(host.state.jobs[job.name], done);
  saveState(host, true);
}

let runs = 0;

/** @returns why it failed, or undefined */
export async function runJob(
  host: Host,
  goal: Goal,
  job: JobComponent,
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | undefined> {
  prepareHome(host);
  const plan = planLaunch(host, goal, job, 0, undefined);
  const identity = await launch(host, { ...plan, env: { ...plan.env, ...env } });
  // On record while it runs: after a crash of ours, the next host ends it before it starts another.
  const key = `${instanceKey(job.name, 0)}#${identity.pid}-${runs++}`;
  host.state.strayJobs[key] = identity;
  saveState(host);
  const deadline = performance.now() + job.timeoutMs;
  try {
    for (let wait = 5; isAlive(identity); wait = Math.min(wait * 1.3, 100)) {
      if (signal.aborted || performance.now() > deadline) {
        await stopProcess(identity, { signal: "SIGTERM", graceMs: 2_000, group: true });
        signal.throwIfAborted();
        return `it did not end within ${job.timeoutMs} ms${logTail(host, instanceKey(job.name, 0), goal)}`;
      }
      await sleep(wait);
    }
  } finally {
    delete host.state.strayJobs[key];
    saveState(host);
  }
  const how = await exitNote(host, identity.pid, 2_000);
  return how === "it ended with code 0" ? undefined : `${how}${logTail(host, instanceKey(job.name, 0), goal)}`;
}
