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
  unknownTenant,
  type Verdict,
  write,
} from "./verdict.ts";
import { key, socketLines } from "./families-upgrade.ts";
/** Several requests in one write: each one answered, in order, none invented, none after what was refused. */
export const pipelines: Family = (host) => {
  const payloads: Payload[] = [];
  const get = (n: number, lines: string[] = []) =>
    write(draft(host, { target: `/${n}`, lines: [`Host: ${host}`, ...lines] }));
  const got = (n: number) => canonical(host, { target: `/${n}` });
  const post = (n: number, body: string) =>
    write(
      draft(host, {
        method: "POST",
        target: `/${n}`,
        lines: [`Host: ${host}`, `Content-Length: ${body.length}`],
        body,
      }),
    );
  const posted = (n: number, body: string) => canonical(host, { method: "POST", target: `/${n}`, body });
  const chunkedPost = (n: number, body: string) =>
    write(
      draft(host, {
        method: "POST",
        target: `/${n}`,
        lines: [`Host: ${host}`, "Transfer-Encoding: chunked"],
        body: chunked(body),
      }),
    );
  const all = (requests: Canonical[], connection: "kept" | "closed" = "kept"): Verdict => ({
    kind: "accept",
    requests,
    connection,
  });
  for (let count = 2; count <= 16; count++) {
    const numbers = Array.from({ length: count }, (_, n) => n);
    payloads.push({
      id: `pipeline: ${count} GET`,
      bytes: numbers.map((n) => get(n)).join(""),
      verdict: all(numbers.map(got)),
    });
    const mixed = numbers.map((n) => [get(n), post(n, `body ${n}`), chunkedPost(n, get(99))][n % 3] ?? "");
    const expected = numbers.map((n) => [got(n), posted(n, `body ${n}`), posted(n, get(99))][n % 3] ?? got(n));
    payloads.push({ id: `pipeline: ${count} mixed`, bytes: mixed.join(""), verdict: all(expected) });
    payloads.push({
      id: `pipeline: close in the middle of ${count}`,
      bytes: numbers.map((n) => get(n, n === 1 ? ["Connection: close"] : [])).join(""),
      verdict: all([got(0), got(1)], "closed"),
    });
  }
  payloads.push({ id: "pipeline: CRLF between", bytes: `${get(0)}\r\n${get(1)}`, verdict: all([got(0), got(1)]) });
  payloads.push({
    id: "pipeline: CRLF behind a body",
    bytes: `${post(0, "x")}\r\n${get(1)}`,
    verdict: all([posted(0, "x"), got(1)]),
  });
  const then = (statuses: number[], after: Canonical[], ...reasons: string[]): Verdict => ({
    kind: "reject",
    statuses,
    reasons,
    after,
  });
  const bad: readonly (readonly [string, string, number[]])[] = [
    ["two hosts", write(draft(host, { lines: [`Host: ${host}`, `Host: ${host}`] })), [400]],
    [
      "TE and CL",
      write(
        draft(host, {
          method: "POST",
          lines: [`Host: ${host}`, "Content-Length: 5", "Transfer-Encoding: chunked"],
          body: "0\r\n\r\n",
        }),
      ),
      [400],
    ],
    ["TRACE", write(draft(host, { method: "TRACE" })), [405]],
    ["HTTP/2.0", write(draft(host, { version: "HTTP/2.0" })), [505]],
    ["no version", "GET /\r\n\r\n", [505]],
    ["garbage", "garbage garbage\r\n\r\n", [400, 405, 505]],
    ["NUL", "\x00\r\n\r\n", [400, 405, 505]],
    ["LF line ends", `GET / HTTP/1.1\nHost: ${host}\n\n`, [400, 505]],
  ];
  for (const [id, bytes, statuses] of bad) {
    payloads.push({ id: `pipeline: GET, then ${id}`, bytes: get(0) + bytes, verdict: then(statuses, [got(0)]) });
    payloads.push({
      id: `pipeline: POST, then ${id}`,
      bytes: post(0, "hello") + bytes,
      verdict: then(statuses, [posted(0, "hello")]),
    });
    payloads.push({
      id: `pipeline: chunked POST, then ${id}`,
      bytes: chunkedPost(0, "hello") + bytes,
      verdict: then(statuses, [posted(0, "hello")]),
    });
    payloads.push({ id: `pipeline: ${id}, then GET`, bytes: bytes + get(1), verdict: then(statuses, []) });
    payloads.push({
      id: `pipeline: 5 GET, then ${id}, then GET`,
      bytes: [0, 1, 2, 3, 4].map((n) => get(n)).join("") + bytes + get(9),
      verdict: then(statuses, [0, 1, 2, 3, 4].map(got)),
    });
    payloads.push({
      id: `pipeline: close, then ${id}`,
      bytes: get(0, ["Connection: close"]) + bytes,
      verdict: all([got(0)], "closed"),
    });
  }
  payloads.push({
    id: "pipeline: 1.0, then GET",
    bytes: write(draft(host, { version: "HTTP/1.0", target: "/0" })) + get(1),
    verdict: all([got(0)], "closed"),
  });
  const handshake = write(
    draft(host, {
      lines: [`Host: ${host}`, ...socketLines.slice(0, 2), "Sec-WebSocket-Version: 777", `Sec-WebSocket-Key: ${key}`],
    }),
  );
  payloads.push({
    id: "pipeline: refused upgrade, then GET",
    bytes: handshake + get(1),
    verdict: reject(426, "bad-upgrade"),
  });
  for (const [id, extra] of [
    ["a byte", "X"],
    ["a head", get(7)],
    ["four bytes", "\r\n\r\n"],
  ] as const) {
    // More body than said: the rest is the next request, or none.
    const after = id === "a head" ? all([posted(0, "hi"), got(7)]) : undefined;
    const verdict =
      after ??
      either(then([400, 405, 408, 505], [posted(0, "hi")]), {
        kind: "accept",
        requests: [posted(0, "hi")],
        connection: "any",
      });
    payloads.push({ id: `pipeline: ${id} behind the length`, bytes: post(0, "hi") + extra, verdict });
  }
  return payloads;
};

