import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { resolveBinaries } from "@stampyard/engines";
import { Client } from "pg";

/** A real PostgreSQL for one test file: its own cluster below the temporary directory, reached by socket only. */
export interface TestPostgres extends AsyncDisposable {
  /** URL of a new, empty database. */
  database(): Promise<string>;
  readonly pid: number;
}

/** PostgreSQL refuses root; this user has no rights. */
const nobody = 65_534;

export async function startTestPostgres(): Promise<TestPostgres> {
  const [resolved] = await resolveBinaries({ kinds: ["postgres"] });
  if (resolved === undefined || "error" in resolved) throw resolved?.error ?? new RangeError("No PostgreSQL was found");
  const { path } = resolved.found;
  const user = process.geteuid?.() === 0 ? { uid: nobody, gid: nobody } : {};
  const home = mkdtempSync(join(tmpdir(), "stampyard-store-"));
  if ("uid" in user) chownSync(home, nobody, nobody);
  const data = join(home, "data");
  const quiet = { cwd: "/", env: { LC_ALL: "C", PATH: "/usr/bin:/bin" }, ...user };
  execFileSync(
    join(dirname(path), "initdb"),
    ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", "-D", data],
    { ...quiet, stdio: ["ignore", "ignore", "inherit"] },
  );
  const settings = {
    listen_addresses: "",
    unix_socket_directories: home,
    fsync: "off",
    max_connections: "100",
    autovacuum: "off",
    jit: "off",
  };
  const args = Object.entries({ ...settings, deadlock_timeout: "100ms" }).flatMap(([name, value]) => [
    "-c",
    `${name}=${value}`,
  ]);
  const server = spawn(path, ["-D", data, ...args], { ...quiet, stdio: "ignore" });
  const urlOf = (name: string) => `postgres://postgres@localhost/${name}?host=${encodeURIComponent(home)}`;
  await waitUntilUp(urlOf("postgres"), server);
  let count = 0;
  return {
    pid: server.pid ?? 0,
    async database() {
      count += 1;
      const name = `test_${count}`;
      await run(urlOf("postgres"), `CREATE DATABASE ${name}`);
      return urlOf(name);
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => server.once("exit", resolve));
      // SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
      if (server.exitCode === null) server.kill("SIGINT");
      await ended;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** One statement on a connection of its own. */
export async function run(url: string, sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query(sql, values)).rows;
  } finally {
    await client.end();
  }
}

async function waitUntilUp(url: string, server: ChildProcess): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      await run(url, "SELECT 1");
      return;
    } catch (error) {
      if (server.exitCode !== null || performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}
