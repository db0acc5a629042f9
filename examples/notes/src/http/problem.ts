import { refusalHeader } from "@stampyard/guard";

/** A refusal that the client is told about, as RFC 9457 says. `code` is for programs and never changes. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export function problemBody({ status, code, message }: Problem): string {
  return JSON.stringify({ type: "about:blank", title: code, status, code, detail: message });
}

/**
 * What a failed handler means to the client. Unknown failures keep their message for the log: it may quote data.
 * @param sqlState SQLSTATE, when the database said it
 */
export function problemOf(caught: unknown, sqlState: string | undefined): Problem {
  if (caught instanceof Problem) return caught;
  const retry = { "retry-after": "1" };
  // 23503 on an insert: the account row is gone or not there yet, because every table hangs on it.
  if (sqlState === "23503") return new Problem(503, "workspace-not-ready", "The workspace is not ready", retry);
  // SY001 and on: the fence in the database refuses writes of a tenant that is being moved. Nothing was done, and the
  // router is told so as by the guard: the same request will work in a moment, here or elsewhere.
  if (sqlState?.startsWith("SY")) {
    const headers = { ...retry, [refusalHeader]: "not-active" };
    return new Problem(503, "workspace-moving", "The workspace is being moved", headers);
  }
  if (sqlState !== undefined && unavailable.test(sqlState)) return databaseAway(retry);
  if (sqlState === undefined && isConnectionFailure(caught)) return databaseAway(retry);
  return new Problem(500, "internal", "Something unexpected happened");
}

/** Connection exceptions, resources (too many connections), operator intervention (restart, timeout), lock timeouts. */
const unavailable = /^(?:08|53|57|55P03|40)/;

function databaseAway(headers: Readonly<Record<string, string>>): Problem {
  return new Problem(503, "database-unavailable", "The database does not answer right now", headers);
}

/** The driver has no class for these: a system code, or one of its fixed messages. */
function isConnectionFailure(caught: unknown): boolean {
  if (!(caught instanceof Error)) return false;
  if ("code" in caught && /^(?:ECONN|ENOENT|EPIPE|ETIMEDOUT)/.test(String(caught.code))) return true;
  return /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered)/.test(
    caught.message,
  );
}
