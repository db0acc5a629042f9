import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { acceptFeed, createDirectory, createFrameDecoder, feedStart, newFeedState } from "@stampyard/directory";
import { destroyStore, openLocalEngine } from "@stampyard/engines";
import { makeRouteKey, minuteOf, type RouteKeyText, routeHeader, signRoute } from "@stampyard/guard";
import { afterAll, beforeAll, expect, test } from "vitest";

/** The control plane as a process of its own, with the real engine and the notes application, under kill -9. */
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const entry = createRequire(import.meta.url).resolve("@stampyard/control-plane/main");
const notes = join(root, "examples/notes");
let state: string;
let running: ChildProcess | undefined;

beforeAll(() => {
  state = mkdtempSync(join(tmpdir(), "stampyard-cp-"));
  // Each stamp runs as a user of its own, who has to get through here.
  chmodSync(state, 0o755);
});
afterAll(async () => {
  running?.kill("SIGKILL");
  const engine = await openLocalEngine({ stateDir: state });
  const call = { token: 1_000_000, signal: new AbortController().signal };
  for (const stamp of await engine.stamps()) await engine.destroy(stamp, call);
  await destroyStore({ stateDir: state });
  rmSync(state, { recursive: true, force: true });
}, 60_000);

/** Waits for a state, not for a time; the deadline is only there to fail. */
async function until<T>(what: string, look: () => Promise<T | undefined>, withinMs = 60_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await look().catch(() => undefined);
    if (found !== undefined) return found;
    if (Date.now() > deadline) {
      const log = readFileSync(join(state, "control-plane.log"), "utf8").split("\n");
      const telling = log.filter((line) => !line.includes('"status":200'));
      throw new Error(`Waited in vain for ${what}\n${telling.slice(-20).join("\n")}`);
    }
    await delay(20);
  }
}

async function start(): Promise<void> {
  const log = openSync(join(state, "control-plane.log"), "a");
  running = spawn(process.execPath, [entry], {
    env: { PATH: process.env["PATH"], STAMPYARD_STATE: state, STAMPYARD_LISTEN: "127.0.0.1:0" },
    stdio: ["ignore", log, log],
  });
  const { pid } = running;
  await until("a leader", async () => {
    if (recorded().pid !== pid) return undefined;
    const answer = (await (await fetch(`${recorded().url}/readyz`)).json()) as { role: string };
    return answer.role === "leader" && existsSync(join(state, "secrets/router.token")) ? true : undefined;
  });
}

/** Returns once the process is really gone. */
async function end(signal: NodeJS.Signals): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => running?.once("exit", resolve));
  running?.kill(signal);
  return ended;
}

const recorded = () =>
  JSON.parse(readFileSync(join(state, "control-plane.json"), "utf8")) as { readonly pid: number; readonly url: string };
const token = (role: "admin" | "router") => readFileSync(join(state, `secrets/${role}.token`), "utf8").trim();

