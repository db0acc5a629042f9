import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RunningRouter } from "../router.ts";
import { ask, eventually, makeTestBed, type TestBed } from "../test-bed/test-bed.ts";

let bed: TestBed;
let router: RunningRouter;

beforeEach(async () => {
  bed = await makeTestBed();
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

async function start(timeouts: object, config = {}): Promise<void> {
  router = await bed.start(config, { timeouts: { connectMs: 500, idleMs: 20_000, ...timeouts } });
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
}

test("an answer whose head does not come in its time is 504, however long bodies may pause", async () => {
  await start({ answerMs: 150 });
  bed.stamps[0].handler = () => {};
  const startedAt = performance.now();
  expect((await ask(router.listenPort)).status).toBe(504);
  expect((await ask(router.listenPort, { method: "POST", body: "x" })).status).toBe(504);
  expect((await ask(router.listenPort, { method: "POST", body: Buffer.alloc(100_000) })).status).toBe(504);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

test("a body that takes longer than an answer's head may is forwarded, up and down", async () => {
  await start({ answerMs: 200 });
  bed.stamps[0].handler = (request, response) => {
    let length = 0;
    request.on("data", (part: Buffer) => {
      length += part.length;
    });
    request.on("end", () => {
      response.writeHead(200, { "content-length": "10" });
      response.write(`${length}`.padEnd(5));
      // Longer than the head of an answer may take.
      setTimeout(() => response.end("12345"), 350);
    });
  };
  const socket = connect(router.listenPort, "127.0.0.1");
  let text = "";
  socket.setEncoding("latin1").on("data", (part: string) => {
    text += part;
  });
  socket.write("POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 60\r\n\r\n");
  let sent = 0;
  const timer = setInterval(() => {
    if (sent < 60) socket.write("x".repeat(10));
    sent += 10;
  }, 70);
  await eventually(() => expect(text).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\n60 {3}12345$/));
  clearInterval(timer);
  socket.destroy();
});

test("a request waits for a connection to its stamp for a bounded time, then hears 503 with Retry-After (I13)", async () => {
  await start({ queueMs: 200 }, { maxConnectionsPerStamp: 1 });
  const open: ServerResponse[] = [];
  bed.stamps[0].seen.length = 0;
  bed.stamps[0].handler = (request, response) => {
    if (request.url === "/slow") open.push(response);
    else response.end("quick");
  };
  const slow = ask(router.listenPort, { path: "/slow" });
  await eventually(() => expect(open).toHaveLength(1));
  const startedAt = performance.now();
  const late = await Promise.all([1, 2, 3].map(() => ask(router.listenPort)));
  expect(late.map(({ status }) => status)).toEqual([503, 503, 503]);
  expect(late[0]?.json()).toMatchObject({ reason: "too-busy" });
  expect(late[0]?.headers["retry-after"]).toMatch(/^[1-9]/);
  expect(performance.now() - startedAt).toBeGreaterThan(190);
  expect(bed.stamps[0].seen).toHaveLength(1);
  // The other stamp has connections of its own.
  expect((await ask(router.listenPort, { host: "globex.localhost" })).status).toBe(200);

  const patient = ask(router.listenPort);
  open[0]?.end("slow");
  expect((await slow).body).toBe("slow");
  expect((await patient).body).toBe("quick");
});
