import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { diskFull } from "./file.ts";

/** Result codes of SQLite. */
const busy = 5;
const full = 13;

/** A held lock; disposing of it frees it. */
export type Lock = Disposable;

/**
 * Takes a lock on a file, or returns undefined when somebody has it. The kernel frees it when the process dies, however
 * it dies, so there is no stale lock. Node has no flock of its own; an empty SQLite file brings one (fcntl).
 */
export function tryLock(path: string): Lock | undefined {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return { [Symbol.dispose]: () => database.close() };
  } catch (error) {
    database.close();
    const { errcode } = error as { errcode?: number };
    if (errcode === busy) return undefined;
    throw errcode === full ? diskFull(dirname(path), error) : error;
  }
}

/** Waits for the lock. @throws the signal's reason */
export async function takeLock(path: string, signal?: AbortSignal): Promise<Lock> {
  mkdirSync(dirname(path), { recursive: true });
  for (let wait = 2; ; wait = Math.min(wait * 2, 40)) {
    signal?.throwIfAborted();
    const lock = tryLock(path);
    if (lock !== undefined) return lock;
    await sleep(wait);
  }
}
