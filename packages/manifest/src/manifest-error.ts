import { StampyardError } from "@stampyard/domain";
import { excerptsOf } from "./format-problems.ts";
import type { Problem } from "./problem.ts";

/** Problems as the one error that crosses packages, each with its source line; `text` is the file they are in. */
export function manifestError(problems: readonly Problem[], text: string): StampyardError {
  const first = problems[0];
  const one = problems.length === 1 && first !== undefined;
  const message = one ? `${first.file}:${first.line}:${first.column} ${first.message}` : many(problems);
  const excerpts = excerptsOf(problems, text);
  return new StampyardError("INVALID_MANIFEST", message, {
    mend: one ? first.mend : "Mend each place that is named.",
    problems: problems.map((problem, index) => {
      const excerpt = excerpts[index];
      return excerpt === undefined ? problem : { ...problem, excerpt };
    }),
  });
}

function many(problems: readonly Problem[]): string {
  const files = [...new Set(problems.map((problem) => problem.file))].join(" and ");
  return `${problems.length} problems in ${files}`;
}
