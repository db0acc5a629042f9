import { refusalHeader, reservedPrefix } from "@stampyard/guard";
import { foldName, listTokens } from "../field-names.ts";
import { canonicalLine, endOfHead, newFieldLine, readFieldLine, readLength } from "./field-line.ts";
import { kindOfName, knownNames } from "./known-names.ts";
import { cr, lf, maxHeadBytes, octetsOf, standsAt } from "./octets.ts";

/** A stamp's answer, as far as we understand it. Filled again for every answer. */
export interface ResponseHead {
  status: number;
  http10: boolean;
  /** Canonical lines for the client; framing and connection are not among them. */
  lines: string;
  /** Content-Length; -1 = none. */
  length: number;
  chunked: boolean;
  closes: boolean;
  /** What a guard said; undefined if it let the request pass. */
  refusal: string | undefined;
  upgrade: string;
  webSocketAccept: string;
  eventStream: boolean;
  /** Behind the empty line. */
  end: number;
}

export function newResponseHead(): ResponseHead {
  return {
    status: 0,
    http10: false,
    lines: "",
    length: -1,
    chunked: false,
    closes: false,
    refusal: undefined,
    upgrade: "",
    webSocketAccept: "",
    eventStream: false,
    end: 0,
  };
}

const treatments = new Map<string, number>([
  ["content-length", 1],
  ["transfer-encoding", 2],
  ["connection", 3],
  [refusalHeader, 4],
  ["upgrade", 5],
  ["sec-websocket-accept", 6],
  ["content-type", 7],
  ["keep-alive", 8],
  ["proxy-connection", 8],
  ["proxy-authenticate", 8],
  ["proxy-authorization", 8],
  ["te", 8],
  ["trailer", 8],
  ["http2-settings", 8],
  ["x-request-id", 8],
]);
const known = knownNames(treatments);
/** A stamp that names one of these in `Connection` would cut the response apart. */
const neverHopByHop = new Set(["content-length", "content-type", "set-cookie", "transfer-encoding"]);
const maxFields = 200;
const line = newFieldLine();

/** Reads a response head; what is not clear is `bad`, because guessing its length would mix up two answers (I9). */
export function readResponseHead(text: string, head: ResponseHead): "complete" | "incomplete" | "bad" {
  if (readWhole(text, head) && head.end <= maxHeadBytes) return "complete";
  // What is not there as a whole yet may look like any fault.
  const mayFollow = endOfHead(text, 0) < 0 && text.length <= maxHeadBytes && canBeStatusLine(text);
  return mayFollow ? "incomplete" : "bad";
}

function readWhole(text: string, head: ResponseHead): boolean {
  const octets = octetsOf(text);
  const next = readStatusLine(text, octets, head);
  if (next < 0) return false;
  const tokens = readFields(text, octets, next, undefined, head);
  if (tokens === undefined) return false;
  if (tokens === ",close") head.closes = true;
  else if (tokens !== "" && tokens !== ",keep-alive") {
    const named = new Set(listTokens(tokens));
    head.closes = named.has("close");
    for (const name of neverHopByHop) named.delete(name);
    for (const name of ["close", "keep-alive", "upgrade"]) named.delete(name);
    if (named.size > 0) readFields(text, octets, next, named, head);
  }
  return !(head.chunked && (head.length >= 0 || head.http10));
}

/** Nearly all status lines there are. */
const plainStatus = Buffer.from("HTTP/1.1 200 OK\r\n");

/** `HTTP/1.x SP 3DIGIT [SP reason] CR LF`; the place behind it, or -1. */
function readStatusLine(text: string, octets: Uint8Array, head: ResponseHead): number {
  if (standsAt(octets, 0, plainStatus)) {
    head.http10 = false;
    head.status = 200;
    return plainStatus.length;
  }
  if (!text.startsWith("HTTP/1.1 ") && !text.startsWith("HTTP/1.0 ")) return -1;
  head.http10 = text.charCodeAt(7) === 0x30;
  const status = readLength(text.slice(9, 12));
  if (status === undefined || status < 100 || status > 599) return -1;
  head.status = status;
  const lineEnd = text.indexOf("\r\n", 12);
  if (lineEnd < 0) return -1;
  // A reason is for people, and is not passed on; only what would end the line early matters.
  if (lineEnd !== 12 && (text.charCodeAt(12) !== 0x20 || text.indexOf("\n", 12) < lineEnd)) return -1;
  const bareReturn = text.indexOf("\r", 12);
  return bareReturn === lineEnd ? lineEnd + 2 : -1;
}

