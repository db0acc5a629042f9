import { execFile, execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createFrameDecoder, type FeedMessage, feedStart } from "@stampyard/directory";
import { stopStore } from "@stampyard/engines";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

/** What the control plane knew is lost, and stamps and routers still know it: on real processes, through the commands. */
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cli = join(root, "packages/cli/bin/stampyard.js");
let dir: string;
/** What lies beside stamp.yaml belongs to the release. */
let aside: string;
let state: string;
let front: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "stampyard-restore-"));
  aside = mkdtempSync(join(tmpdir(), "stampyard-restore-aside-"));
  state = join(dir, "state");
  // Each stamp runs as a user of its own, who has to get through here.
  chmodSync(dir, 0o755);
  writeFileSync(
    join(dir, "fleet.yaml"),
    `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: restore-test }
template: ./stamp.yaml
pools:
  shared: { regions: [eu], stamps: { min: 2, max: 3 } }
routing:
  domains: [localhost]
`,
  );
  writeFileSync(
    join(dir, "stamp.yaml"),
    `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: light, version: 1.0.0 }
components:
  db: { kind: postgres, version: 18 }
  api:
    kind: service
    command: node serve.mjs
    port: auto
    health: { path: /healthz }
    env: { DATABASE_URL: "\${db.url}", STAMP: "\${stamp.name}" }
ingress: { service: api }
capacity: { tenants: 500 }
tenancy: { model: rows, column: tenant_id }
`,
  );
  writeFileSync(
    join(dir, "serve.mjs"),
    `import { createServer } from "node:http";
createServer((request, response) => response.end(process.env.STAMP)).listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
`,
  );
});
afterAll(async () => {
  const down = existsSync(state) ? await run("down", "--destroy", "--yes") : undefined;
  // Without its directory nobody could end what still runs.
  if (down !== undefined) expect(down).toMatchObject({ code: 0 });
  for (const folder of [dir, aside]) rmSync(folder, { recursive: true, force: true });
}, 120_000);

function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((settle) => {
    const env = { ...process.env, STAMPYARD_STATE: state, NO_COLOR: "1" };
    execFile(process.execPath, [cli, ...argv], { cwd: dir, env, timeout: 120_000 }, (error, out, err) => {
      settle({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, out, err });
    });
  });
}

async function json<T>(...argv: string[]): Promise<T> {
  const { code, out, err } = await run(...argv, "-o", "json");
  expect(code, `${argv.join(" ")}: ${err}`).toBe(0);
  return JSON.parse(out) as T;
}

const up = () => json<{ router: string }>("up", "--port", "0", "--api-port", "0", "--admin-port", "0");

async function until<T>(what: string, look: () => Promise<T | undefined>, withinMs = 60_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await look().catch(() => undefined);
    if (found !== undefined) return found;
    if (Date.now() > deadline) {
      const log = readFileSync(join(state, "logs/control-plane.log"), "utf8").split("\n");
      throw new Error(`Waited in vain for ${what}\n${log.slice(-15).join("\n")}`);
    }
    // Not often: each look is a list of all tenants.
    await delay(100);
  }
}

const recorded = (file: string) =>
  JSON.parse(readFileSync(join(state, file), "utf8")) as { pid: number; url: string; adminUrl: string };
const token = (role: "admin" | "router") => readFileSync(join(state, `secrets/${role}.token`), "utf8").trim();

