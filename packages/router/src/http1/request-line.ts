import type { RefusalReason } from "../refusals.ts";
import * as octetValues from "./octets.ts";

// As in field-line.ts: of this module, for V8.
const { isTargetOctet, space, standsAt, tokenClass } = octetValues;

export interface RequestLine {
  method: string;
  path: string;
  query: string;
  /** Of an absolute-form target; must equal the Host. */
  authority: string | undefined;
  http10: boolean;
  /** Behind CR LF. */
  next: number;
}

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const maxTarget = 8_192;
const get = Buffer.from("GET ");
const http11 = Buffer.from("HTTP/1.1\r\n");
const http10 = Buffer.from("HTTP/1.0\r\n");

/**
 * Reads `method SP target SP version` (RFC 9112 section 3). More than one space is read, and sent on as one.
 * @param octets of the text, as `octetsOf` gives them
 */
export function readRequestLine(
  text: string,
  octets: Uint8Array,
  start: number,
  line: RequestLine,
): RefusalReason | undefined {
  line.method = "";
  let at = start;
  while ((tokenClass[octets[at] as number] ?? 0) !== 0) at++;
  if (at === start || octets[at] !== space) return "bad-syntax";
  const method = standsAt(octets, start, get) ? "GET" : text.slice(start, at);
  line.method = method.length <= 16 ? method : "";
  while (octets[at] === space) at++;

  const targetStart = at;
  let odd = false;
  let question = -1;
  for (;;) {
    const octet = octets[at] as number;
    if (isTargetOctet[octet] !== 1) {
      if (octet === space || octet === 13 || octet === 10 || at >= text.length) break;
      odd = true;
    } else if (octet === 0x23) odd = true;
    else if (octet === 0x3f && question < 0) question = at;
    // %00 ends the path for readers written in C.
    else if (octet === 0x25 && octets[at + 1] === 0x30 && octets[at + 2] === 0x30) odd = true;
    at++;
  }
  const targetEnd = at;
  if (targetEnd === targetStart) return "bad-syntax";
  const version = readVersion(text, octets, at, line);
  if (version !== undefined) return version;
  if (method !== "GET" && !methods.has(method)) return "bad-method";
  if (targetEnd - targetStart > maxTarget) return "target-too-long";
  if (odd) return "bad-target";
  line.authority = undefined;
  if (octets[targetStart] !== 0x2f) return readAbsolute(text.slice(targetStart, targetEnd), line);
  const pathEnd = question < 0 ? targetEnd : question;
  line.path = text.slice(targetStart, pathEnd);
  line.query = question < 0 ? "" : text.slice(question, targetEnd);
  return undefined;
}

/** `HTTP/1.1 CR LF` or `HTTP/1.0 CR LF`; other versions have an answer of their own, none is HTTP/0.9. */
function readVersion(text: string, octets: Uint8Array, from: number, line: RequestLine): RefusalReason | undefined {
  let at = from;
  while (octets[at] === space) at++;
  line.http10 = standsAt(octets, at, http10);
  if (line.http10 || standsAt(octets, at, http11)) {
    line.next = at + http11.length;
    return undefined;
  }
  const lineEnd = text.indexOf("\r\n", from);
  const rest = lineEnd < 0 ? text.slice(from) : text.slice(from, lineEnd);
  return /^ *(?:[A-Z]+\/[0-9]+(?:\.[0-9]+)?)?$/.test(rest) ? "bad-version" : "bad-syntax";
}

/** Absolute-form (RFC 9112 section 3.2.2) becomes origin-form; nothing else is a target here. */
function readAbsolute(target: string, line: RequestLine): RefusalReason | undefined {
  const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(target);
  if (absolute === null) return "bad-target";
  line.authority = absolute[1] ?? "";
  const rest = absolute[2] ?? "";
  const origin = rest.startsWith("/") ? rest : `/${rest}`;
  const mark = origin.indexOf("?");
  line.path = mark < 0 ? origin : origin.slice(0, mark);
  line.query = mark < 0 ? "" : origin.slice(mark);
  return undefined;
}
