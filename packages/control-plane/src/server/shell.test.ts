import { request } from "node:http";
import {
  type Endpoint,
  type EndpointName,
  endpointNames,
  endpoints,
  mayCall,
  problemSchema,
  roles,
} from "@stampyard/api";
import { StampyardError } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createAccessLog } from "./access-log.ts";
import type { AnyCall, Handlers } from "./call.ts";
import { type Listening, listen } from "./listen.ts";
import { createShell } from "./shell.ts";

const digest = `sha256:${"ab".repeat(32)}`;
const chain = "0".repeat(64);
const params: Record<string, string> = {
  name: "shared-1",
  key: "acme",
  hostname: "notes.acme.com",
  digest,
};
/** By what the endpoint's name begins with. */
const ids: readonly (readonly [string, string])[] = [
  ["rollout", "ro-1"],
  ["freeze", "fz-1"],
  ["webhook", "wh-1"],
  ["", "cp-1"],
];
const manifests = { fleetYaml: "a", templateYaml: "b", sourceDir: "/srv/app" };
const bodies: Partial<Record<EndpointName, unknown>> = {
  plan: manifests,
  apply: manifests,
  poolApplyProposal: { proposal: "grow-eu-next" },
  stampCreate: { pool: "shared" },
  stampAdopt: { region: "eu", endpoints: ["http://10.0.0.7:8080"] },
  moveCreate: { tenant: "acme" },
  freezeStart: { reason: "the fair" },
  pinStampSet: { until: "2099-01-01T00:00:00Z", reason: "a long job" },
  pinTenantSet: { until: "2099-01-01T00:00:00Z", reason: "a contract" },
  webhookAdd: { url: "https://hooks.example.com/in" },
  fenceSet: { mode: "report" },
  tenantCreate: { key: "acme" },
  tenantSuspend: { reason: "unpaid" },
  placementPreview: { key: "acme" },
  overrideSet: { kind: "quarantine" },
  tenantImport: { tenants: [{ key: "acme" }] },
  tokenCreate: { name: "ci", role: "viewer" },
  directoryAck: { router: "r1", incarnation: 1, version: 2, chain },
  holdAcknowledge: { router: "r1", tenant: "acme", moveId: "m1", inFlight: 0 },
  feedCounts: { router: "r1", life: "l1", number: 1, countedAt: 1, stamps: {}, failing: [] },
  directoryReport: { router: "r1", incarnation: 1, version: 2, chain, part: 0, last: true, changes: [] },
};
const queries: Partial<Record<EndpointName, string>> = { directoryFeed: "?router=r1", directoryConfirm: "?batch=1" };

const calls: { name: EndpointName; call: AnyCall }[] = [];
const logged: object[] = [];
let answer: (name: EndpointName, call: AnyCall) => unknown;
let server: Listening;

beforeAll(async () => {
  const handlers = Object.fromEntries(
    endpointNames.map((name) => [
      name,
      async (call: AnyCall) => {
        calls.push({ name, call });
        return answer(name, call);
      },
    ]),
  ) as unknown as Handlers;
  const write = (fields: object) => logged.push(fields);
  const app = createShell({
    handlers,
    authenticate: async (token) => {
      const role = roles.find((candidate) => token === `token-of-${candidate}`);
      return role === undefined ? undefined : { id: `tok_${role}`, name: role, role };
    },
    idempotency: keptInMemory(),
    newRequestId: () => "made-here",
    log: createAccessLog({ debug: write, info: write, warn: write, error: write }, () => performance.now()),
  });
  server = await listen(app, { host: "127.0.0.1", port: 0 });
});
afterAll(() => server.close());

function keptInMemory() {
  const kept = new Map<string, { requestHash: string; answer?: { status: number; body: unknown } }>();
  const idOf = (key: { principal: string; key: string }) => `${key.principal} ${key.key}`;
  return {
    async begin(key: { principal: string; key: string; requestHash: string }) {
      const found = kept.get(idOf(key));
      if (found === undefined) {
        kept.set(idOf(key), { requestHash: key.requestHash });
        return { kind: "new" as const };
      }
      if (found.requestHash !== key.requestHash) throw new StampyardError("IDEMPOTENCY_MISMATCH", "Another request");
      return found.answer === undefined ? { kind: "running" as const } : { kind: "replay" as const, ...found.answer };
    },
    async done(key: { principal: string; key: string }, given: { status: number; body: unknown }) {
      kept.set(idOf(key), { requestHash: kept.get(idOf(key))?.requestHash ?? "", answer: given });
    },
    async abandon(key: { principal: string; key: string }) {
      kept.delete(idOf(key));
    },
  };
}

