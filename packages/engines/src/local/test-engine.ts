import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Component, StampSpec } from "@stampyard/domain";
import { createSeededRandom, type EngineUnderTest, specFixture } from "@stampyard/testing";
import { type LocalEngine, openLocalEngine } from "./engine.ts";
import { placeOf, type StampPlace } from "./places.ts";
import { findByMarker } from "./process/identity.ts";

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash("sha256").update(bytes).digest());

const scripts = {
  "serve.mjs": `
    import { createServer } from "node:http";
    const { NAME, PORT, BROKEN, SECRET } = process.env;
    if (SECRET) console.log("my secret is " + SECRET);
    createServer((request, response) => {
      if (request.url === "/env") return response.end(JSON.stringify({ env: process.env, uid: process.getuid(), argv: process.argv }));
      if (request.url === "/slow") return void setTimeout(() => response.end(NAME), 700);
      if (request.url === "/healthz" && BROKEN) response.statusCode = 500;
      response.end(NAME);
    }).listen(Number(PORT), "127.0.0.1");
    process.on("SIGTERM", () => process.exit(0));
  `,
  "worker.mjs": `
    console.log("working");
    setInterval(() => {}, 1000);
    process.on("SIGTERM", () => process.exit(0));
  `,
  "crash.mjs": `console.error("password is " + process.env.SECRET); process.exit(7);`,
  "count.mjs": `
    import { appendFileSync } from "node:fs";
    if (process.env.COUNT_FILE) appendFileSync(process.env.COUNT_FILE, "x");
    console.log("ran with " + process.env.EXTRA);
  `,
  "fail.mjs": `console.error("cannot go on"); process.exit(3);`,
};

export interface LocalUnderTest extends EngineUnderTest {
  readonly engine: LocalEngine;
  readonly dir: string;
  readonly stateDir: string;
  readonly sourceDir: string;
  readonly ledgerFile: string;
  place(stamp: string): StampPlace;
  /** Another control plane over the same directory. */
  again(): Promise<LocalEngine>;
  ledgerOf(stamp: string): { uid?: number; ports: Record<string, number> } | undefined;
}

/** A local engine in a directory of its own that the stamps' users can reach; the end of it fails when a process is left. */
export async function openTestEngine(
  options: { readonly stateDir?: string; readonly sourceMode?: number } = {},
): Promise<LocalUnderTest> {
  const dir = mkdtempSync(join(tmpdir(), "stampyard-engine-test-"));
  const sourceDir = join(dir, "source");
  const stateDir = options.stateDir ?? join(dir, "state");
  const ledgerFile = join(dir, "ledger.json");
  mkdirSync(sourceDir);
  for (const [name, text] of Object.entries(scripts)) writeFileSync(join(sourceDir, name), text);
  chmodAll(dir, sourceDir, options.sourceMode ?? 0o755);
  const portRange = portsOfThisWorker();
  const open = () => openLocalEngine({ stateDir, ledgerFile, portRange });
  const engine = await open();
  const random = createSeededRandom(1);
  const secrets = new Map<string, Readonly<Record<string, string>>>();
  return {
    engine,
    dir,
    stateDir,
    sourceDir,
    ledgerFile,
    place: (stamp) => placeOf(stateDir, stamp),
    again: open,
    spec(stamp: string, components: readonly Component[]): StampSpec {
      const spec = specFixture({ stamp, components, sourceDir, random, sha256, secrets: secrets.get(stamp) ?? {} });
      secrets.set(stamp, spec.secrets);
      return spec;
    },
    ledgerOf(stamp) {
      if (!existsSync(ledgerFile)) return undefined;
      const { entries } = JSON.parse(readFileSync(ledgerFile, "utf8")) as {
        entries: { stamp: string; uid?: number; ports: Record<string, number> }[];
      };
      return entries.find((entry) => entry.stamp === stamp);
    },
    async [Symbol.asyncDispose]() {
      const names = await engine.stamps();
      const call = { token: Number.MAX_SAFE_INTEGER, signal: new AbortController().signal };
      const places = names.map((name) => placeOf(stateDir, name));
      await Promise.all(names.map((name) => engine.destroy(name, call)));
      const left = places.flatMap((place) => [...findByMarker(place.marker, [place.dataDir, place.runDir])]);
      rmSync(dir, { recursive: true, force: true });
      if (left.length > 0) throw new Error(`Processes were left behind: ${left.map((p) => p.pid).join(", ")}`);
    },
  };
}

function chmodAll(dir: string, sourceDir: string, sourceMode: number): void {
  chmodSync(dir, 0o755);
  chmodSync(sourceDir, sourceMode);
}

/** Workers of the test runner have ledgers of their own, so they must not search the same ports. */
function portsOfThisWorker(): { from: number; to: number } {
  const worker = Number(process.env["VITEST_POOL_ID"] ?? 1) % 8;
  return { from: 21_000 + worker * 1_000, to: 21_999 + worker * 1_000 };
}

export const never = new AbortController().signal;
export const call = { token: 1, signal: never };

export const postgres: Component = {
  kind: "postgres",
  name: "db",
  version: 18,
  maxConnections: 30,
  resources: {},
  protect: true,
  ids: {},
  via: {},
};
export const redis: Component = {
  kind: "redis",
  name: "cache",
  maxMemoryMb: 16,
  persistence: "aof",
  resources: {},
  protect: false,
};
export const nats: Component = { kind: "nats", name: "queue", jetstream: false, resources: {}, protect: false };

/** Waits for a state, not for a time. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  ms = 10_000,
): Promise<T> {
  const deadline = performance.now() + ms;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() > deadline) throw new Error(`Waited ${ms} ms in vain for: ${what}`);
    await new Promise((settle) => setTimeout(settle, 20));
  }
}

/** The host's lock says nothing of who holds it, but its log does. */
export function hostPid(under: LocalUnderTest, stamp: string): number {
  const log = readFileSync(join(under.place(stamp).logDir, "host.log"), "utf8");
  const pid = Number([...log.matchAll(/stamp host (\d+) for/g)].at(-1)?.[1]);
  if (!Number.isInteger(pid)) throw new Error(`No host of ${stamp} is known`);
  return pid;
}
