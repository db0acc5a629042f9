import { expect, test } from "vitest";
import { kindOfName, knownNames } from "./known-names.ts";
import { tokenClass } from "./octets.ts";

const names = ["host", "te", "via", "content-length", "sec-websocket-key", "http2-settings", "x-9"];
const known = knownNames(names.map((name, at) => [name, at + 1] as const));

test("kindOfName() knows a name in any case, inside a text, and no other", () => {
  for (const [at, name] of names.entries()) {
    for (const spelling of [name, name.toUpperCase(), name.replace(/^./, (first) => first.toUpperCase())]) {
      expect(kindOfName(known, Buffer.from(`: ${spelling}: x`), 2, 2 + spelling.length)).toBe(at + 1);
    }
    expect(kindOfName(known, Buffer.from(`${name}x`), 0, name.length + 1)).toBe(0);
    expect(kindOfName(known, Buffer.from(name), 0, name.length - 1)).toBe(0);
    // 64 longer falls into the same chain.
    expect(kindOfName(known, Buffer.from(name + "-".repeat(64)), 0, name.length + 64)).toBe(0);
  }
});

test("kindOfName() is not fooled by any octet that a token may hold", () => {
  for (const [n, name] of names.entries()) {
    for (let at = 0; at < name.length; at++) {
      for (let octet = 0; octet < 256; octet++) {
        if (tokenClass[octet] === 0) continue;
        const other = name.slice(0, at) + String.fromCharCode(octet) + name.slice(at + 1);
        const kind = other.toLowerCase() === name ? n + 1 : 0;
        expect(kindOfName(known, Buffer.from(other, "latin1"), 0, other.length), other).toBe(
          names.indexOf(other.toLowerCase()) + 1 || kind,
        );
      }
    }
  }
});
