import type { Endpoint } from "@stampyard/api";
import { StampyardError } from "@stampyard/domain";
import { encodeEvents, encodeLines, streamOf } from "./stream.ts";

/** How a stream ends badly: by its source, or by its reader. */
export interface StreamEnds {
  readonly onError: (caught: unknown) => void;
  readonly onCancel: () => void;
}

export interface Answer {
  readonly status: number;
  /** Of a json answer: what may be kept and given again. */
  readonly json?: unknown;
  toResponse(ends: StreamEnds): Response;
}

const mediaTypes = {
  lines: "text/plain; charset=utf-8",
  events: "text/event-stream",
  frames: "application/vnd.stampyard.feed",
  file: "application/octet-stream",
} as const;

/** What a handler gave, as the table says it leaves. */
export function answerOf(endpoint: Endpoint, given: unknown): Answer {
  const { status, answers } = endpoint;
  if (answers === "none") return { status, toResponse: () => new Response(null, { status }) };
  if (answers === "json") return jsonAnswer(status, cut(endpoint, given));
  return {
    status,
    toResponse: ({ onError, onCancel }) => {
      const bytes = bytesOf(answers, given as AsyncIterable<unknown>);
      const body = streamOf(reporting(bytes, onError), onCancel);
      return new Response(body, { status, headers: { "content-type": mediaTypes[answers] } });
    },
  };
}

export function jsonAnswer(status: number, json: unknown): Answer {
  return {
    status,
    json,
    toResponse: () => {
      const headers = new Headers({ "content-type": "application/json" });
      const revision = (json as { revision?: unknown } | null)?.revision;
      if (typeof revision === "number") headers.set("etag", `"${revision}"`);
      return new Response(JSON.stringify(json), { status, headers });
    },
  };
}

/** Only what the schema names leaves, so a record that grew a field never shows it by accident (I33). */
function cut(endpoint: Endpoint, given: unknown): unknown {
  const result = endpoint.response?.safeParse(given);
  if (result === undefined || result.success) return result?.data;
  const where = result.error.issues[0];
  throw new StampyardError("INTERNAL", "Unexpected failure", {
    cause: new TypeError(`${endpoint.method} ${endpoint.path} answers ${where?.path.join(".")}: ${where?.message}`),
  });
}

function bytesOf(
  answers: "lines" | "events" | "frames" | "file",
  given: AsyncIterable<unknown>,
): AsyncIterable<Uint8Array> {
  if (answers === "lines") return encodeLines(given as AsyncIterable<string>);
  if (answers === "events") return encodeEvents(given);
  return given as AsyncIterable<Uint8Array>;
}

async function* reporting(
  bytes: AsyncIterable<Uint8Array>,
  onError: (caught: unknown) => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes;
  } catch (caught) {
    onError(caught);
  }
}