const refused = () => {
  throw new StampyardError("WRONG_PHASE", "Reached the handler", { mend: "Nothing." });
};

function pathOf(name: EndpointName): string {
  const id = ids.find(([begin]) => name.startsWith(begin))?.[1];
  const values: Record<string, string | undefined> = { ...params, id };
  return endpoints[name].path.replaceAll(/\{(\w+)\}/g, (_, key: string) => values[key] ?? "") + (queries[name] ?? "");
}

async function send(name: EndpointName, token: string | undefined, init: { body?: string; headers?: object } = {}) {
  const endpoint: Endpoint = endpoints[name];
  const body = init.body ?? (endpoint.body === undefined ? undefined : JSON.stringify(bodies[name] ?? {}));
  return fetch(server.url + pathOf(name), {
    method: endpoint.method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...init.headers,
    },
    ...(body === undefined ? {} : { body }),
  });
}

async function problemOf(response: Response) {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = problemSchema.parse(await response.json());
  expect(problem.status).toBe(response.status);
  return problem;
}

test.each(endpointNames)("%s is closed but to the roles that the table names (I40)", async (name) => {
  answer = refused;
  const { role: needed } = endpoints[name];
  const open = needed === "none";
  for (const token of [undefined, "wrong", "", "token-of-root", ...roles.map((role) => `token-of-${role}`)]) {
    calls.length = 0;
    const problem = await problemOf(await send(name, token));
    const role = roles.find((candidate) => token === `token-of-${candidate}`);
    const allowed = open || (role !== undefined && mayCall(role, needed));
    const expected = allowed ? "WRONG_PHASE" : role === undefined ? "UNAUTHENTICATED" : "FORBIDDEN";
    expect(problem.code, `token ${token}`).toBe(expected);
    expect(calls.length).toBe(allowed ? 1 : 0);
  }
});

test("a refused request is refused before its body is read", async () => {
  answer = refused;
  const problem = await problemOf(await send("tenantCreate", "token-of-viewer", { body: "not json" }));
  expect(problem.code).toBe("FORBIDDEN");
});

test("an unknown path and an unknown method are problems too", async () => {
  const nowhere = await fetch(`${server.url}/v1/nowhere`);
  expect((await problemOf(nowhere)).code).toBe("NOT_FOUND");
  const method = await fetch(`${server.url}/v1/tenants/acme`, { method: "PATCH" });
  expect(method.headers.get("allow")).toBe("GET, DELETE");
  expect((await problemOf(method)).code).toBe("METHOD_NOT_ALLOWED");
});

test("every answer has its request id, and forbids sniffing, storing and framing", async () => {
  answer = refused;
  const given = await send("status", "token-of-viewer", { headers: { "x-request-id": "abcDEF-123" } });
  expect(given.headers.get("x-request-id")).toBe("abcDEF-123");
  expect((await given.json()) as object).toMatchObject({ requestId: "abcDEF-123" });
  const forged = await send("status", undefined, { headers: { "x-request-id": "a b\tc" } });
  expect(forged.headers.get("x-request-id")).toBe("made-here");
  for (const response of [given, forged, await fetch(`${server.url}/healthz`)]) {
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    });
  }
  expect(forged.headers.get("www-authenticate")).toMatch(/^Bearer/);
});

const hostile = [
  ["/v1/stamps/..%2f..%2fetc%2fpasswd", "INVALID_NAME"],
  ["/v1/stamps/a%00b", "INVALID_NAME"],
  ["/v1/stamps/$(id)", "INVALID_NAME"],
  ["/v1/stamps/%27%3B%20drop%20table%20stamps%3B--", "INVALID_NAME"],
  ["/v1/stamps/%ff%fe", "INVALID_NAME"],
  [`/v1/stamps/${"a".repeat(500)}`, "INVALID_NAME"],
  ["/v1/tenants/Acme", "INVALID_NAME"],
  ["/v1/tenants?limit=0", "INVALID_REQUEST"],
  ["/v1/tenants?limit=1&limit=2", "INVALID_REQUEST"],
  ["/v1/tenants?phase=flying", "INVALID_REQUEST"],
  ["/v1/tenants?__proto__=1", "INVALID_REQUEST"],
  ["/v1/tenants/acme/where?at=yesterday", "INVALID_REQUEST"],
] as const;

