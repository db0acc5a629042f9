import { foldName, hopByHop, isReserved, listTokens } from "../field-names.ts";
import { formatHost, parseHost } from "../host.ts";
import type { RefusalReason } from "../refusals.ts";
import { endOfHead, isHopeless, readLength } from "./field-line.ts";
import { maxHeadBytes, octetsOf } from "./octets.ts";
import { newRequestFields, type RequestFields, readRequestFields } from "./request-fields.ts";
import { type RequestLine, readRequestLine } from "./request-line.ts";

/** A field that may name a tenant or a place, and that no client may send unless its peer is believed. */
export interface GuardedField {
  /** Lower case. */
  readonly name: string;
  /** This peer's value is believed, so it is also passed on. */
  readonly believed: boolean;
}

/** What of a connection decides how a head is read. */
export interface HeadContext {
  /** The peer is a proxy of ours: what it says about the client before it is believed. */
  readonly peerTrusted: boolean;
  readonly guarded: readonly GuardedField[];
}

/** A request that every reader understands alike. */
export interface RequestHead {
  readonly method: string;
  readonly http10: boolean;
  /** Origin-form path without query. */
  readonly path: string;
  /** `?…` or empty. */
  readonly query: string;
  /** Normalised name for routing. */
  readonly hostName: string;
  /** Normalised `name[:port]` for forwarding. */
  readonly host: string;
  readonly body: "none" | "length" | "chunked";
  /** Bytes, when `body` is `length`. */
  readonly length: number;
  readonly keepAlive: boolean;
  /** The client waits for 100 before it sends its body. */
  readonly awaitsContinue: boolean;
  /** Asks for a WebSocket, validly; the key is what the answer must prove. "" = not. */
  readonly webSocketKey: string;
  readonly fields: RequestFields;
  /** Names and values in turn, as they were sent; read again from the head, so not for every request. */
  readonly rawHeaders: readonly string[];
  /** Values of a field, by its lower-case name, in order. */
  valuesOf(name: string): readonly string[];
}

export type HeadReading =
  | { readonly kind: "incomplete" }
  /** `head` is there when enough was understood to be worth a line in the log. */
  | { readonly kind: "refused"; readonly reason: RefusalReason; readonly method: string }
  | { readonly kind: "complete"; readonly head: RequestHead; readonly end: number };

const incomplete: HeadReading = { kind: "incomplete" };
/** New for each, because writing a new text into an old object costs the collector more than a new object. */
const newRequestLine = (): RequestLine => ({
  method: "",
  path: "",
  query: "",
  authority: undefined,
  http10: false,
  next: 0,
});

/**
 * Reads a request head from text of one octet per character, in the order of what a front must refuse: line, host,
 * framing, names, `Connection`. What is accepted is sent on from its parts, never as it came.
 * @param text starts with the request; what follows the head stays unread
 */
export function readRequestHead(text: string, context: HeadContext): HeadReading {
  let start = 0;
  // RFC 9112 section 2.2: empty lines before a request are the leftover of a careless client.
  while (text.charCodeAt(start) === 13 && text.charCodeAt(start + 1) === 10) start += 2;
  const reading = readWhole(text, start, context);
  if (reading.kind === "complete" && reading.end <= maxHeadBytes) return reading;
  // What is not there as a whole yet may look like any fault.
  const end = endOfHead(text, start);
  return end < 0 || end > maxHeadBytes ? readUnfinished(text, start) : reading;
}

