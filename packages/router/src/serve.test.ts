import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import { refusalHeader, routeHeader } from "@stampyard/guard";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import {
  answerWho,
  ask,
  askRaw,
  eventually,
  makeTestBed,
  startFakeStamp,
  type TestBed,
  tenantPut,
} from "./test-bed/test-bed.ts";

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
const reasonOf = (answer: { json(): Record<string, unknown> }) => answer.json()["reason"];

describe("routing over real sockets", () => {
  test("sends each tenant to its home with a route that the guard there accepts", async () => {
    const acme = (await ask(port, { host: "acme.localhost:8080", path: "/notes?x=1" })).json();
    expect(acme).toMatchObject({
      stamp: "eu-1",
      url: "/notes?x=1",
      verdict: { kind: "pass", tenant: "acme", epoch: 3 },
    });
    const globex = (await ask(port, { host: "GLOBEX.localhost." })).json();
    expect(globex).toMatchObject({ stamp: "eu-2", verdict: { kind: "pass", tenant: "globex", epoch: 1 } });
    expect((await ask(port, { host: "notes.acme.com" })).json()).toMatchObject({
      stamp: "eu-1",
      verdict: { tenant: "acme" },
    });
    const byPath = (await ask(port, { host: "127.0.0.1", path: "/t/globex/notes?q=%2F" })).json();
    expect(byPath).toMatchObject({ stamp: "eu-2", url: "/notes?q=%2F", verdict: { tenant: "globex" } });
  });

  test("never lets an unknown tenant or none reach a stamp (I4)", async () => {
    for (const [host, path] of [
      ["nobody.localhost", "/"],
      ["localhost", "/"],
      ["acme.localhost.evil.com", "/"],
      ["a.acme.localhost", "/"],
      ["127.0.0.1", "/t/nobody/"],
      ["127.0.0.1", "/t/ACME/"],
    ] as const) {
      const answer = await ask(port, { host, path });
      expect(answer.status, host + path).toBe(404);
      expect(answer.headers["content-type"]).toBe("application/problem+json");
    }
    expect([...seenBy(0), ...seenBy(1)]).toEqual([]);
  });

  test("refuses two carriers that name different tenants (I5)", async () => {
    const answer = await ask(port, { host: "acme.localhost", path: "/t/globex/" });
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ code: "CONFLICTING_CARRIERS", reason: "conflicting-carriers" });
    expect((await ask(port, { host: "acme.localhost", path: "/t/%67lobex/" })).status).toBe(400);
    expect([...seenBy(0), ...seenBy(1)]).toEqual([]);
  });

  test("ignores and strips the tenant header of a peer that is not trusted", async () => {
    const both = await ask(port, { headers: { "x-tenant": ["globex", "acme"], X_Tenant: "globex" } });
    expect(both.json()).toMatchObject({ stamp: "eu-1", verdict: { tenant: "acme" } });
    expect(Object.keys(seenBy(0)[0]?.headers ?? {}).filter((name) => /tenant/.test(name))).toEqual([]);
    expect((await ask(port, { host: "127.0.0.1", headers: { "x-tenant": "acme" } })).status).toBe(404);
  });

  test("believes the tenant header of a trusted peer, once", async () => {
    bed.controlPlane.change({
      kind: "routing-put",
      routing: { domains: ["localhost"], header: { name: "X-Tenant", trustedPeers: ["127.0.0.0/8"] } },
    });
    await eventually(async () => {
      const answer = await ask(port, {
        host: "127.0.0.1",
        headers: { "x-tenant": "globex", "x-forwarded-for": "1.2.3.4" },
      });
      expect(answer.json()).toMatchObject({ stamp: "eu-2", verdict: { tenant: "globex" } });
    });
    expect(seenBy(1).at(-1)?.headers["x-forwarded-for"]).toBe("1.2.3.4, 127.0.0.1");
    const twice = await ask(port, { host: "127.0.0.1", headers: { "x-tenant": ["globex", "acme"] } });
    expect([twice.status, reasonOf(twice)]).toEqual([400, "malformed-header"]);
  });
});

