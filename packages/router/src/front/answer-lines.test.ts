import { expect, test } from "vitest";
import { framingLines } from "./answer-lines.ts";

test("framingLines() says each length as it is, whatever was said before (I9)", () => {
  const lengths = [0, 1, 10, 200, 4_095, 4_096, 4_097, 8_192, 2 ** 31, Number.MAX_SAFE_INTEGER];
  // Twice, and backwards: what is kept of one must never be said of another.
  for (const length of [...lengths, ...lengths.toReversed()]) {
    expect(framingLines({ kind: "length", length }, -1, false)).toBe(`content-length: ${length}\r\n`);
    expect(framingLines({ kind: "none" }, length, false)).toBe(`content-length: ${length}\r\n`);
  }
  expect(framingLines({ kind: "none" }, -1, false)).toBe("");
});

test("framingLines() says that a body without a length is chunked, where it is", () => {
  expect(framingLines({ kind: "open" }, -1, true)).toBe("transfer-encoding: chunked\r\n");
  expect(framingLines({ kind: "open" }, -1, false)).toBe("");
});
