import { Pool, type PoolClient } from "pg";
import { type Log, reasonOf } from "./log.ts";

export type Queryable = Pick<PoolClient, "query">;

/**
 * The URL may name a unix socket: `postgresql://user:password@localhost/app?host=/directory`.
 * `max` is small on purpose: a stamp's database is shared by the replicas of all its services.
 */
export function openPool(url: string, max: number, log: Log): Pool {
  const pool = new Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: 2_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: 5_000,
    idle_in_transaction_session_timeout: 10_000,
    application_name: "notes",
  });
  // An idle connection that breaks (a database restart) is replaced by the pool; without a listener it ends the process.
  pool.on("error", (error) => log("database-connection-lost", { reason: reasonOf(error) }));
  return pool;
}

/** Serialization failure and deadlock: the database asks for exactly this, a repeat from the start. */
const repeatable = new Set(["40001", "40P01"]);

/** Runs `work` in one transaction and repeats it up to twice where the database says that a repeat may succeed. */
export async function inTransaction<T>(pool: Pool, work: (db: Queryable) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(pool, work);
    } catch (caught) {
      if (attempt === 3 || !repeatable.has(sqlStateOf(caught) ?? "")) throw caught;
    }
  }
}

async function once<T>(pool: Pool, work: (db: Queryable) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (caught) {
    await client.query("rollback").catch((error: Error) => {
      broken = error;
    });
    throw caught;
  } finally {
    // A connection that could not even roll back is in an unknown state: never lend it again.
    client.release(broken);
  }
}

/** Five-character SQLSTATE of a database error; undefined for everything else. */
export function sqlStateOf(caught: unknown): string | undefined {
  if (!(caught instanceof Error) || !("code" in caught) || typeof caught.code !== "string") return undefined;
  return /^[0-9A-Z]{5}$/.test(caught.code) ? caught.code : undefined;
}
