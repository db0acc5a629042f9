import { StampyardError } from "@stampyard/domain";
import type { Problem } from "./problem.ts";

/** Problems as the one error that crosses packages, for callers that cannot show source lines. */
export function manifestError(problems: readonly Problem[]): StampyardError {
  const first = problems[0];
  const lines = problems.map((problem) => `${problem.file}:${problem.line}:${problem.column} ${problem.message}`);
  const mend = problems.length === 1 && first !== undefined ? first.mend : "Mend each place that is named.";
  return new StampyardError("INVALID_MANIFEST", lines.join("\n"), { mend });
}
