import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cli = join(root, "packages/cli/bin/stampyard.js");
let dir: string;
let state: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "stampyard-up-"));
  state = join(dir, "state");
  const template = relative(dir, join(root, "examples/notes/stamp.yaml"));
  writeFileSync(
    join(dir, "fleet.yaml"),
    `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: up-test }
template: ${template}
pools:
  shared: { regions: [eu], stamps: { min: 1, max: 2 } }
routing:
  domains: [localhost]
`,
  );
});
afterAll(async () => {
  if (existsSync(state)) await run("down", "--destroy", "--yes");
  rmSync(dir, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function run(...argv: string[]): Promise<Ran> {
  return new Promise((settle) => {
    const env = { ...process.env, STAMPYARD_STATE: state, NO_COLOR: "1" };
    execFile(process.execPath, [cli, ...argv], { cwd: dir, env, timeout: 120_000 }, (error, out, err) => {
      settle({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, out, err });
    });
  });
}

async function json<T>(...argv: string[]): Promise<T> {
  const { code, out, err } = await run(...argv, "-o", "json");
  expect({ argv, code, err }).toMatchObject({ code: 0 });
  return JSON.parse(out) as T;
}

const up = () => json<Up>("up", "--port", "0", "--api-port", "0", "--admin-port", "0");
interface Up {
  readonly router: string;
  readonly started: readonly string[];
  readonly changes: readonly unknown[];
  readonly stamps: readonly { readonly name: string; readonly phase: string }[];
}

interface Certificate {
  readonly databases: readonly { readonly tables: readonly { readonly rows: number }[] }[];
}

/** A request as a client on this machine sends it. */
function get(router: string, tenant: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const { hostname, port } = new URL(router);
  return new Promise((settle, fail) => {
    const sent = request({ hostname, port, path: "/", headers: { host: `${tenant}.localhost` } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => settle({ status: response.statusCode ?? 0, body: JSON.parse(text) as never }));
    });
    sent.on("error", fail).end();
  });
}

function recordedPid(file: string): number {
  return (JSON.parse(readFileSync(join(state, file), "utf8")) as { pid: number }).pid;
}

/** Everything on this machine that names the state directory on its command line. */
function processesOfState(): string[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const line = /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "";
      return line.includes(`${state}/`) || line.includes(`"${state}"`) || line.includes(`=${state}\0`)
        ? [`${pid} ${line.replaceAll("\0", " ")}`]
        : [];
    } catch {
      return [];
    }
  });
}

