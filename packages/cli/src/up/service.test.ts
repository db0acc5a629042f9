import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { processesWith } from "../process/find.ts";
import { isAlive, signalProcess } from "@stampyard/engines/process";
import { waitFor } from "../process/wait.ts";
import { ensureService, type ServiceSpec } from "./service.ts";

let dir: string;
const signal = new AbortController().signal;
const io = { fetch, signal };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-service-"));
});
afterEach(async () => {
  const left = processesWith(`--state=${dir} `);
  for (const identity of left) signalProcess(identity, "SIGKILL");
  await waitFor(() => (left.some(isAlive) ? undefined : true), { timeoutMs: 5_000, signal });
  rmSync(dir, { recursive: true, force: true });
});

/** A service as ours are: listens, then writes down who it is and where. `before` runs first. */
function service(before = ""): ServiceSpec {
  const entry = join(dir, "service.mjs");
  writeFileSync(
    entry,
    `import { createServer } from "node:http";
    import { readFileSync, writeFileSync, renameSync } from "node:fs";
    ${before}
    const stat = readFileSync("/proc/self/stat", "latin1");
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const server = createServer((_, response) => response.end("ok")).listen(0, "127.0.0.1", () => {
      const url = "http://127.0.0.1:" + server.address().port;
      writeFileSync("record.part", JSON.stringify({ pid: process.pid, bootId, startTime, url }));
      renameSync("record.part", "record.json");
    });`,
  );
  return {
    name: "control plane",
    entry,
    mark: `--state=${dir}`,
    env: { PATH: process.env["PATH"] },
    cwd: dir,
    recordFile: join(dir, "record.json"),
    logFile: join(dir, "logs", "service.log"),
    readyUrl: ({ url }) => `${url}/readyz`,
    timeoutMs: 10_000,
  };
}

describe.runIf(process.platform === "linux")("ensureService()", () => {
  test("starts it once; the second call finds it", async () => {
    const first = await ensureService(io, service());
    expect(first.started).toBe(true);
    expect(await ensureService(io, service())).toEqual({ ...first, started: false });
    expect(processesWith(`--state=${dir} `)).toHaveLength(1);
  });

  test("waits for one that another call started and that has written nothing yet", async () => {
    const slow = `await new Promise((settle) => setTimeout(settle, 300));`;
    const both = await Promise.all([ensureService(io, service(slow)), ensureService(io, service(slow))]);
    expect(both.map((one) => one.started).sort()).toEqual([false, true]);
    expect(processesWith(`--state=${dir} `)).toHaveLength(1);
  });

  test("starts anew after a kill -9, whatever the record says", async () => {
    const first = await ensureService(io, service());
    const [killed] = processesWith(`--state=${dir} `);
    if (killed === undefined) throw new Error("The service is not there");
    signalProcess(killed, "SIGKILL");
    await waitFor(() => (isAlive(killed) ? undefined : true), { timeoutMs: 5_000, signal });
    const again = await ensureService(io, service());
    expect(again.started).toBe(true);
    expect(again.url).not.toBe(first.url);
  });

  test("tells at once that it ended, with the last words of its log", async () => {
    const dies = service(`console.error("Port 4300 is taken"); process.exit(3);`);
    const started = performance.now();
    await expect(ensureService(io, dies)).rejects.toThrow(/exit code 3 while starting.*\n.*Port 4300 is taken/);
    expect(performance.now() - started).toBeLessThan(dies.timeoutMs);
  });

  test("gives up on one that never gets ready, and says where its log is", async () => {
    const never = { ...service(`setInterval(() => {}, 1000); await new Promise(() => {});`), timeoutMs: 300 };
    await expect(ensureService(io, never)).rejects.toMatchObject({
      code: "TIMEOUT",
      mend: expect.stringContaining("service.log"),
    });
  });
});
