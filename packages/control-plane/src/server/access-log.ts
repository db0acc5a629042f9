import { StampyardError } from "@stampyard/domain";
import type { Actor } from "./call.ts";

/** The part of a pino logger that is used here. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface AccessLog {
  /** Starts the watch of one request; call the result when its answer begins. */
  begin(): (seen: SeenRequest) => void;
  failure(seen: { readonly requestId: string; readonly error: unknown }): void;
}

interface SeenRequest {
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly actor: Actor | undefined;
}

/** One line per request. No header, no query and no body is ever written, so no secret of theirs is (I33). */
export function createAccessLog(logger: Logger, now: () => number): AccessLog {
  return {
    begin() {
      const start = now();
      return ({ requestId, method, path, status, actor }) => {
        const fields = { requestId, method, path: path.slice(0, 300), status, ms: now() - start, actor: actor?.name };
        if (status >= 500) logger.warn(fields, "request");
        // Reads come many times a second, from whoever watches; a change, or a refusal, is what a reader of the log wants.
        else if (method === "GET" && status < 400) logger.debug(fields, "request");
        else logger.info(fields, "request");
      };
    },
    failure({ requestId, error }) {
      logger.error({ requestId, ...describe(error) }, "request failed");
    },
  };
}

/** Message, code and stack of an error and its causes; no other field, because drivers put values of rows in theirs. */
function describe(error: unknown, depth = 0): Record<string, unknown> {
  if (!(error instanceof Error) || depth > 3) return { error: "not an Error" };
  const code = error instanceof StampyardError ? error.code : (error as { code?: unknown }).code;
  return {
    error: error.message,
    ...(typeof code === "string" ? { code } : {}),
    stack: error.stack?.split("\n").slice(1, 8).join("\n"),
    ...(error.cause === undefined ? {} : { cause: describe(error.cause, depth + 1) }),
  };
}
