import { Agent, createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  createGuard,
  hookHeader,
  makeRouteKey,
  minuteOf,
  type Ownership,
  refusalHeader,
  routeHeader,
  signRoute,
} from "@stampyard/guard";
import type { Pool } from "pg";
import { afterEach, expect, test } from "vitest";
import { prepareClose } from "../stop.ts";
import { memoryObjects } from "../test-objects.ts";
import { memorySearch } from "../test-search.ts";
import { countUploads } from "../uploads.ts";
import type { Services } from "./call.ts";
import { maxBodyBytes } from "./input.ts";
import { createApi, findRoute } from "./server.ts";
import { routes } from "./routes.ts";

const stamp = "eu-1";
const key = makeRouteKey("k1", Buffer.alloc(32, 1).toString("base64url"));
const ownership: Ownership = {
  assurance: "tenant-home",
  home: async (tenant: string) => (tenant === "acme" ? { state: "active", epoch: 2 } : undefined),
  close: async () => {},
};

/** A database that answers every statement with one row and remembers who was asked for. */
function recordingPool(fail = false) {
  const asked: unknown[] = [];
  const query = async (sql: string, values: readonly unknown[] = []) => {
    if (fail) throw Object.assign(new Error("connect ENOENT"), { code: "ENOENT" });
    if (sql.includes("$1")) asked.push(values[0]);
    return { rows: [{ name: "acme", users: [], count: 3 }], rowCount: 1 };
  };
  const pool = { query, connect: async () => ({ query, release() {} }) };
  return { pool: pool as unknown as Pool, asked };
}

function servicesOver(pool: Pool): Services {
  return {
    identity: { stamp, region: "eu", release: "1.2.3" },
    pool,
    cache: {
      through: async (_o, _n, load) => ({ value: await load(), from: "database" }),
      drop: async () => {},
      close() {},
    },
    wakeUps: { wake() {}, onWake() {}, close: async () => {} },
    objects: memoryObjects(),
    search: memorySearch(),
    uploads: countUploads(),
  };
}

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function portOf(server: Server): Promise<number> {
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

async function serve(pool: Pool): Promise<string> {
  const guard = createGuard({ stamp, keys: [key], ownership });
  return `http://127.0.0.1:${await portOf(createApi(servicesOver(pool), guard, () => {}))}`;
}

function signed(tenant: string | undefined, epoch: number, to = stamp): Record<string, string> {
  return { [routeHeader]: signRoute({ tenant, stamp: to, epoch, minute: minuteOf(Date.now()) }, key) };
}

test("the api believes the guard about the tenant, and no client", async () => {
  const { pool, asked } = recordingPool();
  const base = await serve(pool);
  const claims = { "x-tenant": "other", "x-forwarded-host": "other.example.com", cookie: "tenant=other" };
  const answer = await fetch(`${base}/whoami?tenant=other&tenant_id=other`, {
    headers: { ...claims, ...signed("acme", 2) },
  });
  expect(await answer.json()).toMatchObject({ tenant: "acme", epoch: 2, stamp, release: "1.2.3" });
  expect(answer.headers.get("x-notes-stamp")).toBe(stamp);
  expect(answer.headers.get("x-notes-release")).toBe("1.2.3");
  expect(asked).toEqual(["acme"]);
});

test("the api asks its database nothing for a request that the guard refuses", async () => {
  const { pool, asked } = recordingPool();
  const base = await serve(pool);
  for (const [headers, reason] of [
    [{}, "missing"],
    [signed("acme", 2, "eu-2"), "wrong-stamp"],
    [signed("acme", 1), "stale-route"],
    [signed("acme", 3), "not-yet"],
    [signed("bcme", 1), "unknown-tenant"],
  ] as const) {
    const answer = await fetch(`${base}/notes`, { headers });
    expect([answer.status, answer.headers.get(refusalHeader)]).toEqual([503, reason]);
  }
  expect(await fetch(base, { headers: signed(undefined, 0) }).then((answer) => answer.status)).toBe(404);
  expect(asked).toEqual([]);
});

test("hooks need the hook header, and the path and method that belong to it", async () => {
  const { pool, asked } = recordingPool();
  const base = await serve(pool);
  const call = async (path: string, method: string, headers: Record<string, string>) =>
    (await fetch(base + path, { method, headers })).status;
  const create = { ...signed("newcomer", 1), [hookHeader]: "tenant.onCreate" };
  expect(await call("/hooks/tenant-created", "POST", signed("acme", 2))).toBe(404);
  expect(await call("/hooks/tenant-deleted", "POST", create)).toBe(404);
  expect(await call("/hooks/tenant-created", "GET", create)).toBe(404);
  expect(await call("/hooks/tenant-created", "POST", { [hookHeader]: "tenant.onCreate" })).toBe(503);
  expect(asked).toEqual([]);
  expect(await call("/hooks/tenant-created", "POST", create)).toBe(204);
  expect(new Set(asked)).toEqual(new Set(["newcomer"]));
});

test("/healthz tells whether the database answers, without a tenant", async () => {
  const well = await fetch(`${await serve(recordingPool().pool)}/healthz`);
  expect([well.status, await well.json()]).toEqual([200, { status: "ok", stamp, region: "eu", release: "1.2.3" }]);
  const sick = await fetch(`${await serve(recordingPool(true).pool)}/healthz`);
  expect([sick.status, sick.headers.get("content-type")]).toEqual([503, "application/problem+json"]);
});

test("/healthz/jobs tells whether a worker takes the jobs, and /healthz does not mind", async () => {
  const base = await serve(recordingPool().pool);
  const [jobs, api] = [await fetch(`${base}/healthz/jobs`), await fetch(`${base}/healthz`)];
  expect([jobs.status, await jobs.json()]).toEqual([503, expect.objectContaining({ code: "jobs-overdue" })]);
  expect(api.status).toBe(200);
});

test("a body must be JSON and not too large", async () => {
  const base = await serve(recordingPool().pool);
  const post = async (body: string, type = "application/json") =>
    (await fetch(`${base}/notes`, { method: "POST", body, headers: { ...signed("acme", 2), "content-type": type } }))
      .status;
  expect(await post("{}", "text/plain")).toBe(415);
  expect(await post("{")).toBe(400);
  expect(await post("{}")).toBe(422);
  expect(await post(JSON.stringify({ title: "t", body: "x".repeat(maxBodyBytes) }))).toBe(413);
});

test("findRoute() tells an unknown path from an unknown method", () => {
  expect(findRoute(routes, "GET", "/notes/7")).toMatchObject({ route: { path: "/notes/:id" }, params: { id: "7" } });
  expect(findRoute(routes, "PATCH", "/notes/7")).toMatchObject({ allowed: ["GET", "PUT", "DELETE"] });
  for (const path of ["/nothing", "/notes/", "/notes/7/8", "//notes"]) {
    expect(findRoute(routes, "GET", path)).toEqual({ route: undefined, params: {}, allowed: [] });
  }
});

test("prepareClose() lets a request finish, sends its client elsewhere, and takes no other", async () => {
  const server = createServer();
  const close = prepareClose(server);
  const begun = new Promise<() => void>((resolve) => {
    server.on("request", (_request, response) => resolve(() => response.end("done")));
  });
  const port = await portOf(server);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request({ port, host: "127.0.0.1", agent: new Agent({ keepAlive: true }) }, resolve)
      .on("error", reject)
      .end();
  });
  const finish = await begun;
  const closed = close(10_000);
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  finish();
  const answer = await answered;
  expect(answer.headers.connection).toBe("close");
  expect(Buffer.concat(await answer.toArray()).toString()).toBe("done");
  await closed;
});
