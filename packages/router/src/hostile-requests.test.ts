import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import { ask, askRaw, eventually, makeTestBed, type TestBed } from "./test-bed/test-bed.ts";

let bed: TestBed;
let router: RunningRouter;
let port: number;

beforeEach(async () => {
  bed = await makeTestBed();
  router = await bed.start();
  port = router.listenPort;
  await eventually(async () => expect((await ask(port)).status).toBe(200));
  for (const stamp of bed.stamps) stamp.seen.length = 0;
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

const seenBy = (index: 0 | 1) => bed.stamps[index].seen;

describe("what is not one clear request is refused before any stamp", () => {
  const host = "Host: acme.localhost\r\n";
  test.each([
    ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
    ["two hosts", `GET / HTTP/1.1\r\n${host}${host}\r\n`, 400],
    ["two different hosts", `GET / HTTP/1.1\r\n${host}Host: globex.localhost\r\n\r\n`, 400],
    ["comma in host", "GET / HTTP/1.1\r\nHost: acme.localhost,globex.localhost\r\n\r\n", 400],
    ["path in host", "GET / HTTP/1.1\r\nHost: acme.localhost/evil\r\n\r\n", 400],
    ["user in host", "GET / HTTP/1.1\r\nHost: globex.localhost@acme.localhost\r\n\r\n", 400],
    ["port 99999", "GET / HTTP/1.1\r\nHost: acme.localhost:99999\r\n\r\n", 400],
    ["HTTP/1.0 without host", "GET / HTTP/1.0\r\n\r\n", 400],
    ["absolute target of another host", `GET http://globex.localhost/ HTTP/1.1\r\n${host}\r\n`, 400],
    ["absolute target with user", `GET http://a@acme.localhost/ HTTP/1.1\r\n${host}\r\n`, 400],
    ["ftp target", `GET ftp://acme.localhost/ HTTP/1.1\r\n${host}\r\n`, 400],
    ["fragment", `GET /#x HTTP/1.1\r\n${host}\r\n`, 400],
    ["%00", `GET /a%00b HTTP/1.1\r\n${host}\r\n`, 400],
    ["OPTIONS *", `OPTIONS * HTTP/1.1\r\n${host}\r\n`, 400],
    ["TRACE", `TRACE / HTTP/1.1\r\n${host}\r\n`, 405],
    ["CONNECT", `CONNECT acme.localhost:80 HTTP/1.1\r\n${host}\r\n`, 405],
    ["PROPFIND", `PROPFIND / HTTP/1.1\r\n${host}\r\n`, 405],
    ["HTTP/2.0 on this wire", `GET / HTTP/2.0\r\n${host}\r\n`, 505],
    ["CL and TE", `POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ["two CL", `POST / HTTP/1.1\r\n${host}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`, 400],
    ["gzip, chunked", `POST / HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, 400],
    ["TE on 1.0", `POST / HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ["GET with a body on 1.0", `GET / HTTP/1.0\r\n${host}Content-Length: 2\r\n\r\nhi`, 413],
    ["bare LF", `GET / HTTP/1.1\nHost: acme.localhost\n\n`, 400],
    ["obs-fold", `GET / HTTP/1.1\r\n${host}X: a\r\n b\r\n\r\n`, 400],
    ["space before colon", `GET / HTTP/1.1\r\nHost : acme.localhost\r\n\r\n`, 400],
    ["101 headers", `GET / HTTP/1.1\r\n${host}${"a: b\r\n".repeat(100)}\r\n`, 431],
    [
      "2,000 short headers before the length",
      `POST / HTTP/1.1\r\n${host}${"a:\r\n".repeat(2_000)}Content-Length: 36\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\nxx`,
      431,
    ],
    ["17 KiB of headers", `GET / HTTP/1.1\r\n${host}a: ${"b".repeat(17_000)}\r\n\r\n`, 431],
    ["9 KiB of target", `GET /${"a".repeat(9_000)} HTTP/1.1\r\n${host}\r\n`, 414],
    ["odd expectation", `POST / HTTP/1.1\r\n${host}Expect: y 100-continue\r\nContent-Length: 1\r\n\r\nx`, 417],
    ["another expectation", `POST / HTTP/1.1\r\n${host}Expect: tea\r\nContent-Length: 1\r\n\r\nx`, 417],
    [
      "WebSocket of version 777",
      `GET / HTTP/1.1\r\n${host}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
      426,
    ],
  ])("%s", async (_, bytes, status) => {
    const text = await askRaw(port, bytes);
    expect(text.split("\r\n")[0]).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(text).toContain("application/problem+json");
    expect([...seenBy(0), ...seenBy(1)]).toEqual([]);
  });

  test.each([
    [
      "length with zeros in front",
      `POST / HTTP/1.1\r\n${host}Connection: close\r\nContent-Length: 0002\r\n\r\nhi`,
      "2",
    ],
    [
      "h2c is not taken up",
      `GET / HTTP/1.1\r\n${host}Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
      undefined,
    ],
    [
      "absolute target of the host",
      `GET http://ACME.localhost/x HTTP/1.1\r\n${host}Connection: close\r\n\r\n`,
      undefined,
    ],
  ])("accepts in canonical form: %s", async (_, bytes, length) => {
    expect(await askRaw(port, bytes)).toContain("200 OK");
    const request = seenBy(0)[0];
    expect(request?.headers["content-length"]).toBe(length);
    expect(request?.headers.upgrade).toBeUndefined();
    expect(request?.url).toMatch(/^\/x?$/);
  });

  test("a chunked DELETE stays one request (no smuggling by method)", async () => {
    const inner = "GET /smuggled HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    const bytes = `DELETE /a HTTP/1.1\r\n${host}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n${inner.length.toString(16)};ext=1\r\n${inner}\r\n0\r\n\r\n`;
    const bodies: string[] = [];
    bed.stamps[0].handler = (request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += String(chunk);
      });
      request.on("end", () => {
        bodies.push(body);
        response.end("ok");
      });
    };
    expect(await askRaw(port, bytes)).toContain("200 OK");
    expect(bodies).toEqual([inner]);
  });
});
