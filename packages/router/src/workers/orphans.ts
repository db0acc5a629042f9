import { isAlive, type ProcessIdentity } from "../process-record.ts";
import { readLivingWorkers, retireWorkers } from "./worker-record.ts";

/** Workers whose parent died; they serve on, with the table of that time, until they are retired (D17). */
export interface Orphans {
  living(): readonly ProcessIdentity[];
  /** Whether it is they who listen on this port. */
  holds(port: number): boolean;
  /** Lets them drain and ends what is left after `graceMs`. */
  retire(graceMs: number): Promise<void>;
}

/** Finds the workers that the last parent left in this folder. */
export async function takeOver(folder: string): Promise<Orphans> {
  const { port, workers } = await readLivingWorkers(folder);
  let living = workers;
  return {
    living() {
      living = living.filter((one) => isAlive(one));
      return living;
    },
    holds: (wanted) => living.length > 0 && wanted !== 0 && wanted === port,
    retire: (graceMs) => retireWorkers(living, graceMs),
  };
}
