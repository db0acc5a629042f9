import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutHook } from "@stampyard/domain";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../store/test-postgres.ts";
import { callHook, type HookBody } from "./call-hook.ts";
import { createRolloutWorld, quickStrategy, type RolloutWorldBed } from "./test-rollout-world.ts";

const body: HookBody = {
  rollout: "ro-1",
  point: "before-wave",
  wave: { index: 0, name: "canary" },
  release: "sha256:2",
  stamps: ["eu-1"],
};
const clock = { now: Date.now, sleep: (ms: number) => new Promise<void>((done) => setTimeout(done, ms / 50)) };
const never = new AbortController().signal;
const dir = mkdtempSync(join(tmpdir(), "stampyard-hooks-"));

type Answer = (request: IncomingMessage, response: ServerResponse, text: string) => void;
let answer: Answer = (_request, response) => response.writeHead(204).end();
const told: { key: string | undefined; text: string }[] = [];
const server = createServer((request, response) => {
  let text = "";
  request.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  request.on("end", () => {
    told.push({ key: request.headers["idempotency-key"] as string | undefined, text });
    answer(request, response, text);
  });
});
let url = "";
let postgres: TestPostgres;
let bed: RolloutWorldBed;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  postgres = await startTestPostgres();
  bed = await createRolloutWorld(postgres, ["a-1", "b-1"]);
}, 60_000);
afterEach(() => {
  answer = (_request, response) => response.writeHead(204).end();
  told.length = 0;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true, force: true });
  await bed?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const http = (over: Partial<RolloutHook> = {}): RolloutHook => ({
  name: "gatekeeper",
  point: "before-wave",
  call: { kind: "http", url },
  timeoutMs: 5_000,
  onFailure: "abort",
  ...over,
});
const command = (script: string, over: Partial<RolloutHook> = {}): RolloutHook =>
  http({ call: { kind: "command", command: ["/bin/sh", "-c", script] }, ...over });
const call = (hook: RolloutHook, signal = never) => callHook({ clock }, hook, { key: "ro-1/x", body, signal });

