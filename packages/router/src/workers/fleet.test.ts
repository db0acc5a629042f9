import { readFile } from "node:fs/promises";
import { Agent, createServer as createHttpServer, request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { identify, isAlive } from "../process-record.ts";
import type { RunningRouter } from "../router.ts";
import type { WorkerFacts } from "../servers.ts";
import { ask, eventually, makeTestBed, type TestBed, tenantPut } from "../test-bed/test-bed.ts";

let bed: TestBed;

beforeEach(async () => {
  bed = await makeTestBed();
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

async function startWithWorkers(workers: number, config = {}): Promise<RunningRouter> {
  const router = await bed.start({ workers, ...config });
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
  return router;
}

async function workersOf(router: RunningRouter): Promise<WorkerFacts[]> {
  const stats = await ask(router.adminPort, { host: "127.0.0.1", path: "/stats" });
  return stats.json()["workers"] as WorkerFacts[];
}

async function requestsOf(router: RunningRouter, stamp: string): Promise<number> {
  const stats = await ask(router.adminPort, { host: "127.0.0.1", path: "/stats" });
  const stamps = stats.json()["stamps"] as Record<string, { requests: number }>;
  return stamps[stamp]?.requests ?? 0;
}

async function readiness(router: RunningRouter) {
  return await ask(router.adminPort, { host: "127.0.0.1", path: "/readyz?verbose" });
}

/** Clients with one connection each, asking one after the other until told to stop. */
function startLoad(port: number, clients: number) {
  let on = true;
  const failures: string[] = [];
  const statuses = new Map<number, number>();
  const running = Array.from({ length: clients }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (on) {
      const status = await once(port, agent).catch((caught: Error) => {
        failures.push((caught as NodeJS.ErrnoException).code ?? caught.message);
        return 0;
      });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    agent.destroy();
  });
  return {
    failures,
    good: () => statuses.get(200) ?? 0,
    statuses,
    async stop() {
      on = false;
      await Promise.all(running);
    },
  };
}

function once(port: number, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, agent, headers: { host: "acme.localhost" } }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end();
  });
}