export const limits: Family = (host) => {
  const payloads: Payload[] = [];
  const one = (id: string, parts: Partial<Parameters<typeof draft>[1]>, verdict: Verdict) =>
    payloads.push({ id: `limit: ${id}`, bytes: write(draft(host, parts)), verdict });
  const tooLarge = reject(431, "too-many-headers");
  const many = (count: number) => Array.from({ length: count - 1 }, (_, n) => `A${n}: b`);
  const fields = (count: number) => Array.from({ length: count - 1 }, (_, n) => field(`a${n}`, "b"));
  for (const count of [50, 99, 100])
    one(
      `${count} fields`,
      { lines: [`Host: ${host}`, ...many(count)] },
      accept(canonical(host, { fields: fields(count) })),
    );
  for (const count of [101, 150, 500, 2_000])
    one(`${count} fields`, { lines: [`Host: ${host}`, ...many(count)] }, tooLarge);
  const filler = (count: number) => Array.from({ length: count }, () => "a:");
  for (const count of [101, 1_000, 2_001, 2_500]) {
    const hidden = [`Host: ${host}`, ...filler(count), "Content-Length: 50"];
    one(
      `${count} fillers before a length`,
      { method: "POST", lines: hidden, body: "GET /smuggled HTTP/1.1\r\nHost: victim.localhost\r\n\r\n" },
      tooLarge,
    );
    one(
      `${count} fillers before an encoding`,
      { method: "POST", lines: [`Host: ${host}`, ...filler(count), "Transfer-Encoding: chunked"], body: "0\r\n\r\n" },
      tooLarge,
    );
    one(
      `${count} fillers before a second host`,
      { lines: [`Host: ${host}`, ...filler(count), "Host: victim.localhost"] },
      tooLarge,
    );
  }
  for (const size of [8_000, 12_000, 15_000])
    one(
      `a field of ${size}`,
      { lines: [`Host: ${host}`, `X: ${"y".repeat(size)}`] },
      accept(canonical(host, { fields: [field("x", "y".repeat(size))] })),
    );
  for (const size of [16_500, 20_000, 65_536, 200_000]) {
    one(`a field of ${size}`, { lines: [`Host: ${host}`, `X: ${"y".repeat(size)}`] }, tooLarge);
    one(`a name of ${size}`, { lines: [`Host: ${host}`, `${"x".repeat(size)}: y`] }, tooLarge);
    one(
      `fields of ${size} together`,
      { lines: [`Host: ${host}`, ...Array.from({ length: 50 }, (_, n) => `A${n}: ${"y".repeat(size / 50)}`)] },
      tooLarge,
    );
  }
  for (const size of [1_000, 8_000, 8_192])
    one(
      `a target of ${size}`,
      { target: `/${"a".repeat(size - 1)}` },
      accept(canonical(host, { target: `/${"a".repeat(size - 1)}` })),
    );
  for (const size of [8_193, 9_000, 15_000]) {
    one(`a target of ${size}`, { target: `/${"a".repeat(size - 1)}` }, reject(414, "target-too-long"));
    one(`a query of ${size}`, { target: `/?${"a".repeat(size - 2)}` }, reject(414, "target-too-long"));
  }
  for (const size of [17_000, 100_000])
    one(
      `a target of ${size}`,
      { target: `/${"a".repeat(size)}` },
      reject([414, 431], "target-too-long", "too-many-headers"),
    );
  const flood = "\r\n".repeat(20_000);
  payloads.push({
    id: "limit: empty lines without end",
    bytes: `${flood}${write(draft(host))}`,
    verdict: either(accept(canonical(host)), reject([400, 414, 431])),
  });
  payloads.push({
    id: "limit: a method without end",
    bytes: "M".repeat(40_000),
    verdict: reject([400, 405, 414, 431]),
  });
  return payloads;
};

