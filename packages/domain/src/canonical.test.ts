import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson, digestOf, type Json, toHex } from "./canonical.ts";

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest());
/** Values without -0, which JSON prints as 0. */
const jsonValue = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as Json);

describe("canonicalJson()", () => {
  test("sorts keys, leaves absent fields out, writes no white space", () => {
    expect(canonicalJson({ b: 1, a: [true, null, { d: "ü", c: undefined }] })).toBe(
      '{"a":[true,null,{"d":"ü"}],"b":1}',
    );
  });

  test("refuses numbers that JSON cannot write", () => {
    expect(() => canonicalJson({ a: Number.NaN })).toThrow(RangeError);
    expect(() => canonicalJson([Number.POSITIVE_INFINITY])).toThrow(RangeError);
  });

  test("reads back as the same value", () => {
    fc.assert(
      fc.property(jsonValue, (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(value);
      }),
    );
  });

  test("gives one text whatever the order of keys", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), jsonValue), (record) => {
        const reversed = Object.fromEntries(Object.entries(record).reverse());
        expect(canonicalJson(reversed)).toBe(canonicalJson(record));
      }),
    );
  });

  test("gives different values different texts", () => {
    fc.assert(
      fc.property(jsonValue, jsonValue, (a, b) => {
        fc.pre(!isSame(a, b));
        expect(canonicalJson(a)).not.toBe(canonicalJson(b));
      }),
    );
  });
});

describe("digestOf()", () => {
  test("is the SHA-256 of the canonical text", () => {
    // printf '{"a":1}' | sha256sum
    expect(digestOf({ a: 1 }, sha256)).toBe("sha256:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862");
  });

  test("toHex() writes two digits for each byte", () => {
    expect(toHex(Uint8Array.of(0, 1, 15, 16, 255))).toBe("00010f10ff");
  });
});

/** Equal as JSON values, without asking the code under test. */
function isSame(a: Json | undefined, b: Json | undefined): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.entries(a), b as Record<string, Json>];
  return (
    left.length === Object.keys(b).length && left.every(([key, value]) => key in right && isSame(value, right[key]))
  );
}
