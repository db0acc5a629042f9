import { isAlive, type ProcessIdentity, signalProcess } from "@stampyard/engines/process";
import { waitFor } from "./wait.ts";

export type StopOutcome = "absent" | "stopped" | "killed";

/** SIGTERM, then SIGKILL after `graceMs`. Returns when the process is gone. */
export async function stopProcess(
  identity: ProcessIdentity,
  graceMs: number,
  signal: AbortSignal,
): Promise<StopOutcome> {
  if (!signalProcess(identity, "SIGTERM")) return "absent";
  const gone = () => (isAlive(identity) ? undefined : true);
  if ((await waitFor(gone, { timeoutMs: graceMs, signal })) === true) return "stopped";
  signalProcess(identity, "SIGKILL");
  await waitFor(gone, { timeoutMs: 5_000, signal });
  return "killed";
}
