import { readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { writeDurably } from "../directory-files.ts";
import { isAlive, type ProcessIdentity } from "../process-record.ts";

const fileName = "workers.json";

/**
 * Workers by identity, written before a worker may listen: whoever finds no living parent finds them here, and nobody
 * else (D11). The parent's successor takes the port over from them; `stampyard down` ends them.
 */
export interface WorkerRecord {
  /** Port on which they listen; 0 = not known yet. */
  readonly port: number;
  readonly workers: readonly ProcessIdentity[];
}

/** Those of the record that still live. */
export async function readLivingWorkers(folder: string): Promise<WorkerRecord> {
  let value: { port?: unknown; workers?: unknown };
  try {
    value = JSON.parse(await readFile(join(folder, fileName), "utf8")) as typeof value;
  } catch {
    return { port: 0, workers: [] };
  }
  const list: unknown[] = Array.isArray(value.workers) ? value.workers : [];
  const workers = list.filter(isIdentity).filter((one) => isAlive(one));
  return { port: typeof value.port === "number" ? value.port : 0, workers };
}

function isIdentity(value: unknown): value is ProcessIdentity {
  if (typeof value !== "object" || value === null) return false;
  const { pid, bootId, startTime } = value as Record<string, unknown>;
  return (
    typeof pid === "number" &&
    Number.isSafeInteger(pid) &&
    pid > 1 &&
    typeof bootId === "string" &&
    typeof startTime === "string"
  );
}

export interface WorkerRecorder {
  /** Resolves when a record that holds the present workers is written, or cannot be. */
  save(): Promise<void>;
  remove(): Promise<void>;
}

/** One write at a time, always of the newest state. */
export function createWorkerRecorder(
  folder: string,
  current: () => WorkerRecord,
  onTrouble: (reason: string) => void,
): WorkerRecorder {
  let last: Promise<void> = Promise.resolve();
  return {
    save() {
      last = last.then(async () => {
        // Serving goes before bookkeeping: on a full disk workers start all the same.
        await writeDurably(folder, fileName, `${JSON.stringify(current())}\n`, 0o640).catch((caught: unknown) => {
          onTrouble(String(caught));
        });
      });
      return last;
    },
    async remove() {
      await last;
      await unlink(join(folder, fileName)).catch(() => {});
    },
  };
}

/** Ends workers whose parent is gone: SIGTERM, on which they drain, and SIGKILL after `graceMs`. Resolves when none is left. */
export async function retireWorkers(workers: readonly ProcessIdentity[], graceMs: number): Promise<void> {
  const signal = (name: NodeJS.Signals) => {
    for (const worker of workers.filter((one) => isAlive(one))) {
      try {
        process.kill(worker.pid, name);
      } catch {
        // It ended in between.
      }
    }
  };
  signal("SIGTERM");
  const deadline = performance.now() + graceMs;
  while (workers.some((one) => isAlive(one))) {
    if (performance.now() > deadline) signal("SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
