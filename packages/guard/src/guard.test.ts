import { request as httpRequest, createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createGuard, verifyHook } from "./guard.ts";
import { guardHttp } from "./guard-http.ts";
import { hookHeader, refusalHeader, routeHeader } from "./names.ts";
import { highestSeenOwnership, type Ownership, type TenantHome } from "./ownership.ts";
import { minuteOf, signRoute } from "./route-header.ts";
import { makeRouteKey } from "./route-key.ts";

const key = makeRouteKey("k1", Buffer.alloc(32, 5).toString("base64url"));
const nowMs = 1_800_000_000_000;
const now = () => nowMs;

/** A record with a cache that is as stale as it is told. */
function fakeOwnership(cached: TenantHome | undefined, stored: TenantHome | undefined | Error) {
  const asked: boolean[] = [];
  const ownership: Ownership = {
    assurance: "tenant-home",
    async home(_tenant, { fresh }) {
      asked.push(fresh);
      if (!fresh) return cached;
      if (stored instanceof Error) throw stored;
      return stored;
    },
    async close() {},
  };
  return { ownership, asked };
}

function headersFor(epoch: number, tenant: string | undefined = "acme") {
  return { [routeHeader]: signRoute({ tenant, stamp: "eu-1", epoch, minute: minuteOf(nowMs) }, key) };
}

describe("createGuard().check()", () => {
  const active = (epoch: number): TenantHome => ({ state: "active", epoch });

  test.each<[string, TenantHome | undefined, TenantHome | undefined | Error, number, string, boolean[]]>([
    ["equal and active", active(3), undefined, 3, "pass", [false]],
    ["router behind", active(3), undefined, 2, "stale-route", [false]],
    ["router ahead, store knows", active(3), active(4), 4, "pass", [false, true]],
    ["router ahead, store does not", active(3), active(3), 4, "not-yet", [false, true]],
    ["router ahead of the cache, behind the store", active(3), active(5), 4, "stale-route", [false, true]],
    ["fenced", { state: "fenced", epoch: 3 }, undefined, 3, "not-active", [false]],
    ["suspended", { state: "suspended", epoch: 3 }, undefined, 3, "not-active", [false]],
    ["moved away", { state: "moved", epoch: 4 }, undefined, 3, "stale-route", [false]],
    ["importing", { state: "importing", epoch: 3 }, undefined, 3, "not-active", [false]],
    ["just created", undefined, active(1), 1, "pass", [false, true]],
    ["unknown", undefined, undefined, 1, "unknown-tenant", [false, true]],
    ["store gone", undefined, new Error("gone"), 1, "ownership-unreadable", [false, true]],
  ])("%s", async (_, cached, stored, epoch, outcome, asked) => {
    const fake = fakeOwnership(cached, stored);
    const guard = createGuard({ stamp: "eu-1", keys: [key], ownership: fake.ownership, now });
    const verdict = await guard.check(headersFor(epoch));
    expect(verdict.kind === "pass" ? verdict.kind : verdict.reason).toBe(outcome);
    expect(fake.asked).toEqual(asked);
    if (verdict.kind === "refuse") {
      expect(verdict.status).toBe(503);
      expect(verdict.headers).toEqual({ [refusalHeader]: outcome, "retry-after": "1" });
    }
  });

  test("does not ask the store before the signature is right", async () => {
    const fake = fakeOwnership(active(3), undefined);
    const guard = createGuard({ stamp: "eu-2", keys: [key], ownership: fake.ownership, now });
    expect(await guard.check(headersFor(3))).toMatchObject({ reason: "wrong-stamp" });
    expect(await guard.check({})).toMatchObject({ reason: "missing" });
    expect(fake.asked).toEqual([]);
  });

  test("passes a signed request of no tenant, as such", async () => {
    const guard = createGuard({
      stamp: "eu-1",
      keys: [key],
      ownership: fakeOwnership(undefined, undefined).ownership,
      now,
    });
    const headers = {
      [routeHeader]: signRoute({ tenant: undefined, stamp: "eu-1", epoch: 0, minute: minuteOf(nowMs) }, key),
    };
    expect(await guard.check(headers)).toEqual({ kind: "pass", tenant: undefined, epoch: 0 });
    expect(await guard.check(new Headers(headers))).toMatchObject({ kind: "pass" });
  });

  test("highestSeenOwnership() refuses a router that fell behind, says it is weaker, and is bounded", async () => {
    const ownership = highestSeenOwnership({ maxTenants: 2 });
    const guard = createGuard({ stamp: "eu-1", keys: [key], ownership, now });
    expect(guard.assurance).toBe("highest-seen");
    expect(await guard.check(headersFor(5))).toMatchObject({ kind: "pass" });
    expect(await guard.check(headersFor(4))).toMatchObject({ reason: "stale-route" });
    for (const other of ["t1", "t2"]) await guard.check(headersFor(1, other));
    expect(await guard.check(headersFor(4)), "acme is forgotten, as the bound says").toMatchObject({ kind: "pass" });
  });
});

