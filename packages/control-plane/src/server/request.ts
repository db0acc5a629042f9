import type { Endpoint } from "@stampyard/api";
import { type ErrorCode, errorStatus, type Problem, StampyardError } from "@stampyard/domain";

/** Largest body where the table says nothing else. */
const defaultBodyLimit = 1_048_576;

/** More faults than this help nobody, and each costs bytes of an answer. */
const maxProblems = 50;

/** The table's schemas, structurally: this package has no zod of its own. */
interface Schema {
  safeParse(value: unknown): { success: true; data: unknown } | { success: false; error: { issues: readonly Issue[] } };
}

interface Issue {
  readonly message: string;
  readonly path: readonly PropertyKey[];
  readonly code?: string | undefined;
  readonly params?: Readonly<Record<string, unknown>> | undefined;
}

/** @throws StampyardError INVALID_NAME when a name is at fault, INVALID_REQUEST otherwise; all faults at once */
export function validate(what: "path" | "query" | "body", schema: Schema | undefined, value: unknown): unknown {
  if (schema === undefined) return undefined;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.slice(0, maxProblems).map(problemOf);
  const named = result.error.issues.find((issue) => typeof issue.params?.["code"] === "string");
  const code = named?.params?.["code"];
  const first = problems[0];
  const where = first?.path === undefined ? "" : `${first.path}: `;
  // A name says by itself what it is; the text is then the one that a command gives without asking us.
  const isOneName = named !== undefined && problems.length === 1;
  throw new StampyardError(
    isErrorCode(code) ? code : "INVALID_REQUEST",
    isOneName && first !== undefined
      ? first.message
      : `Invalid ${what}${first === undefined ? "" : `: ${where}${first.message}`}`,
    { problems, mend: problems.find((problem) => problem.mend !== undefined)?.mend ?? "Mend the request as listed." },
  );
}

function problemOf(issue: Issue): Problem {
  const mend = issue.params?.["mend"];
  return {
    message: issue.message,
    ...(issue.path.length === 0 ? {} : { path: issue.path.map(String).join(".").slice(0, 200) }),
    ...(typeof mend === "string" ? { mend } : {}),
  };
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(errorStatus, code);
}

/**
 * The JSON body of a request, read no further than the endpoint allows; `{}` when there is none.
 * @throws StampyardError PAYLOAD_TOO_LARGE or INVALID_REQUEST
 */
export async function readBody(endpoint: Endpoint, request: Request): Promise<unknown> {
  if (endpoint.body === undefined) return undefined;
  const limit = endpoint.bodyLimit ?? defaultBodyLimit;
  if (Number(request.headers.get("content-length") ?? 0) > limit) throw tooLarge(limit);
  const text = await readText(request.body, limit);
  if (text === "") return {};
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    throw new StampyardError("INVALID_REQUEST", "The body is not application/json", {
      mend: "Send JSON with content-type: application/json.",
    });
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new StampyardError("INVALID_REQUEST", "The body is not valid JSON", { mend: "Send one JSON object." });
  }
}

async function readText(body: ReadableStream<Uint8Array> | null, limit: number): Promise<string> {
  if (body === null) return "";
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new StampyardError("INVALID_REQUEST", "The body is not UTF-8");
  }
}

function tooLarge(limit: number): StampyardError {
  return new StampyardError("PAYLOAD_TOO_LARGE", `The body is larger than ${limit} bytes`, {
    mend: "Send less at once.",
  });
}

/**
 * Query of a URL as a plain object.
 * @throws StampyardError INVALID_REQUEST when a field is given twice: whoever reads first and who reads last would differ
 */
export function readQuery(url: URL): Record<string, string> {
  const query: Record<string, string> = Object.create(null);
  for (const [name, value] of url.searchParams) {
    if (name in query)
      throw new StampyardError("INVALID_REQUEST", `The query names ${JSON.stringify(name.slice(0, 80))} twice`);
    query[name] = value;
  }
  return { ...query };
}

/**
 * The revision that `If-Match` names, or undefined when any will do.
 * @throws StampyardError INVALID_REQUEST
 */
export function readIfMatch(header: string | null): number | undefined {
  if (header === null || header.trim() === "*") return undefined;
  const digits = /^"([0-9]{1,15})"$/.exec(header.trim())?.[1];
  if (digits === undefined) {
    throw new StampyardError("INVALID_REQUEST", "If-Match is not one revision in quotes", {
      mend: 'Send the ETag of the resource as it is, e.g. "7".',
    });
  }
  return Number(digits);
}

/**
 * `Idempotency-Key` as sent.
 * @throws StampyardError INVALID_REQUEST
 */
export function readIdempotencyKey(header: string | null): string | undefined {
  if (header === null) return undefined;
  if (/^[\x21-\x7e]{1,200}$/.test(header)) return header;
  throw new StampyardError("INVALID_REQUEST", "Idempotency-Key is not 1 to 200 visible ASCII characters");
}

/** A request id that a caller may choose; anything else gets one of ours, because it is written to the log. */
export function isRequestId(text: string | null | undefined): text is string {
  return typeof text === "string" && /^[A-Za-z0-9_-]{8,64}$/.test(text);
}

/** The token of `Authorization: Bearer`, or undefined. */
export function readBearer(header: string | null): string | undefined {
  return /^Bearer ([\x21-\x7e]{1,200})$/i.exec(header?.trim() ?? "")?.[1];
}
