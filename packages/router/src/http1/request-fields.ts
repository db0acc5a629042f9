import { reservedPrefix } from "@stampyard/guard";
import { foldName } from "../field-names.ts";
import { canonicalLine, newFieldLine, readFieldLine } from "./field-line.ts";
import { kindOfName, knownNames } from "./known-names.ts";
import { cr, lf } from "./octets.ts";
import type { HeadContext } from "./request-head.ts";

/** The fields of a request that mean something to a router, and the lines of all that may pass. */
export interface RequestFields {
  /** Canonical lines for the stamp; what we write ourselves is not among them. */
  lines: string;
  hosts: number;
  host: string;
  /** Where the last one stands in the head. */
  hostAt: number;
  lengths: number;
  length: string;
  encodings: number;
  encoding: string;
  /** All `Connection` lines in one; undefined if there is none. */
  connection: string | undefined;
  connectionUpgrade: boolean;
  upgrade: string | undefined;
  expect: string | undefined;
  webSocketKey: string;
  webSocketVersion: string;
  via: string;
  /** The next three only from a trusted peer. */
  forwardedFor: string;
  forwardedProto: string;
  requestId: string;
  traceparents: number;
  traceparent: string;
  /** Behind the empty line that ends the head. */
  end: number;
}

export function newRequestFields(): RequestFields {
  return {
    lines: "",
    hosts: 0,
    host: "",
    hostAt: 0,
    lengths: 0,
    length: "",
    encodings: 0,
    encoding: "",
    connection: undefined,
    connectionUpgrade: false,
    upgrade: undefined,
    expect: undefined,
    webSocketKey: "",
    webSocketVersion: "",
    via: "",
    forwardedFor: "",
    forwardedProto: "",
    requestId: "",
    traceparents: 0,
    traceparent: "",
    end: 0,
  };
}

/** How a field is treated by its name. What is not here passes. */
const treatment = {
  host: 1,
  "content-length": 2,
  "transfer-encoding": 3,
  connection: 4,
  upgrade: 5,
  expect: 6,
  via: 7,
  "x-forwarded-for": 8,
  "x-forwarded-proto": 9,
  "x-request-id": 10,
  traceparent: 11,
  "sec-websocket-key": 12,
  "sec-websocket-version": 13,
  forwarded: 14,
  "x-real-ip": 14,
  "keep-alive": 14,
  "proxy-connection": 14,
  "proxy-authenticate": 14,
  "proxy-authorization": 14,
  te: 14,
  trailer: 14,
  "http2-settings": 14,
} as const;
const treatments = new Map<string, number>(Object.entries(treatment));
const dropped = 14;
const refused = -1;

const known = knownNames(treatments);

const maxFields = 100;
const line = newFieldLine();

export type FieldsFault = "syntax" | "many" | "name";

/**
 * Reads the field lines from `from` to the empty line in one pass.
 * @param octets of the text, as `octetsOf` gives them
 * @param named fields that `Connection` names, lower case; dropped like the other hop-by-hop fields
 * @returns `name` only after everything was read, because host and framing are judged first
 */
export function readRequestFields(
  text: string,
  octets: Uint8Array,
  from: number,
  context: HeadContext,
  named: ReadonlySet<string> | undefined,
  fields: RequestFields,
): FieldsFault | undefined {
  let at = from;
  let count = 0;
  let disguised = false;
  // Lines that are canonical already are copied in runs.
  let run = from;
  while (octets[at] !== cr) {
    if (readFieldLine(octets, at, line) !== undefined) return "syntax";
    if (++count > maxFields) return "many";
    at = line.next;
    const kind = treat(text, octets, context, named);
    if (kind === 0 && line.canonical) continue;
    if (run < line.start) fields.lines += text.slice(run, line.start);
    run = line.next;
    if (kind === refused) disguised = true;
    else if (kind === 0) fields.lines += canonicalLine(text, line);
    else if (kind !== dropped) note(kind, text.slice(line.valueStart, line.valueEnd), fields, context, text);
  }
  if (octets[at + 1] !== lf) return "syntax";
  if (run < at) fields.lines += text.slice(run, at);
  fields.end = at + 2;
  return disguised ? "name" : undefined;
}

