import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { StampyardError } from "@stampyard/domain";
import { asDiskError, freshDraft } from "../file.ts";
import { runCommand } from "../process/command.ts";
import { writeClusterConfig, writeOwned } from "./config.ts";
import { uidOfNobody } from "./nobody.ts";
import { type RoleSecret, roleOfSecret } from "./roles.ts";
import { scramVerifier } from "./scram.ts";

export interface ClusterOrder {
  readonly postgres: string;
  readonly template: string;
  readonly dataDir: string;
  readonly socketDir: string;
  readonly maxConnections: number;
  readonly uid: number | undefined;
  readonly passwords: Readonly<Record<RoleSecret, string>>;
  readonly signal: AbortSignal;
}

const passwordMark = "stampyard_passwords";

/**
 * Makes the stamp's own cluster out of the template, or finds it made. The copy becomes visible under its name only
 * when it is whole and has its own passwords, so a crash or a full disk leaves nothing that a retry could trip over.
 */
export async function ensureCluster(order: ClusterOrder): Promise<"made" | "found"> {
  if (existsSync(order.dataDir)) {
    writeClusterConfig(order);
    if (readMark(order.dataDir) !== markOf(order)) await setPasswords(order, order.dataDir);
    return "found";
  }
  mkdirSync(dirname(order.dataDir), { recursive: true });
  const draft = freshDraft(order.dataDir);
  try {
    await copyTree(order.template, draft, order.signal);
    await setPasswords(order, draft);
    writeClusterConfig({ ...order, dataDir: draft });
    renameSync(draft, order.dataDir);
    // The copy reaches the disk while the server starts; a power cut in this second costs a stamp that nobody has used.
    void runCommand("sync", ["-f", order.dataDir]);
    return "made";
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw asDiskError(error, dirname(order.dataDir));
  }
}

/** Copy on write where the file system can (XFS, btrfs, APFS), a plain copy elsewhere. */
async function copyTree(from: string, to: string, signal: AbortSignal): Promise<void> {
  const args = process.platform === "darwin" ? ["-cRp"] : ["-a", "--reflink=auto"];
  await mustRun("cp", [...args, from, to], signal);
}

async function mustRun(program: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  const { code, stderr } = await runCommand(program, args, { signal, env: { PATH: process.env["PATH"], LC_ALL: "C" } });
  if (code !== 0) throw new Error(`${program} failed: ${stderr.slice(0, 500)}`);
}

/**
 * Sets all passwords before any socket is open, in PostgreSQL's single-user mode. Only verifiers are sent, on standard
 * input: nothing secret is in argv or in a log. That mode insists on a user with a name, which a stamp's is not.
 */
async function setPasswords(order: ClusterOrder, dataDir: string): Promise<void> {
  const named = order.uid === undefined ? undefined : uidOfNobody();
  if (named !== undefined && statSync(dataDir).uid !== named) await giveTo(named, dataDir, order.signal);
  await runSingleUser(order, dataDir, named);
  if (order.uid !== undefined) await giveTo(order.uid, dataDir, order.signal);
  writeOwned(join(dataDir, passwordMark), markOf(order), order.uid);
}

async function giveTo(uid: number, dir: string, signal: AbortSignal): Promise<void> {
  await mustRun("chown", ["-R", `${uid}:${uid}`, dir], signal);
}

async function runSingleUser(order: ClusterOrder, dataDir: string, uid: number | undefined): Promise<void> {
  const names = Object.keys(roleOfSecret) as RoleSecret[];
  const lines = await Promise.all(
    names.map(async (name) => {
      return `alter role ${roleOfSecret[name]} password '${await scramVerifier(order.passwords[name])}';`;
    }),
  );
  const args = ["--single", "-D", dataDir, "-c", "exit_on_error=on", "postgres"];
  const { code, stderr } = await runCommand(order.postgres, args, {
    input: `${lines.join("\n")}\n`,
    cwd: "/",
    env: { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" },
    ...(uid === undefined ? {} : { uid }),
    signal: order.signal,
  });
  if (code === 0) return;
  const failure = asDiskError(new Error(stderr), dirname(order.dataDir));
  if (failure instanceof StampyardError) throw failure;
  const last = stderr.trim().split("\n").at(-1) ?? "";
  throw new StampyardError("STAMP_FAILED", `The database's passwords could not be set: ${last}`, { cause: failure });
}

/** The passwords have 192 bits each, so a plain digest gives nothing away. */
function markOf(order: ClusterOrder): string {
  const names = Object.keys(roleOfSecret).sort() as RoleSecret[];
  const text = names.map((name) => order.passwords[name]).join("\n");
  return createHash("sha256").update(text).digest("hex");
}

function readMark(dataDir: string): string | undefined {
  try {
    return readFileSync(join(dataDir, passwordMark), "utf8");
  } catch {
    return undefined;
  }
}
