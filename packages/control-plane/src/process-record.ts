import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootId, startTimeOf } from "./process-identity.ts";

const fileName = "control-plane.json";

/**
 * Writes `control-plane.json`, whole or not at all: who this process is (pid, boot and start time, decision D11) and
 * where it listens. A reader checks the identity, so a file that a killed process left behind says nothing false.
 */
export function writeProcessRecord(stateDir: string, url: string): void {
  mkdirSync(stateDir, { recursive: true });
  const file = join(stateDir, fileName);
  const record = { pid: process.pid, bootId: bootId(), startTime: startTimeOf(process.pid), url };
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(record)}\n`);
  renameSync(draft, file);
}

/** Removes the record, unless another process has written its own since. */
export function removeProcessRecord(stateDir: string): void {
  const file = join(stateDir, fileName);
  try {
    const { pid, startTime: start } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    if (pid === process.pid && start === startTimeOf(process.pid)) rmSync(file, { force: true });
  } catch {
    // Not there, or not ours to judge.
  }
}
