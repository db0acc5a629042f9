import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Names this boot of the machine. */
export function bootId(): string {
  if (process.platform === "linux") return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return execFileSync("sysctl", ["-n", "kern.boottime"], { encoding: "utf8" }).trim();
}

/** When the process with this pid started, as the system counts it; undefined when there is none, or its zombie. */
export function startTimeOf(pid: number): string | undefined {
  try {
    if (process.platform === "linux") {
      // Field 22 of proc_pid_stat(5), counted behind the last bracket of the command.
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
    }
    const text = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
    const [state = "", ...start] = text.split(/\s+/);
    return text === "" || state.startsWith("Z") ? undefined : start.join(" ");
  } catch {
    return undefined;
  }
}
