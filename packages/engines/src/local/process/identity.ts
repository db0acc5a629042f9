import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/**
 * A process for certain: a pid alone may be reused, and a boot changes them all (decision D11). `startTime` is what the
 * system says about the process's start, only compared for equality: field 22 of proc_pid_stat(5), or `ps -o lstart` on a
 * Mac.
 */
export interface ProcessIdentity {
  readonly bootId: string;
  readonly pid: number;
  readonly startTime: string;
}

let knownBoot: string | undefined;

/** Names this boot of the machine. */
export function bootId(): string {
  if (knownBoot === undefined) {
    knownBoot =
      process.platform === "linux"
        ? readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
        : execFileSync("sysctl", ["-n", "kern.boottime"], { encoding: "utf8" }).trim();
  }
  return knownBoot;
}

interface Seen {
  readonly state: string;
  readonly start: string;
  readonly session: number;
}

/** What the system says of a pid, or undefined when there is no such process. */
function look(pid: number): Seen | undefined {
  if (process.platform === "linux") {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      // The command in field 2 may hold spaces and brackets; fields are counted from behind its last bracket.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return { state: fields[0] ?? "X", start: fields[19] ?? "", session: Number(fields[3]) };
    } catch {
      return undefined;
    }
  }
  try {
    const text = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
    const [state = "X", ...start] = text.split(/\s+/);
    return { state: state.slice(0, 1), start: start.join(" "), session: pid };
  } catch {
    return undefined;
  }
}

/** Identity of a running process, or undefined when it is gone or a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const seen = look(pid);
  return seen === undefined || isDead(seen) ? undefined : { bootId: bootId(), pid, startTime: seen.start };
}

/** True while this very process runs. A zombie is not alive: it passes `kill(pid, 0)` and serves nobody. */
export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.bootId !== bootId()) return false;
  const seen = look(identity.pid);
  return seen !== undefined && !isDead(seen) && seen.start === identity.startTime;
}

/** Signals exactly that process; false if it is not there any more. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Checks a value read from a file; undefined if it is no identity. */
export function asIdentity(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { pid, bootId: boot, startTime } = value as Record<string, unknown>;
  if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid < 2) return undefined;
  if (typeof boot !== "string" || typeof startTime !== "string") return undefined;
  return { pid, bootId: boot, startTime };
}

function isDead(seen: Seen): boolean {
  return seen.state === "Z" || seen.state === "X";
}

/** Environment variable that marks every process of a stamp, so that one we lost track of can still be found. */
export const markerVariable = "STAMPYARD_PROCESS";

/**
 * Leaders of sessions that belong to a stamp: found by the marker in their environment, or by a path of the stamp on
 * their command line (Redis overwrites its environment with its title). Linux only; elsewhere records must do.
 */
export function findByMarker(marker: string, paths: readonly string[]): readonly ProcessIdentity[] {
  if (process.platform !== "linux") return [];
  const found: ProcessIdentity[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const seen = look(pid);
    if (seen === undefined || isDead(seen) || seen.session !== pid) continue;
    if (isMarked(pid, marker, paths)) found.push({ bootId: bootId(), pid, startTime: seen.start });
  }
  return found;
}

/** Command line of a process, or empty when it is gone. */
export function commandOf(pid: number): string {
  if (process.platform === "linux") return readOrEmpty(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
  try {
    return execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return "";
  }
}

function isMarked(pid: number, marker: string, paths: readonly string[]): boolean {
  const environment = readOrEmpty(`/proc/${pid}/environ`);
  if (environment.split("\0").some((line) => line.startsWith(`${markerVariable}=${marker}:`))) return true;
  const command = readOrEmpty(`/proc/${pid}/cmdline`);
  // Only servers: somebody who reads a file of the stamp in an editor is not one of its processes.
  if (!/^(?:\S*\/)?(?:redis|valkey|nats)-server\b|^(?:\S*\/)?postgres\b/.test(command.replaceAll("\0", " ")))
    return false;
  return paths.some((path) => command.includes(`${path}/`));
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