/** Two faults in one request: the earlier step of the acceptance order answers. */
export const order: Family = (host) => {
  interface Fault {
    readonly id: string;
    readonly parts: Partial<Parameters<typeof draft>[1]>;
    readonly lines: string[];
    readonly statuses: number[];
    readonly reasons: string[];
  }
  const fault = (
    id: string,
    statuses: number[],
    reasons: string[],
    parts: Fault["parts"],
    lines: string[] = [],
  ): Fault => ({ id, statuses, reasons, parts, lines });
  const faults = [
    fault("version", [505], ["bad-version"], { version: "HTTP/2.0" }),
    fault("method", [405], ["bad-method"], { method: "TRACE" }),
    fault("target", [400], ["bad-target"], { target: "/#x" }),
    fault("host", [400], ["bad-host"], {}, ["Host: victim.localhost"]),
    fault("framing", [400], ["bad-framing"], {}, ["Content-Length: 5", "Content-Length: 5"]),
    fault("names", [400], ["bad-header"], {}, ["X_Tenant_Id: x"]),
    fault("connection", [400], ["bad-header"], {}, ["Connection: host"]),
  ];
  const payloads: Payload[] = [];
  for (const [index, first] of faults.entries()) {
    for (const second of faults.slice(index + 1)) {
      for (const swapped of [false, true]) {
        const lines = swapped ? [...second.lines, ...first.lines] : [...first.lines, ...second.lines];
        const bytes = write(draft(host, { ...first.parts, ...second.parts, lines: [`Host: ${host}`, ...lines] }));
        payloads.push({
          id: `order: ${first.id} before ${second.id}${swapped ? ", lines swapped" : ""}`,
          bytes,
          verdict: reject(first.statuses, ...first.reasons),
        });
      }
    }
  }
  payloads.push({
    id: "order: unknown host comes last",
    bytes: write(draft("nobody.localhost", { lines: ["Host: nobody.localhost"] })),
    verdict: unknownTenant,
  });
  return payloads;
};
