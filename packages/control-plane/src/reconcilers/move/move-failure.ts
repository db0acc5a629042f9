import { type ErrorCode, StampyardError } from "@stampyard/domain";
import { causeOf } from "../failure.ts";

/** What time does not mend. */
const finalCodes: readonly ErrorCode[] = ["MOVE_REFUSED", "NOT_EQUAL", "CAPABILITY_MISSING"];
/** So many problems of a refusal stand in the row of a move; a dry run shows them all. */
const mostProblems = 3;

/** Somebody wrote meanwhile, or wants something else now: look again, nothing has failed. */
export function isOverrun(error: StampyardError): boolean {
  return error.code === "STALE_REVISION" || error.code === "CANCELLED";
}

/** For the row: first line and mend, never a stack and nothing that another's log said (I33). */
export function failureOf(caught: unknown): { readonly cause: string; readonly isFinal: boolean } {
  const error = StampyardError.from(caught);
  return { cause: `${error.code}: ${wordsOf(error)}`, isFinal: finalCodes.includes(error.code) };
}

function wordsOf(error: StampyardError): string {
  if (error.code !== "MOVE_REFUSED" || error.problems.length === 0) return causeOf(error);
  const shown = error.problems.slice(0, mostProblems).map(({ message, mend }) => {
    return mend === undefined ? message : `${message}. ${mend}`;
  });
  const more = error.problems.length - shown.length;
  return `${shown.join(" ")}${more > 0 ? ` And ${more} more: see them with --dry-run.` : ""}`.slice(0, 900);
}
