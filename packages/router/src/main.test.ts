import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readLivingWorkers, retireWorkers } from "./workers/worker-record.ts";
import { ask, eventually, makeTestBed, type TestBed } from "./test-bed/test-bed.ts";

const entry = createRequire(import.meta.url).resolve("@stampyard/router/main");
let bed: TestBed;
const children: ChildProcess[] = [];

beforeEach(async () => {
  bed = await makeTestBed();
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    }
  }
  // Workers outlive a parent that is killed.
  const { workers } = await readLivingWorkers(bed.folder);
  await retireWorkers(workers, 0);
  await bed[Symbol.asyncDispose]();
});

function spawnRouter(env: Record<string, string>) {
  const child = spawn(process.execPath, [entry], { env, stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  let log = "";
  child.stderr?.on("data", (chunk) => {
    log += String(chunk);
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  return { child, ended, log: () => log };
}

async function startProcess() {
  const started = spawnRouter({
    STAMPYARD_ROUTER_STATE: bed.folder,
    STAMPYARD_ROUTER_LISTEN: "127.0.0.1:0",
    STAMPYARD_ROUTER_ADMIN: "127.0.0.1:0",
    STAMPYARD_API: bed.controlPlane.url,
    STAMPYARD_ROUTER_DRAIN_MS: "5000",
  });
  const port = await eventually(async () => {
    const record = JSON.parse(await readFile(join(bed.folder, "router.json"), "utf8")) as {
      pid: number;
      listenPort: number;
    };
    expect(record.pid, started.log()).toBe(started.child.pid);
    return record.listenPort;
  }, 10_000);
  return { ...started, port };
}

test("a router process serves, survives SIGKILL by its copy on disk, and drains on SIGTERM (I3)", async () => {
  const first = await startProcess();
  await eventually(async () => expect((await ask(first.port)).status).toBe(200));
  await eventually(() => expect(bed.controlPlane.acknowledged.at(-1)).toMatchObject(bed.controlPlane.head()));
  first.child.kill("SIGKILL");
  await first.ended;
  await bed.controlPlane.stop();

  const second = await startProcess();
  expect((await ask(second.port)).status).toBe(200);
  const [stamp] = bed.stamps;
  stamp.seen.length = 0;
  let finish = () => {};
  stamp.handler = (request, response) => {
    if (request.url === "/slow") finish = () => response.end("finished");
    else response.end();
  };
  const slow = ask(second.port, { path: "/slow" });
  await eventually(() => expect(stamp.seen).toHaveLength(1));
  second.child.kill("SIGTERM");
  await eventually(async () => {
    await expect(ask(second.port)).rejects.toThrow();
  });
  finish();
  expect((await slow).body).toBe("finished");
  expect(await second.ended).toBe(0);
  expect(existsSync(join(bed.folder, "router.json"))).toBe(false);
});

test("a wrong configuration ends the process with all problems in one line", async () => {
  const { ended, log } = spawnRouter({ STAMPYARD_ROUTER_LISTEN: "nowhere" });
  expect(await ended).toBe(1);
  const problems = (JSON.parse(log()) as { problems: { path: string }[] }).problems;
  expect(problems.map((problem) => problem.path)).toEqual(["STAMPYARD_ROUTER_STATE", "STAMPYARD_ROUTER_LISTEN"]);
});
