import type { Digest, Sha256 } from "./ports.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/**
 * One text for one value: keys sorted by UTF-16 code unit, no white space, absent fields left out (after RFC 8785,
 * for the values that JSON.stringify prints alike). Equal values have equal digests on every machine.
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== "object") {
    if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError(`Cannot write ${value} as JSON`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item: Json) => canonicalJson(item)).join(",")}]`;
  const record = value as { readonly [key: string]: Json | undefined };
  const fields: string[] = [];
  for (const key of Object.keys(record).sort()) {
    const field = record[key];
    if (field !== undefined) fields.push(`${JSON.stringify(key)}:${canonicalJson(field)}`);
  }
  return `{${fields.join(",")}}`;
}

/** Whether both have one canonical form. What is absent is only like what is absent too. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined) return a === b;
  return canonicalJson(a as Json) === canonicalJson(b as Json);
}

/** Digest of the canonical form, as UTF-8. */
export function digestOf(value: Json, sha256: Sha256): Digest {
  return `sha256:${toHex(sha256(utf8(canonicalJson(value))))}`;
}

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
