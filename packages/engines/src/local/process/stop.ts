import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, type ProcessIdentity } from "./identity.ts";

export interface StopOptions {
  readonly signal: NodeJS.Signals;
  /** Milliseconds between the polite signal and SIGKILL. */
  readonly graceMs: number;
  /** Whether the polite signal goes to the whole process group, as for a service behind a shell. */
  readonly group: boolean;
}

/** Ends one process: politely, then for good with everything it started. The identity is checked before each signal. */
export async function stopProcess(identity: ProcessIdentity, options: StopOptions): Promise<void> {
  if (isAlive(identity)) sendTo(identity, options.signal, options.group);
  const deadline = performance.now() + options.graceMs;
  for (let wait = 5; isAlive(identity) && performance.now() < deadline; wait = Math.min(wait * 2, 50)) {
    await sleep(wait);
  }
  if (isAlive(identity)) sendTo(identity, "SIGKILL", true);
  else killGroup(identity.pid, "SIGKILL");
  for (let wait = 2; isAlive(identity); wait = Math.min(wait * 2, 50)) await sleep(wait);
}

function sendTo(identity: ProcessIdentity, signal: NodeJS.Signals, group: boolean): void {
  if (group && killGroup(identity.pid, signal)) return;
  try {
    process.kill(identity.pid, signal);
  } catch {
    // It ended in between.
  }
}

function killGroup(leader: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-leader, signal);
    return true;
  } catch {
    return false;
  }
}
