export type Level = "ok" | "warn" | "fail";

export interface Check {
  readonly name: string;
  readonly level: Level;
  /** What was found, in words. */
  readonly found: string;
  /** What to do; only where something is to be done. */
  readonly mend?: string;
}

/** Runs one look; one that throws is a failure of that line, never of the whole examination. */
export async function look(name: string, run: () => Promise<Omit<Check, "name">>): Promise<Check> {
  try {
    return { name, ...(await run()) };
  } catch (error) {
    const { message, mend } = error as { message?: unknown; mend?: unknown };
    return { name, level: "fail", found: String(message), ...(typeof mend === "string" ? { mend } : {}) };
  }
}

export function worst(checks: readonly Check[]): Level {
  if (checks.some((check) => check.level === "fail")) return "fail";
  return checks.some((check) => check.level === "warn") ? "warn" : "ok";
}
