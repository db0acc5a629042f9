import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import { ask, eventually, makeTestBed, type TestBed, tenantPut } from "./test-bed/test-bed.ts";

let bed: TestBed;
let router: RunningRouter;
beforeAll(async () => {
  bed = await makeTestBed();
  router = await bed.start({ decide: { host: "127.0.0.1", port: 0 } });
  await settled("acme.localhost", "acme");
});
afterAll(async () => {
  await bed[Symbol.asyncDispose]();
});

const admin = async (path: string) => (await ask(router.adminPort, { host: "127.0.0.1", path })).json();
const explain = (url: string, more = "") => admin(`/explain?url=${encodeURIComponent(url)}${more}`);
const settled = (host: string, tenant: string) =>
  eventually(async () => expect(await explain(`http://${host}/`)).toMatchObject({ tenant, outcome: "forward" }));
const decide = (headers: Record<string, string>, path = "/decide") =>
  ask(router.decidePort ?? 0, { host: "127.0.0.1", path, headers });

describe("GET /decide", () => {
  test("names stamp, endpoint, epoch and a header that the stamp's guard believes (I5)", async () => {
    const answer = await decide({ "x-forwarded-host": "acme.localhost", "x-forwarded-uri": "/t/acme/a?x=1" });
    const { port, guard } = bed.stamps[0];
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      "stampyard-tenant": "acme",
      "stampyard-stamp": "eu-1",
      "stampyard-endpoint": `127.0.0.1:${port}`,
      "stampyard-epoch": "3",
      "stampyard-uri": "/t/acme/a?x=1",
    });
    expect(await guard.check(answer.headers)).toMatchObject({ kind: "pass", tenant: "acme" });
    expect(bed.stamps[0].seen).toHaveLength(0);
  });

  test("reads the path behind it, as Envoy asks", async () => {
    const answer = await ask(router.decidePort ?? 0, { host: "other.example", path: "/decide/t/globex/a?b=/c" });
    expect(answer.headers).toMatchObject({ "stampyard-tenant": "globex", "stampyard-uri": "/a?b=/c" });
  });

  test("refuses with the router's own status, or with 403 and the status beside it (I4)", async () => {
    const host = { "x-forwarded-host": "nobody.localhost" };
    expect(await decide(host)).toMatchObject({ status: 404, headers: { "stampyard-reason": "unknown-tenant" } });
    const flat = await decide(host, "/decide?refuse=403");
    expect(flat).toMatchObject({ status: 403, headers: { "stampyard-status": "404" } });
    expect(flat.headers["stampyard-route"]).toBeUndefined();
    expect((await decide({ "x-forwarded-host": "a/b" })).status).toBe(400);
    expect((await decide({ "x-forwarded-host": "acme.localhost", "x-forwarded-uri": "/t/globex" })).status).toBe(400);
  });

  test("believes the tenant header only of clients that routing trusts", async () => {
    const asked = { "x-forwarded-host": "other.example", "x-tenant": "globex" };
    expect((await decide(asked)).status).toBe(404);
    expect((await decide({ ...asked, "x-forwarded-for": "203.0.113.9" })).status).toBe(404);
    expect((await decide({ ...asked, "x-forwarded-for": "10.1.1.1, 203.0.113.9" })).status).toBe(404);
    const trusted = await decide({ ...asked, "x-forwarded-for": "203.0.113.9, 10.1.1.1" });
    expect(trusted.headers["stampyard-tenant"]).toBe("globex");
  });
});

describe("a tenant in a move (D13)", () => {
  test("its requests wait and go to the new home, others do not notice", async () => {
    bed.controlPlane.change(tenantPut("mover", "eu-1", 1));
    await settled("mover.localhost", "mover");
    bed.controlPlane.send({ kind: "hold", tenant: "mover", moveId: "m1", ttlMs: 5_000 });
    await eventually(async () =>
      expect(await explain("http://mover.localhost/")).toMatchObject({ outcome: "wait", hold: { moveId: "m1" } }),
    );
    const waiting = ask(router.listenPort, { host: "mover.localhost" });
    const asked = decide({ "x-forwarded-host": "mover.localhost" });
    await eventually(async () => expect((await admin("/holds"))["holds"]).toMatchObject([{ waiting: 1, inFlight: 0 }]));
    expect((await ask(router.listenPort)).json()).toMatchObject({ stamp: "eu-1" });
    bed.controlPlane.change(tenantPut("mover", "eu-2", 2));
    bed.controlPlane.send({ kind: "release", tenant: "mover", moveId: "m1" });
    expect((await waiting).json()).toMatchObject({ stamp: "eu-2", verdict: { kind: "pass", epoch: 2 } });
    expect((await asked).headers["stampyard-stamp"]).toBe("eu-2");
  });

  test("a hold that nobody releases ends in 503 with Retry-After, and then in nothing", async () => {
    bed.controlPlane.send({ kind: "hold", tenant: "globex", moveId: "m2", ttlMs: 300 });
    await eventually(async () => expect((await admin("/holds"))["holds"]).toMatchObject([{ tenant: "globex" }]));
    const answer = await ask(router.listenPort, { host: "globex.localhost" });
    expect(answer).toMatchObject({ status: 503, headers: { "retry-after": expect.stringMatching(/^[1-4]$/) } });
    expect(answer.json()).toMatchObject({ code: "TENANT_HELD", reason: "held" });
    expect((await ask(router.listenPort, { host: "globex.localhost" })).status).toBe(200);
  });
});

