import { rmSync } from "node:fs";
import { emptyState, type Host, readState } from "./state.ts";
import { StampyardError } from "@stampyard/domain";
import { asDiskError, readJson } from "../file.ts";
import type { Goal } from "../goal.ts";
import { type Ledger, uidOf } from "../ledger.ts";
import { tryLock } from "../lock.ts";
import { makePlace, placeOf } from "../places.ts";
import { reattach } from "./reattach.ts";
import { serveControl } from "./serve.ts";
import { startSupervision } from "./supervise.ts";
import { makeWork } from "./work.ts";

/**
 * The stamp host: one small process per stamp, in a session of its own. It starts, checks, restarts and stops the
 * stamp's components, and outlives the control plane. Arguments: one JSON text, see `HostArguments`.
 */
export interface HostArguments {
  readonly stateDir: string;
  readonly stamp: string;
  readonly ledger: Ledger;
}

/** Exit code that says so where a log line has no room; whoever starts a host knows it too. */
const exitDiskFull = 28;

async function main(): Promise<void> {
  const { stateDir, stamp, ledger } = JSON.parse(process.argv[2] ?? "{}") as HostArguments;
  const place = placeOf(stateDir, stamp);
  makePlace(place);
  const lock = tryLock(place.hostLock);
  if (lock === undefined) return; // Another host has the stamp, and whoever started us will find that one.

  const state = { ...emptyState(), ...readState(place) };
  const uid = await uidOf(ledger, place.stateDir, stamp);
  state.uid = uid;
  const goal = readJson<Goal>(place.specFile);
  const good = readJson<Goal>(place.goodFile);
  const host: Host = { place, ledger, state, uid, goal, good, lanes: new Map(), exits: new Map(), onExit: () => {} };
  const kept = await reattach(host);
  console.log(`${new Date().toISOString()} stamp host ${process.pid} for ${stamp}: ${kept} processes reattached`);

  const work = makeWork(host);
  const stopSupervision = startSupervision(host, work.heal);
  const end = () => {
    stopSupervision();
    server.close();
    rmSync(place.controlSocket, { force: true });
    lock[Symbol.dispose]();
    process.exit(0);
  };
  const server = await serveControl(host, work, end);
  const stop = () => {
    const never = new AbortController().signal;
    work.handle({ op: "stop", token: host.state.token }, () => {}, never).then(end, end);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.on("SIGHUP", () => {});
  // A host that stumbles over one event must not leave its stamp unwatched.
  process.on("uncaughtException", (error) => console.error("Unexpected failure", error));
  process.on("unhandledRejection", (error) => console.error("Unexpected failure", error));
}

try {
  await main();
} catch (error) {
  console.error("The stamp host cannot start", error);
  const known = asDiskError(error, "the stamp");
  process.exit(known instanceof StampyardError && known.code === "DISK_FULL" ? exitDiskFull : 1);
}
