import {
  accept,
  canonical,
  draft,
  either,
  everyByte,
  type Family,
  field,
  hex,
  isTchar,
  isValueByte,
  type Payload,
  reject,
  type Verdict,
  write,
} from "./verdict.ts";

const badField = reject(400, "bad-header", "bad-syntax", "bad-host", "bad-framing");
/** RFC 9110 section 5 and RFC 9112 section 5, byte by byte. */
export const fieldSyntax: Family = (host) => {
  const payloads: Payload[] = [];
  const line = (id: string, text: string, verdict: Verdict) => {
    payloads.push({
      id: `field: ${id}`,
      bytes: write(draft(host, { lines: [`Host: ${host}`, text, "Z: end"] })),
      verdict,
    });
    if (payloads.length % 3 === 0) {
      const first = write(draft(host, { lines: [text, `Host: ${host}`, "Z: end"] }));
      payloads.push({ id: `field first: ${id}`, bytes: first, verdict });
    }
  };
  const served = (name: string, value: string) =>
    accept(canonical(host, { fields: [field(name, value), field("z", "end")] }));
  for (const byte of everyByte) {
    if (byte === "\r" || byte === "\n") continue;
    for (const [place, name] of [
      ["start", `${byte}abc`],
      ["middle", `a${byte}bc`],
      ["end", `abc${byte}`],
    ] as const) {
      let verdict: Verdict = isTchar(byte) ? served(name, "v") : badField;
      if (byte === ":")
        verdict =
          place === "start"
            ? badField
            : served(name.split(":", 1)[0] ?? "", `${name.slice(name.indexOf(":") + 1)}: v`.replace(/^: v$/, ": v"));
      line(`name with ${hex(byte)} at its ${place}`, `${name}: v`, verdict);
    }
    for (const [place, value] of [
      ["start", `${byte}abc`],
      ["middle", `a${byte}bc`],
      ["end", `abc${byte}`],
    ] as const) {
      const verdict = isValueByte(byte) ? served("x", value.replace(/^[\t ]+|[\t ]+$/g, "")) : badField;
      line(`value with ${hex(byte)} at its ${place}`, `X: ${value}`, verdict);
    }
  }
  for (const [text, value] of [
    ["X:", ""],
    ["X: ", ""],
    ["X:\t \t", ""],
    ["X:v", "v"],
    ["X:  v  ", "v"],
    ["X:\tv\t", "v"],
    ["X: a  b", "a  b"],
  ] as const) {
    line(`spaces ${JSON.stringify(text)}`, text, served("x", value));
  }
  for (const text of [
    "X : v",
    "X\t: v",
    " X: v",
    "\tX: v",
    ": v",
    ":",
    " : v",
    "X",
    "X v",
    "=",
    "X;v",
    "GET / HTTP/1.1",
    "\x00",
  ]) {
    line(`line ${JSON.stringify(text)}`, text, badField);
  }
  for (const fold of ["X: a\r\n b", "X: a\r\n\tb", "X:\r\n a", "X: a\r\n ", "X: a\r\n \r\n b", "X: a,\r\n   b"]) {
    line(`fold ${JSON.stringify(fold)}`, fold, badField);
  }
  for (const bare of [
    "X: a\rb",
    "X: a\nb",
    "X: a\n",
    "X: a\r",
    "X\r: a",
    "X\n: a",
    "X: a\nY: b",
    "X: a\rY: b",
    "X: a\r\rb",
    "X: a\n\nb",
  ]) {
    line(`bare ${JSON.stringify(bare)}`, bare, badField);
  }
  payloads.push({
    id: "field: space before the first line",
    bytes: `GET / HTTP/1.1\r\n Host: ${host}\r\n\r\n`,
    verdict: badField,
  });
  payloads.push({
    id: "field: folded request line",
    bytes: `GET /\r\n HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    verdict: reject([400, 505]),
  });
  payloads.push(...repeats(host));
  return payloads;
};

/** The same name again: lines stay lines, in order. */
const repeats: Family = (host) => {
  const names = [
    "X-A",
    "Cookie",
    "Accept",
    "Authorization",
    "Content-Type",
    "Content-Encoding",
    "Range",
    "__proto__",
    "constructor",
  ];
  const cookies = ["a=b; c=d", `x="y"`];
  return names.flatMap((name) => {
    const values = [...cookies.slice(0, 2), "third"];
    const lines = [
      `Host: ${host}`,
      ...values.map((value, index) => `${index === 1 ? name.toUpperCase() : name}: ${value}`),
    ];
    const fields = values.map((value) => field(name, value));
    const bytes = write(draft(host, { lines }));
    return [{ id: `field three times: ${name}`, bytes, verdict: accept(canonical(host, { fields })) }];
  });
};

const dropped = [
  "Keep-Alive: timeout=5",
  "Proxy-Connection: keep-alive",
  "Proxy-Authenticate: Basic",
  "Proxy-Authorization: Basic eDp5",
  "TE: trailers",
  "TE: gzip;q=0.5",
  "Trailer: X-A",
  "HTTP2-Settings: AAMAAABkAAQAAP__",
  "Forwarded: for=1.2.3.4;host=victim.localhost",
  "X-Forwarded-For: 1.2.3.4",
  "X-Forwarded-Host: victim.localhost",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Port: 1",
  "X-Forwarded-Server: s",
  "X-Forwarded-Prefix: /p",
  "X-Forwarded-Scheme: https",
  "X-Forwarded-Ssl: on",
  "X-Real-IP: 1.2.3.4",
  "X-Tenant-Id: victim",
  "Stampyard-Route: v1;k1;victim;s;1;1;x",
  "Stampyard-Anything: x",
];

/** RFC 9110 section 7.6.1 and acceptance step 8. */
export const hopByHop: Family = (host) => {
  const payloads: Payload[] = [];
  const one = (id: string, lines: readonly string[], verdict: Verdict) =>
    payloads.push({ id: `hop: ${id}`, bytes: write(draft(host, { lines: [`Host: ${host}`, ...lines] })), verdict });
  const kept = (...fields: ReturnType<typeof field>[]) => accept(canonical(host, { fields }));
  const closed = (...fields: ReturnType<typeof field>[]) => accept(canonical(host, { fields }), "closed");
  for (const line of dropped) {
    one(`dropped ${line}`, ["A: b", line, "C: d"], kept(field("a", "b"), field("c", "d")));
    one(`dropped twice ${line}`, [line.toUpperCase(), line.toLowerCase()], kept());
    one(`dropped though empty ${line}`, [`${line.split(":", 1)[0]}:`], kept());
  }
  for (const token of ["close", "Close", "CLOSE", "close, x-a", "x-a,close", " close ", "x-a , , close", ",close"]) {
    one(`connection ${token}`, [`Connection: ${token}`, "B: c"], closed(field("b", "c")));
  }
  one("close in the second line", ["Connection: x-a", "Connection: close"], closed());
  one("close and keep-alive", ["Connection: keep-alive, close"], closed());
  for (const token of ["keep-alive", "Keep-Alive", "", " ", ",", "foo", "te", "TE, foo", "upgrade", "http2-settings"]) {
    one(`connection ${JSON.stringify(token)}`, [`Connection: ${token}`, "B: c"], kept(field("b", "c")));
  }
  for (const name of ["X-Secret", "Accept", "x-a", "User-Agent", "X_A", "Cache-Control", "Range", "If-None-Match"]) {
    for (const [id, line] of [
      ["alone", name],
      ["listed", `keep-alive, ${name}`],
      ["upper", name.toUpperCase()],
      ["spaced", `foo ,\t${name} `],
    ] as const) {
      one(`nominated ${id} ${name}`, [`Connection: ${line}`, `${name}: v`, "B: c"], kept(field("b", "c")));
    }
    one(
      `nominated late ${name}`,
      [`${name}: v`, "B: c", "Connection: foo", `Connection: ${name}`],
      kept(field("b", "c")),
    );
  }
  const forbidden = [
    "host",
    "content-length",
    "authorization",
    "cookie",
    "stampyard-route",
    "stampyard-x",
    "x-tenant-id",
  ];
  for (const name of forbidden) {
    for (const spelled of [name, name.toUpperCase(), name.replaceAll("-", "_")]) {
      if (spelled.includes("_") && !/^(?:stampyard|x_tenant)/.test(spelled)) continue;
      one(`names ${spelled}`, [`Connection: ${spelled}`], reject(400, "bad-header"));
      one(`names ${spelled} among others`, [`Connection: keep-alive, ${spelled},x`], reject(400, "bad-header"));
      one(
        `names ${spelled} in a second line`,
        ["Connection: keep-alive", `Connection: ${spelled}`],
        reject(400, "bad-header"),
      );
      one(
        `names ${spelled} that is there`,
        [`Connection: ${spelled}`, "Authorization: x", "Cookie: y"],
        reject(400, "bad-header"),
      );
    }
  }
  for (const token of [
    "transfer-encoding",
    "content-type",
    "x-forwarded-for",
    "via",
    "a b",
    "(x)",
    '"close"',
    "close;x",
    "\xe9",
  ]) {
    one(
      `connection ${token}`,
      [`Connection: ${token}`],
      either(kept(), closed(), reject(400, "bad-header", "bad-framing", "bad-syntax")),
    );
  }
  for (const name of [
    "Stampyard_Route",
    "stampyard_route",
    "STAMPYARD_HOOK",
    "Stampyard_Anything",
    "X_Tenant_Id",
    "x_tenant_id",
    "X-Tenant_Id",
    "x_tenant-id",
  ]) {
    one(`reserved by another spelling ${name}`, [`${name}: victim`], reject(400, "bad-header"));
    one(`reserved by another spelling and empty ${name}`, ["A: b", `${name}:`], reject(400, "bad-header"));
  }
  return payloads;
};