async function call<T>(method: string, path: string, body?: unknown, role: "admin" | "router" = "admin"): Promise<T> {
  const response = await fetch(`${recorded().url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token(role)}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

interface StampAnswer {
  readonly phase: string;
  readonly endpoints: readonly { readonly host: string; readonly port: number }[];
  readonly observation: { readonly components: readonly { name: string; pid?: number; restarts: number }[] };
}

const stampIn = (phase: string) =>
  until(`phase ${phase}`, async () => {
    const stamp = await call<StampAnswer>("GET", "/v1/stamps/main-1");
    return stamp.phase === phase ? stamp : undefined;
  });

const pidsOf = (stamp: StampAnswer) =>
  stamp.observation.components.map(({ name, pid, restarts }) => `${name} ${pid} ${restarts}`).sort();

function apply(): Promise<unknown> {
  return call("POST", "/v1/apply", {
    fleetFile: "fleet.yaml",
    fleetYaml: `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: killed }
template: ./stamp.yaml
pools:
  main: { regions: [eu], stamps: { min: 1, max: 1 } }
routing:
  domains: [localhost]
`,
    templateFile: "stamp.yaml",
    templateYaml: readFileSync(join(notes, "stamp.yaml"), "utf8"),
    sourceDir: notes,
  });
}

/** A router that reads the feed into a directory of its own, and acknowledges only when told to. */
async function connectRouter() {
  const leave = new AbortController();
  const query = new URLSearchParams({ incarnation: "0", version: "0", chain: feedStart.chain, router: "r1" });
  const response = await fetch(`${recorded().url}/v1/directory/feed?${query}`, {
    headers: { authorization: `Bearer ${token("router")}` },
    signal: leave.signal,
  });
  expect(response.status).toBe(200);
  const decoder = createFrameDecoder();
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
  const router = {
    feed: newFeedState(feedStart),
    directory: createDirectory(),
    key: undefined as RouteKeyText | undefined,
  };
  const reading = (async () => {
    for await (const bytes of response.body ?? []) {
      for (const event of decoder.push(bytes)) {
        if (event.kind === "corrupt") throw new Error(event.reason);
        const step = acceptFeed(router.feed, event.message, router.directory, sha256);
        router.feed = step.next;
        for (const effect of step.effects) {
          if (effect.kind === "apply") router.directory.apply(effect.change);
          if (effect.kind === "replace") router.directory = effect.directory;
          if (effect.kind === "keys") router.key = effect.keys[0];
        }
      }
    }
  })().catch(() => {});
  return {
    router,
    acknowledge: () => call("POST", "/v1/directory/ack", { router: "r1", ...router.feed.position }, "router"),
    async leave() {
      leave.abort();
      await reading;
    },
  };
}

test("kill -9 of the control plane costs only time: apply resumes, running stamps are left alone (I26, I27)", async () => {
  await start();
  await apply();
  await stampIn("provisioning");
  await end("SIGKILL");
  await start();
  const built = await stampIn("active");
  expect(pidsOf(built).filter((line) => /^(?:api|worker|db|cache|queue) \d+ 0$/.test(line))).toHaveLength(5);

  const { router, acknowledge, leave } = await connectRouter();
  let isAnswered = false;
  const creating = call<{ phase: string; epoch: number }>("POST", "/v1/tenants?wait=20000", { key: "acme" }).finally(
    () => {
      isAnswered = true;
    },
  );
  await until("acme in the router's directory", async () => router.directory.lookupTenant("acme"));
  // The stamp knew the tenant first (I45), and the caller hears of it only when the router has it, too (D5).
  expect(isAnswered).toBe(false);
  await acknowledge();
  expect(await creating).toMatchObject({ phase: "active", epoch: 1 });
  await leave();

  const ask = async () => {
    const { kid = "", secret = "" } = router.key ?? {};
    const claim = { tenant: "acme", stamp: "main-1", epoch: 1, minute: minuteOf(Date.now()) };
    const [endpoint] = built.endpoints;
    const headers = { [routeHeader]: signRoute(claim, makeRouteKey(kid, secret)) };
    return (await fetch(`http://${endpoint?.host}:${endpoint?.port}/notes`, { headers })).status;
  };
  expect(await ask()).toBe(200);

  await end("SIGKILL");
  expect(await ask(), "without a control plane").toBe(200);
  await start();
  const after = await stampIn("active");
  expect(pidsOf(after)).toEqual(pidsOf(built));
  expect(await ask()).toBe(200);

  expect(await end("SIGTERM")).toBe(0);
  expect(existsSync(join(state, "control-plane.json"))).toBe(false);
  expect(await ask(), "after a graceful end").toBe(200);
  const log = readFileSync(join(state, "control-plane.log"), "utf8");
  for (const secret of [token("admin"), token("router"), router.key?.secret ?? "no key"])
    expect(log).not.toContain(secret);
}, 120_000);
