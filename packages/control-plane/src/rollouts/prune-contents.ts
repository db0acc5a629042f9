import { randomBytes } from "node:crypto";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Digest, Instant } from "@stampyard/domain";

/** Between the copy of an apply and the record of its release lie seconds; an hour is beyond doubt. */
const leastAgeMs = 60 * 60_000;

/**
 * Removes kept files that nobody wants. What is younger than an hour stays: its release may not be recorded yet, or a
 * rollout of it not be started. Crash: a draft is left, which the next copy sweeps.
 * @param root folder of all contents
 * @returns what was removed
 */
export async function pruneContents(
  root: string,
  wanted: ReadonlySet<Digest>,
  now: Instant,
): Promise<readonly Digest[]> {
  const removed: Digest[] = [];
  for (const name of await namesIn(root)) {
    const content: Digest = `sha256:${name}`;
    if (!/^[0-9a-f]{64}$/.test(name) || wanted.has(content)) continue;
    if (await removeIfOld(root, name, now)) removed.push(content);
  }
  return removed;
}

async function namesIn(root: string): Promise<readonly string[]> {
  try {
    return (await readdir(root)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function removeIfOld(root: string, name: string, now: Instant): Promise<boolean> {
  const home = join(root, name);
  if (!(await isOld(home, now))) return false;
  const draft = join(root, `.draft-${process.pid}-${randomBytes(6).toString("hex")}`);
  await rename(home, draft);
  // Somebody may have asked for it between the look and the move: then it goes back, unless it was copied anew already.
  if (!(await isOld(draft, now))) {
    const isBack = await rename(draft, home).then(
      () => true,
      () => false,
    );
    if (isBack) return false;
  }
  await rm(draft, { recursive: true, force: true });
  return true;
}

async function isOld(path: string, now: Instant): Promise<boolean> {
  return now - (await stat(path)).mtimeMs >= leastAgeMs;
}
