import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { findComponent, makeSecret, secretNames, type StampSpec } from "@stampyard/domain";
import { type LocalEngine, openLocalEngine } from "@stampyard/engines";
import {
  formatRouteKeys,
  hookHeader,
  makeRouteKey,
  minuteOf,
  refusalHeader,
  routeHeader,
  signRoute,
} from "@stampyard/guard";
import { parseTemplate, renderStamp } from "@stampyard/manifest";
import { bringFence, readTables, tablesToFence } from "@stampyard/movers";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";

/** The example as a user gets it: its own template, rendered, applied by the local engine, all parts real. */

const sourceDir = fileURLToPath(new URL("../examples/notes", import.meta.url));
const signal = AbortSignal.timeout(240_000);
const call = { token: 1, signal };
const routeKey = { kid: "k1", secret: randomBytes(32).toString("base64url") };
const key = makeRouteKey(routeKey.kid, routeKey.secret);
const stamp = "eu-1";

let stateDir: string;
let engine: LocalEngine;
let spec: StampSpec;
let database: Client;
let base: string;

beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "notes-stamp-"));
  engine = await openLocalEngine({ stateDir });
  spec = await readSpec();
  await engine.apply(spec, call);
  await connect();
  await fence();
  for (const tenant of ["acme", "bcme"]) {
    await database.query("insert into stampyard.tenant_home (tenant, state, epoch) values ($1, 'active', 1)", [tenant]);
    expect((await callHook("tenant.onCreate", tenant)).status).toBe(204);
  }
}, 180_000);

afterAll(async () => {
  await database?.end();
  await engine?.destroy(stamp, call);
  await rm(stateDir, { recursive: true, force: true });
});

async function readSpec(): Promise<StampSpec> {
  const parsed = parseTemplate(await readFile(join(sourceDir, "stamp.yaml"), "utf8"), { file: "stamp.yaml" });
  if (!parsed.ok) throw new Error(parsed.problems.map((problem) => problem.message).join("\n"));
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
  const rendered = renderStamp(parsed.template, { name: stamp, pool: "shared", region: "eu" }, {}, sha256);
  const random = { bytes: (count: number) => randomBytes(count) };
  const secrets = Object.fromEntries(secretNames(rendered).map((name) => [name, makeSecret(random)]));
  return { rendered, sourceDir, secrets, routeKeys: formatRouteKeys([routeKey]) };
}

/** Finds the API and opens the database as the control plane would. */
async function connect(): Promise<void> {
  const [endpoint] = (await engine.observe(stamp, signal)).endpoints;
  if (endpoint === undefined) throw new Error("The stamp has no endpoint");
  base = `http://${endpoint.host}:${endpoint.port}`;
  const url = await engine.operatorUrl(spec, "db", signal);
  database = new Client({ connectionString: url });
  // Tests kill and stop things on purpose; a query that then fails says so itself.
  database.on("error", () => {});
  await database.connect();
}

/** As the control plane does before it verifies a stamp. */
async function fence(): Promise<void> {
  const admin = new Client({ connectionString: await engine.adminUrl?.(spec, "db", signal) });
  await admin.connect();
  const [db] = findComponent(spec.rendered, "postgres");
  const policy = { tenantColumn: "tenant_id", ids: {}, via: {}, reference: [], ignored: db?.ignored ?? [] };
  const { tables, unknown } = tablesToFence(await readTables(admin), policy);
  expect({ fence: db?.fence, unknown }).toEqual({ fence: "enforce", unknown: [] });
  const clock = { now: () => Date.now(), sleep: (ms: number) => delay(ms) };
  await bringFence(admin, tables, "enforce", { clock, signal });
  await admin.end();
}

function signed(tenant: string, epoch = 1, to = stamp): Record<string, string> {
  return { [routeHeader]: signRoute({ tenant, stamp: to, epoch, minute: minuteOf(Date.now()) }, key) };
}

function get(tenant: string, path: string, epoch = 1): Promise<Response> {
  return fetch(base + path, { headers: signed(tenant, epoch) });
}

function send(tenant: string, method: string, path: string, body: unknown, more = {}): Promise<Response> {
  const headers = { ...signed(tenant), "content-type": "application/json", ...more };
  return fetch(base + path, { method, headers, body: JSON.stringify(body) });
}

