import { createServer, type IncomingMessage, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { type Template, verifyTenantKey } from "@stampyard/domain";
import { makeRouteKey, minuteOf, routeHeader, signRoute } from "@stampyard/guard";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { createWorld, settle, type World } from "./test-world.ts";
import { lastingRules, wayIn } from "./verify-carriers.ts";

const id = { of: "verify", field: "id" } as const;
const key = { of: "tenant", field: "key" } as const;
const steps: NonNullable<Template["verify"]> = [
  { method: "PUT", path: ["/notes/", id], headers: {}, body: ['{"title":"of ', key, '"}'], timeoutMs: 2_000 },
  { method: "GET", path: ["/notes/", id], headers: {}, text: ["of ", key], status: 200, timeoutMs: 2_000 },
  { method: "DELETE", path: ["/notes/", id], headers: {}, timeoutMs: 2_000 },
];

let postgres: TestPostgres;
let world: World;
let router: Awaited<ReturnType<typeof startRouter>> | undefined;
/** What the application keeps, by tenant and path, and who asked for what. */
let notes: Map<string, string>;
let asked: string[];
beforeAll(async () => {
  postgres = await startTestPostgres();
  world = await createWorld(postgres, { verify: steps });
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  world.setPoint(() => {});
  notes = new Map();
  asked = [];
  world.application.state.serve = (request, tenant) => serve(request, tenant);
});
afterEach(async () => {
  await router?.close();
  router = undefined;
});

function serve(request: IncomingMessage, tenant: string): string | undefined {
  const place = `${tenant}${request.url}`;
  asked.push(`${request.method} ${tenant}`);
  if (request.method === "PUT") notes.set(place, `of ${tenant}`);
  const note = notes.get(place);
  if (request.method === "DELETE") notes.delete(place);
  return note;
}

/** What a router does, in little: the tenant of the Host, if the directory has it, signed for its home. */
async function startRouter(name = "edge", tellsEntrance = true) {
  const { store } = world;
  const server = createServer((request, response) => {
    const tenant = request.headers.host?.split(".")[0] ?? "";
    const forward = async () => {
      if ((await store.directory.tenantVersion(tenant)) === undefined) return response.writeHead(404).end();
      const stamp = tenant.replace(verifyTenantKey(""), "");
      const [routeKey] = await store.stamps.routeKeys(stamp);
      if (routeKey === undefined) return response.writeHead(503).end();
      const claim = { tenant, stamp, epoch: 1, minute: minuteOf(world.clock.now()) };
      const signed = signRoute(claim, makeRouteKey(routeKey.kid, routeKey.secret));
      const { method, url = "/" } = request;
      const options = { ...world.application.endpoint, method, path: url, headers: { [routeHeader]: signed } };
      const onward = httpRequest({ ...options, agent: false }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onward.on("error", () => response.destroy());
      return request.pipe(onward);
    };
    forward().catch(() => response.writeHead(500).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const entrance = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const seen = () => store.routers.seen({ name, ...(tellsEntrance ? { entrance } : {}) });
  const follow = async () => store.routers.acknowledge({ router: name, ...(await store.directory.head()) });
  await seen();
  await follow();
  const unwatch = store.watch((event) => {
    if (event.kind === "directory") void follow().catch(() => {});
  });
  return {
    async close() {
      unwatch();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const stampOf = async (name: string) => (await world.store.stamps.read(name))?.value;

/** Nothing of the tenant that showed it: not in its stamp, its application, the directory or the store. */
async function expectNothingLeft(name: string): Promise<void> {
  const tenant = verifyTenantKey(name);
  expect(await world.homesOf(tenant)).toEqual([]);
  expect(notes).toEqual(new Map());
  expect(world.application.calls.at(-1)).toBe(`tenant.onDelete ${tenant} ${name} 1`);
  await expect.poll(async () => (await world.store.directory.head()).pending).toBe(0);
  expect(await world.store.directory.tenantVersion(tenant)).toBeUndefined();
  expect((await world.store.tenants.list()).items).toEqual([]);
  expect((await world.store.stamps.used([name])).get(name)?.tenants ?? 0).toBe(0);
}

describe("a new stamp", () => {
  test("is asked at its endpoint while no router can be asked, and its record says so", async () => {
    await world.createStamp("alone-1");
    await settle(world, world.freshDeps());
    expect(await stampOf("alone-1")).toMatchObject({
      state: { kind: "active" },
      verification: { through: "endpoint", note: "not through a router: none was connected" },
    });
    router = await startRouter("old", false);
    await world.createStamp("alone-2");
    await settle(world, world.freshDeps());
    const note = "not through a router: old did not say where it is entered";
    expect((await stampOf("alone-2"))?.verification).toMatchObject({ through: "endpoint", note });
    await expectNothingLeft("alone-2");
  });

  test("takes tenants after one of ours was written, read and removed through a router", async () => {
    router = await startRouter();
    await world.createStamp("eu-1");
    await settle(world, world.freshDeps());
    const stamp = await stampOf("eu-1");
    expect(stamp).toMatchObject({
      state: { kind: "active" },
      verification: { through: "router", router: "edge", steps: 3, stampDigest: stamp?.stampDigest },
    });
    expect(stamp?.verification?.note).toBeUndefined();
    const tenant = verifyTenantKey("eu-1");
    expect(asked).toEqual([`PUT ${tenant}`, `GET ${tenant}`, `DELETE ${tenant}`]);
    await expectNothingLeft("eu-1");
    const audit = (await world.store.audit.list({ subject: "stamp/eu-1" })).items.map(({ action }) => action);
    expect(audit).toEqual([
      "stamp.create",
      "stamp.provisioning",
      "stamp.verifying",
      "stamp.verify",
      "stamp.verify",
      "stamp.active",
    ]);
  });

  test("comes in by another router where one is dead, and asks again where it is told to wait", async () => {
    await world.store.routers.seen({ name: "dead", entrance: "http://127.0.0.1:1" });
    router = await startRouter();
    let refusals = 2;
    world.application.state.refuse = () => refusals-- > 0;
    await world.createStamp("patient-1");
    await settle(world, world.freshDeps());
    world.application.state.refuse = () => false;
    expect(refusals).toBeLessThan(0);
    expect((await stampOf("patient-1"))?.verification).toMatchObject({ through: "router", router: "edge" });
    await world.store.routers.seen({ name: "dead" });
    await expectNothingLeft("patient-1");
  });

  test("that answers wrongly takes no tenants, says which request it was, and is tried again", async () => {
    router = await startRouter();
    let isForgetful = true;
    world.application.state.serve = (request, tenant) => {
      const answer = serve(request, tenant);
      return isForgetful && request.method === "GET" ? "of somebody else" : answer;
    };
    await world.createStamp("wrong-1");
    const deps = world.freshDeps();
    const failures: string[] = [];
    const warn = (_: object, message: string) => {
      failures.push(message);
      // Seen twice, then mended: the clock of this world leaps over the waiting.
      isForgetful = failures.length < 2;
    };
    const writes: string[] = [];
    const stamps = { ...deps.store.stamps };
    const { write } = stamps;
    stamps.write = (stamp, ...rest) => {
      if (stamp.state.kind === "failed") writes.push(stamp.state.cause);
      return write(stamp, ...rest);
    };
    await settle(world, { ...deps, log: { ...deps.log, warn }, store: { ...deps.store, stamps } });
    expect(failures).toHaveLength(2);
    expect(writes[0]).toMatch(
      /^GET \/notes\/[0-9a-f-]{36} through router edge was answered without "of stampyard-verify-wrong-1": "of somebody else"\. Mend/,
    );
    expect(await stampOf("wrong-1")).toMatchObject({ state: { kind: "active" }, verification: { through: "router" } });
    // What the failed attempts wrote is the application's to remove, with its hook.
    for (const place of notes.keys()) expect(place).toMatch(/^stampyard-verify-wrong-1/);
    expect(await world.homesOf(verifyTenantKey("wrong-1"))).toEqual([]);
  });

  test("is shown to work once more, and nothing is left, wherever a verification was killed (I26, I27)", async () => {
    router = await startRouter();
    const points: string[] = [];
    const isPart = (where: string) => /^(?:homes|hooks|stamps\.write)/.test(where);
    world.setPoint((where) => void (isPart(where) && points.push(where)));
    await world.createStamp("whole");
    await settle(world, world.freshDeps());
    expect(points).toContain("homes.forget:after");
    // Between the end of one step and the beginning of the next nothing is durable: killed there is killed once.
    const places = points.flatMap((name, at) => (at > 0 && name.endsWith(":before") ? [] : [at]));
    expect(places.length).toBeGreaterThan(10);

    for (const crashAt of places) {
      const name = `crash-${crashAt}`;
      let passed = 0;
      let life = new AbortController();
      world.setPoint((where) => {
        if (life.signal.aborted) throw new Error("dead");
        if (!isPart(where) || passed++ !== crashAt) return;
        life.abort(new Error(`killed at ${where}`));
        throw life.signal.reason;
      });
      await world.createStamp(name);
      await settle(world, world.freshDeps(), life.signal).catch((caught: unknown) => {
        if (!life.signal.aborted) throw caught;
      });
      expect(life.signal.aborted, `point ${crashAt} was reached`).toBe(true);
      life = new AbortController();
      await settle(world, world.freshDeps());
      const stamp = await stampOf(name);
      expect(stamp, `killed at ${points[crashAt]}`).toMatchObject({ state: { kind: "active" } });
      expect(stamp?.verification).toMatchObject({ through: "router", steps: 3 });
      await expectNothingLeft(name);
      await world.store.stamps.remove(name, { force: false }, world.ctx());
      await settle(world, world.freshDeps());
    }
  }, 60_000);

  test("that is not wanted any more is not verified to the end", async () => {
    router = await startRouter();
    await world.createStamp("unwanted-1");
    let hasAsked = false;
    world.application.state.serve = (request, tenant) => {
      if (!hasAsked) void world.store.stamps.remove("unwanted-1", { force: false }, world.ctx());
      hasAsked = true;
      return serve(request, tenant);
    };
    await settle(world, world.freshDeps());
    expect(hasAsked).toBe(true);
    expect(await stampOf("unwanted-1")).toBeUndefined();
    await expect.poll(async () => (await world.store.directory.head()).pending).toBe(0);
    expect(await world.store.directory.tenantVersion(verifyTenantKey("unwanted-1"))).toBeUndefined();
  });
});

test("a stamp whose template declares no requests is active on health and digest, and says so", async () => {
  await using plain = await createWorld(postgres);
  await plain.createStamp("eu-1");
  await settle(plain, plain.freshDeps());
  expect((await plain.store.stamps.read("eu-1"))?.value).toMatchObject({
    state: { kind: "active" },
    verification: { through: "none", steps: 0, note: "no verify steps declared" },
  });
  expect(plain.application.calls).toEqual([]);
});

test("wayIn() names the tenant by the first rule that anybody may use", () => {
  const all = { domains: ["notes.example.com"], path: { prefix: "/t", strip: true } };
  const header = { kind: "header", name: "x-tenant", trustedPeers: ["10.0.0.1"] } as const;
  const path = { kind: "path", prefix: "/t", strip: false } as const;
  const host = { kind: "host", host: "www.example.com" } as const;
  expect(wayIn(all, "t1")).toEqual({ host: "t1.notes.example.com", prefix: "", headers: {} });
  expect(wayIn({ domains: [], rules: [header, path] }, "t1")).toMatchObject({ prefix: "/t/t1", headers: {} });
  expect(wayIn({ domains: [], rules: [host, { kind: "hostname" }] }, "t1")).toMatchObject({
    host: "t1.stampyard.invalid",
  });
  expect(wayIn({ domains: [], rules: [host, header] }, "t1")).toMatchObject({ headers: { "x-tenant": "t1" } });
  expect(wayIn({ domains: [], rules: [host] }, "t1")).toBeUndefined();
});

test("lastingRules() are those that hold before and after every change of rules that is under way", () => {
  const header = { name: "x-tenant", trustedPeers: [] };
  const rules = { domains: ["old.example", "new.example"], path: { prefix: "/t", strip: true }, header };
  const goal = { domains: ["new.example"], path: { prefix: "/t", strip: false }, header };
  const lasting = lastingRules(rules, [rules, goal]);
  expect(lasting.rules).toEqual([{ kind: "subdomain", domain: "new.example" }, { kind: "hostname" }]);
  expect(wayIn(lasting, "t1")).toMatchObject({ host: "t1.new.example" });
});
