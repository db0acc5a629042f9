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
  type Payload,
  reject,
  type Verdict,
  write,
} from "./verdict.ts";

const malformed = reject(
  [400, 405, 505],
  "bad-syntax",
  "bad-version",
  "bad-method",
  "bad-target",
  "bad-header",
  "bad-host",
);

/** RFC 9112 section 2.3 and acceptance step 1: exactly 1.0 or 1.1. */
export const versions: Family = (host) => {
  const payloads: Payload[] = [];
  const one = (version: string, verdict: Verdict) =>
    payloads.push({ id: `version ${JSON.stringify(version)}`, bytes: write(draft(host, { version })), verdict });
  for (let major = 0; major < 10; major++) {
    for (let minor = 0; minor < 10; minor++) {
      if (major === 1 && minor === 1) one("HTTP/1.1", accept(canonical(host)));
      else if (major === 1 && minor === 0) one("HTTP/1.0", accept(canonical(host), "closed"));
      else one(`HTTP/${major}.${minor}`, reject(505, "bad-version"));
    }
  }
  const odd = [
    "HTTP/1",
    "HTTP/1.",
    "HTTP/.1",
    "HTTP/11",
    "HTTP/1.10",
    "HTTP/01.1",
    "HTTP/1.01",
    "HTTP/1,1",
    "HTTP/1 1",
  ];
  odd.push("http/1.1", "Http/1.1", "HTTP1.1", "HTTP//1.1", "HTP/1.1", "HTTPS/1.1", "RTSP/1.0", "SIP/2.0", "ICY/1.1");
  odd.push("HTTP/1.1x", "xHTTP/1.1", "HTTP/1.1 ", "HTTP/1.1\t", "HTTP/1.1,HTTP/1.1", "HTTP/1.1 HTTP/1.1", "HTTP/-1.1");
  odd.push("HTTP/1.1;q=1", "HTTP/1.1\x00", "HTTP/\x001.1", "HTTP/1.\xb9", '"HTTP/1.1"', "HTTP/+1.1", "HTTP/1.1.1");
  for (const version of odd) one(version, reject([400, 505], "bad-version", "bad-syntax", "bad-target"));
  for (const method of ["GET", "POST", "HEAD", "TRACE", "CONNECT"]) {
    const lines = [`Host: ${host}`];
    payloads.push({
      id: `${method} of HTTP/0.9 without version`,
      bytes: `${method} /\r\n${lines[0]}\r\n\r\n`,
      verdict: reject(505, "bad-version"),
    });
    payloads.push({
      id: `${method} with HTTP/0.9`,
      bytes: write(draft(host, { method, version: "HTTP/0.9" })),
      verdict: reject(505, "bad-version"),
    });
    payloads.push({
      id: `${method} with HTTP/2.0`,
      bytes: write(draft(host, { method, version: "HTTP/2.0" })),
      verdict: reject(505, "bad-version"),
    });
  }
  payloads.push({
    id: "HTTP/2 preface",
    bytes: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    verdict: reject(505, "bad-version"),
  });
  return payloads;
};

const known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const foreign = [
  "TRACE",
  "CONNECT",
  "PROPFIND",
  "BREW",
  "M-SEARCH",
  "SOURCE",
  "PURGE",
  "LINK",
  "QUERY",
  "COPY",
  "TRACK",
];

export const methods: Family = (host) => {
  const payloads: Payload[] = [];
  const one = (id: string, method: string, verdict: Verdict, target = "/") =>
    payloads.push({ id, bytes: write(draft(host, { method, target })), verdict });
  for (const method of known) {
    one(`method ${method}`, method, accept(canonical(host, { method })));
    one(`method ${method.toLowerCase()}`, method.toLowerCase(), reject(405, "bad-method"));
    one(`method ${method}X`, `${method}X`, reject(405, "bad-method"));
    one(`method X${method}`, `X${method}`, reject(405, "bad-method"));
  }
  for (const method of foreign) {
    one(`method ${method}`, method, reject(405, "bad-method"));
    one(`method ${method} of 1.0`, method, reject(405, "bad-method"), "/x");
  }
  one("CONNECT authority", "CONNECT", reject(405, "bad-method"), `${host}:443`);
  one("a method of 300 letters", "M".repeat(300), reject([400, 405], "bad-method", "bad-syntax"));
  for (const byte of everyByte) {
    if (byte === "\r" || byte === "\n") continue;
    const verdict = isTchar(byte) ? reject(405, "bad-method") : malformed;
    // A space ends the method; what follows is a target and a version that are none.
    for (const [place, method] of [
      ["start", `${byte}GET`],
      ["middle", `G${byte}ET`],
      ["end", `GET${byte}`],
    ] as const) {
      const doubled = byte === " " && place === "end";
      one(
        `method with ${hex(byte)} at its ${place}`,
        method,
        doubled ? either(accept(canonical(host)), malformed) : verdict,
      );
    }
  }
  return payloads;
};