/** 0 = pass. */
function treat(text: string, octets: Uint8Array, context: HeadContext, named: ReadonlySet<string> | undefined): number {
  const length = line.nameEnd - line.start;
  const first = (octets[line.start] as number) | 0x20;
  if (line.oddName || named !== undefined || first === 0x78) return treatSlowly(text, context, named);
  // `st…` may be ours: stampyard-.
  if (first === 0x73 && ((octets[line.start + 1] as number) | 0x20) === 0x74) return treatSlowly(text, context, named);
  for (const { name } of context.guarded) if (name.length === length) return treatSlowly(text, context, named);
  return kindOfName(known, octets, line.start, line.nameEnd);
}

function treatSlowly(text: string, context: HeadContext, named: ReadonlySet<string> | undefined): number {
  const name = text.slice(line.start, line.nameEnd).toLowerCase();
  const folded = line.oddName ? foldName(name) : name;
  // What only looks like one of our names to readers that take `_` for `-` is somebody's attempt.
  const disguise = folded !== name && name.replaceAll("_", "-") === folded;
  if (folded.startsWith(reservedPrefix)) return disguise ? refused : dropped;
  for (const guarded of context.guarded) {
    if (foldName(guarded.name) !== folded) continue;
    if (name !== guarded.name) return disguise ? refused : dropped;
    return guarded.believed ? 0 : dropped;
  }
  const kind = treatments.get(folded) ?? 0;
  if (folded === name) {
    if (named?.has(name) === true && (kind === 0 || kind === 11)) return dropped;
    return kind === 0 && name.startsWith("x-forwarded-") ? dropped : kind;
  }
  // Another spelling of a field that means something never reaches a reader that would believe it.
  return kind !== 0 || folded.startsWith("x-forwarded-") ? dropped : named?.has(name) === true ? dropped : 0;
}

function note(kind: number, value: string, fields: RequestFields, { peerTrusted }: HeadContext, text: string): void {
  switch (kind) {
    case 1:
      fields.hosts += 1;
      fields.host = value;
      fields.hostAt = line.valueStart;
      return;
    case 2:
      fields.lengths += 1;
      fields.length = value;
      return;
    case 3:
      fields.encodings += 1;
      fields.encoding = value;
      return;
    case 4:
      fields.connection = fields.connection === undefined ? value : `${fields.connection},${value}`;
      return;
    case 5:
      fields.upgrade = fields.upgrade === undefined ? value : `${fields.upgrade},${value}`;
      return;
    case 6:
      fields.expect = fields.expect === undefined ? value : `${fields.expect},${value}`;
      return;
    case 7:
      fields.via = joined(fields.via, value);
      return;
    case 8:
      if (peerTrusted) fields.forwardedFor = joined(fields.forwardedFor, value);
      return;
    case 9:
      if (peerTrusted) fields.forwardedProto = value;
      return;
    case 10:
      if (peerTrusted) fields.requestId = fields.requestId === "" ? value : " ";
      return;
    default:
      noteAndPass(kind, value, fields, text);
  }
}

/** Fields that are looked at and passed on. */
function noteAndPass(kind: number, value: string, fields: RequestFields, text: string): void {
  if (kind === 11) {
    fields.traceparents += 1;
    fields.traceparent = value;
  } else if (kind === 12) fields.webSocketKey = joined(fields.webSocketKey, value);
  else fields.webSocketVersion = joined(fields.webSocketVersion, value);
  fields.lines += canonicalLine(text, line);
}

function joined(before: string, value: string): string {
  return before === "" ? value : `${before}, ${value}`;
}
