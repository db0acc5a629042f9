import { type ErrorCode, errorStatus, type Problem, StampyardError } from "@stampyard/domain";
import { type ProblemView, problemSchema } from "./schemas/problem.ts";

/** The wire form of an error. What we did not expect says nothing of its cause; the log has it, under the request id. */
export function problemOf(error: StampyardError, requestId?: string): ProblemView {
  const status = errorStatus[error.code];
  return {
    type: `https://stampyard.dev/problems/${error.code.toLowerCase().replaceAll("_", "-")}`,
    title: titleOf(error.code),
    status,
    code: error.code,
    detail: error.message,
    ...(error.mend === undefined ? {} : { mend: error.mend }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(error.problems.length === 0 ? {} : { problems: error.problems.map((problem) => ({ ...problem })) }),
  };
}

/** `STALE_REVISION` → `Stale revision`. */
function titleOf(code: ErrorCode): string {
  const words = code.toLowerCase().replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The error that an answer stands for; whoever sent it, the result is a StampyardError. */
export async function errorOf(response: Response): Promise<StampyardError> {
  const text = await response.text().catch(() => "");
  const problem = problemSchema.safeParse(jsonOr(text));
  if (!problem.success || !isErrorCode(problem.data.code)) {
    return new StampyardError(codeOfStatus(response.status), `Answer ${response.status} without a known problem`, {
      mend: "Check that the address is a Stampyard control plane of this version.",
    });
  }
  const { code, detail, mend, problems } = problem.data;
  return new StampyardError(code, detail, {
    ...(mend === undefined ? {} : { mend }),
    ...(problems === undefined ? {} : { problems: problems as readonly Problem[] }),
  });
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorStatus, code);
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return "UNAUTHENTICATED";
  if (status === 403) return "FORBIDDEN";
  if (status === 404) return "NOT_FOUND";
  return status >= 500 ? "INTERNAL" : "INVALID_REQUEST";
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
