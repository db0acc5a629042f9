import { randomBytes } from "node:crypto";
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { StampyardError } from "@stampyard/domain";
import { makeMasterKey, type MasterKeys } from "./seal.ts";

export interface MasterKeySource {
  /** `<state>/secrets/master.key`: base64 of 32 bytes per line, the current one first. */
  readonly file: string;
  /** Value of STAMPYARD_MASTER_KEY, same form with commas; wins over the file. */
  readonly env?: string | undefined;
}

/**
 * Master keys from the environment or the 0600 file, which is made when it is missing and `create` says so. An older
 * key stays in the list until `rewrapSecrets` has run.
 * @throws StampyardError NOT_FOUND, INVALID_REQUEST, FORBIDDEN when others may read the file
 */
export function loadMasterKeys(source: MasterKeySource, options: { readonly create: boolean }): MasterKeys {
  if (source.env !== undefined && source.env !== "") return parse(source.env.split(","), "STAMPYARD_MASTER_KEY");
  const text = readPrivate(source.file) ?? (options.create ? createFile(source.file) : undefined);
  if (text === undefined) {
    throw new StampyardError("NOT_FOUND", `There is no master key at ${source.file}`, {
      mend: "Put back the file that belongs to this store, or set STAMPYARD_MASTER_KEY.",
    });
  }
  return parse(text.split("\n"), source.file);
}

function parse(entries: readonly string[], where: string): MasterKeys {
  const keys = entries
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .map((entry) => {
      const bytes = Buffer.from(entry, "base64");
      if (bytes.length !== 32) throw malformed(where);
      return makeMasterKey(bytes);
    });
  const [first, ...older] = keys;
  if (first === undefined) throw malformed(where);
  return [first, ...older];
}

function malformed(where: string): StampyardError {
  return new StampyardError("INVALID_REQUEST", `The master key in ${where} is not 32 bytes as base64`, {
    mend: "Make one with: openssl rand -base64 32",
  });
}

function readPrivate(file: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    if ((fstatSync(fd).mode & 0o077) !== 0) {
      throw new StampyardError("FORBIDDEN", `Others may read the master key ${file}`, { mend: `chmod 600 ${file}` });
    }
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/** Whole or not at all, and never over another's: two processes that start together end up with one key. */
function createFile(file: string): string {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}.draft`;
  const fd = openSync(draft, "wx", 0o600);
  try {
    writeSync(fd, `${randomBytes(32).toString("base64")}\n`);
    fsyncSync(fd);
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    closeSync(fd);
    rmSync(draft, { force: true });
  }
  return readPrivate(file) ?? "";
}
