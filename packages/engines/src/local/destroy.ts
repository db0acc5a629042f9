import { rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CallOptions } from "@stampyard/domain";
import { askHost, HostGone } from "./control.ts";
import { readState } from "./host/state.ts";
import { type Ledger, release, staleLeader } from "./ledger.ts";
import { removeLimits } from "./limits.ts";
import { type Lock, tryLock } from "./lock.ts";
import { makePlace, type StampPlace } from "./places.ts";
import { findByMarker, isAlive } from "./process/identity.ts";
import { stopProcess } from "./process/stop.ts";

/** Removes everything a stamp has on this machine, whole, half-made or already gone. */
export async function destroyStamp(place: StampPlace, ledger: Ledger, call: CallOptions): Promise<void> {
  const { stamp } = place;
  call.signal.throwIfAborted();
  call.progress?.({ stamp, step: "destroy", state: "begin" });
  const lock = await lockWithoutHost(place, call);
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
  for (const path of [join(place.stateDir, "stamps"), dirname(place.runDir)]) removeEmpty(path);
  call.progress?.({ stamp, step: "destroy", state: "end" });
}

/** Ends the host and takes its lock, so that no other can start; again when somebody started one in between. */
async function lockWithoutHost(place: StampPlace, call: CallOptions): Promise<Lock> {
  makePlace(place);
  for (;;) {
    call.signal.throwIfAborted();
    try {
      await askHost(place.controlSocket, { op: "stop", token: call.token }, { signal: call.signal });
    } catch (error) {
      if (!(error instanceof HostGone)) throw error;
    }
    // A host that is just ending needs a moment.
    for (const deadline = performance.now() + 2_000; performance.now() < deadline; await sleep(10)) {
      const lock = tryLock(place.hostLock);
      if (lock !== undefined) return lock;
    }
  }
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
