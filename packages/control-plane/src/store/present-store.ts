import { Client } from "pg";
import { connectionConfig, translate } from "./database.ts";
import { schemaVersion } from "./migrations.ts";
import { openStore } from "./open.ts";
import type { MasterKeys } from "./seal.ts";

/** What a restore must know of the store that is there now, before it touches anything. */
export interface StoreUse {
  /** It holds something that a restore would overwrite. */
  readonly used: boolean;
  /** Who holds the lease now, as `leaseHolder` wrote it: host, boot, pid, start, a random part. */
  readonly ledBy?: string;
}

/** @throws StampyardError when the store cannot be reached */
export async function readStoreUse(url: string): Promise<StoreUse> {
  const client = new Client(connectionConfig(url, "stampyard restore"));
  client.on("error", () => {});
  try {
    await client.connect();
    return await storeUse(client);
  } catch (error) {
    throw translate(error);
  } finally {
    await client.end();
  }
}

export async function storeUse(client: Client): Promise<StoreUse> {
  if ((await schemaVersion(client)) === 0) return { used: false };
  const { rows } = await client.query<{ used: boolean; holder: string | null }>(
    `SELECT EXISTS (SELECT FROM stamps) OR EXISTS (SELECT FROM tenants) OR EXISTS (SELECT FROM releases)
       OR (SELECT version FROM directory_head) > 0 AS used,
       (SELECT holder FROM lease WHERE holder IS NOT NULL AND expires_at > clock_timestamp() LIMIT 1) AS holder`,
  );
  const [row] = rows;
  const used = row?.used === true;
  return row?.holder == null ? { used } : { used, ledBy: row.holder };
}

/** A backup of a store that no control plane need run on. */
export async function* backupStore(options: { readonly url: string; readonly keys: MasterKeys }) {
  await using store = await openStore({ ...options, applicationName: "stampyard restore", maxConnections: 2 });
  yield* store.backup();
}
