import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const fileName = "control-plane.json";

/**
 * Writes `control-plane.json`, whole or not at all: who this process is (pid, boot and start time, decision D11) and
 * where it listens. A reader checks the identity, so a file that a killed process left behind says nothing false.
 */
export function writeProcessRecord(stateDir: string, url: string): void {
  mkdirSync(stateDir, { recursive: true });
  const file = join(stateDir, fileName);
  const record = { pid: process.pid, bootId: bootId(), startTime: startTime(), url };
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(record)}\n`);
  renameSync(draft, file);
}

/** Removes the record, unless another process has written its own since. */
export function removeProcessRecord(stateDir: string): void {
  const file = join(stateDir, fileName);
  try {
    const { pid, startTime: start } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    if (pid === process.pid && start === startTime()) rmSync(file, { force: true });
  } catch {
    // Not there, or not ours to judge.
  }
}

function bootId(): string {
  if (process.platform === "linux") return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return execFileSync("sysctl", ["-n", "kern.boottime"], { encoding: "utf8" }).trim();
}

/** Field 22 of /proc/self/stat, counted behind the last bracket of the command; `ps -o lstart` elsewhere. */
function startTime(): string {
  if (process.platform === "linux") {
    const stat = readFileSync("/proc/self/stat", "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  }
  const text = execFileSync("ps", ["-o", "lstart=", "-p", String(process.pid)], { encoding: "utf8" });
  return text.trim().split(/\s+/).join(" ");
}
