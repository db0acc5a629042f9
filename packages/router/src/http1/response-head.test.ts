import { expect, test } from "vitest";
import { newResponseHead, readResponseHead } from "./response-head.ts";

function read(text: string) {
  const head = newResponseHead();
  const found = readResponseHead(text, head);
  return found === "complete" ? head : found;
}

test("readResponseHead() keeps what may pass, in canonical form, and notes the framing", () => {
  const text =
    "HTTP/1.1 200 Whatever\r\nServer:  x \r\nContent-Length: 0005\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nSet-Cookie: a=1\r\n" +
    "stampyard-debug: x\r\nStampyard_Debug: x\r\nKeep-Alive: timeout=5\r\nX-Request-Id: theirs\r\nContent-Type: text/event-stream\r\n\r\nhello";
  expect(read(text)).toMatchObject({
    status: 200,
    length: 5,
    chunked: false,
    closes: false,
    lines: "Server: x\r\nSet-Cookie: a=1\r\nContent-Type: text/event-stream\r\n",
    eventStream: true,
    end: text.length - 5,
  });
  expect(read("HTTP/1.0 204\r\nConnection: close\r\n\r\n")).toMatchObject({ status: 204, http10: true, closes: true });
  expect(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n")).toMatchObject({ chunked: true, length: -1 });
  expect(read("HTTP/1.1 200 OK\r\nConnection: Content-Length, close\r\nContent-Length: 2\r\n\r\n")).toMatchObject({
    length: 2,
    closes: true,
  });
});

test.each([
  ["HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"],
  ["another protocol", "RTSP/1.0 200 OK\r\n\r\n"],
  ["no version", "hello"],
  ["status 099", "HTTP/1.1 099 X\r\n\r\n"],
  ["status 600", "HTTP/1.1 600 X\r\n\r\n"],
  ["status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
  ["status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
  ["CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n"],
  ["LF in the reason", "HTTP/1.1 200 O\nK\r\n\r\n"],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"],
  ["length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n"],
  ["length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ["chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ["another encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"],
  ["chunked on 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ["folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"],
  ["space before the colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n"],
  ["NUL in a value", "HTTP/1.1 200 OK\r\nA: b\u0000\r\n\r\n"],
  ["LF alone at a line's end", "HTTP/1.1 200 OK\r\nA: b\nB: c\r\n\r\n"],
  ["201 fields", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(201)}\r\n`],
  ["17 KiB without end", `HTTP/1.1 200 OK\r\na: ${"b".repeat(17_000)}`],
])("readResponseHead() refuses %s", (_, text) => {
  expect(read(text)).toBe("bad");
});

test("readResponseHead() waits for the rest", () => {
  const text = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
  for (let length = 0; length < text.length; length++) expect(read(text.slice(0, length))).toBe("incomplete");
});