function readWhole(text: string, start: number, context: HeadContext): HeadReading {
  const octets = octetsOf(text);
  const line = newRequestLine();
  const fault = readRequestLine(text, octets, start, line);
  if (fault !== undefined) return refused(fault, line.method);
  const { method, http10, authority, next } = line;
  const fields = newRequestFields();
  const broken = readRequestFields(text, octets, next, context, undefined, fields);
  if (broken === "syntax") return refused("bad-syntax", method);
  if (broken === "many") return refused("too-many-headers", method);

  const host = readHost(octets, fields);
  if (host === undefined) return refused("bad-host", method);
  if (authority !== undefined && !isSameAuthority(authority, host.text)) return refused("bad-target", method);
  const framing = readFraming(fields, http10);
  if (framing === undefined) return refused("bad-framing", method);
  // Before 1.1 nobody agreed on what a body of these means.
  const bodiless = method === "GET" || method === "HEAD" || method === "DELETE";
  if (http10 && bodiless && framing.length > 0) return refused("unexpected-body", method);
  if (broken === "name") return refused("bad-header", method);
  const closes = readConnection(text, octets, next, context, fields);
  if (closes === undefined) return refused("bad-header", method);
  if (fields.traceparents > 1) fields.traceparent = "";

  const awaitsContinue = fields.expect !== undefined && !http10;
  // Exactly this, and only where there is a body to wait for (RFC 9110 section 10.1.1).
  if (awaitsContinue && (framing.body === "none" || fields.expect?.toLowerCase() !== "100-continue")) {
    return refused("bad-expectation", method);
  }
  const webSocketKey = readUpgrade(fields, method, http10, framing.body);
  if (webSocketKey === undefined) return refused(framing.body === "none" ? "bad-upgrade" : "bad-framing", method);
  const head = new ReadHead(line, host, fields);
  head.body = framing.body;
  head.length = framing.length;
  head.keepAlive = !http10 && !closes;
  head.awaitsContinue = awaitsContinue;
  head.webSocketKey = webSocketKey;
  head.text = text;
  head.fieldsFrom = next;
  head.fieldsTo = fields.end - 2;
  return { kind: "complete", head, end: fields.end };
}

function refused(reason: RefusalReason, method: string): HeadReading {
  return { kind: "refused", reason, method };
}

/** A class, so that what is hardly ever asked costs nothing per request: accessors stand on the prototype. */
class ReadHead implements RequestHead {
  readonly method: string;
  readonly http10: boolean;
  readonly path: string;
  readonly query: string;
  readonly hostName: string;
  readonly host: string;
  readonly fields: RequestFields;
  body: RequestHead["body"] = "none";
  length = 0;
  keepAlive = false;
  awaitsContinue = false;
  webSocketKey = "";
  text = "";
  fieldsFrom = 0;
  fieldsTo = 0;

  constructor(read: RequestLine, host: { readonly name: string; readonly text: string }, fields: RequestFields) {
    this.method = read.method;
    this.http10 = read.http10;
    this.path = read.path;
    this.query = read.query;
    this.hostName = host.name;
    this.host = host.text;
    this.fields = fields;
  }
  get rawHeaders(): readonly string[] {
    return rawHeadersOf(this.text, this.fieldsFrom, this.fieldsTo);
  }
  valuesOf(name: string): readonly string[] {
    return this.rawHeaders.filter((_, at, all) => at % 2 === 1 && all[at - 1]?.toLowerCase() === name);
  }
}

/** A head that is not there as a whole: wait for the rest, unless it cannot become valid any more. */
function readUnfinished(text: string, start: number): HeadReading {
  const lineEnd = text.indexOf("\r\n", start);
  const line = newRequestLine();
  const lineFault = lineEnd < 0 ? undefined : readRequestLine(text, octetsOf(text), start, line);
  if (lineFault !== undefined) return refused(lineFault, line.method);
  if (text.length > maxHeadBytes)
    return refused(lineEnd < 0 || lineEnd > maxHeadBytes ? "target-too-long" : "too-many-headers", line.method);
  return isHopeless(text, start) ? refused("bad-syntax", line.method) : incomplete;
}

function readHost(
  octets: Uint8Array,
  fields: RequestFields,
): { readonly name: string; readonly text: string } | undefined {
  if (fields.hosts !== 1) return undefined;
  if (isPlainHost(octets, fields.hostAt, fields.hostAt + fields.host.length))
    return { name: fields.host, text: fields.host };
  const host = parseHost(fields.host);
  return host === undefined ? undefined : { name: host.name, text: formatHost(host) };
}

/**
 * Whether a host is written as `parseHost` would write it: small letters, digits, hyphens inside labels, single dots. Most
 * are, and this costs a tenth of a pattern.
 */
