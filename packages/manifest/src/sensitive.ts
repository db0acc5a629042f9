import type { Path } from "./problem.ts";

/**
 * Fields whose values people put secrets into, rightly or not. Nothing below such a field is ever echoed: not in a
 * message, not in the source line under it.
 */
const sensitiveField =
  /^env$|^parameters$|^default$|pass|secret|token|credential|private|key|url|dsn|auth|salt|connection/i;

/** Below these, the next part is a name that somebody chose (a component called `auth` hides nothing). */
const named = new Set(["components", "pools", "parameters"]);

export function isSensitivePath(path: Path): boolean {
  // What a parameter is says nothing of its value.
  if (path[0] === "parameters" && path.length === 3 && path[2] !== "default") return false;
  const last = path.length - 1;
  return path.some((part, index) => {
    if (typeof part !== "string" || !sensitiveField.test(part)) return false;
    return index === last || !named.has(String(path[index - 1]));
  });
}
