import { isIPv4, isIPv6 } from "node:net";
import { crc32c } from "./crc32c.ts";

export interface ProxiedClient {
  /** IPv4 or IPv6 in its usual text form, without brackets; an IPv6 address of kind `::ffff:` as IPv4. */
  readonly address: string;
  readonly port: number;
}

export type ProxyHeader =
  /** So far valid; there is more to come. */
  | { readonly kind: "incomplete" }
  | { readonly kind: "invalid"; readonly problem: string }
  /** `length` octets are the header; what follows is the client's. */
  | { readonly kind: "client"; readonly client: ProxiedClient; readonly length: number }
  /** The peer speaks for itself, e.g. a health check: its own address counts. */
  | { readonly kind: "local"; readonly length: number };

const signature = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const firstWord = Buffer.from("PROXY ", "latin1");
/** Longest line of version 1, CR LF included. */
const maxLine = 107;
/** Addresses and extensions of version 2; the largest that common balancers send is under 600. */
export const maxProxyHeader = 16 + 2_048;

/**
 * Reads the header of the PROXY protocol, version 1 or 2, at the start of a connection. Nothing is guessed: a peer that
 * is listed must send one, and everything that its specification does not allow is invalid.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsLike(bytes, signature)) return bytes.length < 16 ? incomplete : readBinary(bytes);
  if (startsLike(bytes, firstWord)) return readLine(bytes);
  return invalid("It begins with neither of the two signatures");
}

const incomplete: ProxyHeader = { kind: "incomplete" };

function invalid(problem: string): ProxyHeader {
  return { kind: "invalid", problem };
}

function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, length, 0, length) === 0;
}

/** `PROXY TCP4 192.0.2.1 192.0.2.2 5000 443` and CR LF. */
function readLine(bytes: Buffer): ProxyHeader {
  const text = bytes.toString("latin1", 0, maxLine);
  const end = text.indexOf("\n");
  if (end < 0) return bytes.length >= maxLine ? invalid("Its line is too long") : incomplete;
  if (text[end - 1] !== "\r") return invalid("Its line does not end with CR LF");
  const length = end + 1;
  const line = text.slice(0, end - 1);
  if (/[^\x20-\x7e]/.test(line)) return invalid("Its line holds a control character");
  // Whatever follows UNKNOWN is to be ignored.
  if (line === "PROXY UNKNOWN" || line.startsWith("PROXY UNKNOWN ")) return { kind: "local", length };
  const [, family, source = "", destination = "", sourcePort = "", destinationPort = "", ...rest] = line.split(" ");
  const isAddress = family === "TCP4" ? isIPv4 : family === "TCP6" ? isPlainIPv6 : undefined;
  if (isAddress === undefined) return invalid("Its family is none of TCP4, TCP6 and UNKNOWN");
  if (rest.length > 0) return invalid("It has too many words");
  if (!isAddress(source) || !isAddress(destination)) return invalid("An address is not one of its family");
  const port = readPort(sourcePort);
  if (port === undefined || readPort(destinationPort) === undefined) return invalid("A port is not a number");
  return { kind: "client", client: { address: plain(source), port }, length };
}

/** A zone names an interface of the peer, which means nothing here. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function readPort(text: string): number | undefined {
  const port = /^(?:0|[1-9][0-9]{0,4})$/.test(text) ? Number(text) : Number.NaN;
  return port <= 65_535 ? port : undefined;
}

/** Signature, version and command, family, length of the rest; then addresses, then extensions. */
function readBinary(bytes: Buffer): ProxyHeader {
  const command = bytes[12] ?? 0;
  const family = bytes[13] ?? 0;
  const length = 16 + bytes.readUInt16BE(14);
  if (command !== 0x20 && command !== 0x21) return invalid("Its version or command is not known");
  const addresses = addressBytes.get(family);
  // The addresses of LOCAL are to be ignored, so an unknown family is no fault there.
  const needed = command === 0x20 ? 0 : addresses;
  if (needed === undefined) return invalid("Its family is not TCP over IPv4 or IPv6");
  if (length > maxProxyHeader) return invalid("It is too long");
  if (length < 16 + needed) return invalid("It is too short for its addresses");
  if (bytes.length < length) return incomplete;
  const header = bytes.subarray(0, length);
  const problem = addresses === undefined ? undefined : extensionProblem(header, 16 + addresses);
  if (problem !== undefined) return invalid(problem);
  if (command === 0x20 || addresses === 0) return { kind: "local", length };
  return family === 0x11
    ? { kind: "client", client: { address: header.subarray(16, 20).join("."), port: header.readUInt16BE(24) }, length }
    : { kind: "client", client: { address: plain(ipv6Text(header)), port: header.readUInt16BE(48) }, length };
}

/** Octets of both addresses and ports by family: unspecified, TCP over IPv4, TCP over IPv6. */
const addressBytes: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x21, 36],
]);

/** Extensions are type, length, value; their ends must meet. A checksum that is there must be right. */
function extensionProblem(header: Buffer, from: number): string | undefined {
  let at = Math.min(from, header.length);
  let checked = false;
  while (at < header.length) {
    if (at + 3 > header.length) return "An extension is cut off";
    const type = header[at];
    const size = header.readUInt16BE(at + 1);
    const value = at + 3;
    if (value + size > header.length) return "An extension is longer than the header";
    if (type === 0x03) {
      if (size !== 4 || checked) return "Its checksum is malformed";
      checked = true;
      const copy = Buffer.from(header);
      copy.fill(0, value, value + 4);
      if (crc32c(copy) !== header.readUInt32BE(value)) return "Its checksum is wrong";
    }
    at = value + size;
  }
  return undefined;
}

/** RFC 5952 by way of the URL parser, which writes that form. */
function ipv6Text(header: Buffer): string {
  const groups: string[] = [];
  for (let at = 16; at < 32; at += 2) groups.push(header.readUInt16BE(at).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

/** One spelling per address, so that caps and lists see one client as one. */
function plain(address: string): string {
  if (isIPv4(address)) return address;
  const text = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(text);
  if (mapped === null) return text;
  const [high, low] = [Number.parseInt(mapped[1] ?? "", 16), Number.parseInt(mapped[2] ?? "", 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
