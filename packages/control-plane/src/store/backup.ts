import { createHash } from "node:crypto";
import type { PoolClient } from "pg";
import { beginRead, endRead } from "./database.ts";
import { schemaName } from "./migrations.ts";
import { readMeta } from "./recovery.ts";
import type { StoreBase } from "./write.ts";

/** Form of the file; its rows are those of the schema version in its first line. */
export const backupForm = 1;

/**
 * What a backup holds, in the order of its foreign keys. Not in it: who leads, positions of routers, observations,, evidence,
 * messages to webhooks, and changes without a number: a restored control plane learns those again (decision D9), and
 * nobody wants to be told twice.
 */
export const backupTables = [
  "meta",
  "lease",
  "audit",
  "tokens",
  "releases",
  "routing_rules",
  "fleet",
  "fleet_goals",
  "rollouts",
  "rollout_members",
  "freezes",
  "pins",
  "webhooks",
  "stamps",
  "stamp_keys",
  "stamp_secrets",
  "stamp_route_keys",
  "tenants",
  "tenant_hostnames",
  "tenant_epochs",
  "tenant_events",
  "campaigns",
  "campaign_items",
  "moves",
  "move_places",
  "placement_overrides",
  "directory_head",
  "directory_versions",
  "directory_entries",
  "pool_samples",
] as const;

const rowsPerLine = 500;

/**
 * The store at one instant, as lines of JSON: a header, rows by table, and a last line with count and SHA-256 of all
 * bytes before it. Secrets stay sealed: the file is of no use without the master key, which is not in it.
 */
export async function* backup(base: StoreBase): AsyncGenerator<Uint8Array> {
  const client = await beginRead(base.db);
  const hash = createHash("sha256");
  let rows = 0;
  const line = (value: string) => {
    const bytes = Buffer.from(`${value}\n`, "utf8");
    hash.update(bytes);
    return bytes;
  };
  try {
    yield line(JSON.stringify(await headerOf(client, base.now())));
    for (const table of backupTables) {
      for await (const page of rowsOf(client, table)) {
        rows += page.length;
        yield line(`{"table":"${table}","rows":[${page.join(",")}]}`);
      }
    }
    yield Buffer.from(`${JSON.stringify({ end: true, rows, sha256: hash.digest("hex") })}\n`, "utf8");
  } finally {
    await endRead(client);
  }
}

export interface BackupHeader {
  readonly stampyardBackup: number;
  readonly schema: number;
  readonly fleetId: string;
  readonly incarnation: number;
  readonly version: number;
  /** ms since 1970. */
  readonly at: number;
}

async function headerOf(client: PoolClient, now: number): Promise<BackupHeader> {
  const meta = await readMeta({
    query: async (text) => {
      const { rows, rowCount } = await client.query(text);
      return { rows: rows as never[], rowCount: rowCount ?? 0 };
    },
  });
  const head = await client.query<{ version: number }>("SELECT version FROM directory_head");
  return {
    stampyardBackup: backupForm,
    schema: meta.schemaVersion,
    fleetId: meta.fleetId,
    incarnation: meta.incarnation,
    version: head.rows[0]?.version ?? 0,
    at: now,
  };
}

async function* rowsOf(client: PoolClient, table: string): AsyncGenerator<readonly string[]> {
  const columns = (await writableColumns(client, table)).map((name) => `"${name}"`).join(", ");
  await client.query(
    `DECLARE backup_rows NO SCROLL CURSOR FOR SELECT row_to_json(r)::text AS row FROM (SELECT ${columns} FROM ${table}) r`,
  );
  for (;;) {
    const { rows } = await client.query<{ row: string }>(`FETCH ${rowsPerLine} FROM backup_rows`);
    if (rows.length > 0) yield rows.map((row) => row.row);
    if (rows.length < rowsPerLine) break;
  }
  await client.query("CLOSE backup_rows");
}

/** Generated columns follow from the others and cannot be written. */
export async function writableColumns(
  client: { query(text: string, values: string[]): Promise<{ rows: { name: string }[] }> },
  table: string,
): Promise<readonly string[]> {
  const { rows } = await client.query(
    `SELECT column_name AS name FROM information_schema.columns
     WHERE table_schema = $1 AND table_name = $2 AND is_generated = 'NEVER' ORDER BY ordinal_position`,
    [schemaName, table],
  );
  return rows.map((row) => row.name);
}
