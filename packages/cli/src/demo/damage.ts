import { CommandFailure } from "../failure.ts";
import { processesWith } from "../process/find.ts";
import { identify, type ProcessIdentity, signalProcess } from "@stampyard/engines/process";
import { readRecorded, type StateDir } from "../state-dir.ts";

/** kill -9 of the control plane. Its store lives on, as it would after a crash. */
export function killControlPlane(state: StateDir): ProcessIdentity {
  const recorded = readRecorded(state.controlPlaneFile);
  if (recorded === undefined || !signalProcess(recorded.identity, "SIGKILL")) {
    throw new CommandFailure("WRONG_PHASE", "The control plane is not running");
  }
  return recorded.identity;
}

/**
 * kill -9 of everything that a stamp is: its host first, so that it cannot start anything again, then its components.
 * Asks the stamp's host who they are, so it works without the control plane, too.
 */
export async function killStamp(state: StateDir, stamp: string, signal: AbortSignal): Promise<number> {
  const { openLocalEngine } = await import("@stampyard/engines");
  const engine = await openLocalEngine({ stateDir: state.root });
  const { components } = await engine.observe(stamp, signal);
  const parts = components.flatMap(({ pid }) => (pid === undefined ? [] : (identify(pid) ?? [])));
  const hosts = processesWith(JSON.stringify({ stateDir: state.root, stamp }).slice(1, -1));
  let killed = 0;
  for (const identity of [...hosts, ...parts]) if (signalProcess(identity, "SIGKILL")) killed++;
  if (killed > 0) return killed;
  throw new CommandFailure("STAMP_UNREACHABLE", `Found no process of stamp ${stamp} to kill`);
}
