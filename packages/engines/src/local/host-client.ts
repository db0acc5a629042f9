import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type StampObservation, StampyardError } from "@stampyard/domain";
import { type AskOptions, askHost, HostGone, type HostRequest } from "./control.ts";
import { asDiskError, diskFull } from "./file.ts";
import type { HostArguments } from "./host/main.ts";
import type { Ledger } from "./ledger.ts";
import { makePlace, type StampPlace } from "./places.ts";

/** What the host ends with when its disk is full. */
const exitDiskFull = 28;
const hostStartMs = 15_000;
/** A host may be killed while it works for us; then the next one goes on. */
const maxHosts = 4;

/** Asks the stamp's host, starting one where there is none, and again when it dies on the way. */
export async function askStamp(
  place: StampPlace,
  ledger: Ledger,
  request: HostRequest,
  options: AskOptions,
): Promise<StampObservation> {
  for (let attempt = 1; ; attempt++) {
    try {
      await ensureHost(place, ledger, options.signal);
      return await askHost(place.controlSocket, request, options);
    } catch (error) {
      if (!(error instanceof HostGone) || attempt >= maxHosts) throw error;
    }
  }
}

/** Answers when a host of this stamp is up. Two callers at once end up with one host: its lock decides. */
async function ensureHost(place: StampPlace, ledger: Ledger, signal: AbortSignal | undefined): Promise<void> {
  if (await isHostUp(place)) return;
  try {
    makePlace(place);
  } catch (error) {
    throw asDiskError(error, place.stateDir);
  }
  let host = startHost(place, ledger);
  const began = performance.now();
  let again = began + 2_000;
  for (let wait = 5; ; wait = Math.min(wait * 1.5, 50)) {
    signal?.throwIfAborted();
    if (existsSync(place.controlSocket) && (await isHostUp(place))) return;
    const now = performance.now();
    if (host.exitCode === exitDiskFull) throw diskFull(place.stateDir, undefined);
    if (now - began > hostStartMs || (host.exitCode ?? 0) !== 0) {
      throw new StampyardError("STAMP_FAILED", `The stamp host of ${place.stamp} does not start`, {
        mend: `Read ${join(place.logDir, "host.log")}.`,
      });
    }
    // The one we started may have met a lock whose holder was just ending.
    if (now > again) {
      host = startHost(place, ledger);
      again = now + 2_000;
    }
    await sleep(wait);
  }
}

export async function isHostUp(place: StampPlace): Promise<boolean> {
  try {
    await askHost(place.controlSocket, { op: "status" }, { signal: AbortSignal.timeout(5_000) });
    return true;
  } catch (error) {
    if (error instanceof HostGone) return false;
    throw error;
  }
}

function startHost(place: StampPlace, ledger: Ledger): ChildProcess {
  const entry = createRequire(import.meta.url).resolve("@stampyard/engines/host-main");
  const log = openSync(join(place.logDir, "host.log"), "a", 0o600);
  try {
    const order: HostArguments = { stateDir: place.stateDir, stamp: place.stamp, ledger };
    const child = spawn(process.execPath, ["--max-semi-space-size=1", entry, JSON.stringify(order)], {
      cwd: "/",
      detached: true,
      stdio: ["ignore", log, log],
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
    });
    child.on("error", () => {}); // Seen as a host that does not come up.
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}
