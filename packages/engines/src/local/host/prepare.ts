import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asDiskError } from "../file.ts";
import type { Goal } from "../goal.ts";
import { ensureCluster } from "../postgres/clone.ts";
import { writeOwned } from "../postgres/config.ts";
import { commandOf, identify } from "../process/identity.ts";
import { configPathOf, dataDirOf, type Running } from "./process-plan.ts";
import type { Host } from "./state.ts";
import { secretOf, socketDirOf } from "./values.ts";

/** Makes what a component's process finds when it starts: directories, configuration, a cluster. Safe to repeat. */
export async function prepare(
  host: Host,
  goal: Goal,
  component: Running,
  port: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  try {
    makeOwned(host, host.place.socketDir);
    switch (component.kind) {
      case "service":
        prepareHome(host);
        return;
      case "postgres":
        await preparePostgres(host, goal, component, signal);
        return;
      case "redis":
      case "nats": {
        makeOwned(host, dataDirOf(host, component.name));
        makeOwned(host, socketDirOf(host.place, component.name));
        const password = secretOf(goal.secrets, `${component.name}.password`);
        const lines =
          component.kind === "redis"
            ? redisLines(host, component, password)
            : natsLines(host, component, password, port);
        writeOwned(configPathOf(host, component.name), `${lines.join("\n")}\n`, host.uid);
      }
    }
  } catch (error) {
    throw asDiskError(error, host.place.dataDir);
  }
}

/** A home directory for programs that insist on one. */
export function prepareHome(host: Host): void {
  makeOwned(host, join(host.place.dataDir, "home"));
}

async function preparePostgres(
  host: Host,
  goal: Goal,
  component: Extract<Running, { kind: "postgres" }>,
  signal: AbortSignal,
): Promise<void> {
  const dataDir = dataDirOf(host, component.name);
  const socketDir = socketDirOf(host.place, component.name);
  makeOwned(host, socketDir);
  disownPid(dataDir);
  for (const file of [".s.PGSQL.5432", ".s.PGSQL.5432.lock"]) rmSync(join(socketDir, file), { force: true });
  const secret = (name: string) => secretOf(goal.secrets, `${component.name}.${name}`);
  await ensureCluster({
    postgres: goal.programs.postgres?.path ?? "",
    template: goal.programs.postgres?.template ?? "",
    dataDir,
    socketDir,
    maxConnections: component.maxConnections,
    uid: host.uid,
    passwords: {
      superPassword: secret("superPassword"),
      ownerPassword: secret("ownerPassword"),
      appPassword: secret("appPassword"),
      moverPassword: secret("moverPassword"),
    },
    signal,
  });
}

/**
 * After a boot another process may have the pid that postmaster.pid names, or a zombie still has it, and PostgreSQL
 * would refuse to start. Our own pid in its place reads as stale, since a server's parent cannot be another server;
 * the rest of the file stays, so that PostgreSQL still looks whether an old backend has the shared memory.
 */
function disownPid(dataDir: string): void {
  const file = join(dataDir, "postmaster.pid");
  if (!existsSync(file)) return;
  const lines = readFileSync(file, "utf8").split("\n");
  const pid = Number(lines[0]);
  if (identify(pid) !== undefined && commandOf(pid).includes(dataDir)) return;
  writeFileSync(file, [process.pid, ...lines.slice(1)].join("\n"));
}

function redisLines(host: Host, component: Extract<Running, { kind: "redis" }>, password: string): readonly string[] {
  return [
    "port 0",
    `unixsocket "${join(socketDirOf(host.place, component.name), "redis.sock")}"`,
    "unixsocketperm 700",
    `dir "${dataDirOf(host, component.name)}"`,
    `requirepass ${password}`,
    `maxmemory ${component.maxMemoryMb}mb`,
    // A cache forgets; what is kept on disk must not be forgotten silently.
    `maxmemory-policy ${component.persistence === "none" ? "allkeys-lru" : "noeviction"}`,
    'save ""',
    `appendonly ${component.persistence === "aof" ? "yes" : "no"}`,
    "daemonize no",
    'logfile ""',
  ];
}

function natsLines(
  host: Host,
  component: Extract<Running, { kind: "nats" }>,
  password: string,
  port: number | undefined,
): readonly string[] {
  const lines = [
    "host: 127.0.0.1",
    `port: ${port ?? 0}`,
    `server_name: "${host.place.stamp}"`,
    `authorization { user: "stampyard", password: "${password}" }`,
  ];
  if (component.jetstream) lines.push(`jetstream { store_dir: "${dataDirOf(host, component.name)}" }`);
  return lines;
}

function makeOwned(host: Host, path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (host.uid !== undefined) chownSync(path, host.uid, host.uid);
}
