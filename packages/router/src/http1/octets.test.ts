import fc from "fast-check";
import { expect, test } from "vitest";
import { maxHeadBytes, octetsOf } from "./octets.ts";
import { readRequestHead } from "./request-head.ts";
import { newResponseHead, readResponseHead } from "./response-head.ts";

const context = { peerTrusted: false, guarded: [] };

test("octetsOf() gives the octets of any text, however long, and a zero behind them", () => {
  const anyText = fc.string({ unit: "binary", maxLength: 40 }).map((text) => Buffer.from(text).toString("latin1"));
  fc.assert(
    fc.property(anyText, fc.constantFrom(0, maxHeadBytes - 20, maxHeadBytes + 8, 3 * maxHeadBytes), (text, before) => {
      const whole = "x".repeat(before) + text;
      const octets = octetsOf(whole);
      expect(Buffer.from(octets.subarray(0, whole.length)).toString("latin1")).toBe(whole);
      expect(octets[whole.length]).toBe(0);
    }),
  );
});

test("readRequestHead() takes nothing from the head before: a part of one stays a part", () => {
  const whole = "POST /a?b HTTP/1.1\r\nHost: acme.localhost\r\nAccept: */*\r\nContent-Length: 3\r\n\r\n";
  const found = readRequestHead(whole, context);
  expect(found).toMatchObject({ kind: "complete", end: whole.length });
  for (let cut = 0; cut < whole.length; cut++) {
    readRequestHead(whole, context);
    expect(readRequestHead(whole.slice(0, cut), context), whole.slice(0, cut)).toEqual({ kind: "incomplete" });
  }
});

test("readResponseHead() takes nothing from the head before: a part of one stays a part", () => {
  const whole = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3\r\n\r\n";
  const head = newResponseHead();
  for (let cut = 0; cut < whole.length; cut++) {
    expect(readResponseHead(whole, head)).toBe("complete");
    expect(readResponseHead(whole.slice(0, cut), head), whole.slice(0, cut)).toBe("incomplete");
  }
});
