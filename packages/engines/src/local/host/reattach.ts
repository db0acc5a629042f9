import { lingerMs } from "./bring-up.ts";
import { findByMarker, isAlive } from "../process/identity.ts";
import { stopProcess } from "../process/stop.ts";
import { type Host, saveState } from "./state.ts";

/**
 * What a new host does first: keep every process that is on record and really runs, and end those that are ours but on
 * no record (started in the very moment the last host died) or were half-way: candidates, retired ones, cut-off jobs.
 */
export async function reattach(host: Host): Promise<number> {
  const kept = new Set<number>();
  const ending = [...Object.values(host.state.strayJobs)];
  for (const record of Object.values(host.state.instances)) {
    if (record.current !== undefined && isAlive(record.current.identity)) kept.add(record.current.identity.pid);
    // Nobody counted meanwhile: routers may have heard of the new ones only just now.
    record.retiring = record.retiring.map((old) => ({ ...old, until: Date.now() + lingerMs }));
    for (const old of record.retiring) kept.add(old.identity.pid);
    if (record.candidate !== undefined) kept.add(record.candidate.identity.pid);
  }
  const strangers = findByMarker(host.place.marker, [host.place.dataDir, host.place.runDir]);
  ending.push(...strangers.filter((process) => !kept.has(process.pid)));
  await Promise.all(
    ending.filter(isAlive).map((process) => stopProcess(process, { signal: "SIGTERM", graceMs: 3_000, group: true })),
  );
  host.state.strayJobs = {};
  try {
    saveState(host);
  } catch (error) {
    console.error("Cannot save the stamp's state now", error); // On a full disk too, the host must answer and say so.
  }
  return kept.size;
}
