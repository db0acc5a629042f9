import { endpointNames, endpoints, mayCall, roles } from "@stampyard/api";
import { feedStart } from "@stampyard/directory";
import { StampyardError } from "@stampyard/domain";
import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { files, fleetYaml, templateYaml } from "./test-files.ts";
import { follow } from "./test-router.ts";
import { activateStamp, activateTenant, startTestServer, type TestServer } from "./test-server.ts";

let postgres: TestPostgres;
let server: TestServer;
/** Every body that any answer had, for the search for secrets at the end. */
const bodies: string[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  const engine = createSimulatedEngine({ clock: createManualClock() });
  server = await startTestServer(await postgres.database(), engine, { heartbeatMs: 200 });
  const { fetch: original } = globalThis;
  globalThis.fetch = async (...args) => {
    const response = await original(...args);
    const type = response.headers.get("content-type") ?? "";
    if (type.includes("json")) bodies.push(await response.clone().text());
    return response;
  };
  restoreFetch = () => {
    globalThis.fetch = original;
  };
});
let restoreFetch = () => {};
afterAll(async () => {
  restoreFetch();
  await server?.close();
  await postgres?.[Symbol.asyncDispose]();
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const caught = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  return caught === undefined ? "none" : StampyardError.from(caught).code;
}

test("plan says what an apply of new files makes, and changes nothing", async () => {
  const plan = await server.clients.viewer.plan({ body: files });
  expect(plan.fleetRevision).toBe(0);
  expect(plan.changes.map((change) => change.kind).sort()).toEqual(
    ["pool-create", "pool-create", "release-create", "routing-update", "stamp-create", "stamp-create"].sort(),
  );
  expect(await codeOf(server.clients.viewer.fleetGet())).toBe("NOT_FOUND");
});

test("plan names every problem of both files with its place", async () => {
  const failure = await server.clients.viewer
    .plan({
      body: {
        ...files,
        fleetYaml: `${fleetYaml}\nbogus: 1\n`,
        templateYaml: templateYaml.replace("kind: redis", "kind: rediss"),
      },
    })
    .catch((error: unknown) => error as StampyardError);
  if (!(failure instanceof StampyardError)) throw new Error("The plan was accepted");
  expect(failure.code).toBe("INVALID_MANIFEST");
  expect(new Set(failure.problems.map(({ file }) => file))).toEqual(new Set(["fleet.yaml", "stamp.yaml"]));
  expect(
    failure.problems.every(
      ({ line, column, mend }) => line !== undefined && column !== undefined && mend !== undefined,
    ),
  ).toBe(true);
});

test("apply records the goal once: the same files again change nothing, another revision is stale (I30)", async () => {
  const { operator, viewer } = server.clients;
  expect(await codeOf(operator.apply({ body: { ...files, expectedFleetRevision: 7 } }))).toBe("STALE_REVISION");
  const applied = await operator.apply({ body: { ...files, expectedFleetRevision: 0 } });
  expect((await viewer.stampList()).items.map(({ name, region, phase }) => [name, region, phase])).toEqual([
    ["shared-1", "eu", "requested"],
    ["shared-2", "us", "requested"],
  ]);
  const again = await operator.apply({ body: files });
  expect([again.plan.changes, again.fleetRevision]).toEqual([[], applied.fleetRevision]);
  expect((await viewer.plan({ body: files })).changes).toEqual([]);
  expect(await codeOf(operator.apply({ body: { ...files, expectedFleetRevision: 0 } }))).toBe("STALE_REVISION");
  expect(await codeOf(operator.apply({ body: files, ifMatch: 99 }))).toBe("STALE_REVISION");
  const renamed = { ...files, fleetYaml: fleetYaml.replace("name: demo", "name: other") };
  expect(await codeOf(operator.apply({ body: renamed }))).toBe("ALREADY_EXISTS");
  expect((await viewer.releaseList()).items).toMatchObject([{ version: "1.0.0", current: true, stamps: 2 }]);
  expect(await viewer.releaseGet({ params: { digest: applied.releaseDigest } })).toMatchObject({ template: "demo" });
  expect(await viewer.fleetGet()).toMatchObject({ name: "demo", releaseDigest: applied.releaseDigest });
});

test("plan refuses a stage whose engine this control plane does not run", async () => {
  const components = /components:\n(?<lines>[\s\S]*?)ingress:/.exec(templateYaml)?.groups?.["lines"] ?? "";
  const staged = templateYaml.replace(
    `components:\n${components}`,
    `stages:\n  - name: cloud\n    engine: kubernetes\n    components:\n${components.replaceAll(/^/gm, "    ")}`
      .trimEnd()
      .concat("\n"),
  );
  const failure = await server.clients.viewer
    .plan({ body: { ...files, templateYaml: staged } })
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({
    code: "INVALID_MANIFEST",
    message: expect.stringContaining("Stage cloud wants engine kubernetes"),
  });
});

test("stamps: one more within the pool's bounds, seen with what its engine saw", async () => {
  const { operator, viewer } = server.clients;
  expect(await codeOf(operator.stampCreate({ body: { pool: "nowhere" } }))).toBe("POOL_NOT_FOUND");
  expect(await codeOf(operator.stampCreate({ body: { pool: "shared", region: "mars" } }))).toBe("INVALID_REQUEST");
  expect(await codeOf(operator.stampCreate({ body: { pool: "shared", parameters: { what: 1 } } }))).toBe(
    "INVALID_MANIFEST",
  );
  // Two at once, room for one: the later one looks again and finds the pool full.
  const both = await Promise.allSettled([1, 2].map(() => operator.stampCreate({ body: { pool: "shared" } })));
  const made = both.flatMap((one) => (one.status === "fulfilled" ? [one.value.name] : []));
  expect(made).toEqual(["shared-3"]);
  expect(both.flatMap((one) => (one.status === "rejected" ? [StampyardError.from(one.reason).code] : []))).toEqual([
    "POOL_FULL",
  ]);

  await activateStamp(server, "shared-1");
  const stamp = await viewer.stampGet({ params: { name: "shared-1" } });
  expect(stamp).toMatchObject({
    phase: "active",
    capacity: { tenants: 3 },
    observation: { presence: "present", host: "up" },
  });
  expect(stamp.endpoints.length).toBe(1);
  expect(stamp.observation?.components.length).toBeGreaterThan(2);
  const diff = await viewer.stampDiff({ params: { name: "shared-1" } });
  expect(diff).toMatchObject({ same: true, changes: [] });
  expect((await viewer.stampDiff({ params: { name: "shared-2" } })).same).toBe(false);
  expect(await codeOf(viewer.stampGet({ params: { name: "shared-9" } }))).toBe("STAMP_NOT_FOUND");
  const pools = (await viewer.poolList({ query: { limit: 1 } })).items;
  expect(pools.map(({ name }) => name)).toEqual(["alone"]);
  expect((await viewer.all("poolList", { query: { limit: 1 } })).find(({ name }) => name === "shared")).toMatchObject({
    active: 1,
    present: 3,
  });
});

test("tenant create waits until the tenant is active and every live router has acknowledged it", async () => {
  const router = await follow(server);
  await router.ack?.();
  const { operator } = server.clients;
  let answered = false;
  const creating = operator
    .tenantCreate({ body: { key: "acme", pool: "shared" }, query: { wait: 20_000 } })
    .finally(() => (answered = true));
  await expect.poll(async () => (await server.store.tenants.read("acme"))?.value.state.kind).toBe("preparing");
  await activateTenant(server, "acme");
  await expect.poll(() => router.world?.directory.lookupTenant("acme")?.stamp, { timeout: 5_000 }).toBe("shared-1");
  expect(answered).toBe(false);
  await router.ack?.();
  const tenant = await creating;
  expect(tenant).toMatchObject({ phase: "active", stamp: "shared-1", epoch: 1 });
  expect(tenant.directoryVersion).toBe(router.world?.state.position.version);
  expect(router.world?.keys.get("shared-1")).toBe(1);
  expect((await server.clients.viewer.routerList()).items).toMatchObject([{ name: "r1", lag: 0, live: true }]);
  await router.end?.();
});

test("tenant create without patience answers what there is", async () => {
  const tenant = await server.clients.operator.tenantCreate({
    body: { key: "bolt", pool: "shared" },
    query: { wait: 150 },
  });
  expect(tenant).toMatchObject({ phase: "preparing", stamp: "shared-1" });
  await activateTenant(server, "bolt");
});

test("tenants: unique, pooled, bounded, with hostnames of their own", async () => {
  const { operator, viewer } = server.clients;
  const create = (body: Parameters<typeof operator.tenantCreate>[0]["body"]) => codeOf(operator.tenantCreate({ body }));
  expect(await create({ key: "acme", pool: "shared" })).toBe("ALREADY_EXISTS");
  expect(await create({ key: "cato", pool: "nowhere" })).toBe("POOL_NOT_FOUND");
  expect(await create({ key: "cato", pool: "shared", hostnames: ["cato.localhost"] })).toBe("INVALID_REQUEST");
  const acme = { key: "acme", hostname: "notes.acme.com" };
  const added = await operator.tenantHostnameAdd({ params: acme });
  expect(added.hostnames).toEqual(["notes.acme.com"]);
  expect(await codeOf(operator.tenantHostnameAdd({ params: { ...acme, key: "bolt" } }))).toBe("HOSTNAME_TAKEN");
  expect(await codeOf(operator.tenantHostnameRemove({ params: acme, ifMatch: added.revision - 1 }))).toBe(
    "STALE_REVISION",
  );
  expect((await operator.tenantHostnameRemove({ params: acme, ifMatch: added.revision })).hostnames).toEqual([]);
  expect(await codeOf(viewer.tenantGet({ params: { key: "nobody" } }))).toBe("TENANT_NOT_FOUND");
  expect(await codeOf(viewer.tenantHistory({ params: { key: "nobody" } }))).toBe("TENANT_NOT_FOUND");
});

test("tenant create under one Idempotency-Key makes one tenant, and another body under it is refused", async () => {
  const { operator } = server.clients;
  const idempotencyKey = "create-dora";
  const [first, second] = await Promise.all(
    [1, 2].map(() => operator.tenantCreate({ body: { key: "dora", pool: "shared" }, idempotencyKey })),
  );
  expect(second).toEqual(first);
  expect(await codeOf(operator.tenantCreate({ body: { key: "dora2", pool: "shared" }, idempotencyKey }))).toBe(
    "IDEMPOTENCY_MISMATCH",
  );
  expect(await codeOf(operator.tenantCreate({ body: { key: "dora", pool: "shared" } }))).toBe("ALREADY_EXISTS");
});

test("tenant import is planned, done as a whole, and repeatable", async () => {
  const { operator, viewer } = server.clients;
  const tenants = [
    { key: "acme", pool: "shared" },
    { key: "elsa", pool: "shared", stamp: "shared-2" },
  ];
  const plan = await operator.tenantImport({ body: { tenants, dryRun: true } });
  expect(plan).toMatchObject({ applied: false, create: 1, unchanged: 1, conflict: [], waiting: 0 });
  expect(plan.placed).toHaveLength(1);
  expect(await codeOf(viewer.tenantGet({ params: { key: "elsa" } }))).toBe("TENANT_NOT_FOUND");
  expect(await operator.tenantImport({ body: { tenants } })).toMatchObject({ applied: true, create: 1 });
  expect(await operator.tenantImport({ body: { tenants } })).toMatchObject({ create: 0, unchanged: 2 });
  const clash = [
    { key: "acme", pool: "shared", stamp: "shared-2" },
    { key: "finn", pool: "shared" },
  ];
  const refused = await operator.tenantImport({ body: { tenants: clash } });
  expect([refused.applied, refused.conflict.map(({ key }) => key)]).toEqual([false, ["acme"]]);
  const keys = (await viewer.all("tenantList", { query: { limit: 2 } })).map(({ key }) => key);
  expect(keys).toEqual(["acme", "bolt", "dora", "elsa"]);
  expect((await viewer.tenantList({ query: { stamp: "shared-2" } })).items.map(({ key }) => key)).toEqual(["elsa"]);
});

test("history and where tell when a tenant lived where", async () => {
  const { viewer } = server.clients;
  const history = await viewer.all("tenantHistory", { params: { key: "acme" } });
  expect(history.map(({ event }) => event)).toContain("created");
  expect(await viewer.tenantWhere({ params: { key: "acme" } })).toMatchObject({ stamp: "shared-1", epoch: 1 });
  const before = await viewer.tenantWhere({ params: { key: "acme" }, query: { at: "2020-01-01T00:00:00Z" } });
  expect(before).toEqual({ tenant: "acme", at: "2020-01-01T00:00:00.000Z" });
});

test("stamp delete refuses a stamp with tenants unless forced, and the audit names who and why (I31)", async () => {
  const { admin, operator } = server.clients;
  const params = { name: "shared-1" };
  expect(await codeOf(admin.stampDelete({ params }))).toBe("STAMP_NOT_EMPTY");
  expect(await codeOf(operator.stampDelete({ params, query: { force: true } }))).toBe("FORBIDDEN");
  const empty = await admin.stampDelete({ params: { name: "shared-3" } });
  expect(empty.goal).toBe("absent");
  expect((await admin.stampDelete({ params, query: { force: true, reason: "drill of the fleet" } })).goal).toBe(
    "absent",
  );
  const rows = await admin.all("auditList", { query: { subject: "stamp/shared-1" } });
  const removal = rows.find(({ reason }) => reason === "drill of the fleet");
  expect(removal?.actor).toMatch(/^token:tok_/);
  expect(JSON.stringify(removal?.detail)).toMatch(/3/);
});

test("the audit chain verifies, and every row is numbered within a second (I39)", async () => {
  const page = () => server.clients.admin.auditList({ query: { limit: 500, verify: true } });
  await expect
    .poll(async () => (await page()).items.every(({ seq }) => seq !== undefined), { timeout: 1_000 })
    .toBe(true);
  const { items, verification } = await page();
  expect(verification).toMatchObject({ ok: true });
  expect(items.map(({ seq }) => seq)).toEqual(items.map((_, index) => index + 1));
});

test("tokens are shown once, listed without their secret, and dead when revoked", async () => {
  const { admin, viewer } = server.clients;
  const made = await admin.tokenCreate({ body: { name: "ci", role: "viewer" } });
  bodies.splice(
    bodies.findIndex((body) => body.includes(made.secret)),
    1,
  );
  const use = () => fetch(`${server.url}/v1/status`, { headers: { authorization: `Bearer ${made.secret}` } });
  expect((await use()).status).toBe(200);
  const listed = await admin.all("tokenList");
  expect(listed.map(({ name }) => name)).toContain("ci");
  expect(JSON.stringify(listed)).not.toContain(made.secret);
  await admin.tokenRevoke({ params: { id: made.id } });
  expect((await use()).status).toBe(401);
  expect(await codeOf(viewer.tokenList())).toBe("FORBIDDEN");
});

test("the feed resumes from a position, and a fork is refused and starts a recovery (I42)", async () => {
  const first = await follow(server, feedStart, "r2");
  await expect.poll(() => first.world?.state.position.version ?? 0).toBeGreaterThan(0);
  const held = first.world?.state.position ?? feedStart;
  await first.end?.();
  await server.clients.operator.tenantHostnameAdd({ params: { key: "bolt", hostname: "bolt.example.com" } });
  const again = await follow(server, held, "r2");
  await expect.poll(() => again.world?.state.position.version ?? 0).toBe(held.version + 1);
  expect(again.world?.kinds).not.toContain("snapshot-begin");
  await expect.poll(() => again.world?.kinds.includes("heartbeat")).toBe(true);
  await again.end?.();

  const fork = await follow(server, { ...held, chain: "f".repeat(64) }, "r3");
  expect(fork.response.status).toBe(409);
  expect(await fork.response.json()).toMatchObject({ code: "DIVERGED" });
  expect((await server.clients.viewer.status()).mode).toBe("recovering");
  // The leader's term ended with it: a store that was set back lost count of its tokens.
  expect(await codeOf(server.clients.operator.tenantCreate({ body: { key: "gale", pool: "shared" } }))).toBe(
    "STALE_LEADER",
  );
  const during = await follow(server, held, "r2");
  await expect.poll(() => during.world?.kinds.slice(0, 2)).toEqual(["hello", "heartbeat"]);
  await during.end?.();
  const report = await server.clients.admin.recoveryGet();
  expect([report.mode, report.waitingOn.length > 0]).toEqual(["recovering", true]);
});

test("events tell of what is committed, to whoever listens then", async () => {
  const ending = new AbortController();
  const events = await server.clients.viewer.events({ signal: ending.signal });
  const heard: object[] = [];
  const hearing = (async () => {
    for await (const event of events) heard.push(event);
  })().catch(() => {});
  await expect.poll(() => server.events.readers).toBe(1);
  server.events.publish({ kind: "progress", stamp: "shared-2", step: "clone", state: "begin" });
  const progress = { kind: "progress", stamp: "shared-2", step: "clone" };
  await expect.poll(() => heard).toContainEqual(expect.objectContaining(progress));
  ending.abort();
  await hearing;
  await expect.poll(() => server.events.readers).toBe(0);
});

test("a standby reads and changes nothing", async () => {
  server.world.leads = false;
  const { operator, viewer } = server.clients;
  expect(await (await fetch(`${server.url}/readyz`)).json()).toEqual({ status: "ready", role: "standby" });
  expect((await viewer.status()).role).toBe("standby");
  expect(await codeOf(operator.tenantDelete({ params: { key: "acme" } }))).toBe("NOT_LEADER");
  server.world.leads = true;
});

test("a deposed leader's token is refused by the store (I28)", async () => {
  const { store, ctx, clients } = server;
  await store.lease.release("test", ctx.token);
  expect(await codeOf(clients.operator.stampCreate({ body: { pool: "alone" } }))).toBe("STALE_LEADER");
});

test("no answer and no log line holds a secret (I33)", async () => {
  const { store, clients, tokens, logged } = server;
  for (const name of endpointNames) {
    const { method, path, role, answers } = endpoints[name];
    if (method !== "GET" || answers !== "json" || role === "none" || path.includes("{") || name === "openApi") continue;
    const as = roles.find((candidate) => mayCall(candidate, role)) ?? "admin";
    await (clients[as][name] as (input: object) => Promise<unknown>)({});
  }
  for (const { name } of await clients.viewer.all("stampList")) {
    await clients.viewer.stampGet({ params: { name } });
    await clients.viewer.stampDiff({ params: { name } });
  }
  const secrets: string[] = Object.values(tokens);
  for (const { value } of await store.stamps.all())
    secrets.push(...Object.values(await store.stamps.secrets(value.name)));
  for (const keys of (await store.stamps.allRouteKeys()).values()) secrets.push(...keys.map(({ secret }) => secret));
  expect(secrets.length).toBeGreaterThan(10);
  const told = `${bodies.join("\n")}\n${JSON.stringify(logged)}`;
  expect(told.length).toBeGreaterThan(10_000);
  expect(secrets.filter((secret) => told.includes(secret))).toEqual([]);
});
