import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { identify } from "@stampyard/engines/process";
import { takeLock } from "./lock.ts";

const lockModule = new URL("./lock.ts", import.meta.url).href;
const signal = new AbortController().signal;
let dir: string;
let children: ChildProcess[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-lock-"));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

function run(script: string): { child: ChildProcess; line: () => Promise<string> } {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  return { child, line: async () => (await lines.next()).value as string };
}

/** A process that takes the lock, says so, and holds it until its stdin ends. */
function holder() {
  return run(`
    import { takeLock } from ${JSON.stringify(lockModule)};
    const lock = await takeLock(${JSON.stringify(join(dir, "up.lock"))}, { doing: "stampyard up", timeoutMs: 20000, signal: new AbortController().signal });
    console.log("held");
    for await (const _ of process.stdin);
    await lock.release();
    console.log("freed");
  `);
}

describe("takeLock()", () => {
  test("refuses while a living process holds it, and says who", async () => {
    const { child, line } = holder();
    expect(await line()).toBe("held");
    let told = 0;
    const options = { doing: "stampyard down", timeoutMs: 300, signal, onWait: () => void told++ };
    const refused = takeLock(join(dir, "up.lock"), options);
    await expect(refused).rejects.toMatchObject({ code: "LOCKED" });
    await expect(refused).rejects.toThrow(new RegExp(`stampyard up.*process ${child.pid} since`));
    expect(told).toBe(1);
  });

  test("waits for its holder, and has it when that one ends", async () => {
    const first = holder();
    expect(await first.line()).toBe("held");
    let waiting: () => void = () => undefined;
    const began = new Promise<void>((settle) => {
      waiting = settle;
    });
    const second = takeLock(join(dir, "up.lock"), { doing: "b", timeoutMs: 20_000, signal, onWait: waiting });
    await began;
    first.child.stdin?.end();
    await using lock = await second;
    expect(await first.line()).toBe("freed");
    expect(lock).toBeDefined();
  });

  test("takes over from a holder that was killed", async () => {
    const { child, line } = holder();
    expect(await line()).toBe("held");
    child.kill("SIGKILL");
    await once(child, "exit");
    await using lock = await takeLock(join(dir, "up.lock"), { doing: "b", timeoutMs: 5_000, signal });
    expect(lock).toBeDefined();
  });

  test("is not fooled by another process that has the dead holder's pid", async () => {
    const folder = join(dir, "up.lock");
    const me = identify(process.pid);
    mkdirSync(folder);
    writeFileSync(join(folder, "7.json"), JSON.stringify({ ...me, startTime: "1", doing: "up", since: "then" }));
    await using lock = await takeLock(folder, { doing: "b", timeoutMs: 5_000, signal });
    expect(lock).toBeDefined();
    expect(readdirSync(folder)).toEqual(["8.json"]);
  });

  test("takes a damaged or empty file for nobody's", async () => {
    const folder = join(dir, "up.lock");
    mkdirSync(folder);
    writeFileSync(join(folder, "3.json"), "{ half");
    await using lock = await takeLock(folder, { doing: "b", timeoutMs: 5_000, signal });
    expect(lock).toBeDefined();
  });

  test("lets one in at a time, whoever is killed in between", async () => {
    // Each process appends "in" and "out" around its turn; every third is killed inside, so others must take over.
    const log = join(dir, "turns");
    writeFileSync(log, "");
    const script = (index: number) => `
      import { appendFileSync } from "node:fs";
      import { takeLock } from ${JSON.stringify(lockModule)};
      for (let turn = 0; turn < 5; turn++) {
        const lock = await takeLock(${JSON.stringify(join(dir, "up.lock"))}, { doing: "turn", timeoutMs: 25000, signal: new AbortController().signal });
        appendFileSync(${JSON.stringify(log)}, "in ${index}\\n");
        if (${index % 3 === 0} && turn === 2) process.kill(process.pid, "SIGKILL");
        await new Promise((settle) => setImmediate(settle));
        appendFileSync(${JSON.stringify(log)}, "out ${index}\\n");
        await lock.release();
      }
    `;
    const runs = [0, 1, 2, 3].map((index) => run(script(index)).child);
    await Promise.all(runs.map((child) => once(child, "exit")));
    const turns = readFileSync(log, "utf8").trim().split("\n");
    const broken: string[] = [];
    let inside: string | undefined;
    for (const turn of turns) {
      const [what, who] = turn.split(" ");
      if (what === "in") {
        // A killed holder never says "out"; anybody else must have.
        if (inside !== undefined && Number(inside) % 3 !== 0) broken.push(`${who} came in while ${inside} was inside`);
        inside = who;
      } else if (inside !== who) broken.push(`${who} went out while ${inside} was inside`);
      else inside = undefined;
    }
    expect(broken).toEqual([]);
    expect(turns.filter((turn) => turn.startsWith("out"))).toHaveLength(2 * 5 + 2 * 2);
  });

  test("ends waiting when it is told to", async () => {
    const { line } = holder();
    expect(await line()).toBe("held");
    const ending = new AbortController();
    const waiting = takeLock(join(dir, "up.lock"), {
      doing: "b",
      timeoutMs: 20_000,
      signal: ending.signal,
      onWait: () => ending.abort(),
    });
    await expect(waiting).rejects.toThrow(/abort/i);
  });
});
