import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RunningRouter } from "../router.ts";
import { ask, eventually, makeTestBed, type TestBed } from "../test-bed/test-bed.ts";

let bed: TestBed;
let router: RunningRouter;

beforeEach(async () => {
  bed = await makeTestBed();
  router = await bed.start({ drainMs: 5_000 });
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

const request = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";

async function client(): Promise<{ socket: Socket; text: () => string; ended: () => boolean }> {
  const socket = connect(router.listenPort, "127.0.0.1");
  let text = "";
  let ended = false;
  socket.setEncoding("latin1").on("data", (part: string) => {
    text += part;
  });
  socket.on("error", () => {});
  socket.on("end", () => {
    ended = true;
  });
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, text: () => text, ended: () => ended };
}

async function connections(): Promise<number> {
  const stats = await ask(router.adminPort, { host: "127.0.0.1", path: "/stats" });
  return stats.json()["connections"] as number;
}

test("the first request of a connection that is new when its router stops is answered; idle ones are ended at once", async () => {
  const idle = await client();
  idle.socket.write(request);
  await eventually(() => expect(idle.text()).toContain("200 OK"));
  const fresh = await client();
  const silent = await client();
  await eventually(async () => expect(await connections()).toBe(3));

  const startedAt = performance.now();
  const closed = router.close();
  await eventually(() => expect(idle.ended()).toBe(true));
  expect([fresh.ended(), silent.ended()]).toEqual([false, false]);
  fresh.socket.write(request);
  await eventually(() => expect(fresh.text()).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*\r\nconnection: close\r\n/));
  await closed;
  expect(silent.text()).toBe("");
  // Who says nothing holds nobody up for long.
  expect(performance.now() - startedAt).toBeLessThan(4_000);
});
