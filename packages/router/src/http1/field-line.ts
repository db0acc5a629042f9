import * as octetValues from "./octets.ts";

// V8 looks up what is imported each time it is used, here for every octet; what is of this module it knows.
const { colon, cr, isValueOctet, lf, space, tab, tokenClass } = octetValues;

/** Where the parts of one field line are in its text. Filled again for every line, so that a head costs no objects. */
export interface FieldLine {
  start: number;
  nameEnd: number;
  valueStart: number;
  /** Without white space at the end. */
  valueEnd: number;
  /** Behind CR LF. */
  next: number;
  /** The name holds more than letters, digits and single hyphens, so lazy readers may take it for another. */
  oddName: boolean;
  /** Already written as `name: value`, the only form in which we send a line. */
  canonical: boolean;
}

export function newFieldLine(): FieldLine {
  return { start: 0, nameEnd: 0, valueStart: 0, valueEnd: 0, next: 0, oddName: false, canonical: false };
}

export type FieldLineFault = "name" | "line";

/**
 * Reads the line at `start` (RFC 9112 section 5): no folding, no space before the colon, no bare CR or LF, no control.
 * Every octet is checked.
 * @param octets end with one that is in no line, as those of `octetsOf`
 */
export function readFieldLine(octets: Uint8Array, start: number, line: FieldLine): FieldLineFault | undefined {
  let at = start;
  let before = 2;
  let odd = false;
  for (;;) {
    const kind = tokenClass[octets[at] as number];
    if (kind === 0 || kind === undefined) break;
    if (kind === 3 || (kind === 2 && before === 2)) odd = true;
    before = kind;
    at++;
  }
  if (at === start || octets[at] !== colon) return "name";
  line.start = start;
  line.nameEnd = at;
  line.oddName = odd;
  at++;
  while (octets[at] === space || octets[at] === tab) at++;
  line.valueStart = at;
  while (isValueOctet[octets[at] as number] === 1) at++;
  if (octets[at] !== cr || octets[at + 1] !== lf) return "line";
  line.next = at + 2;
  const end = at;
  while (at > line.valueStart && (octets[at - 1] === space || octets[at - 1] === tab)) at--;
  line.valueEnd = at;
  line.canonical =
    at === end && at > line.valueStart && line.valueStart === line.nameEnd + 2 && octets[line.nameEnd + 1] === space;
  return undefined;
}

/** The line as we write it. */
export function canonicalLine(text: string, line: FieldLine): string {
  const name = text.slice(line.start, line.nameEnd);
  return line.valueStart === line.valueEnd
    ? `${name}:\r\n`
    : `${name}: ${text.slice(line.valueStart, line.valueEnd)}\r\n`;
}

/**
 * A length in canonical decimal; undefined unless it is 1 to 16 digits of at most 2^53-1 (RFC 9110 section 8.6). Leading
 * zeros are read as what they are, decimal, and never sent on: some readers take them for octal.
 */
export function readLength(text: string): number | undefined {
  if (text.length === 0 || text.length > 16) return undefined;
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : undefined;
}

/** What stands alone at the end of a head: CR LF CR LF. -1 = not there yet. */
export function endOfHead(text: string, from: number): number {
  const at = text.indexOf("\r\n\r\n", from);
  return at < 0 ? -1 : at + 4;
}

/** Whether an unfinished head can still become a valid one; the rest need not be awaited. */
export function isHopeless(text: string, from: number): boolean {
  for (let at = from; at < text.length; at++) {
    const octet = text.charCodeAt(at);
    if (octet >= space ? octet === 0x7f : octet !== tab && octet !== cr && octet !== lf) return true;
    if (octet === lf && (at === 0 || text.charCodeAt(at - 1) !== cr)) return true;
    if (octet === cr && at + 1 < text.length && text.charCodeAt(at + 1) !== lf) return true;
  }
  return false;
}