const verbatim = [
  "//evil.example/x",
  "///",
  "/\\evil",
  "/a/../b",
  "/../../etc/passwd",
  "/./.",
  "/%2e%2e/%2f",
  "/a%0d%0aX: y",
  "/%",
  "/%zz",
  "/%C0%AF",
  "/a;b=c",
  "/?",
  "/??",
  "/a?b=c&d=e",
  "/a?http://x/",
  "/http://evil/",
  "/a:b@c",
  "/*",
  "/~",
  "/[x]",
  "/'x'",
  "/$(x)",
  "/a,b",
  "/-._~!$&'()*+,;=:@",
  "/a%20b",
  "/x?%00no".replace("%00", "%01"),
];

export const targets: Family = (host) => {
  const payloads: Payload[] = [];
  const bad = reject(400, "bad-target", "bad-syntax");
  const one = (id: string, target: string, verdict: Verdict, method = "GET") =>
    payloads.push({ id: `target: ${id}`, bytes: write(draft(host, { target, method })), verdict });
  const passes = (target: string) => accept(canonical(host, { target }));
  for (const target of verbatim)
    one(target.replaceAll(" ", "_"), target.replaceAll(" ", ""), passes(target.replaceAll(" ", "")));
  for (const byte of everyByte) {
    const plain = /[!-~]/.test(byte) && byte !== "#";
    for (const [place, target] of [
      ["in the path", `/a${byte}b`],
      ["in the query", `/a?b${byte}c`],
      ["at the end", `/ab${byte}`],
    ] as const) {
      let verdict: Verdict = plain ? passes(target) : malformed;
      if (byte >= "\x80") verdict = either(passes(target), bad);
      if (byte === "\r" || byte === "\n") continue;
      if (byte === " " && place === "at the end") verdict = either(passes("/ab"), malformed);
      one(`${hex(byte)} ${place}`, target, verdict);
    }
    if (!/[/ \r\n]/.test(byte)) one(`begins with ${hex(byte)}`, `${byte}/x`, malformed);
  }
  for (const [id, target] of [
    ["*", "*"],
    ["**", "**"],
    ["no slash", "index.html"],
    ["authority-form", `${host}:80`],
    ["query only", "?a"],
    ["fragment", "/a#b"],
    ["fragment in the query", "/a?b#c"],
    ["fragment only", "#x"],
    ["%00 in the path", "/a%00b"],
    ["%00 in the query", "/a?b=%00"],
    ["%00 at the end", "/%00"],
    ["ftp", `ftp://${host}/`],
    ["ws", `ws://${host}/`],
    ["file", "file:///etc/passwd"],
    ["javascript", "javascript:alert(1)"],
    ["gopher", `gopher://${host}/`],
    ["urn", "urn:x:y"],
    ["http without slashes", "http:x"],
    ["http with one slash", `http:/${host}/`],
    ["http with three slashes", `http:///${host}/`],
    ["no host", "http://"],
    ["no host with path", "http:///x"],
    ["empty scheme", `://${host}/`],
  ] as const) {
    one(id, target, bad);
    one(`${id} of OPTIONS`, target, bad, "OPTIONS");
    one(`${id} of POST`, target, bad, "POST");
  }
  payloads.push(...absoluteTargets(host));
  return payloads;
};

