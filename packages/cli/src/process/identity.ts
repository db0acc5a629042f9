import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * Who a process is. A pid alone names whoever has it now; with the boot and the start time it names one process for
 * ever (decision D11).
 */
export interface ProcessIdentity {
  readonly pid: number;
  readonly bootId: string;
  /** As the system counts it; only compared for equality. */
  readonly startTime: string;
}

/** Identity of the process that has `pid` now; undefined if there is none, or only its zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === "linux" ? linuxStart(pid) : psStart(pid);
  return startTime === undefined ? undefined : { pid, bootId: bootId(), startTime };
}

export function isAlive(identity: ProcessIdentity): boolean {
  const now = identify(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
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
  if (typeof boot !== "string" || (typeof startTime !== "string" && typeof startTime !== "number")) return undefined;
  return { pid, bootId: boot, startTime: String(startTime) };
}

/** proc_pid_stat(5): the command (field 2) may hold spaces and brackets, so counting starts after the last one. */
function linuxStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // fields[0] is the state (field 3); start time is field 22. Dead and zombie processes serve nobody.
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function psStart(pid: number): string | undefined {
  try {
    const line = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
    const [state = "", ...start] = line.split(/\s+/);
    return line === "" || state.startsWith("Z") ? undefined : start.join(" ");
  } catch {
    return undefined;
  }
}

let knownBoot: string | undefined;

function bootId(): string {
  knownBoot ??=
    process.platform === "linux"
      ? readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
      : execFileSync("sysctl", ["-n", "kern.boottime"], { encoding: "utf8" }).trim();
  return knownBoot;
}