/** What `Connection` names; undefined = not valid. */
function readFields(
  text: string,
  octets: Uint8Array,
  from: number,
  named: ReadonlySet<string> | undefined,
  head: ResponseHead,
): string | undefined {
  head.lines = "";
  head.length = -1;
  head.chunked = false;
  head.refusal = undefined;
  head.upgrade = "";
  head.webSocketAccept = "";
  head.eventStream = false;
  if (named === undefined) head.closes = false;
  let at = from;
  let count = 0;
  let run = from;
  let connection = "";
  while (octets[at] !== cr) {
    if (readFieldLine(octets, at, line) !== undefined || ++count > maxFields) return undefined;
    at = line.next;
    const kind = treat(text, octets, named);
    if ((kind === 0 || kind === 6 || kind === 7) && line.canonical) {
      if (kind !== 0) notePassed(kind, text, head);
      continue;
    }
    if (run < line.start) head.lines += text.slice(run, line.start);
    run = line.next;
    if (kind === 3) connection = `${connection},${text.slice(line.valueStart, line.valueEnd)}`;
    else if (kind === 0) head.lines += canonicalLine(text, line);
    else if (kind !== 8 && !note(kind, text, head)) return undefined;
  }
  if (octets[at + 1] !== lf) return undefined;
  if (run < at) head.lines += text.slice(run, at);
  head.end = at + 2;
  return connection;
}

function treat(text: string, octets: Uint8Array, named: ReadonlySet<string> | undefined): number {
  const first = (octets[line.start] as number) | 0x20;
  const ours = first === 0x73 && ((octets[line.start + 1] as number) | 0x20) === 0x74;
  if (!line.oddName && !ours && named === undefined) return kindOfName(known, octets, line.start, line.nameEnd);
  const name = text.slice(line.start, line.nameEnd).toLowerCase();
  const kind = treatments.get(name) ?? 0;
  if (kind !== 0) return kind;
  return foldName(name).startsWith(reservedPrefix) || named?.has(name) === true ? 8 : 0;
}

function note(kind: number, text: string, head: ResponseHead): boolean {
  const value = text.slice(line.valueStart, line.valueEnd);
  switch (kind) {
    case 1: {
      const length = head.length >= 0 ? undefined : readLength(value);
      if (length === undefined) return false;
      head.length = length;
      return true;
    }
    case 2:
      if (head.chunked || value.toLowerCase() !== "chunked") return false;
      head.chunked = true;
      return true;
    case 4:
      head.refusal = value;
      return true;
    case 5:
      head.upgrade = head.upgrade === "" ? value : `${head.upgrade},${value}`;
      return true;
    default:
      notePassed(kind, text, head);
      head.lines += canonicalLine(text, line);
      return true;
  }
}

/** Fields that are looked at and passed on. */
function notePassed(kind: number, text: string, head: ResponseHead): void {
  const { valueStart, valueEnd } = line;
  if (kind === 6) head.webSocketAccept = text.slice(valueStart, valueEnd);
  // One look at the letter behind `text/` spares nearly all answers the pattern.
  else if ((text.charCodeAt(valueStart + 5) | 0x20) !== 0x65) head.eventStream = false;
  else head.eventStream = /^text\/event-stream\b/i.test(text.slice(valueStart, valueEnd));
}

/** Whether what came so far can still be the begin of an answer. */
function canBeStatusLine(text: string): boolean {
  const prefix = text.slice(0, 9);
  return "HTTP/1.1 ".startsWith(prefix) || "HTTP/1.0 ".startsWith(prefix);
}
