/** What the client may make of a bad answer. */
export type Outcome =
  /** 502 of the router's own. */
  | "refused"
  /** No clean end: cut before the body's length, or before its last chunk; or refused if nothing had been passed on. */
  | "cut"
  /** This answer, in canonical form. */
  | { readonly status: number; readonly body: string };

export interface BadResponse {
  readonly id: string;
  readonly bytes: string;
  readonly then: "keep" | "end" | "reset";
  readonly allowed: readonly Outcome[];
  readonly method?: "GET" | "HEAD";
}

const tail = "\r\n\r\n";
const ok = { status: 200, body: "hello" };

/** Answers that break a rule of RFC 9112, or of the response contract; made from parts, like the requests. */
export function badResponses(): BadResponse[] {
  const list: BadResponse[] = [];
  const one = (
    id: string,
    bytes: string,
    allowed: readonly Outcome[],
    then: BadResponse["then"] = "keep",
    method: "GET" | "HEAD" = "GET",
  ) => list.push({ id, bytes, then, allowed, method });
  const framed = (
    id: string,
    lines: string,
    body: string,
    allowed: readonly Outcome[],
    then: BadResponse["then"] = "end",
  ) => one(id, `HTTP/1.1 200 OK\r\n${lines}${tail}${body}`, allowed, then);

  for (const version of [
    "HTTP/2.0",
    "HTTP/0.9",
    "HTTP/1.2",
    "HTTP/3.0",
    "HTTP/1",
    "HTTP/11",
    "http/1.1",
    "RTSP/1.0",
    "ICY",
    "HTTP/1.1x",
    "SSH-2.0",
    "",
  ]) {
    one(`version ${version}`, `${version} 200 OK\r\nContent-Length: 5${tail}hello`, ["refused"]);
  }
  for (const status of [
    "099",
    "000",
    "600",
    "999",
    "20",
    "2000",
    "abc",
    "2 0",
    "-20",
    "+20",
    "",
    "1e2",
    "0x64",
    "20\x00",
  ]) {
    one(
      `status ${JSON.stringify(status)}`,
      `HTTP/1.1 ${status} Odd\r\nContent-Length: 5${tail}hello`,
      ["refused"],
      "end",
    );
  }
  for (const code of ["\x00", "\x01", "\x07", "\x1b", "\x7f", "\x0b"]) {
    one(`reason with ${JSON.stringify(code)}`, `HTTP/1.1 200 O${code}K\r\nContent-Length: 5${tail}hello`, [
      "refused",
      ok,
    ]);
  }
  one("no reason", `HTTP/1.1 200\r\nContent-Length: 5${tail}hello`, ["refused", ok]);
  one("empty reason", `HTTP/1.1 200 \r\nContent-Length: 5${tail}hello`, [ok]);
  one("reason beyond ASCII", `HTTP/1.1 200 \xe9\r\nContent-Length: 5${tail}hello`, ["refused", ok]);
  one("LF line ends", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", ["refused"], "end");
  one("one LF", `HTTP/1.1 200 OK\nContent-Length: 5${tail}hello`, ["refused"], "end");
  one("bare CR", `HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 5${tail}hello`, ["refused"], "end");
  for (const line of [
    "X : y",
    " X: y",
    "X",
    ": y",
    "X: a\r\n b",
    "X: \x00",
    "X: \x01",
    "X\x00: y",
    "X y: z",
    "X: \x7f",
    "(X): y",
    "X: a\nInjected: b",
  ]) {
    one(
      `line ${JSON.stringify(line)}`,
      `HTTP/1.1 200 OK\r\n${line}\r\nContent-Length: 5${tail}hello`,
      ["refused"],
      "end",
    );
  }
  one("no HTTP", `hello${tail}`, ["refused"], "end");
  one("a request instead", `GET / HTTP/1.1\r\nHost: x${tail}`, ["refused"], "end");
  one("nothing", "", ["refused"], "end");
  one("a reset", "", ["refused"], "reset");
  for (const cut of [1, 8, 12, 17, 25, 40]) {
    one(
      `ends after ${cut} bytes of its head`,
      `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5${tail}`.slice(0, cut),
      ["refused"],
      "end",
    );
    one(
      `is reset after ${cut} bytes of its head`,
      `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5${tail}`.slice(0, cut),
      ["refused"],
      "reset",
    );
  }
  one("a head of 20 KiB", `HTTP/1.1 200 OK\r\nX: ${"y".repeat(20_000)}\r\nContent-Length: 5${tail}hello`, ["refused"]);
  one("a head of 1 MiB", `HTTP/1.1 200 OK\r\nX: ${"y".repeat(1_000_000)}${tail}`, ["refused"]);
  one("300 fields", `HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(300)}Content-Length: 5${tail}hello`, ["refused"]);
  one(
    "2,500 short fields before its length",
    `HTTP/1.1 200 OK\r\n${"a:\r\n".repeat(2_500)}Content-Length: 5${tail}hello`,
    ["refused"],
  );
  badlyFramed(framed);
  list.push(...informational());
  one("HEAD with a length", `HTTP/1.1 200 OK\r\nContent-Length: 5${tail}`, [{ status: 200, body: "" }], "keep", "HEAD");
  one(
    "HEAD with a body",
    `HTTP/1.1 200 OK\r\nContent-Length: 5${tail}hello`,
    [{ status: 200, body: "" }],
    "keep",
    "HEAD",
  );
  one("204 with a body", `HTTP/1.1 204 No Content\r\nContent-Length: 5${tail}hello`, [
    "refused",
    { status: 204, body: "" },
  ]);
  one("204 with chunks", `HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked${tail}0${tail}`, [
    "refused",
    { status: 204, body: "" },
  ]);
  one("304 with a body", `HTTP/1.1 304 Not Modified\r\nContent-Length: 5${tail}hello`, [
    "refused",
    { status: 304, body: "" },
  ]);
  return list;
}

type Framed = (
  id: string,
  lines: string,
  body: string,
  allowed: readonly Outcome[],
  then?: BadResponse["then"],
) => void;

function badlyFramed(framed: Framed): void {
  for (const length of [
    "+5",
    "-5",
    "0x5",
    "5,5",
    "5, 6",
    "five",
    "5 5",
    "1e1",
    "5;",
    "9".repeat(30),
    "",
    "18446744073709551621",
    "5\x0b",
    "\xb2",
  ]) {
    framed(`length ${JSON.stringify(length)}`, `Content-Length: ${length}`, "hello", ["refused"]);
  }
  for (const [first, second] of [
    ["5", "5"],
    ["5", "6"],
    ["0", "5"],
    ["5", "0"],
  ] as const) {
    framed(`lengths ${first} and ${second}`, `Content-Length: ${first}\r\ncontent-length: ${second}`, "hello", [
      "refused",
    ]);
  }
  for (const coding of [
    "gzip",
    "identity",
    "gzip, chunked",
    "chunked, chunked",
    "chunked, gzip",
    "xchunked",
    "",
    "chunked;x",
    "\x0bchunked",
    '"chunked"',
  ]) {
    framed(`coding ${coding}`, `Transfer-Encoding: ${coding}`, "5\r\nhello\r\n0\r\n\r\n", ["refused"]);
  }
  framed("two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", [
    "refused",
  ]);
  for (const length of ["5", "15", "0", "3"]) {
    framed(
      `coding and length ${length}`,
      `Transfer-Encoding: chunked\r\nContent-Length: ${length}`,
      "5\r\nhello\r\n0\r\n\r\n",
      ["refused"],
    );
    framed(
      `length ${length} and coding`,
      `Content-Length: ${length}\r\nTransfer-Encoding: chunked`,
      "5\r\nhello\r\n0\r\n\r\n",
      ["refused"],
    );
  }
  for (const then of ["end", "reset"] as const) {
    for (const sent of [0, 1, 4])
      framed(`${then} after ${sent} of 5`, "Content-Length: 5", "hello".slice(0, sent), ["cut"], then);
    framed(`${then} after 100 KB of 200`, "Content-Length: 200000", "x".repeat(100_000), ["cut"], then);
    const chunks = "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n";
    for (let cut = 0; cut < chunks.length; cut += 2)
      framed(`${then} after ${cut} bytes of chunks`, "Transfer-Encoding: chunked", chunks.slice(0, cut), ["cut"], then);
    framed(`${then} in the trailers`, "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nX: y\r\n", ["cut"], then);
  }
  // Without a length the end of the connection is the end; a reset is none.
  framed("reset without a length", "Content-Type: text/plain", "x".repeat(50_000), ["cut"], "reset");
  for (const size of [
    "",
    "g",
    "0x5",
    "-5",
    "+5",
    "5 ",
    " 5",
    "5\t",
    "ffffffffffffffffff",
    "5\x00",
    "5\n",
    "x",
    "5;\x01",
    "5\rX",
  ]) {
    framed(`chunk size ${JSON.stringify(size)}`, "Transfer-Encoding: chunked", `${size}\r\nhello\r\n0\r\n\r\n`, [
      "cut",
    ]);
    framed(
      `second chunk size ${JSON.stringify(size)}`,
      "Transfer-Encoding: chunked",
      `5\r\nhello\r\n${size}\r\nworld\r\n0\r\n\r\n`,
      ["cut"],
    );
  }
  for (const end of ["", "\n", "XX", "X\r\n", "\r", "\r\r\n"]) {
    framed(`chunk ends with ${JSON.stringify(end)}`, "Transfer-Encoding: chunked", `5\r\nhello${end}0\r\n\r\n`, [
      "cut",
    ]);
  }
  framed("trailer that is no field", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nX y\r\n\r\n", ["cut", ok]);
  framed(
    "trailers that end another message",
    "Transfer-Encoding: chunked",
    "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    [ok],
  );
  framed("extensions", "Transfer-Encoding: chunked", "5;a=b\r\nhello\r\n0;c\r\n\r\n", [ok]);
  framed("zeros before the length", "Content-Length: 005", "hello", [ok, "refused"]);
}

function informational(): BadResponse[] {
  const final = `HTTP/1.1 200 OK\r\nContent-Length: 5${tail}hello`;
  const hint = `HTTP/1.1 103 Early Hints\r\nLink: </x>${tail}`;
  const processing = `HTTP/1.1 102 Processing${tail}`;
  const list: BadResponse[] = [];
  const one = (id: string, bytes: string, allowed: readonly Outcome[], then: BadResponse["then"] = "keep") =>
    list.push({ id, bytes, allowed, then });
  one("103 first", hint + final, [ok]);
  one("102 first", processing + final, [ok]);
  one("100 that nobody waits for", `HTTP/1.1 100 Continue${tail}${final}`, [ok]);
  one("10 hints", hint.repeat(10) + final, [ok]);
  one("17 hints", hint.repeat(17) + final, ["refused", "cut"]);
  one("a flood of 103", hint.repeat(5_000) + final, ["refused", "cut"]);
  one("a flood of 100", `HTTP/1.1 100 Continue${tail}`.repeat(5_000), ["refused", "cut"]);
  one("a flood of 102", processing.repeat(5_000), ["refused", "cut"]);
  one("103 with a length", `HTTP/1.1 103 Early Hints\r\nContent-Length: 5${tail}${final}`, ["refused", ok]);
  one("103 and then the end", hint, ["refused", "cut"], "end");
  one("101 unasked", `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade${tail}raw bytes`, [
    "refused",
  ]);
  one("101 unasked to h2c", `HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade${tail}`, [
    "refused",
  ]);
  one("101 without Upgrade", `HTTP/1.1 101 Switching Protocols${tail}${final}`, ["refused"]);
  return list;
}
