import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StampyardError } from "@stampyard/domain";
import { tryLock } from "@stampyard/engines";
import { asIdentity, identify, isAlive } from "@stampyard/engines/process";

const fileName = "control-plane.json";
/** Beside the engine's locks. */
const lockName = join("locks", "control-plane.lock");

/**
 * Takes the state directory for this process: its record, its memory of the directory's head and its embedded store
 * belong to one. The kernel frees it when the process dies, however it dies; disposing frees it and removes the record.
 *
 * @throws StampyardError LOCKED naming the process that has it
 */
export function holdStateDir(stateDir: string): Disposable {
  // Stamps run under users of their own and pass through.
  mkdirSync(stateDir, { recursive: true, mode: 0o711 });
  mkdirSync(join(stateDir, "locks"), { recursive: true });
  const lock = tryLock(join(stateDir, lockName));
  if (lock === undefined) {
    const pid = readPid(stateDir);
    throw new StampyardError(
      "LOCKED",
      `Another control plane${pid === undefined ? "" : `, process ${pid},`} runs in ${stateDir}`,
      { mend: "Stop that one, or give this one a state directory of its own; to stand by, share DATABASE_URL." },
    );
  }
  // Who holds it can be read from now on; where it listens follows.
  writeProcessRecord(stateDir, undefined);
  return {
    [Symbol.dispose]() {
      removeProcessRecord(stateDir);
      lock[Symbol.dispose]();
    },
  };
}

/**
 * Writes `control-plane.json`, whole or not at all: who this process is (pid, boot and start time, decision D11) and
 * where it listens. A reader checks the identity, so a file that a killed process left behind says nothing false.
 */
export function writeProcessRecord(stateDir: string, url: string | undefined): void {
  mkdirSync(stateDir, { recursive: true });
  const file = join(stateDir, fileName);
  const record = { ...identify(process.pid), url };
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(record)}\n`);
  renameSync(draft, file);
}

function readPid(stateDir: string): number | undefined {
  try {
    const { pid } = JSON.parse(readFileSync(join(stateDir, fileName), "utf8")) as Record<string, unknown>;
    return typeof pid === "number" ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Removes the record, unless another process has written its own since. */
function removeProcessRecord(stateDir: string): void {
  const file = join(stateDir, fileName);
  try {
    const recorded = asIdentity(JSON.parse(readFileSync(file, "utf8")));
    if (recorded?.pid === process.pid && isAlive(recorded)) rmSync(file, { force: true });
  } catch {
    // Not there, or not ours to judge.
  }
}