test.each(hostile)("GET %s is refused with %s and never reaches a handler", async (path, code) => {
  calls.length = 0;
  const response = await fetch(server.url + path, { headers: { authorization: "Bearer token-of-viewer" } });
  const problem = await problemOf(response);
  expect({ status: problem.status, code: problem.code, calls: calls.length }).toEqual({ status: 400, code, calls: 0 });
});

const hostileBodies = [
  ["not JSON", "{", "INVALID_REQUEST", 400],
  ["JSON that is no object", "[]", "INVALID_REQUEST", 400],
  ["null", "null", "INVALID_REQUEST", 400],
  ["an unknown field", '{"key":"acme","admin":true}', "INVALID_REQUEST", 400],
  ["a polluting field", '{"key":"acme","__proto__":{"admin":true}}', "INVALID_REQUEST", 400],
  ["a shell name", '{"key":"$(reboot)"}', "INVALID_NAME", 400],
  ["an SQL hostname", '{"key":"acme","hostnames":["a\'; --.com"]}', "INVALID_NAME", 400],
  ["another type", '{"key":{"toString":1}}', "INVALID_REQUEST", 400],
  ["a negative weight", '{"key":"acme","weight":{"tenants":-5}}', "INVALID_REQUEST", 400],
  ["a deep nest", `{"key":${"[".repeat(50_000)}${"]".repeat(50_000)}}`, "INVALID_REQUEST", 400],
  ["too many bytes", JSON.stringify({ key: "acme", tier: "x".repeat(1_100_000) }), "PAYLOAD_TOO_LARGE", 413],
] as const;

test.each(hostileBodies)("POST /v1/tenants with %s is refused", async (_, body, code, status) => {
  calls.length = 0;
  const problem = await problemOf(await send("tenantCreate", "token-of-operator", { body }));
  expect({ code: problem.code, status: problem.status, calls: calls.length }).toEqual({ code, status, calls: 0 });
});

test("a body without a length is cut at the limit", async () => {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const headers = { authorization: "Bearer token-of-operator", "content-type": "application/json" };
    const sending = request(`${server.url}/v1/tenants`, { method: "POST", headers }, (response) => {
      resolve(response.statusCode);
      response.resume();
      sending.destroy();
    });
    sending.on("error", reject);
    const chunk = Buffer.alloc(65_536, 0x20);
    for (let sent = 0; sent < 20; sent++) sending.write(chunk);
  });
  expect(status).toBe(413);
});

test("all faults of a request come at once, with their places and mends", async () => {
  const body = JSON.stringify({ key: "A", pool: "B", hostnames: ["ok.com", "no"] });
  const problem = await problemOf(await send("tenantCreate", "token-of-operator", { body }));
  expect(problem.problems?.map(({ path }) => path)).toEqual(["key", "pool", "hostnames.1"]);
  expect(problem.problems?.every(({ mend }) => mend !== undefined)).toBe(true);
});

test("an unexpected failure says nothing of its cause, and the log does", async () => {
  answer = () => {
    throw new Error("password=hunter2 at 10.0.0.7");
  };
  logged.length = 0;
  const response = await send("status", "token-of-viewer");
  const problem = await problemOf(response);
  expect({ status: problem.status, code: problem.code, detail: problem.detail }).toEqual({
    status: 500,
    code: "INTERNAL",
    detail: "Unexpected failure",
  });
  expect(JSON.stringify(problem)).not.toContain("hunter2");
  expect(JSON.stringify(logged)).toContain("hunter2");
});

test("an answer is cut to its schema, so a field that nobody declared never leaves (I33)", async () => {
  answer = () => ({ kids: ["k1"], step: "added", stamp: "shared-1", secret: "hunter2" });
  const response = await send("stampKeysRotate", "token-of-admin");
  expect(await response.json()).toEqual({ kids: ["k1"], step: "added", stamp: "shared-1" });
  answer = () => ({ wrong: true });
  expect((await problemOf(await send("stampKeysRotate", "token-of-admin"))).code).toBe("INTERNAL");
});

test("the log holds no token, no query and no body", async () => {
  answer = refused;
  logged.length = 0;
  await send("tenantCreate", "token-of-operator", { body: '{"key":"canary-key"}' });
  await fetch(`${server.url}/v1/tenants?cursor=canary-query`, { headers: { authorization: "Bearer token-of-viewer" } });
  expect(logged.length).toBe(2);
  expect(logged[0]).toMatchObject({ method: "POST", path: "/v1/tenants", status: 409, actor: "operator" });
  expect(JSON.stringify(logged)).not.toMatch(/token-of|canary/);
});

