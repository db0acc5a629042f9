import {
  accept,
  type Canonical,
  canonical,
  chunked,
  draft,
  either,
  type Family,
  field,
  type Payload,
  reject,
  type Verdict,
  write,
} from "./verdict.ts";

export const key = "dGhlIHNhbXBsZSBub25jZQ==";
export const socketLines = [
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  `Sec-WebSocket-Key: ${key}`,
];
const socketFields = [field("sec-websocket-version", "13"), field("sec-websocket-key", key)];

/** Only a WebSocket of RFC 6455, without a body. */
export const upgrades: Family = (host) => {
  const payloads: Payload[] = [];
  const one = (
    id: string,
    lines: readonly string[],
    verdict: Verdict,
    parts: Partial<Parameters<typeof draft>[1]> = {},
  ) =>
    payloads.push({
      id: `upgrade: ${id}`,
      bytes: write(draft(host, { lines: [`Host: ${host}`, ...lines], ...parts })),
      verdict,
    });
  const tunnel = (fields = socketFields): Verdict => ({ kind: "tunnel", request: canonical(host, { fields }) });
  const refused = reject([400, 426], "bad-upgrade", "bad-framing", "bad-header", "bad-syntax");
  const plain = (fields: Canonical["fields"], parts: Partial<Canonical> = {}) =>
    accept(canonical(host, { fields, ...parts }), "any");
  one("websocket", socketLines, tunnel());
  one(
    "websocket in capitals",
    socketLines.map((line) => line.replace("websocket", "WebSocket").replace(": Upgrade", ": UPGRADE")),
    tunnel(),
  );
  one(
    "connection keep-alive, Upgrade",
    [socketLines[0] ?? "", "Connection: keep-alive, Upgrade", ...socketLines.slice(2)],
    tunnel(),
  );
  one(
    "with protocol",
    [...socketLines, "Sec-WebSocket-Protocol: chat", "Origin: http://x"],
    tunnel([...socketFields, field("sec-websocket-protocol", "chat"), field("origin", "http://x")]),
  );
  one("nominated field goes", [...socketLines, "Connection: X-A", "X-A: b"], tunnel());
  for (const line of [
    "Stampyard-Route: x",
    "X-Tenant-Id: victim",
    "X-Forwarded-For: 1.2.3.4",
    "Proxy-Authorization: x",
    "TE: trailers",
    "Keep-Alive: 5",
    "HTTP2-Settings: x",
    "Forwarded: for=1",
  ]) {
    one(`drops ${line}`, [...socketLines, line], tunnel());
  }
  for (const version of ["777", "12", "8", "7", "0", "14", "013", "13, 8", "", "x", "13x"]) {
    const lines = socketLines.map((line) =>
      line.startsWith("Sec-WebSocket-Version") ? `Sec-WebSocket-Version: ${version}` : line,
    );
    one(`version ${version}`, lines, reject(426, "bad-upgrade"));
  }
  one(
    "no version",
    socketLines.filter((line) => !line.includes("Version")),
    refused,
  );
  one("two versions", [...socketLines, "Sec-WebSocket-Version: 8"], refused);
  for (const odd of [
    "",
    "x",
    key.slice(1),
    `${key}=`,
    key.slice(0, -2),
    "dGhlIHNhbXBsZSBub25j",
    `${key}, ${key}`,
    "!".repeat(24),
  ]) {
    one(
      `key ${odd}`,
      socketLines.map((line) => (line.includes("Key") ? `Sec-WebSocket-Key: ${odd}` : line)),
      refused,
    );
  }
  one(
    "no key",
    socketLines.filter((line) => !line.includes("Key")),
    refused,
  );
  one("two keys", [...socketLines, `Sec-WebSocket-Key: ${key}`], refused);
  for (const body of ["hello", "GET /smuggled HTTP/1.1\r\nHost: victim.localhost\r\n\r\n"]) {
    one(
      `length ${body.length}`,
      [...socketLines, `Content-Length: ${body.length}`],
      reject(400, "bad-upgrade", "bad-framing"),
      { body },
    );
    one(
      `chunked ${body.length}`,
      [...socketLines, "Transfer-Encoding: chunked"],
      reject(400, "bad-upgrade", "bad-framing"),
      { body: chunked(body) },
    );
  }
  one("length and encoding", [...socketLines, "Content-Length: 5", "Transfer-Encoding: chunked"], reject(400), {
    body: "0\r\n\r\n",
  });
  for (const method of ["POST", "PUT", "HEAD", "DELETE", "OPTIONS"]) {
    one(`by ${method}`, socketLines, either(refused, plain(socketFields, { method })), { method });
  }
  one("on 1.0", socketLines, either(refused, plain(socketFields)), { version: "HTTP/1.0" });
  for (const value of [
    "websocket, h2c",
    "h2c, websocket",
    "websocket, websocket",
    "websocket/13",
    "web socket",
    "websocketx",
  ]) {
    one(`to ${value}`, [`Upgrade: ${value}`, ...socketLines.slice(1)], either(refused, plain(socketFields)));
  }
  one("two lines", [...socketLines, "Upgrade: h2c"], either(refused, plain(socketFields)));
  one(
    "not in Connection",
    socketLines.filter((line) => !line.startsWith("Connection")),
    either(refused, plain(socketFields)),
  );
  one(
    "Connection without Upgrade",
    [socketLines[0] ?? "", "Connection: keep-alive", ...socketLines.slice(2)],
    either(refused, plain(socketFields)),
  );
  for (const protocol of ["h2c", "H2C", "TLS/1.0", "HTTP/2.0", "foo", "IRC/6.9"]) {
    for (const connection of ["Upgrade", "Upgrade, HTTP2-Settings", "HTTP2-Settings, upgrade"]) {
      const lines = [`Connection: ${connection}`, `Upgrade: ${protocol}`, "HTTP2-Settings: AAMAAABkAAQAAP__"];
      one(`${protocol} by ${connection}`, lines, accept(canonical(host)));
      one(
        `${protocol} by ${connection} with a body`,
        [...lines, "Content-Length: 5"],
        accept(canonical(host, { method: "POST", body: "hello" })),
        { method: "POST", body: "hello" },
      );
    }
  }
  return payloads;
};

