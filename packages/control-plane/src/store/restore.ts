import { createHash } from "node:crypto";
import { StampyardError } from "@stampyard/domain";
import { Client } from "pg";
import { type BackupHeader, backupForm, backupTables, writableColumns } from "./backup.ts";
import { connectionConfig, type Queryable, type Row, sqlState, translate } from "./database.ts";
import { storeUse } from "./present-store.ts";
import { tokenAboveEarlierLives } from "./recovery.ts";
import { stopRollouts } from "./recovery-rollouts.ts";
import { latestSchemaVersion, migrateSteps, schemaName } from "./migrations.ts";
import { type MasterKeys, unwrapDataKey } from "./seal.ts";
import { openWebhookSecret, sealedWebhooks } from "./webhook-secrets.ts";

export interface RestoreOptions {
  readonly url: string;
  readonly source: AsyncIterable<Uint8Array>;
  readonly actor: string;
  /** Every secret in the backup must open with these: a fleet whose secrets stay shut cannot be run. */
  readonly keys: MasterKeys;
  /** Do all of it, and take it back: says whether the file is good while nothing changes. @default false */
  readonly rehearse?: boolean;
  /** Go on although the lease is still held: the caller ended its holder. @default false */
  readonly evenIfLed?: boolean;
  /** The new incarnation is at least this: one above the highest that any router or state file has seen, if known. */
  readonly incarnationAtLeast?: number;
}

export interface Restored {
  readonly fleetId: string;
  readonly incarnation: number;
  /** Head of the directory in the backup. */
  readonly version: number;
  readonly takenAt: number;
  readonly rows: number;
}

/** No line of ours is longer; a file that is something else must not fill the memory. */
const maxLineBytes = 64 * 1024 * 1024;

/**
 * Fills an empty store from a backup, in one transaction: all of it or nothing. The store is then *recovering*, in a new
 * incarnation (decision D9), and its next lease has a token above any that its earlier life can have given out.
 * @throws StampyardError INVALID_REQUEST for a damaged or foreign file or another master key, WRONG_PHASE when the store is not empty or led
 */
export async function restoreStore(options: RestoreOptions): Promise<Restored> {
  const client = new Client(connectionConfig(options.url, "stampyard restore"));
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("SET statement_timeout = 0");
    await client.query("SET idle_in_transaction_session_timeout = 0");
    await client.query("BEGIN");
    await requireEmpty(client, options.evenIfLed === true);
    const restored = await load(client, options);
    await requireOpenSecrets(client, options.keys);
    await client.query(options.rehearse === true ? "ROLLBACK" : "COMMIT");
    return restored;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {});
    throw translate(error);
  } finally {
    await client.end();
  }
}

async function requireEmpty(client: Client, evenIfLed: boolean): Promise<void> {
  const { used, ledBy } = await storeUse(client);
  if (ledBy !== undefined && !evenIfLed) {
    throw new StampyardError("WRONG_PHASE", "A control plane is running on this store", {
      mend: "Stop it before restoring.",
    });
  }
  if (used) {
    throw new StampyardError("WRONG_PHASE", "The store is not empty, and a restore never overwrites", {
      mend: "Restore into a new database or state directory.",
    });
  }
}

/**
 * The key that wraps a stamp's secrets is authenticated, as the secret of a webhook is: it opens under the master key of
 * its time, or not at all.
 */
async function requireOpenSecrets(client: Client, keys: MasterKeys): Promise<void> {
  const { rows } = await client.query<{ stamp: string; master_key_id: string; wrapped: Buffer }>(
    "SELECT stamp, master_key_id, wrapped FROM stamp_keys ORDER BY stamp",
  );
  for (const { stamp, master_key_id: masterKeyId, wrapped } of rows) {
    try {
      unwrapDataKey(keys, stamp, { masterKeyId, wrapped });
    } catch (cause) {
      throw otherMasterKey(masterKeyId, keys, cause);
    }
  }
  const webhooks = await sealedWebhooks(queryableOf(client));
  for (const webhook of webhooks) {
    try {
      openWebhookSecret(keys, webhook);
    } catch (cause) {
      throw otherMasterKey(webhook.master_key_id, keys, cause);
    }
  }
}

function otherMasterKey(masterKeyId: string, keys: MasterKeys, cause: unknown): StampyardError {
  return new StampyardError(
    "INVALID_REQUEST",
    `The backup's secrets are sealed under master key ${masterKeyId}, not under the present one, ${keys[0].id}`,
    {
      cause,
      mend: "Put the master.key of the backed-up control plane into the state directory's secrets, or into STAMPYARD_MASTER_KEY. Nothing was changed.",
    },
  );
}

function queryableOf(client: Client): Queryable {
  return {
    async query<R extends Row = Row>(text: string, values: readonly unknown[] = []) {
      const { rows, rowCount } = await client.query<R>(text, [...values]);
      return { rows, rowCount: rowCount ?? 0 };
    },
  };
}

