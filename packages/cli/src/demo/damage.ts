import type { Client } from "@stampyard/api";
import { CommandFailure } from "../failure.ts";
import { processesWith } from "../process/find.ts";
import { identify, type ProcessIdentity, signalProcess } from "../process/identity.ts";
import { readRecorded, type StateDir } from "../state-dir.ts";

/** kill -9 of the control plane. Its store lives on, as it would after a crash. */
export function killControlPlane(state: StateDir): ProcessIdentity {
  const recorded = readRecorded(state.controlPlaneFile);
  if (recorded === undefined || !signalProcess(recorded.identity, "SIGKILL")) {
    throw new CommandFailure("WRONG_PHASE", "The control plane is not running");
  }
  return recorded.identity;
}

/** kill -9 of everything that a stamp is: its host first, so that it cannot start anything again, then its components. */
export async function killStamp(state: StateDir, client: Client, stamp: string, signal: AbortSignal): Promise<number> {
  const { observation } = await client.stampGet({ params: { name: stamp }, signal });
  const components = (observation?.components ?? []).flatMap(({ pid }) =>
    pid === undefined ? [] : (identify(pid) ?? []),
  );
  const hosts = processesWith(JSON.stringify({ stateDir: state.root, stamp }).slice(1, -1));
  if (components.length + hosts.length === 0) {
    throw new CommandFailure("STAMP_UNREACHABLE", `Found no process of stamp ${stamp} to kill`);
  }
  let killed = 0;
  for (const identity of [...hosts, ...components]) if (signalProcess(identity, "SIGKILL")) killed++;
  return killed;
}
