import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The platform as it was before rollouts, built beside the present one. */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** The last commit without rollouts. */
export const beforeRollouts = "87b4e95";

/** Whether the history reaches back so far: a shallow clone has none. */
export function hasPrevious(commit = beforeRollouts): boolean {
  try {
    execFileSync("git", ["cat-file", "-e", `${commit}^{commit}`], { cwd: root, stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/**
 * Files of that commit with the packages that it had, built once and kept for the next run.
 * @returns its folder
 * @throws Error where the history does not reach back so far, as in a shallow clone
 */
export function buildPrevious(commit = beforeRollouts): string {
  const dir = join(tmpdir(), `stampyard-previous-${commit}`);
  if (existsSync(join(dir, "built"))) return dir;
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { mode: 0o755 });
  const archive = execFileSync("git", ["archive", commit], { cwd: root, maxBuffer: 256 * 1024 * 1024 });
  execFileSync("tar", ["-x", "-C", dir], { input: archive });
  execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: dir, stdio: "pipe" });
  const tsc = join(dir, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-b", "tsconfig.solution.json"], { cwd: dir, stdio: "pipe" });
  writeFileSync(join(dir, "built"), "");
  return dir;
}
