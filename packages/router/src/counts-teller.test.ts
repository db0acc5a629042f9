import { afterEach, beforeEach, expect, test } from "vitest";
import type { CountsReport } from "./control-plane.ts";
import type { RunningRouter } from "./router.ts";
import { ask, eventually, makeTestBed, type TestBed } from "./test-bed/test-bed.ts";

let bed: TestBed;
beforeEach(async () => {
  bed = await makeTestBed();
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

const often = (watched: readonly string[] = []) => ({ status: 200, body: { watched, everyMs: 100 } });

async function start(config = {}, ports = {}): Promise<RunningRouter> {
  bed.controlPlane.onCounts = () => often();
  const router = await bed.start(config, ports);
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
  return router;
}

const last = (): CountsReport => {
  const report = bed.controlPlane.counts.at(-1);
  if (report === undefined) throw new Error("Nothing was told yet");
  return report;
};
const of = (stamp: string) => last().stamps[stamp] ?? { requests: 0, errors: 0, latency: [] };
const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);

test("a router tells what it counted since it started, in one life with rising numbers", async () => {
  const router = await start();
  for (let n = 0; n < 5; n++) await ask(router.listenPort, { host: "globex.localhost" });
  await eventually(() => expect(of("eu-2").requests).toBe(5));
  expect(of("eu-2").errors).toBe(0);
  expect(sum(of("eu-2").latency)).toBe(5);
  const { counts } = bed.controlPlane;
  expect(new Set(counts.map(({ life }) => life)).size).toBe(1);
  expect(counts.map(({ number }) => number)).toEqual(counts.map((_, index) => index + 1));
  expect(counts[0]?.router).toBe("r1");

  await router.close();
  const told = counts.length;
  await start();
  expect(counts[told]?.number).toBe(1);
  expect(counts[told]?.life).not.toBe(counts[0]?.life);
  expect(counts[told]?.stamps["eu-2"]?.requests ?? 0).toBe(0);
});

test("errors are answers of 500, refused connections, and answers that the stamp cut, but no 404 and no end of events", async () => {
  const router = await start();
  const [, globex] = bed.stamps;
  const get = (path: string) => ask(router.listenPort, { host: "globex.localhost", path }).catch(() => undefined);
  globex.handler = (request, response) => {
    if (request.url === "/500") return void response.writeHead(500).end();
    if (request.url === "/404") return void response.writeHead(404).end();
    const type = request.url === "/events" ? "text/event-stream" : "text/plain";
    response.writeHead(200, { "content-type": type });
    response.write("begin", () => setTimeout(() => response.destroy(), 20));
  };
  await get("/500");
  await get("/404");
  await get("/cut");
  await get("/events");
  await eventually(() => expect(of("eu-2")).toMatchObject({ requests: 4, errors: 2 }));
  await globex.stop();
  await get("/gone");
  await eventually(() => expect(of("eu-2")).toMatchObject({ requests: 5, errors: 3 }));
});

test("a tenant that fails is told with how long it has, and one that does not is not", async () => {
  const router = await start();
  const [eu1] = bed.stamps;
  let isBad = true;
  eu1.handler = (request, response) => {
    const acme = request.headers.host?.startsWith("acme") === true;
    response.writeHead(acme && isBad ? 500 : 200).end();
  };
  bed.controlPlane.onCounts = () => often(["eu-1"]);
  for (let n = 0; n < 30; n++) {
    await ask(router.listenPort);
    await ask(router.listenPort, { host: "umbrella.localhost" });
  }
  const rows = await eventually(() => {
    const { failing } = last();
    expect(failing[0]?.errors).toBe(30);
    return failing;
  });
  expect(rows.map(({ stamp, tenant }) => ({ stamp, tenant }))).toEqual([{ stamp: "eu-1", tenant: "acme" }]);
  expect(rows[0]?.requests).toBeGreaterThanOrEqual(30);
  const before = rows[0]?.forMs ?? -1;
  await eventually(() => expect(last().failing[0]?.forMs).toBeGreaterThan(before + 100));
  isBad = false;
  for (let n = 0; n < 140; n++) await ask(router.listenPort);
  await eventually(() => expect(last().failing).toEqual([]));
});

test("an older control plane that knows no counts is left in peace, and a newer one is told at once", async () => {
  const warned: string[] = [];
  bed.controlPlane.onCounts = undefined;
  const router = await bed.start({}, { log: (level, text) => void (level === "warn" && warned.push(text)) });
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
  await eventually(() => expect(bed.controlPlane.counts.length).toBe(1));
  for (let n = 0; n < 50; n++) expect((await ask(router.listenPort)).status).toBe(200);
  expect(bed.controlPlane.counts.length).toBe(1);
  expect(warned.filter((text) => text.includes("counts"))).toHaveLength(1);

  // It is replaced: its feed ends, and the next hello is of one that knows.
  bed.controlPlane.onCounts = () => often();
  const { incarnation } = bed.controlPlane.head();
  bed.controlPlane.restore({ incarnation: incarnation + 1, changes: bed.controlPlane.changes() });
  await eventually(() => expect(bed.controlPlane.counts.length).toBeGreaterThan(2));
});

test("an answer that is no answer changes nothing", async () => {
  const router = await start();
  const bodies: unknown[] = [{ watched: "all", everyMs: "soon" }, { watched: [7, "eu-1"], everyMs: -5, more: {} }, []];
  bed.controlPlane.onCounts = () => ({ status: 200, body: bodies.shift() ?? { everyMs: 100 } });
  await eventually(() => expect(bodies.length).toBeLessThan(3));
  expect((await ask(router.listenPort)).status).toBe(200);
});

test("counts of all workers are told together, and what a killed one counted stays", async () => {
  const router = await start({ workers: 2 });
  const before = last().stamps["eu-2"]?.requests ?? 0;
  for (let n = 0; n < 40; n++) await ask(router.listenPort, { host: "globex.localhost" });
  await eventually(() => expect(of("eu-2").requests).toBe(before + 40));
  const stats = await ask(router.adminPort, { host: "127.0.0.1", path: "/stats" });
  const [worker] = stats.json()["workers"] as { pid: number }[];
  process.kill(worker?.pid ?? 0, "SIGKILL");
  const told = last().number;
  await eventually(() => expect(last().number).toBeGreaterThan(told + 3));
  expect(of("eu-2").requests).toBe(before + 40);
  expect(
    bed.controlPlane.counts.every((one, n, all) => {
      const earlier = all[n - 1]?.stamps["eu-2"]?.requests ?? 0;
      return (one.stamps["eu-2"]?.requests ?? 0) >= earlier;
    }),
  ).toBe(true);
});
