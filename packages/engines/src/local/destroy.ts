import { rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CallOptions } from "@stampyard/domain";
import { askHost, HostGone } from "./control.ts";
import { readState } from "./host/state.ts";
import { type Ledger, release, staleLeader } from "./ledger.ts";
import { removeLimits } from "./limits.ts";
import { takeLock } from "./lock.ts";
import { makePlace, type StampPlace } from "./places.ts";
import { findByMarker, isAlive } from "./process/identity.ts";
import { stopProcess } from "./process/stop.ts";

/** Removes everything a stamp has on this machine, whole, half-made or already gone. */
export async function destroyStamp(place: StampPlace, ledger: Ledger, call: CallOptions): Promise<void> {
  const { stamp } = place;
  call.signal.throwIfAborted();
  call.progress?.({ stamp, step: "destroy", state: "begin" });
  try {
    await askHost(place.controlSocket, { op: "stop", token: call.token }, { signal: call.signal });
  } catch (error) {
    if (!(error instanceof HostGone)) throw error;
  }
  makePlace(place);
  // With its lock held no host can start; a host that is just ending is waited for.
  const lock = await takeLock(place.hostLock, call.signal);
  try {
    const state = readState(place);
    if (state !== undefined && call.token < state.token) throw staleLeader(call.token, state.token);
    await endProcesses(place);
    for (const path of [place.runDir, place.dataDir, place.dir]) rmSync(path, { recursive: true, force: true });
    for (let n = 0; !removeLimits(place.marker) && n < 50; n++) await sleep(20);
    await release(ledger, place.stateDir, stamp);
    rmSync(place.hostLock, { force: true });
  } finally {
    lock[Symbol.dispose]();
  }
  // Parents go with their last stamp; a parent that still holds one stays.
  for (const path of [join(place.stateDir, "stamps"), join(place.stateDir, "locks"), dirname(place.runDir)]) {
    removeEmpty(path);
  }
  call.progress?.({ stamp, step: "destroy", state: "end" });
}

/** What no host could end: recorded processes, and those that only their mark gives away. */
async function endProcesses(place: StampPlace): Promise<void> {
  const state = readState(place);
  const recorded = Object.values(state?.instances ?? {}).flatMap((record) =>
    [record.current, record.candidate, ...record.retiring].flatMap((process) => process?.identity ?? []),
  );
  const strays = Object.values(state?.strayJobs ?? {});
  const marked = findByMarker(place.marker, [place.dataDir, place.runDir]);
  const all = [...recorded, ...strays, ...marked].filter(isAlive);
  await Promise.all(all.map((process) => stopProcess(process, { signal: "SIGTERM", graceMs: 1_000, group: true })));
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Not empty, or gone.
  }
}
