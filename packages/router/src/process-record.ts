import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { writeDurably } from "./directory-files.ts";

const fileName = "router.json";

/** Names one process for ever (decision D11). */
export interface ProcessIdentity {
  readonly pid: number;
  readonly bootId: string;
  /** As the system counts it; only compared for equality. */
  readonly startTime: string;
}

export interface ProcessRecord extends ProcessIdentity {
  /** ISO 8601. */
  readonly startedAt: string;
  readonly name: string;
  readonly url: string;
  readonly adminUrl: string;
  readonly listenPort: number;
  readonly adminPort: number;
  /** Where clients come by TLS; absent = nowhere. */
  readonly tlsPort?: number | undefined;
  /** Where ingresses ask `GET /decide`; absent = nowhere. */
  readonly decidePort?: number | undefined;
}

/** Process id of another router that wrote itself down in this folder and lives. */
export async function livingRouter(folder: string): Promise<number | undefined> {
  let record: Partial<ProcessRecord>;
  try {
    record = JSON.parse(await readFile(join(folder, fileName), "utf8")) as Partial<ProcessRecord>;
  } catch {
    return undefined;
  }
  const { pid, bootId: boot, startTime } = record;
  if (typeof pid !== "number" || pid === process.pid) return undefined;
  if (boot === undefined || startTime === undefined || !isAlive({ pid, bootId: boot, startTime })) return undefined;
  return pid;
}

/** Says where this process listens; written when it is ready. */
export async function writeRecord(
  folder: string,
  listening: Omit<ProcessRecord, keyof ProcessIdentity | "startedAt">,
): Promise<void> {
  const record: ProcessRecord = {
    ...(identify(process.pid) ?? { pid: process.pid, bootId: bootId(), startTime: "" }),
    startedAt: new Date().toISOString(),
    ...listening,
  };
  await writeDurably(folder, fileName, `${JSON.stringify(record)}\n`, 0o640);
}

export async function removeRecord(folder: string): Promise<void> {
  await unlink(join(folder, fileName)).catch(() => {});
}

/** undefined if there is no such process, or only its zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, bootId: bootId(), startTime };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identity.bootId === bootId() && startTimeOf(identity.pid) === identity.startTime;
}

function startTimeOf(pid: number): string | undefined {
  try {
    if (process.platform !== "linux") {
      const line = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
      const [state = "", ...start] = line.split(/\s+/);
      return line === "" || state.startsWith("Z") ? undefined : start.join(" ");
    }
    // proc_pid_stat(5): the command may hold spaces and brackets, so counting starts after the last one.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function bootId(): string {
  try {
    if (process.platform !== "linux")
      return execFileSync("sysctl", ["-n", "kern.boottime"], { encoding: "utf8" }).trim();
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