describe("headers between client and stamp", () => {
  test("no reserved header of a client reaches a stamp, however it is spelled (I6)", async () => {
    const names = [
      "stampyard-route",
      "Stampyard-Route",
      "STAMPYARD-ROUTE",
      "stampyard_route",
      "Stampyard.Route",
      "stampyard-hook",
      "Stampyard_Hook",
      "stampyard~refusal",
      "stampyard--route",
      "stampyard-anything",
    ];
    const lines = names.map((name) => `${name}: forged\r\n`).join("");
    const plain = await askRaw(port, `GET / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n${lines}\r\n`);
    expect(plain).toContain("200 OK");
    const upgrade = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`;
    const upgrades: IncomingMessage[] = [];
    bed.stamps[0].server.on("upgrade", (request: IncomingMessage, socket) => {
      upgrades.push(request);
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    });
    expect(await askRaw(port, `GET / HTTP/1.1\r\nHost: acme.localhost\r\n${upgrade}${lines}\r\n`)).toContain(
      "403 Forbidden",
    );
    const trailer = `POST / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Stampyard-Route\r\n\r\n0\r\nStampyard-Route: forged\r\n\r\n`;
    expect(await askRaw(port, trailer)).toContain("200 OK");

    const requests = [...seenBy(0), ...upgrades];
    expect(requests).toHaveLength(3);
    for (const { rawHeaders, headers, rawTrailers } of requests) {
      expect([...rawHeaders, ...rawTrailers].join(" ")).not.toContain("forged");
      expect(headers[routeHeader]).toMatch(/^v1;k1;acme;eu-1;3;/);
    }
  });

  test("refuses a Connection header that names what must not be removed", async () => {
    for (const token of ["stampyard-route", "Host", "close, Authorization", "content-length"]) {
      const answer = await askRaw(port, `GET / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: ${token}\r\n\r\n`);
      expect(answer, token).toContain("400 Bad Request");
    }
    expect(seenBy(0)).toEqual([]);
  });

  test("removes hop-by-hop headers and what Connection names, and says who the client is", async () => {
    const head = `GET / HTTP/1.1\r\nHost: Acme.localhost:99\r\nConnection: close, X-Secret\r\nConnection: x-other\r\nX-Secret: 1\r\nX-Other: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nTE: trailers\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n`;
    expect(await askRaw(port, head)).toContain("200 OK");
    const [request] = seenBy(0);
    if (request === undefined) throw new Error("Nothing arrived");
    const { headers, rawHeaders } = request;
    expect(rawHeaders.join(" ")).not.toContain("6.6.6.6");
    for (const name of ["x-secret", "x-other", "keep-alive", "proxy-authorization", "te", "forwarded", "x-real-ip"]) {
      expect(headers[name], name).toBeUndefined();
    }
    expect(headers).toMatchObject({
      host: "acme.localhost:99",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "acme.localhost:99",
      via: "1.1 stampyard",
      cookie: "a=1; b=2",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    });
    expect(headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("no reserved header of a stamp reaches a client, and cookies stay apart", async () => {
    bed.stamps[0].handler = (_request, response) => {
      response.writeHead(201, [
        "Stampyard-Route",
        "x",
        "stampyard_debug",
        "x",
        "Set-Cookie",
        "a=1",
        "Set-Cookie",
        "b=2",
        "Connection",
        "X-Hop",
        "X-Hop",
        "1",
        "X-Kept",
        "2",
      ]);
      response.end("made");
    };
    const answer = await ask(port);
    expect(answer).toMatchObject({ status: 201, body: "made" });
    expect(Object.keys(answer.headers).filter((name) => /stampyard|x-hop/.test(name))).toEqual([]);
    expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(answer.headers["x-kept"]).toBe("2");
  });

  test("ends a request that goes round in circles", async () => {
    bed.controlPlane.change({
      kind: "stamp-put",
      stamp: "eu-2",
      pool: "p",
      region: "r",
      endpoints: [{ host: "127.0.0.1", port }],
      endpointRevision: 2,
    });
    await eventually(async () => {
      const answer = await ask(port, { host: "globex.localhost" });
      expect([answer.status, reasonOf(answer)]).toEqual([508, "loop"]);
    });
  });
});

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
    ["GET with a body on 1.0", `GET / HTTP/1.0\r\n${host}Content-Length: 2\r\n\r\nhi`, 400],
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

describe("connections", () => {
  test("pipelined and kept connections get their own answers in order (I9)", async () => {
    bed.stamps[0].handler = (request, response) => {
      // The first answers last at the stamp, and must still be first at the client.
      const delay = request.url === "/0" ? 60 : 0;
      setTimeout(() => response.end(`answer of ${request.url} for ${String(request.headers["x-who"])}`), delay);
    };
    const requests = Array.from(
      { length: 10 },
      (_, n) =>
        `GET /${n} HTTP/1.1\r\nHost: acme.localhost\r\nX-Who: w${n}\r\n${n === 9 ? "Connection: close\r\n" : ""}\r\n`,
    );
    const text = await askRaw(port, requests.join(""));
    expect(text.match(/answer of \S+ for w\d/g)).toEqual(requests.map((_, n) => `answer of /${n} for w${n}`));
  });

  test("interleaved requests of two tenants on many connections never get each other's answers (I9)", async () => {
    bed.stamps[0].handler = (request, response) =>
      setTimeout(() => response.end(`1 ${request.url}`), Number(request.url?.slice(1)) % 7);
    bed.stamps[1].handler = (request, response) =>
      setTimeout(() => response.end(`2 ${request.url}`), Number(request.url?.slice(1)) % 5);
    const answers = await Promise.all(
      Array.from({ length: 120 }, async (_, n) => {
        const host = n % 2 === 0 ? "acme.localhost" : "globex.localhost";
        return (await ask(port, { host, path: `/${n}` })).body;
      }),
    );
    expect(answers).toEqual(answers.map((_, n) => `${(n % 2) + 1} /${n}`));
  });

  test("says 100 itself, and only when the tenant is known", async () => {
    const head = (host: string) =>
      `POST / HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n`;
    const text = await askRaw(port, head("acme.localhost"), "100 Continue");
    expect(text).toContain("100 Continue");
    const unknown = await askRaw(port, head("nobody.localhost"));
    expect(unknown).toMatch(/^HTTP\/1\.1 404/);
    expect(seenBy(0)[0]?.headers.expect).toBeUndefined();
  });

  test("takes turns between replicas and skips one that refuses connections, without an error", async () => {
    const [first] = bed.stamps;
    const second = bed.own(await startFakeStamp("eu-1", 1));
    const dead = await startFakeStamp("eu-1", 1);
    await dead.stop();
    const endpoints = [first.port, dead.port, second.port].map((one) => ({ host: "127.0.0.1", port: one }));
    bed.controlPlane.change({
      kind: "stamp-put",
      stamp: "eu-1",
      pool: "p",
      region: "r",
      endpoints,
      endpointRevision: 2,
    });
    await eventually(async () => {
      await ask(port);
      expect(second.seen.length).toBeGreaterThan(0);
    });
    first.seen.length = second.seen.length = 0;
    for (let n = 0; n < 12; n++) expect((await ask(port, { method: "POST", body: "x" })).status).toBe(200);
    expect(first.seen.length + second.seen.length).toBe(12);
    expect(Math.min(first.seen.length, second.seen.length)).toBeGreaterThan(2);
  });

  test("repeats a GET once when a kept connection was closed, and never a POST (I7)", async () => {
    const [stamp] = bed.stamps;
    let cut = false;
    stamp.handler = (request, response, self) => {
      if (cut) request.socket.destroy();
      else answerWho(request, response, self);
      cut = false;
    };
    await ask(port);
    cut = true;
    expect((await ask(port)).status).toBe(200);
    expect(stamp.seen).toHaveLength(3);
    // Leaves a kept connection, so that the POST goes out on one that is in use for the second time.
    await ask(port);
    cut = true;
    const posted = await ask(port, { method: "POST", body: "once" });
    expect([posted.status, reasonOf(posted)]).toEqual([502, "stamp-closed"]);
    expect(stamp.seen).toHaveLength(5);
    expect(new Set(stamp.seen.slice(3).map((request) => request.socket)).size, "the kept one").toBe(1);
  });

  test("passes an early answer on and uses neither connection again (I10)", async () => {
    const [stamp] = bed.stamps;
    stamp.handler = (_request, response) => response.writeHead(413, { "content-length": "3" }).end("big");
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      text += String(chunk);
    });
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.write("POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 1000000\r\n\r\nbegin");
    await closed;
    expect(text).toContain("413 Payload Too Large");
    expect(text.toLowerCase()).toContain("connection: close");
    await eventually(() => expect(stamp.seen[0]?.socket.destroyed).toBe(true));
  });

  test("a client that reads only when it has sent everything still learns why it was refused", async () => {
    const body = Buffer.alloc(8 * 1024 * 1024, "x");
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    const head = `POST / HTTP/1.1\r\nHost: nobody.localhost\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.write(head);
    // Nobody reads yet: a reset by the router would throw away what it answered.
    await new Promise((resolve) => socket.write(body, resolve));
    let text = "";
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.on("data", (chunk) => {
      text += String(chunk);
    });
    await closed;
    expect(text).toMatch(/^HTTP\/1\.1 404 /);
    expect(text.toLowerCase()).toContain("connection: close");
  });

  test("a body that a stamp cuts off is cut off at the client too", async () => {
    bed.stamps[0].handler = (_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    };
    await expect(ask(port)).rejects.toThrow();
    bed.stamps[0].handler = (_request, response) => {
      response.writeHead(200);
      response.write("half", () => response.destroy());
    };
    await expect(ask(port)).rejects.toThrow();
  });

  test("sends the head of an event stream before its first event", async () => {
    const [stamp] = bed.stamps;
    stamp.handler = (_request, response) =>
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    expect(await askRaw(port, "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n", "\r\n\r\n")).toContain(
      "text/event-stream",
    );
    await eventually(() => expect(stamp.seen[0]?.socket.destroyed, "the client left, so must we").toBe(true));
  });
});

