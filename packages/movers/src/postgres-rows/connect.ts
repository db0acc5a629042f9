import pg from "pg";

import { Socket } from "node:net";
import type { CopySide } from "./copy-between.ts";
import { openCopySocket } from "./copy-socket.ts";
import type { SqlClient } from "./sql.ts";

/** A mover's connection: statements, and rows as COPY writes them. One statement or copy at a time. */
export interface MoverDb extends SqlClient, CopySide, AsyncDisposable {
  /** False once it has ended: nothing else will come of it. */
  readonly isOpen: boolean;
  /** Ends it now, in the middle of whatever it does; the server rolls back. */
  destroy(): void;
}

/**
 * How values are written must be the same on both sides, whatever their clusters are set to, or equal rows would not look
 * equal. No statement of ours may run or wait for ever, nor go on when we are gone.
 */
const sessionSql = `
set datestyle = 'ISO, YMD'; set intervalstyle = 'iso_8601'; set timezone = 'UTC'; set bytea_output = 'hex';
set extra_float_digits = 3; set xmloption = 'content'; set lc_monetary = 'C'; set row_security = off;
set lock_timeout = '5s'; set idle_in_transaction_session_timeout = '60s'; set statement_timeout = '10min'`;
/** Not every platform's server can notice that; it is then told by its next answer. */
const noticeSql = "set client_connection_check_interval = '1s'";

/** Longest wait for a connection; a move's turn has other things to look at. */
const connectTimeoutMs = 5_000;

export async function connectMover(url: string, moveId: string): Promise<MoverDb> {
  const client = new pg.Client({
    connectionString: url,
    application_name: `stampyard move ${moveId}`,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    // Under TLS another socket reads, from this one.
    stream: ((config: { readonly ssl?: unknown }) => (config.ssl ? new Socket() : openCopySocket())) as () => Socket,
  });
  let isOpen = true;
  const ended = () => {
    isOpen = false;
  };
  // A connection that dies between two statements is told by the next one.
  client.on("error", ended);
  client.on("end", ended);
  await client.connect();
  await client.query(sessionSql);
  await client.query(noticeSql).catch(() => {});
  return {
    async query(text, values) {
      const result = await client.query(text, values);
      // Several statements at once give several results, of which the last is meant.
      return Array.isArray(result) ? (result.at(-1) as typeof result) : result;
    },
    submit: (statement) => void client.query(statement),
    get isOpen() {
      return isOpen;
    },
    destroy() {
      isOpen = false;
      socketOf(client)?.destroy();
    },
    async [Symbol.asyncDispose]() {
      if (isOpen) await client.end();
    },
  };
}

/** The driver has no call that ends a connection at once; its own `end` waits for what is under way. */
function socketOf(client: pg.Client): { destroy(): void } | undefined {
  const { connection } = client as unknown as { connection?: { stream?: { destroy(): void } } };
  return connection?.stream;
}
