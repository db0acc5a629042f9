import { describe, expect, test } from "vitest";
import { readRequestHead } from "./request-head.ts";

const read = (text: string, believed = false) =>
  readRequestHead(text, { peerTrusted: believed, guarded: [{ name: "x-tenant", believed }] });

const accept = (rawHeaders: string[], more: { method?: string; url?: string; httpVersion?: string } = {}) => {
  const { method = "POST", url = "/a?b", httpVersion = "1.1" } = more;
  let text = `${method} ${url} HTTP/${httpVersion}\r\nHost: acme.localhost\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2)
    text += `${rawHeaders[index]}: ${rawHeaders[index + 1]}\r\n`;
  const reading = read(`${text}\r\n`);
  if (reading.kind === "complete") return reading.head;
  return reading.kind === "refused" ? reading.reason : reading.kind;
};

describe("acceptRequest() without a parser before it", () => {
  test.each<[string, string[]]>([
    ["CL and TE", ["Content-Length", "3", "Transfer-Encoding", "chunked"]],
    ["TE and CL", ["transfer-encoding", "chunked", "content-length", "0"]],
    ["two CL, equal", ["Content-Length", "3", "content-length", "3"]],
    ["CL list", ["Content-Length", "3, 3"]],
    ["CL with sign", ["Content-Length", "+3"]],
    ["CL in hexadecimal", ["Content-Length", "0x3"]],
    ["CL below 0", ["Content-Length", "-1"]],
    ["CL above 2^53", ["Content-Length", "9007199254740993"]],
    ["CL empty", ["Content-Length", ""]],
    ["two TE", ["Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"]],
    ["TE list", ["Transfer-Encoding", "chunked, chunked"]],
    ["TE identity", ["Transfer-Encoding", "identity"]],
    ["TE with a tail", ["Transfer-Encoding", "chunked;q=1"]],
    ["TE behind a no-break space", ["Transfer-Encoding", "\u00a0chunked"]],
    ["CL behind a no-break space", ["Content-Length", "\u00a03"]],
  ])("refuses %s", (_, headers) => {
    expect(accept(headers)).toBe("bad-framing");
  });

  test("reads the framing that is left", () => {
    expect(accept(["Content-Length", "0010"])).toMatchObject({ body: "length", length: 10 });
    expect(accept(["Transfer-Encoding", "Chunked"])).toMatchObject({ body: "chunked" });
    expect(accept([])).toMatchObject({ body: "none", path: "/a", query: "?b", host: "acme.localhost" });
  });

  test.each([
    ["name with a space", ["X Y", "1"], "bad-syntax"],
    ["empty name", ["", "1"], "bad-syntax"],
    ["second host", ["hOst", "acme.localhost"], "bad-host"],
    ["Connection: Transfer-Encoding", ["Connection", "Transfer-Encoding"], "bad-header"],
    ["second Connection line", ["Connection", "close", "connection", "x, Stampyard_Route"], "bad-header"],
  ])("refuses a %s", (_, headers, reason) => {
    expect(accept(headers)).toBe(reason);
  });

  test.each([
    ["", "bad-version"],
    ["a", "bad-target"],
    ["*", "bad-target"],
    ["/a b", "bad-syntax"],
    ["/a\u0000", "bad-target"],
    ["/a\nb", "bad-syntax"],
    ["/\u0100", "bad-target"],
    ["http://", "bad-target"],
    ["http:///x", "bad-target"],
    ["http://acme.localhost:80/", "bad-target"],
    ["https://acme.localhost#x", "bad-target"],
  ])("refuses the target %j", (url, reason) => {
    expect(accept([], { url })).toBe(reason);
  });

  test("keeps what it does not understand as it is: it is the stamp's", () => {
    for (const path of ["//evil.example/x", "/a/../b", "/a\\b", "/%0d%0aX:1", "/caf%C3%A9"]) {
      expect(accept([], { url: path })).toMatchObject({ path });
    }
    expect(accept([], { url: "http://ACME.localhost?q=/" })).toMatchObject({ path: "/", query: "?q=/" });
  });
});

describe("readRequestHead() and its input", () => {
  const whole = "GET /a?b HTTP/1.1\r\nHost: acme.localhost\r\nA: b\r\n\r\n";

  test("waits for the rest of a head, whatever part of it came", () => {
    for (let length = 0; length < whole.length; length++) expect(read(whole.slice(0, length)).kind).toBe("incomplete");
    expect(read(`${whole}GET /next`)).toMatchObject({ kind: "complete", end: whole.length });
    expect(read(`\r\n\r\n${whole}`)).toMatchObject({ kind: "complete", end: whole.length + 4 });
  });

  test.each([
    ["\u0016\u0003\u0001", "bad-syntax"],
    ["GET / HTTP/1.1\n", "bad-syntax"],
    ["GET / HTTP/1.1\r\nHost: a\u0000", "bad-syntax"],
    ["GET / HTTP/1.1\r\nHost: a\rb", "bad-syntax"],
    ["GET /\r\n", "bad-version"],
    ["GET / HTTP/1.2\r\n", "bad-version"],
    ["TRACE / HTTP/1.1\r\n", "bad-method"],
    [`GET /${"a".repeat(8_192)} HTTP/1.1\r\n`, "target-too-long"],
    [`GET /${"a".repeat(17_000)}`, "target-too-long"],
    [`GET / HTTP/1.1\r\nA: ${"a".repeat(17_000)}`, "too-many-headers"],
  ])("does not wait where nothing can mend it: %j", (text, reason) => {
    expect(read(text)).toMatchObject({ kind: "refused", reason });
  });

  test("writes every line that passes as `name: value`, and none that may not", () => {
    const head = accept([
      "A",
      " b ",
      "Empty",
      "",
      "Keep-Alive",
      "5",
      "X-Forwarded-For",
      "6.6.6.6",
      "X_Forwarded_Host",
      "evil",
      "Stampyard-Route",
      "forged",
      "Stampyard.Route",
      "forged",
      "X-Tenant",
      "globex",
      "Connection",
      "x-named",
      "X-Named",
      "1",
      "Traceparent",
      "t",
      "Obs",
      "caf\u00e9",
    ]);
    expect(head).toMatchObject({ fields: { lines: "A: b\r\nEmpty:\r\nTraceparent: t\r\nObs: caf\u00e9\r\n" } });
  });

  test("believes a trusted peer's words about its client, and nobody else's", () => {
    const fields = "X-Tenant: globex\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-Id: abc\r\n\r\n";
    const text = `GET / HTTP/1.1\r\nHost: acme.localhost\r\n${fields}`;
    const trusted = read(text, true);
    expect(trusted).toMatchObject({
      head: { fields: { lines: "X-Tenant: globex\r\n", forwardedFor: "1.2.3.4", requestId: "abc" } },
    });
    expect(read(text)).toMatchObject({ head: { fields: { lines: "", forwardedFor: "", requestId: "" } } });
  });

  test.each([
    ["X_Tenant", "bad-header"],
    ["STAMPYARD_ROUTE", "bad-header"],
  ])("refuses %s, which is another name to half of all readers", (name, reason) => {
    expect(accept([name, "x"])).toBe(reason);
  });
});
