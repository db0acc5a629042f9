import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isAlive, type ProcessIdentity } from "../process-record.ts";
import { ask, eventually, makeTestBed, type TestBed, tenantPut } from "../test-bed/test-bed.ts";

const entry = createRequire(import.meta.url).resolve("@stampyard/router/main");
let bed: TestBed;
const parents: ChildProcess[] = [];

beforeEach(async () => {
  bed = await makeTestBed();
});
afterEach(async () => {
  const left = await workersIn(bed.folder).catch(() => []);
  for (const parent of parents.splice(0)) await end(parent, "SIGKILL");
  for (const worker of left.filter(isAlive)) process.kill(worker.pid, "SIGKILL");
  await eventually(() => expect(left.filter(isAlive)).toEqual([]));
  await bed[Symbol.asyncDispose]();
});

async function workersIn(folder: string): Promise<ProcessIdentity[]> {
  const record = JSON.parse(await readFile(join(folder, "workers.json"), "utf8")) as { workers: ProcessIdentity[] };
  return record.workers;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill(signal);
  return await ended;
}

async function startProcess(port: number) {
  const child = spawn(process.execPath, [entry], {
    env: {
      STAMPYARD_ROUTER_STATE: bed.folder,
      STAMPYARD_ROUTER_LISTEN: `127.0.0.1:${port}`,
      STAMPYARD_ROUTER_ADMIN: "127.0.0.1:0",
      STAMPYARD_ROUTER_WORKERS: "2",
      STAMPYARD_API: bed.controlPlane.url,
      STAMPYARD_ROUTER_DRAIN_MS: "2000",
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  parents.push(child);
  let log = "";
  child.stderr?.on("data", (chunk) => {
    log += String(chunk);
  });
  const listenPort = await eventually(async () => {
    const record = JSON.parse(await readFile(join(bed.folder, "router.json"), "utf8")) as {
      pid: number;
      listenPort: number;
    };
    expect(record.pid, log).toBe(child.pid);
    return record.listenPort;
  }, 10_000);
  return { child, port: listenPort };
}

test("workers serve on when their parent is killed, and the next one takes over on the same port (D17)", async () => {
  const first = await startProcess(0);
  await eventually(async () => expect((await ask(first.port)).status).toBe(200));
  await eventually(() => expect(bed.controlPlane.acknowledged.at(-1)).toMatchObject(bed.controlPlane.head()));
  const orphans = await workersIn(bed.folder);
  expect(orphans).toHaveLength(2);
  await end(first.child, "SIGKILL");
  for (let n = 0; n < 40; n++) expect((await ask(first.port)).status).toBe(200);
  expect(orphans.filter(isAlive)).toHaveLength(2);
  // Nobody tells them, so they do not know this one; nor may anybody claim that they do.
  bed.controlPlane.change(tenantPut("initech", "eu-2"));
  expect((await ask(first.port, { host: "initech.localhost" })).status).toBe(404);

  let failed = 0;
  let asked = 0;
  let on = true;
  const asking = (async () => {
    while (on) {
      asked += 1;
      await ask(first.port).then(
        ({ status, body }) => expect({ status, body: status === 200 ? "" : body }).toEqual({ status: 200, body: "" }),
        () => {
          failed += 1;
        },
      );
    }
  })();
  const second = await startProcess(first.port);
  expect(second.port).toBe(first.port);
  await eventually(() => {
    if (orphans.some(isAlive)) {
      expect(bed.controlPlane.acknowledged.at(-1)?.version).toBeLessThan(bed.controlPlane.head().version);
    }
    expect(bed.controlPlane.acknowledged.at(-1)).toMatchObject(bed.controlPlane.head());
  }, 10_000);
  on = false;
  await asking;
  expect(orphans.filter(isAlive)).toEqual([]);
  // One may be in the queue of each of the two sockets at the moment that it closes.
  expect(failed).toBeLessThanOrEqual(2);
  expect(asked).toBeGreaterThan(5);
  for (let n = 0; n < 12; n++) expect((await ask(first.port, { host: "initech.localhost" })).status).toBe(200);

  const own = await workersIn(bed.folder);
  expect(await end(second.child, "SIGTERM")).toBe(0);
  expect(own.filter(isAlive)).toEqual([]);
  await expect(workersIn(bed.folder)).rejects.toThrow("ENOENT");
}, 40_000);

test("workers without a parent end on SIGTERM, after their requests", async () => {
  const { child, port } = await startProcess(0);
  await eventually(async () => expect((await ask(port)).status).toBe(200));
  const orphans = await workersIn(bed.folder);
  const [stamp] = bed.stamps;
  stamp.seen.length = 0;
  let finish = () => {};
  stamp.handler = (request, response) => {
    if (request.url === "/slow") finish = () => response.end("finished");
    else response.end();
  };
  const slow = ask(port, { path: "/slow" });
  await eventually(() => expect(stamp.seen).toHaveLength(1));
  await end(child, "SIGKILL");
  for (const worker of orphans) process.kill(worker.pid, "SIGTERM");
  await eventually(async () => {
    await expect(ask(port)).rejects.toThrow();
  });
  finish();
  expect((await slow).body).toBe("finished");
  await eventually(() => expect(orphans.filter(isAlive)).toEqual([]));
});