export const expectations: Family = (host) => {
  const payloads: Payload[] = [];
  const refused = reject(417, "bad-expectation");
  const one = (
    id: string,
    lines: readonly string[],
    verdict: Verdict,
    parts: Partial<Parameters<typeof draft>[1]> = {},
  ) => {
    const all = [`Host: ${host}`, ...lines, "Content-Length: 5"];
    payloads.push({
      id: `expect: ${id}`,
      bytes: write(draft(host, { method: "POST", lines: all, body: "hello", ...parts })),
      verdict,
    });
  };
  const served = canonical(host, { method: "POST", body: "hello" });
  for (const value of ["100-continue", "100-Continue", "100-CONTINUE", " 100-continue ", "\t100-continue"])
    one(JSON.stringify(value), [`Expect:${value}`], accept(served));
  for (const value of [
    "y 100-continue",
    "100-continue y",
    "100",
    "continue",
    "100-continue, x",
    "x, 100-continue",
    "100-continue;a=b",
    "100-continu",
    "tea",
    "102-processing",
    '"100-continue"',
    "200-ok",
    "100 continue",
    "=100-continue",
  ]) {
    one(`of ${value}`, [`Expect: ${value}`], refused);
  }
  for (const value of ["", ",", "100-continue,", "100-continue, 100-continue"])
    one(`of ${JSON.stringify(value)}`, [`Expect: ${value}`], either(refused, accept(served)));
  one("twice", ["Expect: 100-continue", "Expect: 100-continue"], either(refused, accept(served)));
  one("and another", ["Expect: 100-continue", "Expect: tea"], refused);
  one("on 1.0", ["Expect: 100-continue"], either(refused, accept(served, "closed")), { version: "HTTP/1.0" });
  const bare = write(draft(host, { lines: [`Host: ${host}`, "Expect: 100-continue"] }));
  payloads.push({ id: "expect: without a body", bytes: bare, verdict: either(refused, accept(canonical(host))) });
  return payloads;
};
