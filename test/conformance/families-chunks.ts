import {
  accept,
  canonical,
  chunked,
  draft,
  either,
  everyByte,
  type Family,
  field,
  hex,
  type Payload,
  type Verdict,
  write,
} from "./verdict.ts";

const brokenBody: Verdict = { kind: "broken-body", statuses: [400, 413, 431] };
const inner = (host: string) => `GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

/** RFC 9112 section 7.1, the body itself. */
export const chunks: Family = (host) => {
  const payloads: Payload[] = [];
  const one = (id: string, body: string, verdict: Verdict, halfClose?: true) => {
    const bytes = write(draft(host, { method: "POST", body, lines: [`Host: ${host}`, "Transfer-Encoding: chunked"] }));
    payloads.push({ id: `chunks: ${id}`, bytes, verdict, ...(halfClose === undefined ? {} : { halfClose }) });
  };
  const served = (body: string) => accept(canonical(host, { method: "POST", body }));
  one("none", "0\r\n\r\n", served(""));
  one("one", chunked("hello"), served("hello"));
  one("many", chunked(..."hello world"), served("hello world"));
  one("upper-case size", `A\r\n0123456789\r\n0\r\n\r\n`, served("0123456789"));
  one("a request inside", chunked(inner(host)), served(inner(host)));
  one("line ends inside", chunked("\r\n", "0\r\n\r\n", "\n"), served("\r\n0\r\n\r\n\n"));
  one("64 KiB", chunked("x".repeat(65_536)), served("x".repeat(65_536)));
  for (const zeros of [1, 3, 7]) {
    one(`${zeros} zeros before the size`, `${"0".repeat(zeros)}5\r\nhello\r\n0\r\n\r\n`, served("hello"));
    one(`${zeros} zeros before the last`, `5\r\nhello\r\n${"0".repeat(zeros)}0\r\n\r\n`, served("hello"));
  }
  one("40 zeros", `${"0".repeat(40)}5\r\nhello\r\n0\r\n\r\n`, either(served("hello"), brokenBody));
  for (const extension of [
    ";",
    ";a",
    ";a=b",
    ';a="b"',
    ";a;b;c",
    "; a = b",
    ';a="b;c"',
    `;${"x".repeat(900)}`,
    ";\xe9",
    ';a="\\""',
  ]) {
    const sloppy = /^;$|= b|\xe9/.test(extension);
    const verdict = sloppy ? either(served("hello"), brokenBody) : served("hello");
    one(`extension ${extension.slice(0, 20)}`, `5${extension}\r\nhello\r\n0\r\n\r\n`, verdict);
    one(`extension of the last ${extension.slice(0, 20)}`, `5\r\nhello\r\n0${extension}\r\n\r\n`, verdict);
  }
  one("space before the extension", "5 ;a\r\nhello\r\n0\r\n\r\n", either(served("hello"), brokenBody));
  one("a flood of extensions", `${`1;${"x".repeat(1_000)}\r\nh\r\n`.repeat(20)}0\r\n\r\n`, brokenBody);
  one("an extension of 20 KiB", `5;${"x".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`, brokenBody);
  for (const size of [
    "",
    " ",
    "g",
    "5g",
    "0x5",
    "+5",
    "-5",
    "5 ",
    " 5",
    "5\t",
    "5.0",
    "5,",
    "5:",
    "5=",
    "#5",
    "5_0",
    "%35",
    "\xb2",
    "5\x00",
    "\x005",
    "5\x0b",
    "fffffffffffffffff",
    "10000000000000005",
    "8000000000000005",
    "ffffffffffffffff",
    "1".repeat(30),
    "5h",
    "0h5",
    "5'",
    "x",
    "-0",
    "+0",
    "0x0",
    "0 0",
    "00g",
  ]) {
    one(`size ${JSON.stringify(size)}`, `${size}\r\nhello\r\n0\r\n\r\n`, brokenBody);
    one(`second size ${JSON.stringify(size)}`, `1\r\nh\r\n${size}\r\nhello\r\n0\r\n\r\n`, brokenBody);
  }
  for (const byte of everyByte) {
    if (/[0-9A-Fa-f;\r\n]/.test(byte)) continue;
    const blank = byte === " " || byte === "\t";
    one(`size ends with ${hex(byte)}`, `5${byte}\r\nhello\r\n0\r\n\r\n`, brokenBody);
    one(`last ends with ${hex(byte)}`, `5\r\nhello\r\n0${byte}\r\n\r\n`, brokenBody);
    const control = byte < " " || byte === "\x7f";
    if (control && !blank) one(`extension with ${hex(byte)}`, `5;a${byte}b\r\nhello\r\n0\r\n\r\n`, brokenBody);
  }
  for (const end of [
    "\n",
    "\r",
    "\r\r\n",
    "\n\r",
    "",
    " ",
    "\r\n ",
    "\r\x00\n",
    "X\r\n",
    "\r\nX",
    "\r\n\r\n",
    "\x00\x00",
    "\r\r",
    "\n\n",
  ]) {
    const id = JSON.stringify(end);
    // The bytes may also be read as waiting for more; the client's end decides then.
    if (end !== "\r\n ") one(`data ends with ${id}`, `5\r\nhello${end}0\r\n\r\n`, brokenBody, true);
    if (!["", " ", "X\r\n", "\r\nX", "\r\n\r\n", "\r\n "].includes(end)) {
      one(`size line ends with ${id}`, `5${end}hello\r\n0\r\n\r\n`, brokenBody, true);
      one(`last line ends with ${id}`, `5\r\nhello\r\n0${end}\r\n`, brokenBody, true);
      one(`extension line ends with ${id}`, `5;a${end}hello\r\n0\r\n\r\n`, brokenBody, true);
    }
  }
  const whole = chunked("hello", "world");
  for (let cut = 0; cut < whole.length; cut++) one(`ends after ${cut} bytes`, whole.slice(0, cut), brokenBody, true);
  payloads.push(...trailers(host));
  return payloads;
};

/** Dropped, whatever they say; but they must be field lines. */
const trailers: Family = (host) => {
  const payloads: Payload[] = [];
  const one = (id: string, section: string, verdict: Verdict) => {
    const lines = [`Host: ${host}`, "Transfer-Encoding: chunked", "A: b"];
    const bytes = write(draft(host, { method: "POST", body: `5\r\nhello\r\n0\r\n${section}\r\n`, lines }));
    payloads.push({ id: `trailers: ${id}`, bytes, verdict });
  };
  const served = accept(canonical(host, { method: "POST", body: "hello", fields: [field("a", "b")] }));
  const names = [
    "X-A",
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "X-Tenant-Id",
    "Stampyard-Route",
    "Authorization",
    "Cookie",
    "Connection",
    "Trailer",
    "Expect",
    "Upgrade",
  ];
  for (const name of names) {
    one(name, `${name}: v\r\n`, served);
    one(`${name} twice`, `${name}: v\r\n${name.toLowerCase()}: w\r\n`, served);
  }
  one("ten", "X: y\r\n".repeat(10), served);
  const lines = [
    "X : y",
    " X: y",
    "X",
    ": y",
    "X: a\r\n b",
    "X: a\rb",
    "X: a\nb",
    "X: \x00",
    "X\x00: y",
    "X y: z",
    "X: y\x7f",
    "GET / HTTP/1.1",
    "X: y\n",
    "\n",
    "\r",
  ];
  for (const line of lines) one(`line ${JSON.stringify(line)}`, `${line}\r\n`, brokenBody);
  one("2,000", "X: y\r\n".repeat(4_000), brokenBody);
  one("one of 40 KiB", `X: ${"y".repeat(40_000)}\r\n`, brokenBody);
  return payloads;
};
