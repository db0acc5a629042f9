import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

const knownDirs = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/opt/homebrew/bin",
  "/opt/homebrew/sbin",
];

/** All files of these names on PATH and in the usual places, by name first. Relative PATH entries are not trusted. */
export function findProgram(names: readonly string[], path = process.env["PATH"] ?? ""): readonly string[] {
  const dirs = [...new Set([...path.split(delimiter).filter(isAbsolute), ...knownDirs])];
  return names.flatMap((name) => dirs.map((dir) => join(dir, name)).filter(isExecutable));
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