describe("callHook()", () => {
  test("posts what it is about, again while it is told to come back, and always with the same key", async () => {
    const statuses = [503, 429, 200];
    answer = (_request, response) => response.writeHead(statuses.shift() ?? 500).end();
    await call(http());
    expect(told.map(({ key }) => key)).toEqual(["ro-1/x", "ro-1/x", "ro-1/x"]);
    expect(JSON.parse(told[0]?.text ?? "")).toEqual(body);
  });

  test("takes any other answer for a refusal, follows nobody elsewhere, and names no URL", async () => {
    answer = (_request, response) => response.writeHead(409).end("no");
    await expect(call(http())).rejects.toMatchObject({
      code: "HOOK_FAILED",
      message: "Hook gatekeeper (before-wave) answered 409",
    });
    expect(told).toHaveLength(1);
    answer = (_request, response) => response.writeHead(302, { location: "/other" }).end();
    await expect(call(http({ timeoutMs: 300 }))).rejects.toMatchObject({ code: "HOOK_FAILED" });
    const secret = http({ call: { kind: "http", url: "http://me:s3cret@127.0.0.1:1/t0ken" }, timeoutMs: 200 });
    const refused = await call(secret).catch((error: Error) => error.message);
    expect(refused).not.toMatch(/s3cret|t0ken/);
  });

  test("ends with its time, and with its signal", async () => {
    answer = () => {};
    await expect(call(http({ timeoutMs: 200 }))).rejects.toMatchObject({ message: expect.stringContaining("200 ms") });
    const stop = new AbortController();
    const asked = call(http(), stop.signal);
    stop.abort(new Error("enough"));
    await expect(asked).rejects.toThrow("enough");
  });

  test("runs a command without a shell of its own and without our secrets, and tells it by its input", async () => {
    process.env["STAMPYARD_MASTER_KEY"] = "s3cret";
    try {
      await call(command(`cat > ${dir}/told; env > ${dir}/env`));
    } finally {
      delete process.env["STAMPYARD_MASTER_KEY"];
    }
    expect(JSON.parse(readFileSync(join(dir, "told"), "utf8"))).toEqual(body);
    const env = readFileSync(join(dir, "env"), "utf8");
    expect(env).toContain("STAMPYARD_HOOK_KEY=ro-1/x");
    expect(env).not.toContain("s3cret");
  });

  test("asks a command again that cannot say, takes another end for a refusal, and kills all of one that is late", async () => {
    await call(command(`echo x >> ${dir}/tries; test $(wc -l < ${dir}/tries) -ge 3 || exit 75`));
    expect(readFileSync(join(dir, "tries"), "utf8")).toBe("x\nx\nx\n");
    await expect(call(command("echo the window is shut >&2; exit 3"))).rejects.toMatchObject({
      message: expect.stringMatching(/ended with 3: .*the window is shut/),
    });
    const missing = http({ call: { kind: "command", command: ["/nowhere/at-all"] } });
    await expect(call(missing)).rejects.toMatchObject({ message: expect.stringContaining("ENOENT") });
    await expect(call(command(`(sleep 60 & echo $! > ${dir}/pid; wait)`, { timeoutMs: 300 }))).rejects.toMatchObject({
      message: expect.stringContaining("300 ms"),
    });
    const pid = Number(readFileSync(join(dir, "pid"), "utf8"));
    await expect.poll(() => isAlive(pid), { timeout: 5_000 }).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    // Of a zombie nothing is left but its number.
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}

const hooked = (...hooks: readonly RolloutHook[]) => ({ strategy: { ...quickStrategy, hooks } });

describe("hooks of a rollout", () => {
  test("are called at their points, each once per wave, and what they refuse is taken back", async () => {
    const points = ["before-rollout", "before-wave", "after-wave", "after-rollout"] as const;
    const id = await bed.start("hooked-1", hooked(...points.map((point) => http({ name: point, point }))));
    await bed.until(id, ({ state }) => state.kind === "done");
    const order = told.map(({ key }) => key?.replace(`${id}/`, ""));
    expect(order).toEqual([
      "before-rollout/0/before-rollout",
      "before-wave/0/before-wave",
      "after-wave/0/after-wave",
      "before-wave/1/before-wave",
      "after-wave/1/after-wave",
      "after-rollout/0/after-rollout",
    ]);
    const second = JSON.parse(told[3]?.text ?? "") as HookBody;
    expect(second).toMatchObject({ rollout: id, wave: { index: 1, name: "rest" }, stamps: ["b-1"] });
    answer = (_request, response, text) => response.writeHead(text.includes('"index":1') ? 409 : 200).end();
    const next = await bed.start("hooked-2", hooked(http(), http({ name: "mourner", point: "on-abort" })));
    const { state } = await bed.until(next, (rollout) => rollout.state.kind === "aborted");
    expect(state).toMatchObject({
      cause:
        "hook gatekeeper failed: Hook gatekeeper (before-wave) answered 409. Mend the hook, and resume the rollout.",
    });
    expect(told.at(-1)?.key).toBe(`${next}/on-abort/0/mourner`);
    expect(await bed.membersOf(next)).toEqual({ "a-1": "returned", "b-1": "waiting" });
  });

  test("pause it, or are ignored, by their rule; resumed, it asks again", async () => {
    let isShut = true;
    answer = (_request, response) => response.writeHead(isShut ? 403 : 200).end();
    const id = await bed.start(
      "hooked-3",
      hooked(http({ onFailure: "pause" }), http({ name: "gossip", onFailure: "ignore" })),
    );
    const { state, hooksDone } = await bed.until(id, (rollout) => rollout.state.kind === "paused");
    expect(state).toMatchObject({ why: expect.stringContaining("answered 403") });
    expect(hooksDone).toEqual(["before-wave/0/gossip"]);
    expect(await bed.membersOf(id)).toEqual({ "a-1": "waiting", "b-1": "waiting" });
    isShut = false;
    expect(
      told.filter(({ key }) => key?.endsWith("/gossip")),
      "it has answered",
    ).toHaveLength(1);
    await bed.store.rollouts.command(id, { kind: "resume" }, {}, bed.world.ctx());
    await bed.until(id, (rollout) => rollout.state.kind === "done");
    const gossip = told.map(({ key }) => key).filter((key) => key?.endsWith("/gossip"));
    expect(gossip).toEqual([`${id}/before-wave/0/gossip`, `${id}/before-wave/1/gossip`]);
  });

  test("that do not answer keep nobody from going back", async () => {
    answer = () => {};
    const id = await bed.start("hooked-4", hooked(http({ timeoutMs: 60_000 })));
    await bed.until(id, ({ waitingOn = "" }) => waitingOn.includes("hooks"));
    await bed.store.rollouts.command(id, { kind: "abort" }, {}, bed.world.ctx());
    const before = performance.now();
    await bed.until(id, ({ state }) => state.kind === "aborted");
    expect(performance.now() - before).toBeLessThan(5_000);
  });
});