function callHook(hook: "tenant.onCreate" | "tenant.onDelete", tenant: string): Promise<Response> {
  const path = hook === "tenant.onCreate" ? "/hooks/tenant-created" : "/hooks/tenant-deleted";
  return fetch(base + path, { method: "POST", headers: { ...signed(tenant), [hookHeader]: hook } });
}

/** Asks until `holds` is content; a connection that is refused meanwhile is no answer yet. */
async function until<T>(ask: () => Promise<T>, holds: (value: T) => boolean, withinMs = 20_000): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const value = await ask().catch((error: unknown) => {
      if (Date.now() > end) throw error;
      return undefined;
    });
    if (value !== undefined && holds(value)) return value;
    if (Date.now() > end) throw new Error(`Not within ${withinMs} ms; last: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

interface Stats {
  readonly notes: number;
  readonly words: number;
  readonly unmeasured: number;
  readonly jobs: { readonly waiting: number; readonly dead: number };
}

async function stats(tenant: string): Promise<Stats> {
  return (await (await get(tenant, "/stats")).json()) as Stats;
}

async function pidOf(component: string): Promise<number> {
  const { components } = await engine.observe(stamp, signal);
  const pid = components.find((candidate) => candidate.name === component)?.pid;
  if (pid === undefined) throw new Error(`${component} has no process`);
  return pid;
}

test("GET / says which stamp and release served the request", async () => {
  const answer = await get("acme", "/");
  expect(await answer.json()).toMatchObject({
    tenant: "acme",
    stamp,
    region: "eu",
    release: spec.rendered.version,
    epoch: 1,
  });
  expect([answer.headers.get("x-notes-stamp"), answer.headers.get("x-notes-release")]).toEqual([
    stamp,
    spec.rendered.version,
  ]);
  expect(await (await get("acme", "/notebooks")).json()).toMatchObject({ notebooks: [{ name: "Welcome", notes: 0 }] });
});

test("a note may be created again, has one revision per change, and the worker measures it", async () => {
  const note = { id: crypto.randomUUID(), title: "First", body: "three small words", tags: ["a", "b"] };
  const created = await send("acme", "POST", "/notes", note);
  expect([created.status, created.headers.get("location")]).toEqual([201, `notes/${note.id}`]);
  expect((await send("acme", "POST", "/notes", note)).status).toBe(200);
  expect((await send("acme", "POST", "/notes", { ...note, body: "other" })).status).toBe(409);
  await until(
    () => stats("acme"),
    ({ words, unmeasured, jobs }) => words === 3 && unmeasured === 0 && jobs.waiting === 0,
  );

  const change = { title: "First", body: "now four small words", tags: ["b", "c"] };
  const changed = await send("acme", "PUT", `/notes/${note.id}`, change, { "if-match": '"1"' });
  expect(await changed.json()).toMatchObject({ ...change, revision: 2 });
  expect((await send("acme", "PUT", `/notes/${note.id}`, { title: "x" }, { "if-match": '"1"' })).status).toBe(412);
  await until(
    () => stats("acme"),
    ({ words, unmeasured }) => words === 4 && unmeasured === 0,
  );
});

test("two tenants may use one id, and neither sees the other's note", async () => {
  const id = crypto.randomUUID();
  for (const tenant of ["acme", "bcme"]) {
    expect((await send(tenant, "POST", "/notes", { id, title: `of ${tenant}` })).status).toBe(201);
  }
  expect((await fetch(`${base}/notes/${id}`, { method: "DELETE", headers: signed("acme") })).status).toBe(204);
  expect((await get("acme", `/notes/${id}`)).status).toBe(404);
  expect(await (await get("bcme", `/notes/${id}`)).json()).toMatchObject({ title: "of bcme" });
});

test("pages follow each other without a gap or a repeat", async () => {
  const ids = Array.from({ length: 7 }, () => crypto.randomUUID());
  await Promise.all(ids.map((id) => send("bcme", "POST", "/notes", { id, title: "paged" })));
  const seen: string[] = [];
  for (let after = ""; ; ) {
    const page = (await (await get("bcme", `/notes?limit=3${after}`)).json()) as {
      notes: { id: string }[];
      next?: string;
    };
    seen.push(...page.notes.map((note) => note.id));
    if (page.next === undefined) break;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen).toEqual(expect.arrayContaining(ids));
});

interface Found {
  readonly index: string | null;
  readonly titles: readonly string[];
}

async function search(tenant: string, words: string, epoch = 1): Promise<Found> {
  const answer = await get(tenant, `/search?q=${encodeURIComponent(words)}`, epoch);
  expect(answer.status, await answer.clone().text()).toBe(200);
  const { notes } = (await answer.json()) as { notes: { title: string }[] };
  return { index: answer.headers.get("x-notes-index"), titles: notes.map(({ title }) => title).sort() };
}

const isSettled = ({ unmeasured, jobs }: Stats) => unmeasured === 0 && jobs.waiting === 0;

test("a search finds notes by their words as they are now, and no other tenant's", async () => {
  const [kettle, pot] = [crypto.randomUUID(), crypto.randomUUID()];
  await send("acme", "POST", "/notes", { id: kettle, title: "A kettle", body: "copper and steam" });
  await send("bcme", "POST", "/notes", { id: kettle, title: "Their kettle", body: "copper" });
  // Nobody has searched: it is built for the first who does.
  expect(await search("acme", "KETTLE")).toEqual({ index: "built", titles: ["A kettle"] });
  await send("acme", "POST", "/notes", { id: pot, title: "A pot", body: "copper without" });
  await until(() => stats("acme"), isSettled);
  expect(await search("acme", "copper")).toEqual({ index: "kept", titles: ["A kettle", "A pot"] });
  expect((await search("acme", "copper steam")).titles).toEqual(["A kettle"]);

  await send("acme", "PUT", `/notes/${kettle}`, { title: "An urn", body: "brass" });
  await fetch(`${base}/notes/${pot}`, { method: "DELETE", headers: signed("acme") });
  await until(() => stats("acme"), isSettled);
  expect(await search("acme", "copper")).toEqual({ index: "kept", titles: [] });
  expect(await search("acme", "brass urn")).toEqual({ index: "kept", titles: ["An urn"] });
  expect((await get("acme", "/search?q=%20")).status).toBe(400);
});

test("tenant.onRebuild makes the index of the new epoch, and an emptied Redis costs one search its time", async () => {
  const setEpoch = (epoch: number) =>
    database.query("update stampyard.tenant_home set epoch = $1 where tenant = 'bcme'", [epoch]);
  expect((await search("bcme", "copper")).titles).toEqual(["Their kettle"]);
  await setEpoch(2);
  const rebuild = { method: "POST", headers: { ...signed("bcme", 2), [hookHeader]: "tenant.onRebuild" } };
  expect((await fetch(`${base}/hooks/tenant-rebuild`, rebuild)).status).toBe(204);
  expect(await search("bcme", "copper", 2)).toEqual({ index: "kept", titles: ["Their kettle"] });
  process.kill(await pidOf("cache"), "SIGKILL");
  const again = await until(
    () => search("bcme", "copper", 2),
    ({ titles }) => titles.length === 1,
  );
  expect(again.index).toBe("built");
  await setEpoch(1);
  await until(
    () => get("bcme", "/notes"),
    ({ status }) => status === 200,
  );
});

test("the guard refuses what is not for this stamp, tenant and epoch", async () => {
  const refusal = async (headers: Record<string, string>) => {
    const answer = await fetch(`${base}/notes`, { headers });
    return [answer.status, answer.headers.get(refusalHeader)];
  };
  expect(await refusal({})).toEqual([503, "missing"]);
  expect(await refusal(signed("acme", 1, "eu-2"))).toEqual([503, "wrong-stamp"]);
  expect(await refusal(signed("acme", 2))).toEqual([503, "not-yet"]);
  expect(await refusal(signed("stranger"))).toEqual([503, "unknown-tenant"]);

  const setEpoch = (epoch: number) =>
    database.query("update stampyard.tenant_home set epoch = $1 where tenant = 'acme'", [epoch]);
  await setEpoch(2);
  try {
    await until(
      () => refusal(signed("acme", 1)),
      ([, reason]) => reason === "stale-route",
      2_000,
    );
    expect((await get("acme", "/notes", 2)).status).toBe(200);
  } finally {
    await setEpoch(1);
    await until(
      () => get("acme", "/notes"),
      ({ status }) => status === 200,
    );
  }
});

test("the worker leaves the jobs of a tenant alone whose home is not active here", async () => {
  const setState = (state: string) =>
    database.query("update stampyard.tenant_home set state = $1 where tenant = 'bcme'", [state]);
  const waiting = async () => {
    const { rows } = await database.query("select attempts from outbox where tenant_id = 'bcme' and state = 'ready'");
    return rows;
  };
  await until(waiting, (rows) => rows.length === 0);
  await setState("importing");
  const jobs = async () => (await fetch(`${base}/healthz/jobs`)).status;
  expect(await jobs()).toBe(200);
  // Due for so long that somebody should have taken it.
  const stale =
    "insert into outbox (tenant_id, kind, subject_id, due_at) values ('bcme', 'note-written', gen_random_uuid(), now() - interval '6 s')";
  await database.query(stale);
  expect(await jobs()).toBe(503);
  // Another tenant's job that came later is done meanwhile, so the worker has passed by.
  await send("acme", "POST", "/notes", { title: "later" });
  await until(
    () => stats("acme"),
    ({ unmeasured, jobs }) => unmeasured === 0 && jobs.waiting === 0,
  );
  expect(await waiting()).toEqual([{ attempts: 0 }]);
  await setState("active");
  await until(waiting, (rows) => rows.length === 0);
  expect(await jobs()).toBe(200);
});

test("a job that always fails ends as dead, with its reason, and does not hold up others", async () => {
  await database.query(`insert into outbox (tenant_id, kind, subject_id, attempts)
    values ('bcme', 'nonsense', gen_random_uuid(), 7)`);
  await until(
    () => stats("bcme"),
    ({ jobs }) => jobs.dead === 1,
  );
  const { rows } = await database.query("select state, attempts, last_error from outbox where kind = 'nonsense'");
  expect(rows).toEqual([{ state: "dead", attempts: 8, last_error: "No handler for jobs of kind nonsense" }]);
});

test("a dead cache is a miss and never an error", async () => {
  const fromCache = () => get("acme", "/").then((answer) => [answer.status, answer.headers.get("x-notes-from")]);
  await until(fromCache, ([, from]) => from === "cache");
  process.kill(await pidOf("cache"), "SIGKILL");
  const seen = new Set<unknown>();
  for (let count = 0; count < 20; count++) seen.add((await fromCache())[0]);
  expect((await send("acme", "POST", "/notes", { title: "without a cache" })).status).toBe(201);
  expect(seen).toEqual(new Set([200]));
  // The host starts it again, and it is used again.
  await until(fromCache, ([, from]) => from === "cache");
});

test("a dead queue delays a job by one poll at most", async () => {
  process.kill(await pidOf("queue"), "SIGKILL");
  expect((await send("acme", "POST", "/notes", { title: "without a queue", body: "one" })).status).toBe(201);
  await until(
    () => stats("acme"),
    ({ unmeasured }) => unmeasured === 0,
  );
});

test("a stamp that is stopped and applied again has every note", async () => {
  const before = await (await get("acme", "/notes?limit=100")).json();
  await database.end();
  await engine.stop(stamp, call);
  await expect(fetch(`${base}/healthz`)).rejects.toThrow();
  await engine.apply(spec, call);
  await connect();
  expect(await (await get("acme", "/notes?limit=100")).json()).toEqual(before);
});

test("the hooks may be repeated, and tenant.onDelete leaves no row of the tenant and every row of the others", async () => {
  const others = await stats("bcme");
  expect((await callHook("tenant.onCreate", "acme")).status).toBe(204);
  // As the control plane does: from here on the fence lets nothing of it be written, and its rows be deleted.
  await database.query("update stampyard.tenant_home set state = 'deleting' where tenant = 'acme'");
  for (const hook of ["tenant.onDelete", "tenant.onDelete"] as const) {
    expect((await callHook(hook, "acme")).status).toBe(204);
  }
  const { rows: tables } = await database.query<{ table_name: string }>(
    "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'tenant_id'",
  );
  expect(tables.length).toBe(10);
  for (const { table_name } of tables) {
    const { rows } = await database.query(`select from "${table_name}" where tenant_id = 'acme'`);
    expect([table_name, rows.length]).toEqual([table_name, 0]);
  }
  expect(await stats("bcme")).toEqual(others);
  expect((await send("acme", "POST", "/notes", { title: "too late" })).status).toBe(503);
});
