import {
  accept,
  canonical,
  chunked,
  draft,
  either,
  type Family,
  type Payload,
  reject,
  type Verdict,
  write,
} from "./verdict.ts";

const badFraming = reject(400, "bad-framing", "bad-syntax", "bad-header");
const inner = (host: string) => `GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
/** RFC 9112 section 6.2 and acceptance step 6: one length, in digits. */
export const lengths: Family = (host) => {
  const payloads: Payload[] = [];
  const body = "hello";
  const one = (
    id: string,
    lines: readonly string[],
    verdict: Verdict,
    parts: { method?: string; version?: string; body?: string } = {},
  ) => {
    const bytes = write(draft(host, { method: "POST", body, lines: [`Host: ${host}`, ...lines], ...parts }));
    payloads.push({ id: `length: ${id}`, bytes, verdict });
  };
  const served = (method = "POST", content = body) => accept(canonical(host, { method, body: content }));
  for (const value of ["5", "05", "005", "0000000005", " 5", "5 ", "\t5\t", "  5  "])
    one(JSON.stringify(value), [`Content-Length:${value}`], served());
  one("many zeros", [`Content-Length: ${"0".repeat(30)}5`], either(served(), badFraming));
  for (const name of ["content-length", "CONTENT-LENGTH", "cOnTeNt-LeNgTh"]) one(name, [`${name}: 5`], served());
  for (const value of [
    "",
    " ",
    "+5",
    "-5",
    "-0",
    "5,5",
    "5, 5",
    "5,",
    ",5",
    "5;5",
    "5;",
    "0x5",
    "0X5",
    "5 5",
    "5\t5",
    "5.",
    "5.0",
    ".5",
    "1e1",
    "5e0",
    "five",
    "V",
    "5x",
    "x5",
    "5/5",
    "'5'",
    '"5"',
    "5\x0b",
    "\x0b5",
    "5\x0c",
    "\xa05",
    "5\xa0",
    "\xb2",
    "5\x00",
    "\x005",
    "0b101",
    "0o5",
    "5_0",
    "1,000",
    "5=",
    "=5",
    "5?",
    "(5)",
    "5\\",
    "%35",
    "&#53;",
    "NaN",
    "Infinity",
    "null",
    "true",
  ]) {
    one(`of ${JSON.stringify(value)}`, [`Content-Length: ${value}`], badFraming);
    one(`of ${JSON.stringify(value)} for GET`, [`Content-Length: ${value}`], badFraming, { method: "GET" });
  }
  const huge = either(badFraming, reject([400, 413]));
  for (const value of [
    "9007199254740994",
    "18446744073709551616",
    "18446744073709551621",
    "9".repeat(40),
    "4294967301".repeat(3),
  ]) {
    one(`of ${value}`, [`Content-Length: ${value}`], huge);
  }
  for (const [first, second] of [
    ["5", "5"],
    ["5", "6"],
    ["5", "0"],
    ["0", "5"],
    ["05", "5"],
    ["", "5"],
    ["5", ""],
  ] as const) {
    for (const name of ["Content-Length", "content-length", "CONTENT-LENGTH"]) {
      one(`twice ${first} and ${second} as ${name}`, [`Content-Length: ${first}`, `${name}: ${second}`], badFraming);
      one(
        `twice apart ${first} and ${second} as ${name}`,
        [`${name}: ${first}`, "A: b", `Content-Length: ${second}`],
        badFraming,
      );
    }
  }
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH"]) {
    one(`body of ${method}`, ["Content-Length: 5"], served(method), { method });
    one(`empty body of ${method}`, ["Content-Length: 0"], served(method, ""), { method, body: "" });
  }
  for (const method of ["GET", "HEAD", "DELETE"]) {
    one(`body of ${method} on 1.0`, ["Content-Length: 5"], reject(413), { method, version: "HTTP/1.0" });
    one(`empty body of ${method} on 1.0`, ["Content-Length: 0"], accept(canonical(host, { method }), "closed"), {
      method,
      version: "HTTP/1.0",
      body: "",
    });
  }
  for (const method of ["POST", "PUT", "PATCH"]) {
    one(`body of ${method} on 1.0`, ["Content-Length: 5"], accept(canonical(host, { method, body }), "closed"), {
      method,
      version: "HTTP/1.0",
    });
  }
  const odd = [
    "\x00\x01\x02",
    "\r\n\r\n",
    inner(host),
    "\xff\xfe\x80",
    "0\r\n\r\n",
    "x".repeat(70_000),
    "\n".repeat(999),
  ];
  for (const content of odd) {
    one(
      `holds ${JSON.stringify(content.slice(0, 20))}`,
      [`Content-Length: ${content.length}`],
      served("POST", content),
      { body: content },
    );
  }
  for (const sent of [0, 1, 4]) {
    const bytes = write(
      draft(host, { method: "POST", lines: [`Host: ${host}`, "Content-Length: 5"], body: body.slice(0, sent) }),
    );
    payloads.push({ id: `length: ends after ${sent} of 5`, bytes, verdict: { kind: "unfinished" }, halfClose: true });
  }
  return payloads;
};

/** RFC 9112 section 6.1 and acceptance step 6: exactly `chunked`, alone, on 1.1. */
export const encodings: Family = (host) => {
  const payloads: Payload[] = [];
  const body = "hello";
  const one = (id: string, lines: readonly string[], verdict: Verdict, version = "HTTP/1.1", method = "POST") => {
    const bytes = write(draft(host, { method, version, body: chunked(body), lines: [`Host: ${host}`, ...lines] }));
    payloads.push({ id: `encoding: ${id}`, bytes, verdict });
  };
  const served = (method = "POST") => accept(canonical(host, { method, body }));
  for (const value of [
    "chunked",
    "Chunked",
    "CHUNKED",
    "cHuNkEd",
    " chunked ",
    "\tchunked",
    "chunked\t",
    " \t chunked",
  ]) {
    one(JSON.stringify(value), [`Transfer-Encoding:${value}`], served());
  }
  for (const name of ["transfer-encoding", "TRANSFER-ENCODING", "tRANSFER-eNCODING"])
    one(name, [`${name}: chunked`], served());
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH"]) {
    one(`body of ${method}`, ["Transfer-Encoding: chunked"], served(method), "HTTP/1.1", method);
  }
  const odd = [
    "",
    " ",
    "identity",
    "gzip",
    "deflate",
    "compress",
    "br",
    "x",
    "chunke",
    "chunkedd",
    "xchunked",
    "chunked x",
    "x chunked",
    "gzip, chunked",
    "chunked, gzip",
    "chunked, chunked",
    "chunked,chunked",
    ",chunked",
    "chunked,",
    ", chunked",
    "chunked ,",
    ",",
    "chunked,,",
    "identity, chunked",
    "chunked, identity",
    "chunked;q=1",
    "chunked; a=b",
    "chunked;",
    ";chunked",
    '"chunked"',
    "'chunked'",
    "chunked\x00",
    "\x00chunked",
    "chunked\x0b",
    "\x0bchunked",
    "\x0cchunked",
    "chunked\xa0",
    "\xa0chunked",
    "chun\tked",
    "chun ked",
    "chunked\x7f",
    "ch\x00unked",
    "chunKed".replace("K", "\u212a"),
    "chunked\\",
    "chunked/1",
    "chunked:",
    ":chunked",
    "=chunked",
    "[chunked]",
    "(chunked)",
    "%63hunked",
    "chunked\x85",
    "trailers",
    "cow",
    "chunked#",
    "*",
    "chunked\x1f",
    "gzip;chunked",
    "chunked chunked",
    "x-chunked",
    "chunked-x",
    "chunk",
    "c",
    "hunked",
    "chunked\x01",
  ];
  const bytewise = (value: string) => (value.includes("\u212a") ? "chun\x2aed" : value);
  for (const value of odd.map(bytewise)) {
    one(`of ${JSON.stringify(value)}`, [`Transfer-Encoding: ${value}`], badFraming);
    one(
      `of ${JSON.stringify(value)} beside a length`,
      [`Transfer-Encoding: ${value}`, "Content-Length: 15"],
      badFraming,
    );
    one(
      `of ${JSON.stringify(value)} before chunked`,
      [`Transfer-Encoding: ${value}`, "Transfer-Encoding: chunked"],
      badFraming,
    );
    one(
      `of ${JSON.stringify(value)} behind chunked`,
      ["Transfer-Encoding: chunked", `Transfer-Encoding: ${value}`],
      badFraming,
    );
    one(`of ${JSON.stringify(value)} for GET`, [`Transfer-Encoding: ${value}`], badFraming, "HTTP/1.1", "GET");
  }
  for (const length of ["0", "5", "15", "3", "9999"]) {
    one(`length ${length} before`, [`Content-Length: ${length}`, "Transfer-Encoding: chunked"], badFraming);
    one(`length ${length} behind`, ["Transfer-Encoding: chunked", `Content-Length: ${length}`], badFraming);
    one(
      `length ${length} far behind`,
      ["transfer-encoding: chunked", "A: b", "C: d", `CONTENT-LENGTH: ${length}`],
      badFraming,
    );
  }
  for (const value of ["chunked", "identity", "gzip, chunked"]) {
    for (const method of ["POST", "GET", "PUT"])
      one(`${method} ${value} on 1.0`, [`Transfer-Encoding: ${value}`], badFraming, "HTTP/1.0", method);
  }
  one("twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], badFraming);
  for (const name of [
    "Transfer-Encoding ",
    "Transfer-Encoding\t",
    " Transfer-Encoding",
    "Transfer-Encoding\x0b",
    "Transfer Encoding",
    "Transfer-\x00Encoding",
  ]) {
    one(`called ${JSON.stringify(name)}`, [`${name}: chunked`], badFraming);
    one(`called ${JSON.stringify(name)} beside a length`, [`${name}: chunked`, "Content-Length: 15"], badFraming);
  }
  one("folded", ["Transfer-Encoding:\r\n chunked"], badFraming);
  one("folded beside a length", ["Content-Length: 15", "Transfer-Encoding: \r\n\tchunked"], badFraming);
  return payloads;
};
