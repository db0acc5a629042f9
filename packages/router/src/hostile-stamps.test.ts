import type { DirectoryChange } from "@stampyard/directory";
import { refusalHeader } from "@stampyard/guard";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import { ask, eventually, makeTestBed, startFakeStamp, type TestBed, tenantPut } from "./test-bed/test-bed.ts";

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

const reasonOf = (answer: { json(): Record<string, unknown> }) => answer.json()["reason"];

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

  test("a stamp that is back at other endpoints is asked at once, however long the ones before were left alone", async () => {
    const [, dead] = bed.stamps;
    dead.handler = (request) => void request.socket.destroy();
    const globex = () => ask(port, { host: "globex.localhost" });
    // So often that it is left alone for the longest time, from a moment ago on.
    await eventually(async () => {
      await globex();
      expect(dead.seen.length).toBeGreaterThanOrEqual(8);
    });
    expect((await globex()).status).toBe(503);
    const back = bed.own(await startFakeStamp("eu-2", 2));
    const moved = { ...back.put(), endpointRevision: 2 } as DirectoryChange;
    bed.controlPlane.change(moved, tenantPut("late", "eu-1"));
    await eventually(async () => expect((await ask(port, { host: "late.localhost" })).status).toBe(200));
    expect((await globex()).status).toBe(200);
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
