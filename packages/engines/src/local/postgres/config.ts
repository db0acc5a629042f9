import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface ClusterConfig {
  readonly dataDir: string;
  readonly socketDir: string;
  readonly maxConnections: number;
  readonly uid?: number | undefined;
}

/**
 * A small cluster that sleeps well: one stamp is one of many on the machine. Logical decoding is on from the first
 * day, because moves need it and it cannot be switched on without a restart.
 */
const settings = {
  listen_addresses: "''",
  unix_socket_permissions: "0700",
  shared_buffers: "24MB",
  work_mem: "4MB",
  maintenance_work_mem: "32MB",
  wal_level: "logical",
  max_wal_senders: "10",
  max_replication_slots: "10",
  min_wal_size: "32MB",
  max_wal_size: "256MB",
  max_slot_wal_keep_size: "1GB",
  wal_retrieve_retry_interval: "500ms",
  io_method: "sync", // The default of PostgreSQL 18 keeps three worker processes per cluster.
  max_parallel_workers: "0",
  max_parallel_workers_per_gather: "0",
  max_parallel_maintenance_workers: "0",
  autovacuum_max_workers: "2",
  jit: "off",
  password_encryption: "'scram-sha-256'",
  timezone: "'UTC'",
  log_timezone: "'UTC'",
  log_line_prefix: "'%m [%p] %u@%d '",
  log_checkpoints: "off",
  logging_collector: "off",
} as const;

/** Writes both configuration files. Only the socket is open, only to the stamp's user, and always with a password. */
export function writeClusterConfig(config: ClusterConfig): void {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  lines.push(`unix_socket_directories = '${config.socketDir}'`, `max_connections = ${config.maxConnections}`);
  writeOwned(join(config.dataDir, "postgresql.conf"), `${lines.join("\n")}\n`, config.uid);
  writeOwned(join(config.dataDir, "pg_hba.conf"), "local all all scram-sha-256\n", config.uid);
}

/** A 0600 file that belongs to the stamp's user. */
export function writeOwned(path: string, content: string, uid: number | undefined): void {
  writeFileSync(path, content, { mode: 0o600 });
  chmodSync(path, 0o600);
  if (uid !== undefined) chownSync(path, uid, uid);
}
