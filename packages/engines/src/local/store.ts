import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { makeSecret, type Progress, type RenderedStamp, secretNames, type StampSpec } from "@stampyard/domain";
import pg from "pg";
import { type LocalEngineOptions, openLocalEngine } from "./engine.ts";
import { readJson, writeWhole } from "./file.ts";
import { postgresUrl } from "./host/values.ts";
import { takeLock } from "./lock.ts";
import { defaultPortRange, forgetTokens } from "./ledger.ts";
import { defaultLedgerFile, placeOf } from "./places.ts";

export interface StoreOptions extends LocalEngineOptions {
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

const storeName = "store";
const storeDatabase = "control";
/** The store has no leader above it: who leads is decided inside of it. */
const storeToken = 0;

/**
 * Starts, or finds running, the control plane's own PostgreSQL below `stateDir`. It runs under a host like a stamp's,
 * so it outlives the control plane and is reattached. The URL is that of its owner, on a database of its own.
 */
export async function ensureStore(options: StoreOptions): Promise<{ readonly url: string }> {
  const stateDir = join(resolve(options.stateDir), "store");
  mkdirSync(stateDir, { recursive: true, mode: 0o711 });
  const signal = options.signal ?? new AbortController().signal;
  const engine = await openLocalEngine({ ...options, stateDir });
  const spec = await storeSpec(stateDir, signal);
  const { progress } = options;
  await engine.apply(spec, { token: storeToken, signal, ...(progress === undefined ? {} : { progress }) });
  const place = placeOf(stateDir, storeName);
  await ensureDatabase(postgresUrl(place, spec.secrets, "db", "superPassword", "postgres"));
  return { url: postgresUrl(place, spec.secrets, "db", "ownerPassword", storeDatabase) };
}

/** Ends the control plane's PostgreSQL and keeps its data. Fine when it is not there. */
export async function stopStore(options: StoreOptions): Promise<void> {
  const stateDir = join(resolve(options.stateDir), "store");
  if (!existsSync(stateDir)) return;
  const engine = await openLocalEngine({ ...options, stateDir });
  await engine.stop(storeName, { token: storeToken, signal: options.signal ?? new AbortController().signal });
}

/**
 * Removes the control plane's PostgreSQL with all its data, and the memory of who led: the next leader counts anew.
 * Where stamps stay it must not: they refuse whoever comes with less than they have seen (I28).
 */
export async function destroyStore(options: StoreOptions & { readonly stampsStay?: boolean }): Promise<void> {
  const stateDir = join(resolve(options.stateDir), "store");
  if (!existsSync(stateDir)) return;
  const engine = await openLocalEngine({ ...options, stateDir });
  await engine.destroy(storeName, { token: storeToken, signal: options.signal ?? new AbortController().signal });
  rmSync(stateDir, { recursive: true, force: true });
  const ledger = { file: options.ledgerFile ?? defaultLedgerFile(), range: options.portRange ?? defaultPortRange };
  const forgotten = options.stampsStay === true ? [stateDir] : [resolve(options.stateDir), stateDir];
  await forgetTokens(ledger, forgotten);
}

async function storeSpec(stateDir: string, signal: AbortSignal): Promise<StampSpec> {
  const file = join(stateDir, "secrets.json");
  using _lock = await takeLock(join(stateDir, "secrets.lock"), signal);
  let secrets = readJson<Record<string, string>>(file);
  if (secrets === undefined) {
    const random = { bytes: (count: number) => new Uint8Array(randomBytes(count)) };
    secrets = Object.fromEntries(secretNames(storeStamp).map((name) => [name, makeSecret(random)]));
    writeWhole(file, JSON.stringify(secrets), { durable: true });
  }
  return { rendered: storeStamp, sourceDir: stateDir, secrets, routeKeys: "" };
}

const storeStamp: RenderedStamp = {
  identity: { name: storeName, pool: storeName, region: "local" },
  template: storeName,
  version: "1",
  releaseDigest: `sha256:${"0".repeat(64)}`,
  stampDigest: `sha256:${"0".repeat(64)}`,
  stages: [
    {
      name: "main",
      engine: "local",
      components: [
        {
          kind: "postgres",
          name: "db",
          version: 18,
          maxConnections: 50,
          resources: {},
          protect: true,
          ids: {},
          via: {},
        },
      ],
    },
  ],
  ingress: { service: "db" },
  capacity: { tenants: 0, units: {} },
  tenancy: { model: "rows", column: "tenant_id" },
  hooks: {},
};

async function ensureDatabase(superUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: superUrl });
  await client.connect();
  try {
    // Two control planes may come at once; the second waits here and finds it made.
    await client.query("select pg_advisory_lock(hashtext('stampyard control database'))");
    const { rowCount } = await client.query("select from pg_database where datname = $1", [storeDatabase]);
    if (rowCount === 0) await client.query(`create database ${storeDatabase} owner stampyard_owner`);
  } finally {
    await client.end();
  }
}
