import type { IncomingMessage } from "node:http";
import { routeHeader } from "@stampyard/guard";
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
    const both = await ask(port, { headers: { "x-tenant": ["globex", "acme"], X__Tenant: "globex" } });
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
      "Stampyard.Route",
      "stampyard-hook",
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

  test("refuses a name that only readers who take _ for - would believe (I6)", async () => {
    for (const name of ["stampyard_route", "Stampyard_Hook", "STAMPYARD_route", "X_Tenant"]) {
      const answer = await askRaw(port, `GET / HTTP/1.1\r\nHost: acme.localhost\r\n${name}: forged\r\n\r\n`);
      expect(answer, name).toContain("400 Bad Request");
      expect(answer).toContain('"reason":"bad-header"');
    }
    expect(seenBy(0)).toEqual([]);
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
