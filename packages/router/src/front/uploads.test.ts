import { request } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RunningRouter } from "../router.ts";
import { ask, eventually, makeTestBed, type TestBed } from "../test-bed/test-bed.ts";

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

const size = 6_000_000;

/** Every 16 bytes say whose they are and where. */
function bodyOf(name: string): Buffer {
  const block = Buffer.alloc(size);
  for (let at = 0; at < size; at += 16) block.write(`${name}:${at}`.padEnd(16), at, "latin1");
  return block;
}

test("uploads to stamps that read slowly arrive whole and unmixed, with a length and in chunks (I9, I13)", async () => {
  const bodies = Array.from({ length: 6 }, (_, n) => bodyOf(`u${n}`));
  for (const stamp of bed.stamps) {
    stamp.handler = (received, response) => {
      const parts: Buffer[] = [];
      received.on("data", (part: Buffer) => {
        parts.push(part);
        // So that the router's connection to the stamp holds what it could not send.
        received.pause();
        setTimeout(() => received.resume(), 1);
      });
      received.on("end", () => {
        const n = Number(received.url?.slice(1));
        response.end(Buffer.concat(parts).equals(bodies[n] as Buffer) ? "same" : "other");
      });
    };
  }
  const upload = (n: number) =>
    new Promise<string>((resolve, reject) => {
      const host = n % 2 === 0 ? "acme.localhost" : "globex.localhost";
      const headers = { host, ...(n < 3 ? { "content-length": size } : {}) };
      const sent = request(
        { host: "127.0.0.1", port: router.listenPort, method: "POST", path: `/${n}`, headers },
        (response) => {
          let text = "";
          response.on("data", (part) => {
            text += String(part);
          });
          response.on("end", () => resolve(`${response.statusCode} ${text}`));
          response.on("error", reject);
        },
      );
      sent.on("error", reject);
      sent.end(bodies[n]);
    });
  const answers = await Promise.all(bodies.map((_, n) => upload(n)));
  expect(answers).toEqual(bodies.map(() => "200 same"));
}, 30_000);