/** RFC 9112 section 3.2.2, with acceptance step 3: only if it says the same as Host. */
const absoluteTargets: Family = (host) => {
  const payloads: Payload[] = [];
  const bad = reject(400, "bad-target", "bad-host", "bad-syntax");
  const one = (target: string, verdict: Verdict, lines = [`Host: ${host}`]) =>
    payloads.push({
      id: `absolute target ${target} for ${lines.join(" ")}`,
      bytes: write(draft(host, { target, lines })),
      verdict,
    });
  const to = (target: string) => accept(canonical(host, { target }));
  for (const scheme of ["http", "https", "HTTP", "hTTps"]) {
    one(`${scheme}://${host}/x?y`, to("/x?y"));
    one(`${scheme}://${host.toUpperCase()}/x`, to("/x"));
    one(`${scheme}://${host}.`, either(to("/"), bad));
    one(`${scheme}://${host}`, to("/"));
    one(`${scheme}://${host}?q`, either(to("/?q"), to("?q"), bad));
    one(`${scheme}://victim.localhost/`, bad);
    one(`${scheme}://${host}.evil.example/`, bad);
    one(`${scheme}://evil${host}/`, bad);
    one(`${scheme}://${host}:8080/`, bad);
    one(`${scheme}://user@${host}/`, bad);
    one(`${scheme}://user:pass@${host}/`, bad);
    one(`${scheme}://@${host}/`, bad);
    one(`${scheme}://${host}@victim.localhost/`, bad);
    one(`${scheme}://victim.localhost@${host}/`, bad);
    one(`${scheme}://${host}\\@victim.localhost/`, bad);
    one(`${scheme}://victim.localhost\\@${host}/`, bad);
    one(`${scheme}://${host},victim.localhost/`, bad);
    one(`${scheme}://${host}%00/`, bad);
    one(`${scheme}://${host}:99999/`, bad);
    one(`${scheme}://${host}:/`, either(to("/"), bad));
    one(`${scheme}://${host}:80evil/`, bad);
    one(`${scheme}://${host}/#f`, bad);
    one(`${scheme}://${host}/%00`, bad);
    one(`${scheme}://${host}//x`, to("//x"));
    one(`${scheme}://${host}/x`, bad, ["Host: victim.localhost"]);
    one(`${scheme}://${host}/x`, bad, []);
    one(`${scheme}://${host}/x`, bad, ["Host:"]);
  }
  return payloads;
};

/** Where a line ends, and what stands around the request line. */
export const lineEnds: Family = (host) => {
  const payloads: Payload[] = [];
  const ends = [
    "\n",
    "\r",
    "\r\r\n",
    "\n\r",
    "\r\n\n",
    "\x00\r\n",
    "\r\x00\n",
    "\x0b\r\n",
    "\x0c\r\n",
    "\x85",
    "\r\n\x00",
  ];
  const lines = (end: string, at: number) => {
    const parts = ["GET / HTTP/1.1", "A: b", `Host: ${host}`, "C: d", ""];
    return parts.map((part, index) => part + (index === at ? end : "\r\n")).join("");
  };
  for (const end of ends) {
    for (let at = 0; at < 5; at++) {
      const bytes = lines(end, at);
      const id = `line ${at} ends with ${JSON.stringify(end)}`;
      // Behind the head a lone byte begins the next request, or never ends this one.
      if (at === 4) {
        const whole = end.startsWith("\r\n");
        payloads.push({ id, bytes: `${bytes}X`, verdict: afterHead(host, end), ...(whole ? {} : { halfClose: true }) });
        continue;
      }
      payloads.push({ id, bytes, verdict: either(malformed, { kind: "unfinished" }), halfClose: true });
    }
  }
  const request = write(draft(host));
  const served = accept(canonical(host));
  const before: readonly (readonly [string, Verdict])[] = [
    ["\r\n", served],
    ["\r\n\r\n", either(served, malformed)],
    ["\n", malformed],
    ["\r", malformed],
    ["\r\r\n", malformed],
    [" ", malformed],
    ["\t", malformed],
    [" \r\n", malformed],
    ["\x00", malformed],
    ["\xef\xbb\xbf", malformed],
    ["\x16\x03\x01", malformed],
    ["\r\n ", malformed],
    ["X", reject([400, 405], "bad-method", "bad-syntax")],
  ];
  for (const [prefix, verdict] of before) {
    payloads.push({ id: `begins with ${JSON.stringify(prefix)}`, bytes: prefix + request, verdict });
  }
  for (const space of ["  ", "\t", " \t", "\x0b", "\x0c", "\xa0", "\r"]) {
    const both = space === "  " || space === " \t" ? either(served, malformed) : malformed;
    const [method, target, version] = ["GET", "/", "HTTP/1.1"];
    const tail = `\r\nHost: ${host}\r\n\r\n`;
    payloads.push({
      id: `between method and target ${JSON.stringify(space)}`,
      bytes: `${method}${space}${target} ${version}${tail}`,
      verdict: both,
    });
    payloads.push({
      id: `between target and version ${JSON.stringify(space)}`,
      bytes: `${method} ${target}${space}${version}${tail}`,
      verdict: both,
    });
  }
  return payloads;
};

function afterHead(host: string, end: string): Verdict {
  const request = canonical(host, { fields: [field("a", "b"), field("c", "d")] });
  const served = accept(request, "any");
  const then: Verdict = { kind: "reject", statuses: [400, 405, 408, 505], reasons: [], after: [request] };
  if (end === "\r\n\n" || end === "\r\n\x00") return either(served, then);
  return either(malformed, { kind: "unfinished" });
}
