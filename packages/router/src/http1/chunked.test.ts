import { expect, test } from "vitest";
import { isChunkedDone, newChunkState, readChunks } from "./chunked.ts";

/** The data and where the body ended; -1 = not valid, undefined = not there yet. Cut into pieces of `size` bytes. */
function decode(text: string, size: number): { data: string; end: number | undefined } {
  const bytes = Buffer.from(text, "latin1");
  const state = newChunkState();
  let data = "";
  const sink = {
    onChunkData(from: Buffer, start: number, to: number) {
      data += from.toString("latin1", start, to);
    },
  };
  for (let at = 0; at < bytes.length; at += size) {
    const end = readChunks(state, bytes, at, Math.min(bytes.length, at + size), sink);
    if (end < 0) return { data, end };
    if (isChunkedDone(state)) return { data, end };
  }
  return { data, end: undefined };
}

test.each([
  ["one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"],
  ["two chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"],
  ["large digits", "0000A\r\n0123456789\r\n0\r\n\r\n", "0123456789"],
  ["extensions", '5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n', "hello"],
  ["trailers", "5\r\nhello\r\n0\r\nHost: evil\r\nX: \r\n\r\n", "hello"],
  ["CR LF in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"],
  ["nothing", "0\r\n\r\n", ""],
])("readChunks() decodes %s, however it is cut, and stops behind it", (_, text, data) => {
  for (const size of [1, 2, 3, 7, 1_000]) {
    expect(decode(`${text}GET /next`, size), `pieces of ${size}`).toEqual({ data, end: text.length });
  }
});

test.each([
  ["no digit", "\r\nhello\r\n"],
  ["a sign", "+5\r\nhello\r\n0\r\n\r\n"],
  ["0x", "0x5\r\nhello\r\n0\r\n\r\n"],
  ["a space before the size", " 5\r\nhello\r\n0\r\n\r\n"],
  ["a space behind the size", "5 \r\nhello\r\n0\r\n\r\n"],
  ["LF alone behind the size", "5\nhello\r\n0\r\n\r\n"],
  ["CR alone behind the size", "5\rhello\r\n0\r\n\r\n"],
  ["LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"],
  ["more data than the size", "5\r\nhello!\r\n0\r\n\r\n"],
  ["LF alone behind the data", "5\r\nhello\n0\r\n\r\n"],
  ["a size above 2^53", "20000000000000\r\n"],
  ["33 digits", `${"0".repeat(32)}5\r\nhello\r\n0\r\n\r\n`],
  ["5 KiB of extensions", `5;${"a".repeat(5_000)}\r\nhello\r\n0\r\n\r\n`],
  ["17 KiB of trailers", `0\r\na: ${"b".repeat(17_000)}\r\n\r\n`],
  ["a trailer without colon", "0\r\nabc\r\n\r\n"],
  ["a folded trailer", "0\r\na: b\r\n c\r\n\r\n"],
  ["LF alone at the end", "0\r\n\n"],
])("readChunks() refuses %s", (_, text) => {
  for (const size of [1, 3, 100_000]) expect(decode(text, size).end, `pieces of ${size}`).toBe(-1);
});

test("readChunks() waits for what is not there yet", () => {
  for (const text of ["", "5", "5\r\nhel", "5\r\nhello\r\n0\r\n", "0\r\n\r"])
    expect(decode(text, 1).end).toBeUndefined();
});
