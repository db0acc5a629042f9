/**
 * A second opinion on HTTP/1.1 messages, written for the tests from RFC 9110 and 9112 and sharing nothing with the
 * router: one grammar, no repairs. Texts are bytes as latin1.
 */
export interface Field {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
}

export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  readonly version: "1.0" | "1.1";
  readonly fields: readonly Field[];
  readonly framing: "none" | "length" | "chunked";
  readonly body: string;
}

export type StreamEnd =
  | { readonly kind: "clean" }
  /** More bytes are needed. */
  | { readonly kind: "incomplete"; readonly headRead: boolean }
  | { readonly kind: "error"; readonly why: string };

export interface ReadStream {
  readonly requests: readonly ReadRequest[];
  /** Bytes that the requests took. */
  readonly consumed: number;
  readonly end: StreamEnd;
}

class Malformed extends Error {}
class Incomplete extends Error {
  readonly headRead: boolean;
  constructor(headRead: boolean) {
    super("incomplete");
    this.headRead = headRead;
  }
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const fieldValue = /^[\t \x21-\x7e\x80-\xff]*$/;

/** Reads requests one behind the other until the bytes end or break a rule. */
export function readRequests(bytes: string): ReadStream {
  const requests: ReadRequest[] = [];
  let at = 0;
  while (at < bytes.length) {
    try {
      const { request, end } = readRequest(bytes, at);
      requests.push(request);
      at = end;
    } catch (caught) {
      if (caught instanceof Malformed) return { requests, consumed: at, end: { kind: "error", why: caught.message } };
      if (!(caught instanceof Incomplete)) throw caught;
      return { requests, consumed: at, end: { kind: "incomplete", headRead: caught.headRead } };
    }
  }
  return { requests, consumed: at, end: { kind: "clean" } };
}

function readRequest(bytes: string, start: number): { request: ReadRequest; end: number } {
  const line = readLine(bytes, start, false);
  const match = /^(\S+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.([01])$/.exec(line.text);
  if (match === null) throw new Malformed(`request line ${JSON.stringify(line.text.slice(0, 80))}`);
  const [, method = "", target = "", minor] = match;
  if (!token.test(method)) throw new Malformed(`method ${JSON.stringify(method)}`);
  const version = minor === "0" ? "1.0" : "1.1";
  const head = readFields(bytes, line.end, false);
  const framing = framingOf(head.fields, version);
  if (framing === "chunked") {
    const { body, end } = readChunked(bytes, head.end);
    return { request: { method, target, version, fields: head.fields, framing: "chunked", body }, end };
  }
  const length = framing === "none" ? 0 : framing.length;
  if (bytes.length < head.end + length) throw new Incomplete(true);
  const body = bytes.slice(head.end, head.end + length);
  const kind = framing === "none" ? "none" : "length";
  return { request: { method, target, version, fields: head.fields, framing: kind, body }, end: head.end + length };
}

/** One line and the place behind its CRLF. */
function readLine(bytes: string, start: number, headRead: boolean): { text: string; end: number } {
  const feed = bytes.indexOf("\n", start);
  const stop = feed < 0 ? bytes.length : feed;
  const bare = bytes.slice(start, stop).indexOf("\r");
  if (bare >= 0 && start + bare < stop - 1) throw new Malformed("bare CR");
  if (feed < 0) throw new Incomplete(headRead);
  if (feed === start || bytes[feed - 1] !== "\r") throw new Malformed("bare LF");
  return { text: bytes.slice(start, feed - 1), end: feed + 1 };
}

function readFields(bytes: string, start: number, headRead: boolean): { fields: Field[]; end: number } {
  const fields: Field[] = [];
  let at = start;
  for (;;) {
    const line = readLine(bytes, at, headRead);
    at = line.end;
    if (line.text === "") return { fields, end: at };
    const colon = line.text.indexOf(":");
    const name = line.text.slice(0, colon);
    const value = line.text.slice(colon + 1);
    if (colon < 1 || !token.test(name)) throw new Malformed(`field line ${JSON.stringify(line.text.slice(0, 80))}`);
    if (!fieldValue.test(value)) throw new Malformed(`value of ${name}`);
    fields.push({ name: name.toLowerCase(), value: value.replace(/^[\t ]+|[\t ]+$/g, "") });
  }
}

/** RFC 9112 section 6, where every doubt is an error. */
function framingOf(fields: readonly Field[], version: string): "none" | "chunked" | { length: number } {
  const encodings = valuesOf(fields, "transfer-encoding");
  const lengths = valuesOf(fields, "content-length");
  if (encodings.length > 0) {
    if (version === "1.0") throw new Malformed("transfer-encoding on 1.0");
    if (lengths.length > 0) throw new Malformed("content-length beside transfer-encoding");
    if (encodings.length > 1 || encodings[0]?.toLowerCase() !== "chunked") throw new Malformed("transfer-encoding");
    return "chunked";
  }
  if (lengths.length === 0) return "none";
  const [text = ""] = lengths;
  if (lengths.length > 1 || !/^[0-9]+$/.test(text)) throw new Malformed("content-length");
  const length = Number(text);
  if (length > 2 ** 53) throw new Malformed("content-length is too large");
  return { length };
}

function readChunked(bytes: string, start: number): { body: string; end: number } {
  let body = "";
  let at = start;
  for (;;) {
    const line = readLine(bytes, at, true);
    // BWS before the semicolon is grammar, if bad: RFC 9112 section 7.1.1.
    const match = /^([0-9A-Fa-f]+)(?:[\t ]*;[\t \x21-\x7e\x80-\xff]*)?$/.exec(line.text);
    const digits = (match?.[1] ?? "").replace(/^0+(?=.)/, "");
    if (match === null || digits.length > 13)
      throw new Malformed(`chunk size ${JSON.stringify(line.text.slice(0, 40))}`);
    const size = Number.parseInt(digits, 16);
    if (size === 0) return { body, end: readFields(bytes, line.end, true).end };
    const end = line.end + size;
    if (bytes.length < end + 2) {
      const tail = bytes.slice(end);
      if (tail.length > 0 && !"\r\n".startsWith(tail)) throw new Malformed("chunk is not followed by CRLF");
      throw new Incomplete(true);
    }
    if (bytes.slice(end, end + 2) !== "\r\n") throw new Malformed("chunk is not followed by CRLF");
    body += bytes.slice(line.end, end);
    at = end + 2;
  }
}

export function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter((field) => field.name === name).map((field) => field.value);
}

export interface ReadResponse {
  readonly status: number;
  readonly version: string;
  readonly reasonPhrase: string;
  readonly fields: readonly Field[];
  readonly body: string;
  readonly framing: "none" | "length" | "chunked" | "until-close";
  /** False: the bytes ended before the message did. */
  readonly complete: boolean;
}

export interface ReadAnswers {
  /** Final ones, in order. */
  readonly answers: readonly ReadResponse[];
  readonly interim: readonly number[];
  readonly error: string | undefined;
  /** Bytes behind the last complete answer, for example of a tunnel. */
  readonly rest: string;
}

/**
 * Reads what a client got.
 * @param methods of the requests in order; answers to HEAD have no body
 * @param ended the connection was closed in order (FIN), so that a body may end there
 */
export function readAnswers(bytes: string, methods: readonly string[], ended: boolean): ReadAnswers {
  const answers: ReadResponse[] = [];
  const interim: number[] = [];
  let at = 0;
  try {
    while (at < bytes.length) {
      const line = readLine(bytes, at, false);
      const match = /^HTTP\/(1\.[01]) ([0-9]{3}) ([\t \x21-\x7e\x80-\xff]*)$/.exec(line.text);
      if (match === null) throw new Malformed(`status line ${JSON.stringify(line.text.slice(0, 80))}`);
      const [, version = "", code = "", reasonPhrase = ""] = match;
      const status = Number(code);
      const head = readFields(bytes, line.end, false);
      if (status < 200 && status !== 101) {
        interim.push(status);
        at = head.end;
        continue;
      }
      const bodiless = methods[answers.length] === "HEAD" || status === 204 || status === 304 || status === 101;
      const rest = bodiless ? emptyBody(head.end) : readAnswerBody(bytes, head, version, ended);
      answers.push({ status, version, reasonPhrase, fields: head.fields, ...rest.read });
      if (!rest.read.complete) return { answers, interim, error: undefined, rest: "" };
      at = rest.end;
      if (status === 101) break;
    }
  } catch (caught) {
    if (caught instanceof Incomplete) return { answers, interim, error: undefined, rest: bytes.slice(at) };
    if (!(caught instanceof Malformed)) throw caught;
    return { answers, interim, error: caught.message, rest: bytes.slice(at) };
  }
  return { answers, interim, error: undefined, rest: bytes.slice(at) };
}

interface AnswerBody {
  readonly read: Pick<ReadResponse, "body" | "framing" | "complete">;
  readonly end: number;
}

function emptyBody(end: number): AnswerBody {
  return { read: { body: "", framing: "none", complete: true }, end };
}

function readAnswerBody(
  bytes: string,
  head: { fields: Field[]; end: number },
  version: string,
  ended: boolean,
): AnswerBody {
  const framing = framingOf(head.fields, version);
  if (framing === "chunked") {
    try {
      const { body, end } = readChunked(bytes, head.end);
      return { read: { body, framing: "chunked", complete: true }, end };
    } catch (caught) {
      if (!(caught instanceof Incomplete)) throw caught;
      return { read: { body: bytes.slice(head.end), framing: "chunked", complete: false }, end: bytes.length };
    }
  }
  if (framing === "none") {
    return { read: { body: bytes.slice(head.end), framing: "until-close", complete: ended }, end: bytes.length };
  }
  const end = head.end + framing.length;
  const body = bytes.slice(head.end, end);
  return { read: { body, framing: "length", complete: bytes.length >= end }, end };
}
