import { StampyardError } from "@stampyard/domain";
import { destination, type Logger, pino } from "pino";

/** JSON lines on stdout, each written before the call returns: a killed process has told all it knew. */
export function createLog(level: string): Logger {
  return pino(
    { level, base: { pid: process.pid }, serializers: { err: describeError } },
    destination({ fd: 1, sync: true }),
  );
}

/** Message, code and stack of an error and of its causes. No other field: drivers put rows and URLs in theirs (I33). */
export function describeError(error: unknown, depth = 0): Record<string, unknown> {
  if (!(error instanceof Error) || depth > 3) return { message: typeof error === "string" ? error : "not an Error" };
  const code = error instanceof StampyardError ? error.code : (error as { code?: unknown }).code;
  return {
    message: error.message,
    ...(typeof code === "string" ? { code } : {}),
    stack: error.stack?.split("\n").slice(1, 8).join("\n"),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}
