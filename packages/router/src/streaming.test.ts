import { createHash } from "node:crypto";
import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import { ask, askRaw, eventually, makeTestBed, type TestBed } from "./test-bed/test-bed.ts";

let bed: TestBed;
let router: RunningRouter;

beforeEach(async () => {
  bed = await makeTestBed();
  router = await bed.start();
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

const mebibyte = 1024 * 1024;
/** What sockets, kernel and streams between two ends may hold; a router that buffers holds everything. */
const inTransit = 24 * mebibyte;
const large = 96 * mebibyte;

/** Resolves when a counter did not change during 20 looks in a row. */
async function atRest(count: () => number): Promise<number> {
  let last = -1;
  let same = 0;
  await eventually(() => {
    same = count() === last ? same + 1 : 0;
    last = count();
    if (same < 20 || last === 0) throw new Error(`still moving at ${last}`);
  }, 10_000);
  return last;
}

test("an upload waits for a slow stamp instead of filling the router, and arrives whole (I13)", async () => {
  const [stamp] = bed.stamps;
  const received = createHash("sha256");
  let resume = () => {};
  stamp.handler = (request, response) => {
    request.pause();
    resume = () => {
      request.on("data", (chunk: Buffer) => received.update(chunk));
      request.on("end", () => response.end(received.digest("hex")));
      request.resume();
    };
  };
  const chunk = Buffer.alloc(mebibyte, "stampyard ");
  const sent = createHash("sha256");
  let written = 0;
  const answer = new Promise<string>((resolve, reject) => {
    const headers = { host: "acme.localhost", "content-length": large };
    const request = httpRequest({ host: "127.0.0.1", port: router.listenPort, method: "PUT", headers, agent: false });
    request.on("error", reject);
    request.on("response", (response) => {
      let text = "";
      response.on("data", (part) => {
        text += String(part);
      });
      response.on("end", () => resolve(text));
    });
    const push = () => {
      while (written < large) {
        written += chunk.length;
        sent.update(chunk);
        if (!request.write(chunk)) {
          request.once("drain", push);
          return;
        }
      }
      request.end();
    };
    push();
  });
  expect(await atRest(() => written)).toBeLessThan(inTransit);
  resume();
  expect(await answer).toBe(sent.digest("hex"));
});

test("a download waits for a slow client instead of filling the router (I13)", async () => {
  const [stamp] = bed.stamps;
  let written = 0;
  stamp.handler = (_request, response) => {
    const chunk = Buffer.alloc(mebibyte, "x");
    const push = () => {
      while (written < large) {
        written += chunk.length;
        if (!response.write(chunk)) {
          response.once("drain", push);
          return;
        }
      }
      response.end();
    };
    push();
  };
  const received = new Promise<number>((resolve, reject) => {
    const request = httpRequest({
      host: "127.0.0.1",
      port: router.listenPort,
      headers: { host: "acme.localhost" },
      agent: false,
    });
    request.on("error", reject);
    request.on("response", (response) => {
      response.pause();
      void atRest(() => written).then((stopped) => {
        expect(stopped).toBeLessThan(inTransit);
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
        });
        response.on("end", () => resolve(bytes));
        response.resume();
      }, reject);
    });
    request.end();
  });
  expect(await received).toBe(large);
});

test("a client that leaves in the middle of an upload frees the stamp's connection", async () => {
  const [stamp] = bed.stamps;
  stamp.handler = (request) => request.resume();
  stamp.seen.length = 0;
  const socket = connect(router.listenPort, "127.0.0.1");
  socket.write("POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  await eventually(() => expect(stamp.seen).toHaveLength(1));
  socket.destroy();
  await eventually(() => expect(stamp.seen[0]?.socket.destroyed).toBe(true));
});

const handshake =
  "GET /live HTTP/1.1\r\nHost: acme.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://acme.localhost\r\n\r\n";
const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** The stamp answers a handshake with these bytes, then echoes. */
function onUpgrade(answer: string): { readonly heads: string[] } {
  const heads: string[] = [];
  bed.stamps[0].server.on("upgrade", (_request, socket: Socket, head: Buffer) => {
    heads.push(head.toString());
    socket.write(answer);
    if (head.length > 0) socket.write(head);
    socket.on("data", (chunk) => socket.write(chunk));
    socket.on("error", () => {});
  });
  return { heads };
}

test("a WebSocket passes through after a valid 101, with what was sent early in order (I11)", async () => {
  onUpgrade(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nStampyard-Debug: x\r\n\r\n`,
  );
  const socket = connect(router.listenPort, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk) => {
    text += String(chunk);
  });
  socket.write(`${handshake}early `);
  await eventually(() => expect(text).toContain("101 Switching Protocols"));
  socket.write("late");
  await eventually(() => expect(text.split("\r\n\r\n")[1]).toBe("early late"));
  expect(text.toLowerCase()).not.toContain("stampyard");
  const closed = new Promise((resolve) => socket.on("close", resolve));
  await router.close();
  await closed;
});

test.each([
  [
    "a wrong proof",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm90IGl0\r\n\r\nsecret",
    502,
  ],
  ["no proof", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nsecret", 502],
  [
    "another protocol",
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\nsecret`,
    502,
  ],
  ["403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403],
  [
    "a refusal of the guard",
    "HTTP/1.1 503 Service Unavailable\r\nStampyard-Refusal: stale-route\r\nContent-Length: 0\r\n\r\n",
    503,
  ],
])("no tunnel opens on %s (I11)", async (_, answer, status) => {
  onUpgrade(answer);
  const text = await askRaw(router.listenPort, handshake);
  expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(text).not.toContain("secret");
  if (status === 503) expect(text).toContain('"reason":"stale-route"');
});

test("a WebSocket of an unknown tenant reaches no stamp (I4)", async () => {
  const { heads } = onUpgrade("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  expect(await askRaw(router.listenPort, handshake.replace("acme", "nobody"))).toMatch(/^HTTP\/1\.1 404 /);
  expect(heads).toEqual([]);
});
