import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { readControlPlaneConfig, type RunningControlPlane, startControlPlane } from "@stampyard/control-plane";
import { destroyStore, openLocalEngine } from "@stampyard/engines";
import { afterAll, beforeAll, expect, test } from "vitest";

/** Route keys change under traffic: real control plane, engine, router process and a service behind the guard. */
const resolve = createRequire(import.meta.url).resolve;
const dropMs = 1_500;
let dir: string;
let state: string;
let plane: RunningControlPlane;
let router: ChildProcess | undefined;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "stampyard-keys-"));
  // Each stamp runs as a user of its own, who has to get through here.
  chmodSync(dir, 0o755);
  state = join(dir, "state");
  mkdirSync(join(state, "router"), { recursive: true });
  writeFileSync(
    join(dir, "serve.mjs"),
    `import { createServer } from "node:http";
import { createGuard, guardHttp, highestSeenOwnership } from ${JSON.stringify(pathToFileURL(resolve("@stampyard/guard")).href)};
const { STAMP: stamp, ROUTE_KEYS: keys, PORT } = process.env;
const guard = createGuard({ stamp, keys, ownership: highestSeenOwnership() });
const open = { "/healthz": (_, response) => response.end("ok") };
const server = createServer(guardHttp(guard, (_, response, { tenant }) => response.end(tenant), { open }));
server.listen(Number(PORT), "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
`,
  );
  plane = await startControlPlane(
    readControlPlaneConfig({
      STAMPYARD_STATE: state,
      STAMPYARD_LISTEN: "127.0.0.1:0",
      STAMPYARD_LOG_LEVEL: "silent",
    }),
    { routeKeyDropMs: dropMs },
  );
});
afterAll(async () => {
  router?.kill("SIGKILL");
  await plane?.close();
  const engine = await openLocalEngine({ stateDir: state });
  const call = { token: Number.MAX_SAFE_INTEGER, signal: new AbortController().signal };
  for (const stamp of await engine.stamps()) if (stamp !== "store") await engine.destroy(stamp, call);
  await destroyStore({ stateDir: state });
  rmSync(dir, { recursive: true, force: true });
}, 60_000);

async function until<T>(what: string, look: () => Promise<T | undefined>, withinMs = 30_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await look().catch(() => undefined);
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}`);
    await delay(20);
  }
}

async function call<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> {
  const token = readFileSync(join(state, "secrets/admin.token"), "utf8").trim();
  const response = await fetch(`${plane.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
}

const files = () => ({
  fleetFile: "fleet.yaml",
  fleetYaml: `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: keys-test }
template: ./stamp.yaml
pools:
  main: { regions: [eu], stamps: { min: 1, max: 1 } }
routing:
  domains: [localhost]
`,
  templateFile: "stamp.yaml",
  templateYaml: `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: light, version: 1.0.0 }
components:
  api:
    kind: service
    command: node serve.mjs
    port: auto
    health: { path: /healthz }
    env: { STAMP: "\${stamp.name}", ROUTE_KEYS: "\${route.keys}" }
ingress: { service: api }
capacity: { tenants: 5 }
tenancy: { model: rows, column: tenant_id }
`,
  sourceDir: dir,
});

function startRouter(): Promise<string> {
  router = spawn(process.execPath, [resolve("@stampyard/router/main")], {
    env: {
      PATH: process.env["PATH"],
      STAMPYARD_ROUTER_STATE: join(state, "router"),
      STAMPYARD_ROUTER_LISTEN: "127.0.0.1:0",
      STAMPYARD_ROUTER_ADMIN: "127.0.0.1:0",
      STAMPYARD_ROUTER_WORKERS: "0",
      STAMPYARD_API: plane.url,
      STAMPYARD_TOKEN_FILE: join(state, "secrets/router.token"),
    },
    stdio: "ignore",
  });
  return until("the router", async () => {
    const { url } = JSON.parse(readFileSync(join(state, "router/router.json"), "utf8")) as { url: string };
    return url;
  });
}

/** Status and body of one request through the router. */
function ask(front: string): Promise<string> {
  const { hostname, port } = new URL(front);
  return new Promise((settle) => {
    const sent = request({ hostname, port, path: "/", headers: { host: "acme.localhost" } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => settle(`${response.statusCode} ${text.slice(0, 300)}`));
    });
    sent.on("error", (error) => settle(String(error))).end();
  });
}

interface Rotated {
  readonly step?: string;
  readonly kids?: readonly string[];
  readonly code?: string;
  readonly mend?: string;
}
const rotate = async () => (await call<Rotated>("POST", "/v1/stamps/main-1/keys/rotate")).body;

/** The next step, asked for until it is no longer refused, and what was said meanwhile. */
async function nextStep(): Promise<Rotated & { readonly refusals: readonly Rotated[] }> {
  const refusals: Rotated[] = [];
  const done = await until("the next step of the rotation", async () => {
    const answer = await rotate();
    if (answer.step !== undefined) return answer;
    expect(answer.code).toBe("WRONG_PHASE");
    refusals.push(answer);
    return undefined;
  });
  return { ...done, refusals };
}

test("no request is refused during a whole rotation of route keys, however eagerly it is asked for (D7)", async () => {
  await until("a token", async () => readFileSync(join(state, "secrets/admin.token"), "utf8"));
  expect((await call("POST", "/v1/apply", files())).status).toBe(200);
  await until("the stamp", async () => {
    const { body } = await call<{ phase: string }>("GET", "/v1/stamps/main-1");
    return body.phase === "active" ? true : undefined;
  });
  const front = await startRouter();
  await call("POST", "/v1/tenants?wait=10000", { key: "acme" });
  await until("the first answer", async () => ((await ask(front)) === "200 acme" ? true : undefined));

  const ending = new AbortController();
  const failures: string[] = [];
  let served = 0;
  const traffic = (async () => {
    while (!ending.signal.aborted) {
      const answer = await ask(front);
      if (answer === "200 acme") served++;
      else failures.push(answer);
      await delay(5);
    }
  })();
  try {
    const added = await rotate();
    expect(added).toMatchObject({ step: "added" });
    const [first, second] = added.kids ?? [];
    const promoted = await nextStep();
    expect(promoted).toMatchObject({ step: "promoted", kids: [second, first] });
    // The stamp needs a moment to take the key, so the second step came too early at first.
    expect(promoted.refusals.length).toBeGreaterThan(0);
    const since = Date.now();
    const dropped = await nextStep();
    expect(dropped).toMatchObject({ step: "dropped", kids: [second] });
    expect(dropped.refusals[0]?.mend).toMatch(/Repeat this step in \d+ s/);
    expect(Date.now() - since).toBeGreaterThan(dropMs - 200);
    // Until the stamp has forgotten the old key, and the process that knew it is gone.
    await until("a second rotation", async () => {
      const again = await rotate();
      return again.step === "added" ? true : undefined;
    });
    await nextStep();
  } finally {
    ending.abort();
    await traffic;
  }
  expect(failures).toEqual([]);
  expect(served).toBeGreaterThan(50);
}, 90_000);
