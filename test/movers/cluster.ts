import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { makePair } from "../../packages/router/src/test-bed/certificates.ts";
import { stampSchemaSql } from "@stampyard/domain";
import { resolveBinaries } from "@stampyard/engines";
import type pg from "pg";

const require = createRequire(new URL("../../packages/control-plane/package.json", import.meta.url));
const { Client } = require("pg") as typeof pg;

export type Role = "postgres" | "stampyard_owner" | "stampyard_app" | "stampyard_mover";

/** A stamp's database as it is: PostgreSQL with default settings, our roles (D4) and our schema, and nothing else. */
export interface Cluster extends AsyncDisposable {
  /**
   * A new database with the stamp's schema, or a copy of one of this cluster that nobody is connected to. `locale` as
   * `create database` takes it.
   */
  database(copyOf?: TestDatabase, locale?: string): Promise<TestDatabase>;
  readonly pid: number;
}

export interface TestDatabase {
  readonly name: string;
  url(role: Role): string;
  connect(role: Role): Promise<Connection>;
  /** One statement as one role on a connection of its own. */
  run(role: Role, sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
}

export interface Connection extends AsyncDisposable {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[]; rowCount: number | null }>;
  readonly pid: number;
}

const nobody = 65_534;

export interface ClusterOptions {
  /** Every commit reaches the disk, as in production; tests do without. */
  readonly durable?: boolean;
  /** Listens on this port of 127.0.0.1, too, and speaks TLS there; its socket does not. */
  readonly tlsPort?: number;
}

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const [resolved] = await resolveBinaries({ kinds: ["postgres"] });
  if (resolved === undefined || "error" in resolved) throw resolved?.error ?? new RangeError("No PostgreSQL was found");
  const { path } = resolved.found;
  const user = process.geteuid?.() === 0 ? { uid: nobody, gid: nobody } : {};
  const home = mkdtempSync(join(tmpdir(), "stampyard-mover-"));
  if ("uid" in user) chownSync(home, nobody, nobody);
  const data = join(home, "data");
  const quiet = { cwd: "/", env: { LC_ALL: "C", PATH: "/usr/bin:/bin" }, ...user };
  execFileSync(
    join(dirname(path), "initdb"),
    ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", "-D", data],
    { ...quiet, stdio: ["ignore", "ignore", "inherit"] },
  );
  const { tlsPort } = options;
  const settings = [`listen_addresses=${tlsPort === undefined ? "" : "127.0.0.1"}`, `unix_socket_directories=${home}`];
  if (tlsPort !== undefined) {
    await makePair(data, "server", ["localhost"]);
    if ("uid" in user) for (const file of ["server.key", "server.crt"]) chownSync(join(data, file), nobody, nobody);
    settings.push("ssl=on", `port=${tlsPort}`);
  }
  if (options.durable !== true) settings.push("fsync=off");
  const server = spawn(path, ["-D", data, ...settings.flatMap((s) => ["-c", s])], { ...quiet, stdio: "ignore" });
  const urlOf = (role: Role, name: string) =>
    `postgres://${role}@localhost:${tlsPort ?? 5432}/${name}?host=${encodeURIComponent(home)}`;
  await untilUp(() => once(urlOf("postgres", "postgres"), "select 1"), server);
  await once(urlOf("postgres", "postgres"), rolesSql);
  let count = 0;
  return {
    pid: server.pid ?? 0,
    async database(copyOf, locale) {
      count += 1;
      const name = `app_${count}`;
      const from = locale === undefined ? (copyOf?.name ?? "template1") : `template0 ${locale}`;
      await once(urlOf("postgres", "postgres"), `create database ${name} template ${from}`);
      if (copyOf === undefined) await once(urlOf("postgres", name), `${grantsSql} ${stampSchemaSql}`);
      return {
        name,
        url: (role) => urlOf(role, name),
        connect: (role) => connect(urlOf(role, name)),
        run: (role, sql, values) => once(urlOf(role, name), sql, values),
      };
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => server.once("exit", resolve));
      if (server.exitCode === null) server.kill("SIGINT");
      await ended;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

const rolesSql = `
create role stampyard nologin;
create role stampyard_owner login;
create role stampyard_app login;
create role stampyard_mover login bypassrls in role pg_read_all_data, pg_write_all_data;
grant set on parameter session_replication_role to stampyard_mover;`;

const grantsSql = `
create schema stampyard authorization stampyard;
alter schema public owner to stampyard_owner;
grant usage on schema public to stampyard_app, stampyard_mover;
alter default privileges for role stampyard_owner grant select, insert, update, delete on tables to stampyard_app;
alter default privileges for role stampyard_owner grant usage, select on sequences to stampyard_app;`;

async function connect(url: string): Promise<Connection> {
  const client = new Client(url);
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  return {
    pid: rows[0]?.pid ?? 0,
    query: (text, values) => client.query(text, values),
    [Symbol.asyncDispose]: () => client.end(),
  };
}

async function once(url: string, sql: string, values?: unknown[]): Promise<Record<string, unknown>[]> {
  await using connection = await connect(url);
  return (await connection.query(sql, values)).rows;
}

async function untilUp(look: () => Promise<unknown>, server: ChildProcess): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      await look();
      return;
    } catch (error) {
      if (server.exitCode !== null || performance.now() > deadline) throw error;
      await delay(20);
    }
  }
}
