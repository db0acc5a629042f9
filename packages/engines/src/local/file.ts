import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { StampyardError } from "@stampyard/domain";

export interface WriteOptions {
  /** @default 0o600 */
  readonly mode?: number;
  /** Whether the content must outlive a crash of the machine, not only of the process. @default false */
  readonly durable?: boolean;
}

/** Replaces a file in one step: a reader sees the old or the new content, never a part. @throws DISK_FULL */
export function writeWhole(path: string, content: string, options: WriteOptions = {}): void {
  const draft = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const file = openSync(draft, "wx", options.mode ?? 0o600);
    try {
      writeSync(file, content);
      if (options.durable === true) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw asDiskError(error, dirname(path));
  }
}

/**
 * A new name beside `path` for building it, with older attempts cleared. Each attempt has its own, because a program
 * that a killed process had started may still be writing into the last one.
 */
export function freshDraft(path: string): string {
  const prefix = `${basename(path)}.draft-`;
  const parent = dirname(path);
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    if (name.startsWith(prefix)) rmSync(join(parent, name), { recursive: true, force: true, maxRetries: 5 });
  }
  return join(parent, `${prefix}${randomBytes(6).toString("hex")}`);
}

/** Content of a JSON file, or undefined when there is none. */
export function readJson<T>(path: string): T | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return JSON.parse(text) as T;
}

/** Turns "no space left" into DISK_FULL that names the directory; leaves everything else as it is. */
export function asDiskError(error: unknown, directory: string): unknown {
  if (error instanceof StampyardError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const isFull =
    code === "ENOSPC" ||
    code === "EDQUOT" ||
    /No space left on device|Disk quota exceeded|Not enough space/i.test(String(message));
  return isFull ? diskFull(directory, error) : error;
}

export function diskFull(directory: string, cause: unknown): StampyardError {
  return new StampyardError("DISK_FULL", `No space left on the disk that holds ${directory}`, {
    cause,
    mend: `Free some space there (a new stamp needs about 60 MB), then apply again.`,
  });
}