async function call<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> {
  const response = await fetch(`${recorded("control-plane.json").url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token("admin")}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === "" ? undefined : JSON.parse(text)) as T };
}

interface Recovery {
  readonly mode: "normal" | "recovering";
  readonly reason?: string;
  readonly reports: readonly { readonly source: string; readonly complete: boolean }[];
  readonly conflicts: readonly { readonly tenant: string }[];
  readonly waitingOn: readonly string[];
}
const recovery = async () => (await call<Recovery>("GET", "/v1/controlplane/recovery")).body;

interface Entry {
  readonly key: string;
  readonly stamp: string;
  readonly epoch: number;
  readonly phase: string;
  readonly hostnames: readonly string[];
}

/** What the control plane says of every tenant. */
async function entries(): Promise<ReadonlyMap<string, Entry>> {
  const { body } = await call<{ items: Entry[] }>("GET", "/v1/tenants?limit=500");
  return new Map(
    body.items.map(({ key, stamp, epoch, phase, hostnames }) => [key, { key, stamp, epoch, phase, hostnames }]),
  );
}

const settled = (count: number) =>
  until(`${count} active tenants`, async () => {
    const all = await entries();
    const routed = (await call<{ routers: { lag: number }[] }>("GET", "/v1/status")).body.routers;
    const done = all.size === count && [...all.values()].every((entry) => entry.phase === "active");
    return done && routed.every((router) => router.lag === 0) ? all : undefined;
  });

/** Which stamp answers for a host; undefined when the router knows no such tenant. */
function served(host: string): Promise<string | undefined> {
  const { hostname, port } = new URL(front);
  return new Promise((settle, fail) => {
    const sent = request({ hostname, port, path: "/", headers: { host } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => settle(response.statusCode === 200 ? text : undefined));
    });
    sent.on("error", fail).end();
  });
}

async function everybodyIsServed(truth: ReadonlyMap<string, Entry>): Promise<void> {
  for (const { key, stamp, hostnames } of truth.values()) {
    expect(await served(`${key}.localhost`), key).toBe(stamp);
    for (const hostname of hostnames) expect(await served(hostname), hostname).toBe(stamp);
  }
}

/** What the feed says to a router that knows nothing, for a moment. */
async function feedSays(): Promise<readonly FeedMessage[]> {
  // Under the name of the router that is there: one more would be waited for.
  const { name: router } = (await call<{ items: { name: string }[] }>("GET", "/v1/routers")).body.items[0] ?? {};
  const start = { incarnation: "0", version: "0", chain: feedStart.chain };
  const query = new URLSearchParams({ ...start, router: router ?? "" });
  const response = await fetch(`${recorded("control-plane.json").url}/v1/directory/feed?${query}`, {
    headers: { authorization: `Bearer ${token("router")}` },
    signal: AbortSignal.timeout(500),
  });
  const decoder = createFrameDecoder();
  const messages: FeedMessage[] = [];
  try {
    for await (const bytes of response.body ?? []) {
      for (const event of decoder.push(bytes)) if (event.kind === "message") messages.push(event.message);
    }
  } catch {
    // The time is over.
  }
  return messages;
}

const keys = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

async function create(list: readonly string[]): Promise<void> {
  const tenants = list.map((key, n) => ({ key, hostnames: n % 10 === 0 ? [`${key}.example.org`] : [] }));
  expect((await call("POST", "/v1/tenants/import", { tenants, dryRun: false })).status).toBe(200);
}

async function hostname(method: "PUT" | "DELETE", key: string, name: string): Promise<void> {
  expect((await call(method, `/v1/tenants/${key}/hostnames/${name}`)).status, name).toBe(200);
}

/** The process of a stamp's database that takes connections. */
function postmasterOf(stamp: string): number {
  const found = readdirSync("/proc").find((pid) => {
    try {
      const line = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "";
      return line.includes(`${state}/stamps/${stamp}/`) && /bin\/postgres\0/.test(line);
    } catch {
      return false;
    }
  });
  return Number(found);
}

describe("a control plane that lost what it knew", { timeout: 180_000 }, () => {
  let truth: ReadonlyMap<string, Entry>;

  test("a restore after 100 changes learns the truth from stamps and routers (D9, I25, I42)", async () => {
    front = (await up()).router;
    await create(keys("early", 60));
    const early = await settled(60);
    const backup = join(aside, "notes.backup");
    expect((await run("controlplane", "backup", backup)).code).toBe(0);

    await create(keys("late", 45));
    for (const key of ["early1", "early2"]) {
      expect((await call("DELETE", `/v1/tenants/${key}`)).status).toBe(202);
    }
    await settled(103);
    await create(["early1"]);
    await hostname("PUT", "late3", "late3.example.org");
    await hostname("DELETE", "early10", "early10.example.org");
    await hostname("PUT", "early3", "early10.example.org");
    truth = await settled(104);
    expect(truth.get("early1")?.epoch).toBeGreaterThan(early.get("early1")?.epoch ?? 0);
    await everybodyIsServed(truth);

    const restored = await json<{ incarnation: number }>("controlplane", "restore", backup, "--replace", "--yes");
    expect(restored.incarnation).toBe(2);
    // The router serves on, with all that the restored store has never heard of.
    await everybodyIsServed(truth);

    // One stamp that cannot answer holds the recovery open.
    const postmaster = postmasterOf("shared-2");
    process.kill(postmaster, "SIGSTOP");
    const coming = up();
    try {
      await until("a recovery that waits for shared-2 alone", async () => {
        const { mode, waitingOn, reports } = await recovery();
        const isTold = reports.some((report) => report.source.startsWith("router/") && report.complete);
        const isAlone = waitingOn.length === 1 && waitingOn[0]?.includes("shared-2") === true;
        return mode === "recovering" && isTold && isAlone ? true : undefined;
      });
      const said = await feedSays();
      expect(said.map(({ kind }) => kind)).not.toEqual(expect.arrayContaining(["snapshot-begin"]));
      expect(said[0]).toMatchObject({ kind: "hello", mode: "recovering" });
      expect(said.filter(({ kind }) => kind === "delta" || kind === "snapshot-part")).toEqual([]);
      expect(await call("POST", "/v1/tenants", { key: "toosoon" })).toMatchObject({ body: { code: "RECOVERING" } });
      await everybodyIsServed(truth);
    } finally {
      process.kill(postmaster, "SIGCONT");
    }

    // A tenant that was deleted after the backup is in the store and nowhere else: a person says that it is gone.
    const { conflicts } = await until("a recovery that only waits for a person", async () => {
      const report = await recovery();
      return report.waitingOn.length === 0 ? report : undefined;
    });
    expect(conflicts.map(({ tenant }) => tenant)).toEqual(["early2"]);
    await call("POST", "/v1/controlplane/recovery", { resolve: [{ tenant: "early2" }], finish: false });
    await until("the end of the recovery", async () => ((await recovery()).mode === "normal" ? true : undefined));
    expect(await coming).toBeDefined();
    expect(await settled(104)).toEqual(truth);
    await everybodyIsServed(truth);
    expect(await served("early2.localhost")).toBeUndefined();
  });

  test("a store that was set back by other means is noticed before it serves a version (I42)", async () => {
    const store = join(state, "store");
    const copy = join(aside, "store-of-yesterday");
    await stopControlPlane();
    // With owners and modes: its database runs as a user of its own.
    execFileSync("cp", ["-a", store, copy]);
    await up();
    await create(keys("after", 12));
    truth = await settled(116);

    await stopControlPlane();
    rmSync(store, { recursive: true, force: true });
    renameSync(copy, store);
    await up();
    const log = readFileSync(join(state, "logs/control-plane.log"), "utf8");
    expect(log).toContain("the store was set back");
    expect(await settled(116)).toEqual(truth);
    await everybodyIsServed(truth);
    const { body } = await call<{ directory: { incarnation: number } }>("GET", "/v1/status");
    expect(body.directory.incarnation).toBe(3);
    // The stamps obey it: its token is above all that its lost life gave out.
    expect((await json<{ name: string }>("stamp", "create", "shared", "--wait")).name).toBe("shared-3");
    expect((await call("POST", "/v1/tenants?wait=20000", { key: "fresh", stamp: "shared-3" })).status).toBe(201);
    expect(await served("fresh.localhost")).toBe("shared-3");
  });

  test("the store of another fleet is refused with a clear error", async () => {
    await stopControlPlane();
    const file = join(state, "head.json");
    const head = JSON.parse(readFileSync(file, "utf8")) as object;
    writeFileSync(file, JSON.stringify({ ...head, fleetId: "another" }));
    const refused = await run("up", "--port", "0", "--api-port", "0", "--admin-port", "0");
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("another fleet's store") });
    writeFileSync(file, JSON.stringify(head));
    await up();
    expect(await served("fresh.localhost")).toBe("shared-3");
  });
});

/** Kill -9 of the control plane, then an orderly end of its store. The router and the stamps go on. */
async function stopControlPlane(): Promise<void> {
  const { pid } = recorded("control-plane.json");
  process.kill(pid, "SIGTERM");
  await until("the control plane to be gone", async () => (existsSync(`/proc/${pid}`) ? undefined : true));
  await stopStore({ stateDir: state, signal: new AbortController().signal });
}
