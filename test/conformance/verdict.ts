import type { Field } from "./strict-reader.ts";

/** The one request that the stamp must see. */
export interface Canonical {
  readonly method: string;
  readonly target: string;
  /** Normalised. */
  readonly host: string;
  readonly body: string;
  /** All end-to-end fields of the client's, in order; what the router adds is checked apart. */
  readonly fields: readonly Field[];
}

export type Verdict =
  /** Refused by the router, connection closed. `after` = requests before it that are served as usual. */
  | {
      readonly kind: "reject";
      readonly statuses: readonly number[];
      /** Empty = any. */
      readonly reasons: readonly string[];
      readonly after: readonly Canonical[];
    }
  /** Refused by the router because of what it means, not of how it is written; the connection may stay. */
  | { readonly kind: "refuse"; readonly status: number; readonly reasons: readonly string[] }
  | {
      readonly kind: "accept";
      readonly requests: readonly Canonical[];
      readonly connection: "kept" | "closed" | "any";
      /** The client must be told 100 before its final answer. */
      readonly continues?: true;
    }
  /** The head was fine and the body is not: no complete request at the stamp, no success for the client. */
  | { readonly kind: "broken-body"; readonly statuses: readonly number[] }
  /** The request never ended: nothing complete at the stamp, no success. */
  | { readonly kind: "unfinished" }
  | { readonly kind: "tunnel"; readonly request: Canonical }
  | { readonly kind: "either"; readonly of: readonly Verdict[] };

export interface Payload {
  /** Unique; says what is odd about it. */
  readonly id: string;
  readonly bytes: string;
  readonly verdict: Verdict;
  /** The client ends its side behind the bytes. */
  readonly halfClose?: true;
}

/** Makes a family's payloads for one host. Pure: the same host, the same list. */
export type Family = (host: string) => Payload[];

export function reject(status: number | readonly number[], ...reasons: string[]): Verdict {
  return { kind: "reject", statuses: typeof status === "number" ? [status] : status, reasons, after: [] };
}

export function either(...of: Verdict[]): Verdict {
  return { kind: "either", of };
}

export function accept(request: Canonical, connection: "kept" | "closed" | "any" = "kept"): Verdict {
  return { kind: "accept", requests: [request], connection };
}

export const unknownTenant: Verdict = {
  kind: "refuse",
  status: 404,
  reasons: ["no-tenant", "unknown-tenant"],
};

/** A request in parts, so that a family may bend one of them. */
export interface Draft {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  /** Raw lines without their ends. */
  readonly lines: readonly string[];
  readonly body: string;
}

export function draft(host: string, parts: Partial<Draft> = {}): Draft {
  return { method: "GET", target: "/", version: "HTTP/1.1", lines: [`Host: ${host}`], body: "", ...parts };
}

export function write({ method, target, version, lines, body }: Draft): string {
  return `${method} ${target} ${version}\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n${body}`;
}

export function canonical(host: string, parts: Partial<Canonical> = {}): Canonical {
  return { method: "GET", target: "/", host, body: "", fields: [], ...parts };
}

export function field(name: string, value: string): Field {
  return { name: name.toLowerCase(), value };
}

export function chunked(...parts: string[]): string {
  return `${parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("")}0\r\n\r\n`;
}

/** All 256, as latin1. */
export const everyByte: readonly string[] = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));

export function hex(byte: string): string {
  return byte.charCodeAt(0).toString(16).padStart(2, "0");
}

export function isTchar(byte: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]$/.test(byte);
}

/** May stand inside a field value. */
export function isValueByte(byte: string): boolean {
  return /^[\t \x21-\x7e\x80-\xff]$/.test(byte);
}