describe("routing by the file's long form", () => {
  const stamp = (name: string, region: string) => {
    const put = bed.stamps[name === "eu-1" ? 0 : 1].put();
    return { ...put, region } as typeof put;
  };

  test("limits of a tenant answer 429 with Retry-After, and count nobody else", async () => {
    bed.controlPlane.change({
      kind: "routing-put",
      routing: { domains: ["localhost"], limits: { requestsPerSecond: 0.01, burst: 2 } },
    });
    await eventually(async () => expect(await explain("http://acme.localhost/")).toHaveProperty("limits"));
    const statuses: number[] = [];
    for (let n = 0; n < 3; n++) statuses.push((await ask(router.listenPort)).status);
    expect(statuses).toEqual([200, 200, 429]);
    const refused = await ask(router.listenPort);
    expect(refused.json()).toMatchObject({ code: "RATE_LIMITED", reason: "too-many-requests" });
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(50);
    expect((await ask(router.listenPort, { host: "umbrella.localhost" })).status).toBe(200);
    const tiers = { gold: { requestsPerSecond: 1_000 } };
    const limits = { requestsPerSecond: 0.01, burst: 2, tiers };
    const acme = tenantPut("acme", "eu-1", 3, ["notes.acme.com"]);
    bed.controlPlane.change({ kind: "routing-put", routing: { domains: ["localhost"], limits } });
    bed.controlPlane.change({ ...acme, tier: "gold" } as typeof acme);
    await eventually(async () => {
      expect(await explain("http://acme.localhost/")).toMatchObject({ limits: { limits: tiers.gold } });
    });
    for (let n = 0; n < 5; n++) expect((await ask(router.listenPort)).status).toBe(200);
    bed.controlPlane.change({ kind: "routing-put", routing: { domains: ["localhost"], limits: { concurrency: 1 } } });
    await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
    const [slow] = bed.stamps;
    const { handler } = slow;
    let finish = () => {};
    slow.handler = (_, response) => {
      finish = () => void response.end("done");
    };
    const first = ask(router.listenPort);
    await eventually(async () => expect(await explain("http://acme.localhost/")).toMatchObject({ inFlight: 1 }));
    expect((await ask(router.listenPort)).json()).toMatchObject({ reason: "too-many-at-once" });
    finish();
    expect((await first).body).toBe("done");
    slow.handler = handler;
    await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
  });

  test("geography, aliases and fallback; what nobody claims is listed (I4, D18)", async () => {
    bed.controlPlane.change(
      stamp("eu-1", "eu"),
      stamp("eu-2", "us"),
      { kind: "tenant-put", tenant: "acme", stamp: "eu-1", epoch: 3, hostnames: [], aliases: ["api-key:ak_1"] },
      {
        kind: "routing-put",
        routing: {
          domains: [],
          rules: [
            { kind: "host", host: "www.localhost" },
            { kind: "subdomain", domain: "localhost" },
            { kind: "alias", alias: "api-key", header: "x-api-key", until: "." },
          ],
          geography: {
            country: { header: "x-country", trustedPeers: ["127.0.0.1"] },
            pool: "shared",
            regions: { eu: ["DE"], us: ["US"] },
          },
          catchAll: { stamp: "eu-2", until: "2999-12-31" },
        },
      },
    );
    const get = (host: string, headers: Record<string, string> = {}, path = "/") =>
      ask(router.listenPort, { host, headers, path });
    await eventually(async () => expect((await get("www.localhost", { "x-country": "DE" })).status).toBe(200));
    const german = (await get("www.localhost", { "x-country": "DE" })).json();
    expect(german).toMatchObject({ stamp: "eu-1" });
    expect(german["verdict"]).not.toHaveProperty("tenant");
    expect((await get("www.localhost", { "x-country": "us" })).json()).toMatchObject({ stamp: "eu-2" });
    expect((await get("www.localhost", { "x-country": "FR" })).json()).toMatchObject({ reason: "no-region" });
    expect((await get("api.example", { "x-api-key": "ak_1.secret" })).json()).toMatchObject({
      stamp: "eu-1",
      verdict: { tenant: "acme" },
    });
    expect((await get("old.example", {}, "/orders/4711/x")).json()).toMatchObject({ stamp: "eu-2" });
    expect((await get("old.example", {}, "/orders/12/x")).status).toBe(200);
    expect(await admin("/unresolved")).toMatchObject({
      catchAll: { stamp: "eu-2" },
      rows: [{ host: "old.example", path: "/orders/{n}/x", reason: "no-tenant", count: 2 }],
    });
    expect(await explain("http://old.example/")).toMatchObject({ rule: "catch-all", unresolved: "no-tenant" });
  });
});

test("a router of one region answers 307 or 421 for others, and never connects there", async () => {
  const own = await makeTestBed();
  await using _ = own;
  own.controlPlane.change({ ...(own.stamps[1].put() as object), region: "us" } as ReturnType<
    (typeof own.stamps)[1]["put"]
  >);
  const sending = await own.start({ regions: ["eu-central"], redirect: "https://{tenant}.{region}.example.com" });
  const at = (port: number) => ask(port, { host: "globex.localhost", path: "/a?b=1" });
  const moved = await eventually(async () => {
    const answer = await at(sending.listenPort);
    expect(answer.status).toBe(307);
    return answer;
  });
  expect(moved.headers["location"]).toBe("https://globex.us.example.com/a?b=1");
  expect((await ask(sending.listenPort)).status).toBe(200);
  await sending.close();
  const refusing = await own.start({ regions: ["eu-central"] });
  const refused = await eventually(async () => {
    const answer = await at(refusing.listenPort);
    expect(answer.status).toBe(421);
    return answer;
  });
  expect(refused.json()).toMatchObject({ code: "OTHER_REGION" });
  expect(own.stamps[1].seen).toHaveLength(0);
});
