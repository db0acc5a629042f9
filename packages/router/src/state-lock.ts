import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StampyardError } from "@stampyard/domain";
import type { Log } from "./log.ts";
import { livingRouter } from "./process-record.ts";

const fileName = "router.lock";
/** Result code of SQLite. */
const busy = 5;

/**
 * Keeps a state folder to this process until it is disposed of, or the process dies, however it dies: two routers would
 * write one journal. Node has no flock of its own; an exclusive transaction of SQLite on an empty file brings one (fcntl).
 * Where the disk takes no lock the router serves all the same.
 * @throws StampyardError LOCKED when another living router has it
 */
export async function lockState(folder: string, log: Log): Promise<Disposable> {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(join(folder, fileName), { timeout: 0 });
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (caught) {
    database?.close();
    database = undefined;
    if ((caught as { errcode?: number }).errcode === busy) throw await locked(folder);
    log("warn", "state folder cannot be locked", { reason: String(caught) });
  }
  try {
    // Of an earlier version, which does not know the lock.
    if ((await livingRouter(folder)) !== undefined) throw await locked(folder);
  } catch (caught) {
    database?.close();
    throw caught;
  }
  const held = database;
  return { [Symbol.dispose]: () => held?.close() };
}

/** Who has the lock may not have written down who it is yet. */
async function locked(folder: string): Promise<StampyardError> {
  const pid = await livingRouter(folder);
  const who = pid === undefined ? "Another router" : `Another router (process ${pid})`;
  return new StampyardError("LOCKED", `${who} uses ${folder}`, {
    mend: "Stop it, or give this one another STAMPYARD_ROUTER_STATE.",
  });
}
