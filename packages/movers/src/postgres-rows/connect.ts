import type { Readable, Writable } from "node:stream";
import pg from "pg";
import { from, to } from "pg-copy-streams";
import type { SqlClient } from "./sql.ts";

/** A mover's connection: statements, and rows as COPY writes them. One statement or stream at a time. */
export interface MoverDb extends SqlClient, AsyncDisposable {
  /** Bytes of `copy (…) to stdout`. */
  copyOut(sql: string): Readable;
  /** Takes the bytes of `copy … from stdin`. */
  copyIn(sql: string): Writable;
}

/**
 * How values are written must be the same on both sides, whatever their clusters are set to, or equal rows would not look
 * equal. No statement of ours may run or wait for ever.
 */
const sessionSql = `
set datestyle = 'ISO, YMD'; set intervalstyle = 'iso_8601'; set timezone = 'UTC'; set bytea_output = 'hex';
set extra_float_digits = 3; set xmloption = 'content'; set lc_monetary = 'C'; set row_security = off;
set lock_timeout = '5s'; set idle_in_transaction_session_timeout = '60s'; set statement_timeout = '10min'`;

export async function connectMover(url: string, moveId: string): Promise<MoverDb> {
  const client = new pg.Client({ connectionString: url, application_name: `stampyard move ${moveId}` });
  // A connection that dies between two statements is told by the next one.
  client.on("error", () => {});
  await client.connect();
  await client.query(sessionSql);
  return {
    query: (text, values) => client.query(text, values),
    copyOut: (sql) => client.query(to(sql)),
    copyIn: (sql) => client.query(from(sql)),
    [Symbol.asyncDispose]: () => client.end(),
  };
}
