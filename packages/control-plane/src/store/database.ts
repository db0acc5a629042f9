import { StampyardError } from "@stampyard/domain";
import { Pool, type PoolClient, type PoolConfig, types } from "pg";
import { schemaName } from "./migrations.ts";

export type Row = Record<string, unknown>;

/** What a statement may be sent to: the pool, or the client of a transaction. */
export interface Queryable {
  query<R extends Row = Row>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<{ rows: R[]; rowCount: number }>;
}

export interface QueryOptions {
  /** Parsed and planned once per connection: for statements of a fixed text that a busy fleet sends all day. */
  readonly prepared?: boolean;
}

/** Backups and snapshots at once; more wait for a moment, and are then refused. */
const maxLongReads = 4;
const longReadWaitMs = 3_000;

const int8 = 20;
const timestamptz = 1184;

/** Numbers of ours stay below 2^53 and times are milliseconds, so both are plain numbers here. */
const ourTypes = {
  getTypeParser: ((oid: number, format?: "text" | "binary") => {
    if (oid === int8) return Number;
    if (oid === timestamptz) return parseTime;
    return types.getTypeParser(oid, format as "text");
  }) as typeof types.getTypeParser,
};

/** `2026-01-02 03:04:05.678+00`: the session's time zone is UTC. */
function parseTime(text: string): number {
  return Date.parse(text.replace(" ", "T").replace(/\+00$/, "Z"));
}

/** Settings of every connection of ours. A hung statement must not hold up a takeover for ever. */
export function connectionConfig(url: string, applicationName: string): PoolConfig {
  const settings = {
    search_path: schemaName,
    TimeZone: "UTC",
    statement_timeout: "30s",
    lock_timeout: "10s",
    idle_in_transaction_session_timeout: "60s",
  };
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  return {
    connectionString: url,
    application_name: applicationName,
    options: options.join(" "),
    types: ourTypes,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  };
}

export interface Database extends Queryable {
  /** One transaction at READ COMMITTED, repeated when it lost a deadlock. */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /** A connection for a long read, from a few kept apart: a slow reader of the directory must not starve writers. */
  connect(): Promise<PoolClient>;
  end(): Promise<void>;
}

export function openDatabase(url: string, applicationName: string, maxConnections: number): Database {
  const pool = new Pool({ ...connectionConfig(url, applicationName), max: maxConnections });
  const longReads = new Pool({
    ...connectionConfig(url, `${applicationName} (reads)`),
    max: maxLongReads,
    connectionTimeoutMillis: longReadWaitMs,
  });
  // A connection that dies is replaced at the next use, and fails the statement that was using it. Without a listener
  // on the pool (idle ones) and on each client (ones in use) it would end the process.
  for (const each of [pool, longReads]) {
    each.on("error", () => {});
    each.on("connect", (client) => void client.on("error", () => {}));
  }
  return {
    query: (text, values, how) => translated(() => send(pool, text, values, how)),
    transaction: (work) => translated(() => repeatDeadlocks(() => inTransaction(pool, work))),
    connect: () => translated(() => longReads.connect().catch(refuseLongRead)),
    async end() {
      await Promise.all([pool.end(), longReads.end()]);
    },
  };
}

/** The pool's own words for "all are in use", which have no code; a database that does not answer fails otherwise. */
function refuseLongRead(error: Error): never {
  if (!error.message.includes("timeout exceeded when trying to connect")) throw error;
  throw new StampyardError("TIMEOUT", `${maxLongReads} backups or snapshots of the store are being read already`, {
    mend: "Try again when one of them has ended.",
    cause: error,
  });
}

async function inTransaction<T>(pool: Pool, work: (tx: Queryable) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query("BEGIN");
    try {
      const result = await work({ query: (text, values, how) => send(client, text, values, how) });
      await client.query("COMMIT");
      return result;
    } catch (error) {
      await client.query("ROLLBACK").catch((failure: Error) => {
        broken = failure;
      });
      throw error;
    }
  } finally {
    client.release(broken);
  }
}

async function send<R extends Row>(
  on: Pool | PoolClient,
  text: string,
  values: readonly unknown[] = [],
  { prepared = false }: QueryOptions = {},
): Promise<{ rows: R[]; rowCount: number }> {
  const result = await on.query<R>({ text, values: [...values], ...(prepared ? { name: nameOf(text) } : {}) });
  return { rows: result.rows, rowCount: result.rowCount ?? 0 };
}

const names = new Map<string, string>();

/** Names of prepared statements: short, and one for each text. */
function nameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  const name = `stampyard_${names.size + 1}`;
  names.set(text, name);
  return name;
}

async function repeatDeadlocks<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 4 || !["40P01", "40001"].includes(sqlState(error) ?? "")) throw error;
    }
  }
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translate(error);
  }
}

/** SQLSTATE, or the code of a socket error. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** What a database error means to our callers. Its text stays in the cause: it may quote values. */
export function translate(error: unknown): StampyardError {
  if (error instanceof StampyardError) return error;
  const state = sqlState(error);
  switch (state) {
    case "57014":
    case "55P03":
      return new StampyardError("TIMEOUT", "The store took too long", { cause: error, mend: "Try again." });
    case "22021":
    case "22P05":
      return new StampyardError("INVALID_REQUEST", "A text holds a character that cannot be kept", { cause: error });
    case "53100":
      return new StampyardError("DISK_FULL", "The store's disk is full", {
        cause: error,
        mend: "Free space on the disk of its database.",
      });
    default:
      return new StampyardError("INTERNAL", `The store failed${state === undefined ? "" : ` (${state})`}`, {
        cause: error,
      });
  }
}

/** A long, consistent read: one snapshot of the database for all its statements. End it with `endRead`. */
export async function beginRead(db: Database): Promise<PoolClient> {
  const client = await db.connect();
  try {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    await client.query("SET LOCAL statement_timeout = '10min'");
    await client.query("SET LOCAL idle_in_transaction_session_timeout = '10min'");
    return client;
  } catch (error) {
    client.release(true);
    throw translate(error);
  }
}

export async function endRead(client: PoolClient): Promise<void> {
  try {
    await client.query("ROLLBACK");
    client.release();
  } catch {
    client.release(true);
  }
}
