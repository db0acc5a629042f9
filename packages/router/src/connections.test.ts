import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import { answerWho, ask, askRaw, eventually, makeTestBed, startFakeStamp, type TestBed } from "./test-bed/test-bed.ts";

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