function isPlainHost(octets: Uint8Array, start: number, end: number): boolean {
  if (end - start > 200) return false;
  let label = 0;
  let before = 0x2e;
  for (let at = start; at < end; at++) {
    const octet = octets[at] as number;
    if (octet === 0x2e) {
      if (before === 0x2e || before === 0x2d) return false;
      label = 0;
    } else if (octet === 0x2d) {
      if (before === 0x2e) return false;
      label += 1;
    } else if ((octet >= 0x61 && octet <= 0x7a) || (octet >= 0x30 && octet <= 0x39)) label += 1;
    else return false;
    if (label > 63) return false;
    before = octet;
  }
  return before !== 0x2e && before !== 0x2d;
}

function isSameAuthority(authority: string, host: string): boolean {
  const parsed = parseHost(authority);
  return parsed !== undefined && formatHost(parsed) === host;
}

type Framing = Pick<RequestHead, "body" | "length">;
const noBody: Framing = { body: "none", length: 0 };
const chunkedBody: Framing = { body: "chunked", length: 0 };

/** RFC 9112 section 6.3, with every "ought to be handled as an error" handled as one. */
function readFraming(fields: RequestFields, http10: boolean): Framing | undefined {
  if (fields.encodings > 0) {
    if (fields.lengths > 0 || fields.encodings > 1 || http10) return undefined;
    return fields.encoding.toLowerCase() === "chunked" ? chunkedBody : undefined;
  }
  if (fields.lengths === 0) return noBody;
  const length = fields.lengths === 1 ? readLength(fields.length) : undefined;
  return length === undefined ? undefined : { body: "length", length };
}

/** Removing one of these because `Connection` names it would change what the request means. */
const neverHopByHop = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "authorization",
  "cookie",
  "content-type",
]);

/** Whether the connection ends after this request; undefined = a token that nobody may name. Fields named are dropped. */
function readConnection(
  text: string,
  octets: Uint8Array,
  from: number,
  context: HeadContext,
  fields: RequestFields,
): boolean | undefined {
  if (fields.connection === undefined) return false;
  // Nearly all that is ever said here.
  if (fields.connection === "keep-alive") return false;
  if (fields.connection === "close") return true;
  const tokens = new Set(listTokens(fields.connection));
  let named = false;
  for (const token of tokens) {
    if (neverHopByHop.has(token) || isReserved(token)) return undefined;
    if (context.guarded.some(({ name }) => foldName(name) === foldName(token))) return undefined;
    if (token === "upgrade") fields.connectionUpgrade = true;
    else if (token !== "close" && token !== "keep-alive" && !hopByHop.has(token)) named = true;
  }
  if (named) {
    const upgrade = fields.connectionUpgrade;
    Object.assign(fields, newRequestFields());
    readRequestFields(text, octets, from, context, tokens, fields);
    fields.connectionUpgrade = upgrade;
  }
  return tokens.has("close");
}

/**
 * The key of a valid WebSocket handshake (RFC 6455 section 4.1), "" when nobody asks for one, undefined when somebody asks
 * for one that cannot be. Other protocols are not taken up: such a request is served as if it had not asked.
 */
function readUpgrade(fields: RequestFields, method: string, http10: boolean, body: string): string | undefined {
  if (fields.upgrade === undefined || fields.upgrade.toLowerCase() !== "websocket") return "";
  const { webSocketKey, webSocketVersion, connectionUpgrade } = fields;
  const valid = method === "GET" && !http10 && body === "none" && connectionUpgrade && webSocketVersion === "13";
  return valid && /^[A-Za-z0-9+/]{22}==$/.test(webSocketKey) ? webSocketKey : undefined;
}

function rawHeadersOf(text: string, from: number, to: number): readonly string[] {
  const fields: string[] = [];
  // Valid as a whole by now, so splitting finds the same lines.
  for (const one of text.slice(from, to).split("\r\n")) {
    const colon = one.indexOf(":");
    if (colon > 0) fields.push(one.slice(0, colon), one.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, ""));
  }
  return fields;
}