describe("up and down", { timeout: 180_000 }, () => {
  let router: string;

  test("up brings a fleet up, and a tenant is served when `tenant create --wait` returns", async () => {
    const first = await up();
    router = first.router;
    expect(first.started).toEqual(["control plane", "router"]);
    expect(first.stamps).toMatchObject([{ name: "shared-1", phase: "active" }]);
    const tenant = await json<{ phase: string; stamp: string }>("tenant", "create", "acme", "--wait");
    expect(tenant).toMatchObject({ phase: "active", stamp: "shared-1" });
    expect(await get(router, "acme")).toMatchObject({ status: 200, body: { tenant: "acme", stamp: "shared-1" } });
    expect((await get(router, "nobody")).status).toBe(404);
  });

  test("a tenant is suspended, resumed and deleted with a certificate, and stamps share nothing", async () => {
    await json("tenant", "create", "guest", "--wait");
    expect(await json("tenant", "suspend", "guest", "--reason", "a test")).toMatchObject({ phase: "suspended" });
    expect(await get(router, "guest")).toMatchObject({ status: 403, body: { code: "TENANT_SUSPENDED" } });
    expect(await json("tenant", "resume", "guest")).toMatchObject({ phase: "active" });
    expect((await get(router, "guest")).status).toBe(200);

    const check = await json<{ findings: readonly { verdict: string }[]; unseen: readonly unknown[] }>(
      "fleet",
      "check",
    );
    expect(check.unseen).toEqual([]);
    expect(check.findings.filter(({ verdict }) => verdict !== "advisory")).toEqual([]);

    await json("tenant", "delete", "guest", "--yes");
    const certified = async () => (await run("tenant", "certificate", "guest")).code;
    await expect.poll(certified, { timeout: 20_000, interval: 100 }).toBe(0);
    const { certificate } = await json<{ certificate: Certificate }>("tenant", "certificate", "guest");
    expect(certificate).toMatchObject({ tenant: "guest", stamp: "shared-1", basis: "erased", hook: "called" });
    const [database] = certificate.databases;
    expect(database?.tables.length).toBeGreaterThan(5);
    expect(database?.tables.every(({ rows }) => rows === 0)).toBe(true);
  });

  test("up repeated changes nothing and starts nothing (I27); plan agrees", async () => {
    expect(await up()).toMatchObject({ router, started: [], changes: [] });
    expect((await run("plan")).code).toBe(0);
  });

  test("a tenant is served without the control plane (I3), and up brings that back", async () => {
    process.kill(recordedPid("control-plane.json"), "SIGKILL");
    for (let n = 0; n < 20; n++) expect((await get(router, "acme")).status).toBe(200);
    expect((await run("status")).code).toBe(1);
    expect(await up()).toMatchObject({ router, started: ["control plane"], changes: [] });
    expect((await get(router, "acme")).status).toBe(200);
  });

  test("a tenant is served while the router's parent is dead, and up takes over on the same port (D17)", async () => {
    process.kill(recordedPid("router/router.json"), "SIGKILL");
    for (let n = 0; n < 20; n++) expect((await get(router, "acme")).status).toBe(200);
    expect(await up()).toMatchObject({ router, started: ["router"], changes: [] });
    expect((await get(router, "acme")).status).toBe(200);
  });

  test("two up at once both succeed, one after the other, and start one control plane", async () => {
    process.kill(recordedPid("control-plane.json"), "SIGKILL");
    const [a, b] = await Promise.all([up(), up()]);
    expect([...a.started, ...b.started]).toEqual(["control plane"]);
  });

  test("up that is ended by Ctrl-C goes on with the next up", async () => {
    process.kill(recordedPid("control-plane.json"), "SIGKILL");
    const child = spawn(process.execPath, [cli, "up", "--port", "0", "--api-port", "0", "--admin-port", "0"], {
      cwd: dir,
      env: { ...process.env, STAMPYARD_STATE: state },
      stdio: ["ignore", "ignore", "pipe"],
    });
    await lineOf(child, /control plane: working/);
    child.kill("SIGINT");
    expect(await new Promise((settle) => child.on("exit", settle))).toBe(130);
    await up();
    expect((await get(router, "acme")).status).toBe(200);
  });

  test("down stops everything and keeps the data; up after kill -9 of all of it serves again (I29)", async () => {
    expect((await run("down")).code).toBe(0);
    expect(processesOfState()).toEqual([]);
    const again = await up();
    expect(await get(again.router, "acme")).toMatchObject({ status: 200, body: { tenant: "acme" } });
    for (const line of processesOfState()) process.kill(Number(line.split(" ")[0]), "SIGKILL");
    const restored = await up();
    expect(await get(restored.router, "acme")).toMatchObject({ status: 200, body: { tenant: "acme" } });
  });

  test("down --destroy leaves no process and no directory", async () => {
    mkdirSync(state, { recursive: true });
    expect((await run("down", "--destroy")).code).toBe(1);
    expect((await run("down", "--destroy", "--yes")).code).toBe(0);
    expect(processesOfState()).toEqual([]);
    expect(existsSync(state)).toBe(false);
  });

  test("a new fleet in the place of a destroyed one starts from nothing", async () => {
    expect((await up()).stamps).toMatchObject([{ name: "shared-1", phase: "active" }]);
    expect(await json("tenant", "list")).toEqual({ items: [] });
    expect((await run("down", "--destroy", "--yes")).code).toBe(0);
  });
});

function lineOf(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((settle, fail) => {
    let text = "";
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (pattern.test(text)) settle();
    });
    child.on("exit", () => fail(new Error(`Ended before ${pattern}:\n${text}`)));
  });
}
