import { Pool } from "pg";
import { type Log, reasonOf } from "./log.ts";

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
