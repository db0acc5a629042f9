import { type Clock, StampyardError } from "@stampyard/domain";
import { Client } from "pg";
import { auditStore } from "./audit.ts";
import { backup } from "./backup.ts";
import { campaignStore } from "./campaigns.ts";
import { capacityStore } from "./capacity.ts";
import { connectionConfig, openDatabase, translate } from "./database.ts";
import { directoryStore } from "./directory.ts";
import { evidenceStore } from "./evidence.ts";
import { fleetStore } from "./fleet.ts";
import { createFleetView } from "./fleet-view.ts";
import { freezeStore } from "./freezes.ts";
import { holdStore } from "./holds.ts";
import { idempotencyStore } from "./idempotency.ts";
import { leaseStore } from "./lease.ts";
import { migrate } from "./migrations.ts";
import { pinStore } from "./pins.ts";
import { placementStore } from "./placement.ts";
import { poolStore } from "./pools.ts";
import { moveStore } from "./moves.ts";
import type { Store, StoreEvent } from "./port.ts";
import { readMeta, recoveryStore } from "./recovery.ts";
import { rolloutStore } from "./rollouts.ts";
import { routerStore } from "./routers.ts";
import type { MasterKeys } from "./seal.ts";
import { rewrapDataKeys, type Sealer } from "./stamp-secrets.ts";
import { loadStore } from "./stamp-loads.ts";
import { stampStore } from "./stamps.ts";
import { tenantStore } from "./tenants.ts";
import { tokenStore } from "./tokens.ts";
import { openWatch } from "./watch.ts";
import { webhookStore } from "./webhooks.ts";

export interface StoreOptions {
  /** `postgres://…`, TCP or `?host=<socket directory>`. PostgreSQL 15 or later, connected without a transaction pooler. */
  readonly url: string;
  /** From `loadMasterKeys`. */
  readonly keys: MasterKeys;
  /** For times in the state of tenants; everything else goes by the database's clock. @default the machine's */
  readonly clock?: Pick<Clock, "now">;
  /** Shown in pg_stat_activity. @default "stampyard" */
  readonly applicationName?: string;
  /** Beside a few for long reads and one that listens. @default 10 */
  readonly maxConnections?: number;
}

const oldestServer = 150_000;

/**
 * Connects, brings the schema to this version, and answers the store. Several processes may open one database.
 * @throws StampyardError WRONG_PHASE for a newer schema, INVALID_REQUEST for a server that is too old, INTERNAL
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { url, keys, applicationName = "stampyard", maxConnections = 10 } = options;
  const { clock = { now: Date.now } } = options;
  await prepare(url, applicationName);
  const db = openDatabase(url, applicationName, maxConnections);
  const watch = openWatch(url, applicationName, () => db);
  const now = () => clock.now();
  const view = createFleetView(now);
  const tell = (event: StoreEvent) => {
    view.note(event);
    watch.tell(event);
  };
  const base: Sealer = { db, masters: keys, tell, now, view };
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= watch.close().then(() => db.end());
    return closing;
  };
  return {
    lease: leaseStore(base),
    tokens: tokenStore(base),
    fleet: fleetStore(base),
    stamps: stampStore(base),
    tenants: tenantStore(base),
    directory: directoryStore(base),
    routers: routerStore(base),
    holds: holdStore(base),
    capacity: capacityStore(base),
    pools: poolStore(base),
    placement: placementStore(base),
    loads: loadStore(base),
    moves: moveStore(base),
    campaigns: campaignStore(base),
    rollouts: rolloutStore(base),
    evidence: evidenceStore(base),
    freezes: freezeStore(base),
    pins: pinStore(base),
    webhooks: webhookStore(base),
    audit: auditStore(base),
    idempotency: idempotencyStore(base),
    recovery: recoveryStore(base),
    rewrapSecrets: (ctx) => rewrapDataKeys(base, ctx),
    meta: () => readMeta(db),
    async ping() {
      await db.query("SELECT 1");
    },
    watch: watch.watch,
    backup: () => backup(base),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function prepare(url: string, applicationName: string): Promise<void> {
  const client = new Client(connectionConfig(url, `${applicationName} (migrate)`));
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("SET statement_timeout = 0");
    // Another process may be migrating.
    await client.query("SET lock_timeout = '60s'");
    const { rows } = await client.query<{ version: string }>("SELECT current_setting('server_version_num') AS version");
    if (Number(rows[0]?.version) < oldestServer) {
      throw new StampyardError("INVALID_REQUEST", `The store's PostgreSQL is too old (${rows[0]?.version})`, {
        mend: "Use PostgreSQL 15 or later.",
      });
    }
    await migrate(client);
  } catch (error) {
    throw translate(error);
  } finally {
    await client.end();
  }
}