const created = { key: "acme", pool: "shared", tier: "standard", residency: [], weight: {}, hostnames: [] };
const tenant = { ...created, phase: "preparing", goal: "present", epoch: 1, revision: 7 };

test("If-Match reaches the handler as a revision, and the ETag is one", async () => {
  answer = () => tenant;
  calls.length = 0;
  const response = await send("tenantDelete", "token-of-operator", { headers: { "if-match": '"7"' } });
  expect([response.status, response.headers.get("etag"), calls[0]?.call.ifMatch]).toEqual([202, '"7"', 7]);
  expect(
    (await problemOf(await send("tenantDelete", "token-of-operator", { headers: { "if-match": "W/x" } }))).code,
  ).toBe("INVALID_REQUEST");
});

test("Idempotency-Key answers a repeat as the first time, once per token and request", async () => {
  answer = () => tenant;
  calls.length = 0;
  const keyed = (key: string, body?: string, token = "token-of-operator") =>
    send("tenantCreate", token, { headers: { "idempotency-key": key }, ...(body === undefined ? {} : { body }) });
  const [first, second] = [await keyed("key-1"), await keyed("key-1")];
  expect([first.status, second.status, calls.length]).toEqual([201, 201, 1]);
  expect(await second.json()).toEqual(await first.json());
  expect((await problemOf(await keyed("key-1", '{"key":"other"}'))).code).toBe("IDEMPOTENCY_MISMATCH");
  await keyed("key-1", undefined, "token-of-admin");
  expect(calls.length).toBe(2);

  answer = refused;
  expect((await keyed("key-2")).status).toBe(409);
  answer = () => tenant;
  expect((await keyed("key-2")).status).toBe(201);
  expect((await problemOf(await keyed("k".repeat(300)))).code).toBe("INVALID_REQUEST");
});

test("two requests with one key at once do the work once", async () => {
  let go = () => {};
  const held = new Promise<void>((resolve) => (go = resolve));
  answer = async () => {
    await held;
    return tenant;
  };
  calls.length = 0;
  const headers = { "idempotency-key": "key-3" };
  const both = [
    send("tenantCreate", "token-of-operator", { headers }),
    send("tenantCreate", "token-of-operator", { headers }),
  ];
  await expect.poll(() => calls.length).toBe(1);
  go();
  expect((await Promise.all(both)).map((response) => response.status)).toEqual([201, 201]);
  expect(calls.length).toBe(1);
});

test("a stream starts when it is read, feels its reader's pace, and ends when the reader goes", async () => {
  let made = 0;
  let ended = false;
  answer = async function* (_: unknown, call: AnyCall) {
    try {
      for (; !call.signal.aborted; made++) yield "x".repeat(65_536);
    } finally {
      ended = true;
    }
  };
  await fetch(`${server.url}/v1/stamps/shared-1/logs`, {
    method: "HEAD",
    headers: { authorization: "Bearer token-of-admin" },
  });
  expect(made).toBe(0);
  const reading = new AbortController();
  const response = await fetch(`${server.url}/v1/stamps/shared-1/logs`, {
    headers: { authorization: "Bearer token-of-admin" },
    signal: reading.signal,
  });
  await response.body?.getReader().read();
  // Nobody reads on: the source stops once the sockets' buffers are full, and stays stopped.
  const rests = () => {
    const same = made === before;
    before = made;
    return same;
  };
  let before = -1;
  await expect.poll(rests, { interval: 200, timeout: 10_000 }).toBe(true);
  expect(made).toBeLessThan(1_000);
  reading.abort();
  await expect.poll(() => ended).toBe(true);
});

test("a stream that fails breaks the connection instead of ending well", async () => {
  logged.length = 0;
  answer = async function* () {
    yield "one";
    throw new Error("engine lost");
  };
  const response = await send("stampLogs", "token-of-operator");
  await expect(response.text()).rejects.toThrow();
  expect(JSON.stringify(logged)).toContain("engine lost");
});

test("listen() names a taken port", async () => {
  const again = listen({ fetch: () => new Response() }, { host: "127.0.0.1", port: server.port });
  await expect(again).rejects.toMatchObject({ code: "PORT_TAKEN" });
});
