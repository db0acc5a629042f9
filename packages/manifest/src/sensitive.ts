import type { Path } from "./problem.ts";

/**
 * Fields whose values people put secrets into, rightly or not. Nothing below such a field is ever echoed: not in a
 * message, not in the source line under it.
 */
const sensitiveField =
  /^env$|^parameters$|^default$|pass|secret|token|credential|private|key|url|dsn|auth|salt|connection/i;

/** Below these, the next part is a name that somebody chose (a component called `auth` hides nothing). */
const named = new Set(["components", "pools"]);

export function isSensitivePath(path: Path): boolean {
  return path.some(
    (part, index) => typeof part === "string" && sensitiveField.test(part) && !named.has(String(path[index - 1])),
  );
}
