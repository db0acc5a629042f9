import type { Finding, Path } from "./problem.ts";
import { keyOffset, type Plain, type ReadFile, valueOffset } from "./read-yaml.ts";

/** Adds a finding at a key or at its value. */
export function at(
  file: ReadFile,
  findings: Finding[],
  where: "key" | "value",
  path: Path,
  message: string,
  mend: string,
): void {
  const offset = where === "key" ? keyOffset(file.places, path) : valueOffset(file.places, path);
  findings.push({ offset, path, message, mend });
}

export function once(file: ReadFile, findings: Finding[], list: Plain | undefined, path: Path, what: string): void {
  const seen = new Set<string>();
  for (const [index, item] of (Array.isArray(list) ? list : []).entries()) {
    if (typeof item !== "string") continue;
    if (seen.has(item)) {
      at(file, findings, "value", [...path, index], `${what} stands twice in the list`, "Keep one of the two.");
    }
    seen.add(item);
  }
}
