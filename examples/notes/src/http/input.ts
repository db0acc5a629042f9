import type { IncomingMessage } from "node:http";
import type { Cursor, NoteDraft } from "../notes.ts";
import { Problem } from "./problem.ts";

/** Largest request body, in bytes. */
export const maxBodyBytes = 256 * 1024;

/** Reads the whole body as JSON. @throws Problem 413, 415 or 400 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const type = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw new Problem(415, "not-json", "Send application/json");
  const body = await readBytes(request, maxBodyBytes);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new Problem(400, "malformed-json", "The body is not valid JSON");
  }
}

/** Reads the whole body as it is. @throws Problem 413 */
export async function readBytes(request: IncomingMessage, most: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop early must not destroy the request: its socket still has to carry our refusal.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    // The rest is not read, so this connection cannot carry another request.
    if (size > most) {
      throw new Problem(413, "too-large", `A body may have ${most} bytes`, { connection: "close" });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const tagName = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,39}$/u;

export function isUuid(text: string): boolean {
  return uuid.test(text);
}

/** Checks everything and says all that is wrong at once. @throws Problem 422 */
export function readDraft(input: unknown): NoteDraft {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new Problem(422, "invalid-note", "A note is a JSON object");
  }
  const problems: string[] = [];
  const known = ["id", "notebook", "title", "body", "tags"];
  for (const key of Object.keys(input)) {
    if (!known.includes(key)) problems.push(`${JSON.stringify(key.slice(0, 40))} is not a field of a note`);
  }
  const { id, notebook, title, body = "", tags = [] } = input as Record<string, unknown>;
  for (const [name, value] of Object.entries({ id, notebook })) {
    if (value !== undefined && !(typeof value === "string" && isUuid(value))) {
      problems.push(`${name} must be a lower-case UUID`);
    }
  }
  if (!isText(title, 1, 200)) problems.push("title must be a text of 1 to 200 characters");
  if (!isText(body, 0, 100_000)) problems.push("body must be a text of at most 100000 characters");
  if (!isTags(tags)) problems.push("tags must be at most 20 different names of letters, digits, spaces, . _ and -");
  if (problems.length > 0) throw new Problem(422, "invalid-note", problems.join("; "));
  return {
    title: title as string,
    body: body as string,
    tags: tags as readonly string[],
    ...(id === undefined ? {} : { id: id as string }),
    ...(notebook === undefined ? {} : { notebook: notebook as string }),
  };
}

function isText(value: unknown, min: number, max: number): value is string {
  if (typeof value !== "string" || value.length < min || value.length > max) return false;
  // PostgreSQL stores neither NUL nor half a surrogate pair; a stored text must come back as it was sent.
  return !/[\p{Surrogate}\0]/u.test(value);
}

function isTags(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length > 20 || new Set(value).size !== value.length) return false;
  return value.every((name) => typeof name === "string" && tagName.test(name));
}

/** `limit` is 1 to 100, `after` is the `next` of the page before. @throws Problem 400 */
export function readPaging(query: URLSearchParams): { limit: number; after?: Cursor } {
  const limit = query.get("limit") ?? "20";
  if (!/^[0-9]{1,3}$/.test(limit) || Number(limit) < 1 || Number(limit) > 100) {
    throw new Problem(400, "invalid-limit", "limit must be a number from 1 to 100");
  }
  const after = query.get("after");
  if (after === null) return { limit: Number(limit) };
  const [micros = "", id = "", ...rest] = after.split("~");
  if (rest.length > 0 || !/^[0-9]{1,17}$/.test(micros) || !isUuid(id)) {
    throw new Problem(400, "invalid-cursor", "after must be the next of an earlier page");
  }
  return { limit: Number(limit), after: { micros, id } };
}

export function writeCursor({ micros, id }: Cursor): string {
  return `${micros}~${id}`;
}

/** `If-Match: "3"` (RFC 9110 section 13.1.1); undefined = any revision will do. @throws Problem 400 */
export function readIfMatch(header: string | undefined): number | undefined {
  if (header === undefined || header === "*") return undefined;
  const [, revision] = /^"([0-9]{1,9})"$/.exec(header) ?? [];
  if (revision === undefined) throw new Problem(400, "invalid-if-match", 'If-Match must be one revision such as "3"');
  return Number(revision);
}