describe("stamps that misbehave", () => {
  test("a dead stamp gives 503 with Retry-After to its own tenants, at once, and no error to others (I12)", async () => {
    await bed.stamps[1].stop();
    const others: number[] = [];
    const own: number[] = [];
    const startedAt = performance.now();
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        others.push((await ask(port)).status);
        const answer = await ask(port, { host: "globex.localhost" });
        own.push(answer.status);
        expect(answer.json()).toMatchObject({ code: "STAMP_UNREACHABLE", reason: "stamp-unreachable" });
        expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
        expect(answer.body + JSON.stringify(answer.headers)).not.toContain("eu-2");
      }),
    );
    expect(new Set(others)).toEqual(new Set([200]));
    expect(new Set(own)).toEqual(new Set([503]));
    expect(performance.now() - startedAt).toBeLessThan(5_000);

    bed.own(await startFakeStamp("eu-2", 2, bed.stamps[1].port));
    await eventually(async () => expect((await ask(port, { host: "globex.localhost" })).status).toBe(200));
  });

  test("the guard's refusal becomes 503 with its reason, and its header stays inside", async () => {
    bed.stamps[0].handler = (_request, response) =>
      response.writeHead(503, { [refusalHeader]: "stale-route" }).end("internal words");
    const answer = await ask(port);
    expect(answer.status).toBe(503);
    expect(answer.json()).toMatchObject({ code: "ROUTE_REFUSED", reason: "stale-route" });
    expect(answer.headers["retry-after"]).toBeDefined();
    expect(answer.headers[refusalHeader]).toBeUndefined();
    expect(answer.body).not.toContain("internal words");
    bed.stamps[0].handler = (_request, response) => response.writeHead(200, { [refusalHeader]: "<script>" }).end("x");
    expect((await ask(port)).json()).toMatchObject({ status: 503, reason: "route-refused" });
  });

  test("a silent stamp gives 504, and other stamps do not notice", async () => {
    const patient = await bed.start(
      { stateDir: `${bed.folder}/impatient` },
      { timeouts: { connectMs: 200, idleMs: 150 } },
    );
    await eventually(async () => expect((await ask(patient.listenPort)).status).toBe(200));
    bed.stamps[1].handler = () => {};
    const silent = ask(patient.listenPort, { host: "globex.localhost" });
    expect((await ask(patient.listenPort)).status).toBe(200);
    expect(reasonOf(await silent)).toBe("stamp-timeout");
  });

  test.each([
    ["status 99", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"],
    ["status 700", "HTTP/1.1 700 Odd\r\nContent-Length: 0\r\n\r\n"],
    [
      "101 that nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
    ["HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello"],
    ["no HTTP", "hello\r\n\r\n"],
    ["a flood of 1xx", `${"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40)}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`],
    ["300 headers", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(300)}Content-Length: 0\r\n\r\n`],
  ])("an answer that cannot be forwarded is a 5xx of ours: %s", async (_, bytes) => {
    bed.stamps[0].handler = (request) => request.socket.end(bytes);
    const answer = await ask(port);
    expect(answer.status).toBeGreaterThanOrEqual(502);
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    expect((await ask(port, { host: "globex.localhost" })).status).toBe(200);
  });

  test("bounds what is on its way to one stamp, and only that (I13)", async () => {
    const narrow = await bed.start({ stateDir: `${bed.folder}/narrow`, maxInFlightPerStamp: 2 });
    await eventually(async () => expect((await ask(narrow.listenPort)).status).toBe(200));
    const [stamp, other] = bed.stamps;
    stamp.seen.length = 0;
    stamp.handler = () => {};
    const held = [ask(narrow.listenPort), ask(narrow.listenPort)].map((one) => one.catch(() => undefined));
    await eventually(() => expect(stamp.seen).toHaveLength(2));
    const third = await ask(narrow.listenPort);
    expect([third.status, reasonOf(third)]).toEqual([503, "too-busy"]);
    expect((await ask(narrow.listenPort, { host: "globex.localhost" })).status).toBe(200);
    expect(other.seen.length).toBeGreaterThan(0);
    await stamp.stop();
    await Promise.all(held);
  });

  test("a tenant whose stamp has no endpoint or no key is told to come back, and nothing is sent unsigned", async () => {
    const bare = bed.own(await startFakeStamp("us-1", 9));
    bed.controlPlane.change(tenantPut("initech", "us-1"));
    await eventually(async () => expect(reasonOf(await ask(port, { host: "initech.localhost" }))).toBe("no-endpoint"));
    bed.controlPlane.change(bare.put());
    await eventually(async () => expect(reasonOf(await ask(port, { host: "initech.localhost" }))).toBe("no-route-key"));
    expect(bare.seen).toEqual([]);
    bed.controlPlane.setKeys("us-1", bare.keys);
    await eventually(async () => expect((await ask(port, { host: "initech.localhost" })).status).toBe(200));
  });
});