describe("workers", () => {
  test("a worker killed under load takes only the requests on it, and is replaced", async () => {
    const router = await startWithWorkers(2);
    const before = await workersOf(router);
    const clients = 12;
    const load = startLoad(router.listenPort, clients);
    await eventually(() => expect(load.good()).toBeGreaterThan(300));
    process.kill(before[0]?.pid ?? 0, "SIGKILL");
    await eventually(async () => {
      const after = await workersOf(router);
      expect(after.map(({ state }) => state)).toEqual(["serving", "serving"]);
      expect(after[0]?.pid).not.toBe(before[0]?.pid);
      expect(after[1]?.pid).toBe(before[1]?.pid);
    });
    const sofar = load.good();
    const failed = load.failures.length;
    await eventually(() => expect(load.good()).toBeGreaterThan(sofar + 500), 10_000);
    await load.stop();
    // Each client has one connection with one request on its way, so no client may fail twice.
    expect(load.failures.length).toBeLessThanOrEqual(clients);
    expect(load.failures.length).toBe(failed);
    expect(new Set(load.failures)).toEqual(load.failures.length === 0 ? new Set() : new Set(["ECONNRESET"]));
    expect([...load.statuses.keys()].filter((status) => status !== 0)).toEqual([200]);
  });

  test("a worker that is stopped is killed after two seconds, and nothing is acknowledged before (D8, D17)", async () => {
    const router = await startWithWorkers(2);
    await eventually(() => expect(bed.controlPlane.acknowledged.at(-1)).toMatchObject(bed.controlPlane.head()));
    const [first, second] = await workersOf(router);
    const stopped = identify(first?.pid ?? 0);
    if (stopped === undefined) throw new Error("There should be a worker");
    const since = performance.now();
    process.kill(stopped.pid, "SIGSTOP");
    bed.controlPlane.change(tenantPut("initech", "eu-2"));
    const head = bed.controlPlane.head();
    await eventually(() => {
      // The table of a worker that only sleeps would be the old one, if it woke.
      if (isAlive(stopped)) expect(bed.controlPlane.acknowledged.at(-1)?.version).toBeLessThan(head.version);
      expect(bed.controlPlane.acknowledged.at(-1)).toMatchObject(head);
    }, 12_000);
    expect(isAlive(stopped)).toBe(false);
    const took = performance.now() - since;
    expect(took).toBeGreaterThan(1_500);
    expect(took).toBeLessThan(8_000);
    await eventually(async () => {
      const after = await workersOf(router);
      expect(after.map(({ state }) => state)).toEqual(["serving", "serving"]);
      expect(after[0]?.pid).not.toBe(first?.pid);
      expect(after[1]?.pid).toBe(second?.pid);
    });
    // The new one has what the others have, whichever is asked.
    for (let n = 0; n < 12; n++) {
      expect((await ask(router.listenPort, { host: "initech.localhost" })).json()["stamp"]).toBe("eu-2");
    }
  });

  test("counts are those of all workers, and do not fall when one dies", async () => {
    const router = await startWithWorkers(2, { tenantMetrics: 1 });
    const before = await requestsOf(router, "eu-2");
    for (let n = 0; n < 30; n++) await ask(router.listenPort, { host: "globex.localhost" });
    expect(await requestsOf(router, "eu-2")).toBe(before + 30);
    const metrics = await ask(router.adminPort, { host: "127.0.0.1", path: "/metrics" });
    expect(metrics.body).toContain(`stampyard_router_requests_total{stamp="eu-2",class="2xx"} ${before + 30}`);
    expect(metrics.body).toMatch(/stampyard_router_worker_serving\{worker="1"\} 1/);
    expect(metrics.body).not.toContain("tenant_requests_total");
    const byTenant = await ask(router.adminPort, { host: "127.0.0.1", path: "/metrics?tenants" });
    expect(byTenant.body).toMatch(/stampyard_router_tenant_requests_total\{tenant="(?:acme|globex)"\} \d+/);
    await bed.stamps[0].stop();
    await eventually(async () => {
      for (let n = 0; n < 10; n++) await ask(router.listenPort);
      const text = (await ask(router.adminPort, { host: "127.0.0.1", path: "/metrics" })).body;
      expect(text).toMatch(/stampyard_router_stamp_breaker_open\{stamp="eu-1"\} [12]/);
      expect(text).not.toContain('breaker_open{stamp="eu-2"');
    });
    const [first] = await workersOf(router);
    process.kill(first?.pid ?? 0, "SIGKILL");
    await eventually(async () => expect((await workersOf(router))[0]?.restarts).toBe(1));
    expect(await requestsOf(router, "eu-2")).toBe(before + 30);
    await eventually(async () =>
      expect((await readiness(router)).json()["checks"]).toContainEqual({
        check: "workers",
        ok: true,
        detail: "2 of 2 serve",
      }),
    );
  });

  test("thousands of changes reach all workers, and nothing is kept of them", async () => {
    const router = await startWithWorkers(2);
    for (let n = 0; n < 3_000; n++) bed.controlPlane.change(tenantPut(`t${n % 300}`, "eu-1", n + 1));
    await eventually(() => expect(bed.controlPlane.acknowledged.at(-1)).toMatchObject(bed.controlPlane.head()), 10_000);
    await eventually(async () => {
      const workers = await workersOf(router);
      expect(workers.map(({ changesBehind }) => changesBehind)).toEqual([0, 0]);
      for (const { rssBytes } of workers) expect(rssBytes).toBeLessThan(250 << 20);
    });
    for (let n = 0; n < 8; n++) expect((await ask(router.listenPort, { host: `t${n}.localhost` })).status).toBe(200);
  });

  test("one connection gets its tenant's whole rate after a moment (D17)", async () => {
    // Half of it, the part that a worker begins with, is far enough below, and the whole of it is nothing for a busy machine.
    const rate = 60;
    bed.controlPlane.change({
      kind: "routing-put",
      routing: { domains: ["localhost"], limits: { requestsPerSecond: rate, burst: 20 } },
    });
    const router = await startWithWorkers(2);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let passed = 0;
    let on = true;
    const startedAt = performance.now();
    const asking = (async () => {
      while (on) {
        if ((await once(router.listenPort, agent)) === 200) passed += 1;
        // A connection ends after a thousand requests, and the next one may lie on the other worker, with its own part.
        else await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();
    try {
      await eventually(async () => {
        const [since, before] = [performance.now(), passed];
        await new Promise((resolve) => setTimeout(resolve, 800));
        const perSecond = ((passed - before) / (performance.now() - since)) * 1_000;
        expect(perSecond).toBeGreaterThan(rate * 0.8);
      }, 15_000);
    } finally {
      on = false;
      await asking;
      agent.destroy();
    }
    // Both workers began with a full part of the burst.
    expect(passed).toBeLessThanOrEqual(20 + 2 + ((performance.now() - startedAt) / 1_000) * rate);
  });

  test("one log for all: whole lines, and a new file after it was moved away", async () => {
    const accessLog = join(bed.folder, "access.log");
    const router = await startWithWorkers(2, { accessLog });
    const asked = Array.from({ length: 200 }, async (_, n) => await ask(router.listenPort, { path: `/p${n}` }));
    await Promise.all(asked);
    await eventually(async () => {
      const lines = (await readFile(accessLog, "utf8")).trimEnd().split("\n");
      const paths = new Set(lines.map((line) => (JSON.parse(line) as { path: string }).path));
      for (let n = 0; n < 200; n++) expect(paths).toContain(`/p${n}`);
    });
    const { rename } = await import("node:fs/promises");
    await rename(accessLog, `${accessLog}.old`);
    router.reopenLogs();
    await eventually(async () => {
      await ask(router.listenPort, { path: "/after" });
      expect(await readFile(accessLog, "utf8")).toContain('"path":"/after"');
    });
  });

  test("requests that their caller sampled become spans at the collector, and nobody waits for it", async () => {
    const bodies: string[] = [];
    const collector = createHttpServer((received, response) => {
      let body = "";
      received.on("data", (chunk) => {
        body += String(chunk);
      });
      received.on("end", () => {
        bodies.push(body);
        response.end("{}");
      });
    });
    await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
    const { port } = collector.address() as AddressInfo;
    const tracing = { url: `http://127.0.0.1:${port}/v1/traces`, headers: {}, service: "edge" };
    const router = await startWithWorkers(2, { tracing });
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    for (let n = 0; n < 6; n++) {
      const sampled = n % 2 === 0 ? "01" : "00";
      const path = `/${sampled}/${n}`;
      await ask(router.listenPort, { path, headers: { traceparent: `00-${traceId}-b7ad6b7169203331-${sampled}` } });
    }
    expect(bed.stamps[0].seen.at(-1)?.headers["traceparent"]).toBe(`00-${traceId}-b7ad6b7169203331-00`);
    await eventually(() => {
      const all = bodies.join("");
      for (const n of [0, 2, 4]) expect(all).toContain(`/01/${n}`);
      expect(all).not.toContain('"/00/');
      expect(all).toContain('"stringValue":"acme"');
    });
    await router.close();
    await new Promise((resolve) => {
      collector.close(resolve);
      collector.closeAllConnections();
    });
  });

  test("a port that a stranger shares is taken all the same", async () => {
    const stranger = createServer();
    const port = await new Promise<number>((resolve) => {
      stranger.listen({ host: "127.0.0.1", port: 0, reusePort: true }, () => {
        const address = stranger.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    const started = bed.start({ workers: 2, listen: { host: "127.0.0.1", port } });
    await expect(started).rejects.toMatchObject({ code: "PORT_TAKEN" });
    await new Promise((resolve) => stranger.close(resolve));
  });

  test("where ports cannot be shared by sockets, the parent's socket serves all, and a killed worker is replaced", async () => {
    const router = await bed.start({ workers: 2 }, { portSharing: "handle" });
    await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
    const asked = await Promise.all(Array.from({ length: 60 }, async () => await ask(router.listenPort)));
    expect(asked.map(({ status }) => status)).toEqual(Array(60).fill(200));
    const [first] = await workersOf(router);
    process.kill(first?.pid ?? 0, "SIGKILL");
    await eventually(async () => {
      const after = await workersOf(router);
      expect(after.map(({ state }) => state)).toEqual(["serving", "serving"]);
      expect(after[0]?.restarts).toBe(1);
    });
    for (let n = 0; n < 20; n++) expect((await ask(router.listenPort)).status).toBe(200);
    const tls = { listen: { host: "127.0.0.1", port: 0 }, certificates: bed.folder };
    const secure = bed.start({ workers: 2, tls, stateDir: join(bed.folder, "other") }, { portSharing: "handle" });
    await expect(secure).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    await router.close();
    await expect(ask(router.listenPort)).rejects.toThrow();
  });

  test("a drain lets requests end and leaves no process", async () => {
    const router = await bed.start({ workers: 2, drainMs: 5_000 });
    await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
    const identities = (await workersOf(router)).flatMap(({ pid }) => identify(pid) ?? []);
    const [stamp] = bed.stamps;
    stamp.seen.length = 0;
    let finish = () => {};
    stamp.handler = (request, response) => {
      if (request.url === "/slow") finish = () => response.end("finished");
      else response.end();
    };
    const slow = ask(router.listenPort, { path: "/slow" });
    await eventually(() => expect(stamp.seen).toHaveLength(1));
    const closed = router.close();
    await eventually(async () => {
      await expect(ask(router.listenPort)).rejects.toThrow();
    });
    expect((await readiness(router)).status).toBe(503);
    finish();
    expect((await slow).body).toBe("finished");
    await closed;
    expect(identities).toHaveLength(2);
    expect(identities.filter(isAlive)).toEqual([]);
  });
});