async function load(client: Client, options: RestoreOptions): Promise<Restored> {
  let header: BackupHeader | undefined;
  let rows = 0;
  for await (const line of checkedLines(options.source)) {
    if (header === undefined) {
      header = readHeader(line);
      await client.query(`DROP SCHEMA IF EXISTS ${schemaName} CASCADE`);
      await migrateSteps(client, 0, header.schema);
      await client.query("DELETE FROM meta");
      await client.query("DELETE FROM lease");
      await client.query("DELETE FROM directory_head");
      continue;
    }
    rows += await insertLine(client, line);
  }
  if (header === undefined) throw damaged("it is empty");
  await setIdentities(client);
  await migrateSteps(client, header.schema, latestSchemaVersion);
  const incarnation = Math.max(header.incarnation + 1, options.incarnationAtLeast ?? 0);
  const reason = `restored from a backup of ${new Date(header.at).toISOString()}`;
  await client.query("UPDATE meta SET incarnation = $1, mode = 'recovering', mode_reason = $2", [incarnation, reason]);
  await client.query(tokenAboveEarlierLives, [incarnation]);
  const stopped = await stopRollouts(queryableOf(client), `the control plane was ${reason}`, Date.now());
  await client.query("INSERT INTO audit (actor, action, subject, detail) VALUES ($1, 'store.restore', 'store', $2)", [
    options.actor,
    JSON.stringify({ incarnation, version: header.version, takenAt: header.at, rows, rollouts: stopped }),
  ]);
  return { fleetId: header.fleetId, incarnation, version: header.version, takenAt: header.at, rows };
}

function readHeader(line: string): BackupHeader {
  const header = parse(line) as unknown as Partial<BackupHeader>;
  if (header.stampyardBackup !== backupForm || typeof header.schema !== "number")
    throw damaged("it is no backup of ours");
  if (header.schema < 1 || header.schema > latestSchemaVersion) {
    throw new StampyardError("INVALID_REQUEST", `The backup has schema ${header.schema}, newer than ours`, {
      mend: "Restore it with the version of stampyard that wrote it, or a later one.",
    });
  }
  return header as BackupHeader;
}

async function insertLine(client: Client, line: string): Promise<number> {
  const { table, rows } = parse(line) as { table?: unknown; rows?: unknown };
  const known = backupTables.find((name) => name === table);
  if (known === undefined || !Array.isArray(rows)) throw damaged("it holds a line that is not ours");
  const columns = (await writableColumns(client, known)).map((name) => `"${name}"`).join(", ");
  try {
    await client.query(
      `INSERT INTO ${known} (${columns}) OVERRIDING SYSTEM VALUE
       SELECT ${columns} FROM json_populate_recordset(NULL::${known}, $1::json)`,
      [JSON.stringify(rows)],
    );
  } catch (error) {
    // Wrong data (22) or against a constraint (23): found before the checksum at the end could say so.
    if (/^2[23]/.test(sqlState(error) ?? "")) throw damaged(`a row of ${known} does not fit`);
    throw error;
  }
  return rows.length;
}

/** New rows continue after the restored ones. Those of tables that the backup's schema lacks begin at one. */
async function setIdentities(client: Client): Promise<void> {
  const { rows } = await client.query<{ table: string; column: string }>(
    `SELECT table_name AS table, column_name AS column FROM information_schema.columns
     WHERE table_schema = $1 AND is_identity = 'YES' AND table_name = ANY ($2)`,
    [schemaName, [...backupTables]],
  );
  for (const { table, column } of rows) {
    await client.query(
      `SELECT setval(pg_get_serial_sequence('${schemaName}.${table}', '${column}'),
         (SELECT coalesce(max(${column}), 0) + 1 FROM ${table}), false)`,
    );
  }
}

/** Lines before the last one, which must fit them; the transaction commits only after it has been seen. */
async function* checkedLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const hash = createHash("sha256");
  let rest: Buffer = Buffer.alloc(0);
  let ended = false;
  for await (const chunk of source) {
    rest = Buffer.concat([rest, chunk]);
    for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
      if (ended) throw damaged("something follows its last line");
      const bytes = rest.subarray(0, at + 1);
      rest = rest.subarray(at + 1);
      const line = bytes.toString("utf8");
      if (line.startsWith('{"end":true')) {
        if (parse(line)["sha256"] !== hash.digest("hex")) throw damaged("its checksum differs");
        ended = true;
        continue;
      }
      hash.update(bytes);
      yield line;
    }
    if (rest.length > maxLineBytes) throw damaged("a line is too long");
  }
  if (!ended || rest.length > 0) throw damaged("its end is missing");
}

function parse(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through: the parser's message would quote the file.
  }
  throw damaged("a line is not JSON");
}

function damaged(why: string): StampyardError {
  return new StampyardError("INVALID_REQUEST", `The backup cannot be used: ${why}`, {
    mend: "Use another copy of it. Nothing was changed.",
  });
}
