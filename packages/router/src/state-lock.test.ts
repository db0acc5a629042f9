import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockState } from "./state-lock.ts";
import { eventually } from "./test-bed/test-bed.ts";

const entry = createRequire(import.meta.url).resolve("@stampyard/router/main");
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "stampyard-lock-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("lockState() is held by one at a time, and free after it", async () => {
  const lock = await lockState(folder, () => {});
  await expect(lockState(folder, () => {})).rejects.toMatchObject({ code: "LOCKED" });
  lock[Symbol.dispose]();
  (await lockState(folder, () => {}))[Symbol.dispose]();
});

test("lockState() does not keep a router from serving where the disk takes no lock", async () => {
  const said: string[] = [];
  const lock = await lockState(join(folder, "not-there"), (_, message) => void said.push(message));
  expect(said).toEqual(["state folder cannot be locked"]);
  lock[Symbol.dispose]();
});

test("of routers that start in one folder at the same moment exactly one serves, and a killed one leaves no lock", async () => {
  const start = () => {
    const env = {
      STAMPYARD_ROUTER_STATE: folder,
      STAMPYARD_ROUTER_LISTEN: "127.0.0.1:0",
      STAMPYARD_ROUTER_ADMIN: "127.0.0.1:0",
      STAMPYARD_ROUTER_WORKERS: "0",
    };
    const child = spawn(process.execPath, [entry], { env, stdio: ["ignore", "ignore", "pipe"] });
    const one = { child, log: "", code: undefined as number | null | undefined };
    child.stderr.on("data", (chunk) => {
      one.log += String(chunk);
    });
    const ended = new Promise<void>((resolve) => {
      child.once("exit", (code) => {
        one.code = code;
        resolve();
      });
    });
    return Object.assign(one, { ended });
  };
  const all = Array.from({ length: 4 }, start);
  try {
    await eventually(() => expect(all.filter(({ code }) => code !== undefined)).toHaveLength(3), 15_000);
    for (const { code, log } of all) if (code !== undefined) expect({ code, log }).toMatchObject({ code: 1 });
    const losers = all.filter(({ code }) => code !== undefined);
    for (const { log } of losers) expect(log).toContain("LOCKED");
    const winner = all.find(({ code }) => code === undefined);
    await eventually(() => expect(winner?.log).toContain("router listens"), 10_000);
    winner?.child.kill("SIGKILL");
    await winner?.ended;
    const next = start();
    all.push(next);
    await eventually(() => expect(next.log).toContain("router listens"), 10_000);
  } finally {
    for (const { child } of all) child.kill("SIGKILL");
    await Promise.all(all.map(({ ended }) => ended));
  }
}, 40_000);