describe("verifyHook()", () => {
  const guard = createGuard({
    stamp: "eu-1",
    keys: [key],
    ownership: fakeOwnership(undefined, undefined).ownership,
    now,
  });

  test("passes a signed hook of a tenant that is not known yet", () => {
    const verdict = verifyHook({ ...headersFor(1), [hookHeader]: "tenant.onCreate" }, guard);
    expect(verdict).toEqual({ kind: "pass", hook: "tenant.onCreate", tenant: "acme", epoch: 1 });
  });

  test.each([
    [{ [hookHeader]: "tenant.onCreate" }, "missing"],
    [headersFor(1), "missing"],
    [{ ...headersFor(1), [hookHeader]: "tenant.onPayday" }, "malformed"],
    [{ ...headersFor(1), [hookHeader]: ["tenant.onCreate", "tenant.onDelete"] }, "malformed"],
    [
      { [routeHeader]: `${headersFor(1)[routeHeader]?.slice(0, -3)}AAA`, [hookHeader]: "tenant.onCreate" },
      "bad-signature",
    ],
  ])("refuses case %#", (headers, reason) => {
    expect(verifyHook(headers, guard)).toMatchObject({ kind: "refuse", reason });
  });
});

describe("guardHttp()", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  async function serve(options?: Parameters<typeof guardHttp>[2]) {
    const fake = fakeOwnership({ state: "active", epoch: 1 }, undefined);
    const guard = createGuard({ stamp: "eu-1", keys: [key], ownership: fake.ownership, now });
    const listener = guardHttp(
      guard,
      (request, response, { tenant }) => {
        if (request.url === "/throw") throw new Error("secret detail");
        if (request.url === "/fenced") throw Object.assign(new Error("tenant acme is not writable"), { code: "SY001" });
        response.end(`hello ${tenant}`);
      },
      options,
    );
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return (path: string, headers: Record<string, string | undefined>) =>
      new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
        const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
        const outgoing = httpRequest({
          host: "127.0.0.1",
          port,
          path,
          headers: sent as Record<string, string>,
          agent: false,
        });
        outgoing.on("error", reject);
        outgoing.on("response", (incoming) => {
          let body = "";
          incoming.setEncoding("utf8").on("data", (text: string) => {
            body += text;
          });
          incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }));
        });
        outgoing.end();
      });
  }

  test("serves who may pass and answers 503 problem+json to others", async () => {
    const get = await serve();
    expect(await get("/", headersFor(1))).toMatchObject({ status: 200, body: "hello acme" });
    const refused = await get("/", {});
    expect(refused).toMatchObject({
      status: 503,
      headers: { "content-type": "application/problem+json", "retry-after": "1", [refusalHeader]: "missing" },
    });
    expect(JSON.parse(refused.body)).toMatchObject({ status: 503, code: "ROUTE_REFUSED", reason: "missing" });
  });

  test("keeps hooks and open paths apart from tenants' requests", async () => {
    const get = await serve({
      hook: (_request, response, { hook, tenant }) => void response.end(`${hook} ${tenant}`),
      open: { "/healthz": (_request, response) => void response.end("well") },
    });
    expect((await get("/any", { ...headersFor(1), [hookHeader]: "tenant.onDelete" })).body).toBe(
      "tenant.onDelete acme",
    );
    expect((await get("/any", { [hookHeader]: "tenant.onDelete" })).status).toBe(503);
    expect((await get("/healthz?deep", {})).body).toBe("well");
    expect((await get("/healthz/..", {})).status).toBe(503);
    expect((await get("/constructor", {})).status).toBe(503);
  });

  test("refuses hook calls where there are no hooks, and hides what a handler throws", async () => {
    const get = await serve();
    expect((await get("/", { ...headersFor(1), [hookHeader]: "tenant.onCreate" })).status).toBe(501);
    const failed = await get("/throw", headersFor(1));
    expect(failed.status).toBe(500);
    expect(failed.body).not.toContain("secret detail");
  });

  test("answers 503 to a write that the fence refused: the same one will work in a moment", async () => {
    const get = await serve();
    const moves = await get("/fenced", headersFor(1));
    expect(moves).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
    expect(JSON.parse(moves.body)).toMatchObject({ code: "TENANT_MOVES" });
    expect(moves.body).not.toContain("acme");
  });
});
