import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { StampyardError, stampSchemaSql, stampSchemaVersion } from "@stampyard/domain";
import pg from "pg";
import { asDiskError, freshDraft } from "../file.ts";
import { takeLock } from "../lock.ts";
import { isRoot } from "../places.ts";
import { uidOfNobody } from "./nobody.ts";
import { runCommand } from "../process/command.ts";
import type { Binary } from "../resolver/binaries.ts";
import { writeClusterConfig } from "./config.ts";
import { databaseName, databaseSql, rolesSql, superuser } from "./roles.ts";

export interface TemplateOptions {
  readonly cacheDir: string;
  readonly progress?: (detail: string) => void;
  readonly signal?: AbortSignal;
}

const initdbArgs = [
  ...["-U", superuser, "-A", "scram-sha-256", "-E", "UTF8", "-k", "--no-sync", "--wal-segsize=4", "--no-instructions"],
  // The built-in provider sorts alike on every machine, whatever its C library or ICU.
  ...["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"],
];

/**
 * Directory of the template cluster: initdb, roles and our schema, made once per engine version and schema; a stamp's
 * cluster is a copy of it. Nobody ever runs it, and its superuser's password is thrown away.
 */
export async function ensureTemplate(binary: Binary, options: TemplateOptions): Promise<string> {
  const recipe = [binary.version, stampSchemaVersion, stampSchemaSql, rolesSql, databaseSql, initdbArgs].join("\n");
  const hash = createHash("sha256").update(recipe).digest("hex").slice(0, 12);
  const parent = join(options.cacheDir, "templates");
  const home = join(parent, `pg-${binary.version}-schema-${stampSchemaVersion}-${hash}`);
  if (existsSync(home)) return home;
  using _lock = await takeLock(`${home}.lock`, options.signal);
  if (existsSync(home)) return home;
  options.progress?.(`building the database template (PostgreSQL ${binary.version})`);
  const draft = freshDraft(join(options.cacheDir, basename(home)));
  try {
    // Closed to all but us: the template itself stays with the user nobody, as whom its copies get their passwords.
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    chmodSync(parent, 0o700);
    await build(binary, draft, options.signal);
    renameSync(draft, home);
  } catch (error) {
    throw asDiskError(error, options.cacheDir);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return home;
}

async function build(binary: Binary, draft: string, signal: AbortSignal | undefined): Promise<void> {
  // initdb refuses root, and wants a user that has a name.
  const uid = isRoot ? uidOfNobody() : undefined;
  const work = mkdtempSync("/tmp/stampyard-template-");
  const password = randomBytes(24).toString("hex");
  const passwordFile = join(work, "password");
  const common = { ...(uid === undefined ? {} : { uid }), ...(signal === undefined ? {} : { signal }) };
  try {
    writeFileSync(passwordFile, password, { mode: 0o600 });
    mkdirSync(draft, { mode: 0o700 });
    if (uid !== undefined) for (const path of [work, passwordFile, draft]) chownSync(path, uid, uid);
    const initdb = join(dirname(binary.path), "initdb");
    const made = await runCommand(initdb, [...initdbArgs, `--pwfile=${passwordFile}`, "-D", draft], {
      ...common,
      cwd: "/",
      env: { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" },
    });
    if (made.code !== 0) throw initdbFailed(made.stderr);
    writeClusterConfig({ dataDir: draft, socketDir: work, maxConnections: 20, uid });
    await fill(binary, { draft, socketDir: work, uid, password }, signal);
    await runCommand("sync", ["-f", draft]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

interface Draft {
  readonly draft: string;
  readonly socketDir: string;
  readonly uid: number | undefined;
  readonly password: string;
}

/** Starts the new cluster once, on a private socket, and gives it roles, database and schema. */
async function fill(binary: Binary, where: Draft, signal: AbortSignal | undefined): Promise<void> {
  const server = spawn(binary.path, ["-D", where.draft, "-c", "fsync=off"], {
    cwd: "/",
    stdio: ["ignore", "ignore", "pipe"],
    env: { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" },
    ...(where.uid === undefined ? {} : { uid: where.uid, gid: where.uid }),
  });
  let said = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4000);
  });
  const ended = new Promise<void>((settle) => server.once("close", () => settle()));
  try {
    const first = await connectWithin(where, "postgres", () => server.exitCode === null, signal);
    if (first === undefined) throw new Error(`The template cluster does not start: ${said}`);
    await first.query(rolesSql);
    await first.query(`create database ${databaseName}`);
    await first.end();
    const second = await connectWithin(where, databaseName, () => true, signal);
    await second?.query(databaseSql);
    await second?.query(stampSchemaSql);
    await second?.end();
  } finally {
    server.kill("SIGINT");
    await ended;
  }
}

async function connectWithin(
  where: Draft,
  database: string,
  isUp: () => boolean,
  signal: AbortSignal | undefined,
): Promise<pg.Client | undefined> {
  for (let attempt = 0; attempt < 200 && isUp(); attempt++) {
    signal?.throwIfAborted();
    const client = new pg.Client({ host: where.socketDir, user: superuser, password: where.password, database });
    try {
      await client.connect();
      return client;
    } catch {
      await sleep(50);
    }
  }
  return undefined;
}

function initdbFailed(stderr: string): Error {
  const uid = /could not look up effective user ID (\d+)/.exec(stderr)?.[1];
  if (uid === undefined) return new Error(`initdb failed: ${stderr}`);
  return new StampyardError("USER_WITHOUT_NAME", `PostgreSQL cannot be set up by user ${uid}, which has no name here`, {
    mend: `Add a line for ${uid} to /etc/passwd, such as stampyard:x:${uid}:${uid}::/tmp:/bin/sh, or run as a user that has one.`,
  });
}
