import { chmodSync, mkdirSync } from "node:fs";
import { StampyardError } from "@stampyard/domain";
import { asDiskError } from "../file.ts";
import { defaultCacheDir, isReachable, isRoot } from "../places.ts";

/** Makes the cache directory. As root it must be open to the stamps' own users, who run the programs inside. */
export function makeCacheDir(chosen?: string): string {
  const dir = chosen ?? defaultCacheDir();
  try {
    mkdirSync(dir, { recursive: true, mode: 0o755 });
    if (isRoot) chmodSync(dir, 0o755);
  } catch (error) {
    throw asDiskError(error, dir);
  }
  if (!isRoot || isReachable(dir)) return dir;
  throw new StampyardError("FORBIDDEN", `Cache directory ${dir} cannot be reached by the users of the stamps`, {
    mend: "Set STAMPYARD_CACHE to a directory below world-readable ones, such as /var/cache/stampyard.",
  });
}
