import type { Pool, PoolClient } from "pg";

export const levels = ["read committed", "repeatable read", "serializable"] as const;
export type Level = (typeof levels)[number];

/** What a transaction came to, as surely as one side of a connection can tell. */
export type Transacted<T> =
  | { readonly outcome: "ok"; readonly result: T }
  /** Nothing of it is there, and nothing will be. */
  | { readonly outcome: "fail"; readonly code: string }
  /** The commit was asked for, and its answer lost. */
  | { readonly outcome: "unknown"; readonly code: string };

const repeatable = new Set(["40001", "40P01"]);

/** One transaction, repeated where the database asks for exactly that. */
export async function transact<T>(
  pool: Pool,
  level: Level,
  work: (db: PoolClient) => Promise<T>,
): Promise<Transacted<T>> {
  for (let attempt = 1; ; attempt++) {
    const done = await once(pool, level, work);
    if (done.outcome !== "fail" || !repeatable.has(done.code) || attempt === 8) return done;
    await new Promise((resolve) => setTimeout(resolve, attempt * 2 * Math.random()));
  }
}

async function once<T>(pool: Pool, level: Level, work: (db: PoolClient) => Promise<T>): Promise<Transacted<T>> {
  let db: PoolClient;
  try {
    db = await pool.connect();
  } catch (caught) {
    return { outcome: "fail", code: codeOf(caught) };
  }
  let isBroken = false;
  // Between two statements nobody else hears that the connection is lost; the next statement fails by it.
  const onLost = () => {
    isBroken = true;
  };
  db.on("error", onLost);
  try {
    await db.query(`begin isolation level ${level}`);
    const result = await work(db);
    return await commit(db, result, () => {
      isBroken = true;
    });
  } catch (caught) {
    await db.query("rollback").catch(() => {
      isBroken = true;
    });
    return { outcome: "fail", code: codeOf(caught) };
  } finally {
    db.off("error", onLost);
    db.release(isBroken);
  }
}

async function commit<T>(db: PoolClient, result: T, onBroken: () => void): Promise<Transacted<T>> {
  try {
    const { command } = await db.query("commit");
    // A commit of a transaction that had failed is a rollback, and no error.
    if (command !== "COMMIT") return { outcome: "fail", code: command };
    return { outcome: "ok", result };
  } catch (caught) {
    onBroken();
    // Only an error of the transaction itself says that it is gone; a server that goes down may have written it before.
    const isRefused = caught instanceof Error && "severity" in caught && caught.severity === "ERROR";
    return { outcome: isRefused ? "fail" : "unknown", code: codeOf(caught) };
  }
}

export function codeOf(caught: unknown): string {
  if (caught instanceof Error && "code" in caught && typeof caught.code === "string") return caught.code;
  return caught instanceof Error ? caught.message.slice(0, 60) : "not an error";
}
