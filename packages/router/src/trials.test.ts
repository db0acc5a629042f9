import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import { ask, eventually, makeTestBed, type TestBed, tenantPut } from "./test-bed/test-bed.ts";

// Rules that hold for one stamp already, on real sockets.

let bed: TestBed;
let router: RunningRouter;
beforeAll(async () => {
  bed = await makeTestBed();
  bed.controlPlane.onCounts = () => ({ status: 200, body: { watched: [], everyMs: 100 } });
  router = await bed.start({ decide: { host: "127.0.0.1", port: 0 } });
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
});
afterAll(async () => {
  await bed[Symbol.asyncDispose]();
});

const loopback = ["127.0.0.1"];
const fleetRules = { domains: ["localhost"] };
const admin = async (path: string, from = router) =>
  (await ask(from.adminPort, { host: "127.0.0.1", path })).json() as Record<string, never>;
const explain = (url: string) => admin(`/explain?url=${encodeURIComponent(url)}`);
const put = (trials: readonly object[]) =>
  bed.controlPlane.change({ kind: "routing-put", routing: { ...fleetRules, trials } as never });
const settled = () =>
  eventually(async () => expect(await admin("/directory")).toMatchObject({ durable: bed.controlPlane.head() }));

describe("rules on trial", () => {
  test("hold for requests of their stamp's tenants, at every door (I5)", async () => {
    put([{ stamps: ["eu-1"], routing: { ...fleetRules, path: { prefix: "/u", strip: true } } }]);
    await settled();
    const one = { host: "app.example", path: "/u/acme/x" };
    const other = { host: "app.example", path: "/u/globex/x" };
    expect((await ask(router.listenPort, one)).json()).toMatchObject({ stamp: "eu-1", url: "/x" });
    expect((await ask(router.listenPort, other)).status).toBe(404);
    const decide = (uri: string) =>
      ask(router.decidePort ?? 0, {
        host: "x",
        path: "/decide",
        headers: { "x-forwarded-host": "app.example", "x-forwarded-uri": uri },
      });
    expect((await decide("/u/acme/x")).headers).toMatchObject({ "stampyard-tenant": "acme" });
    expect((await decide("/u/globex/x")).status).toBe(404);
    expect(await explain("http://app.example/u/acme/x")).toMatchObject({
      outcome: "forward",
      rule: "path",
      trial: { stamps: ["eu-1"] },
      rules: [{}, {}, { rule: "path /u/{tenant}", outcome: "decides" }],
    });
    expect(await explain("http://globex.localhost/")).not.toHaveProperty("trial");
  });

  test("are told by what they lose: the stamp counts it as its fault (I35)", async () => {
    put([{ stamps: ["eu-1"], routing: { domains: ["other.example"] } }]);
    await settled();
    expect((await ask(router.listenPort)).status).toBe(404);
    expect((await ask(router.listenPort, { host: "globex.localhost" })).status).toBe(200);
    expect(await explain("http://acme.localhost/")).toMatchObject({ outcome: "refuse", trial: { lostBy: "eu-1" } });
    const metrics = (await ask(router.adminPort, { host: "127.0.0.1", path: "/metrics" })).body;
    expect(metrics).toMatch(/reason="lost-by-trial"\} 1/);
    await eventually(() =>
      expect(bed.controlPlane.counts.at(-1)?.stamps).toMatchObject({ "eu-1": { errors: 1 }, "eu-2": { errors: 0 } }),
    );
    const asked = { host: "x", path: "/decide", headers: { "x-forwarded-host": "acme.localhost" } };
    expect((await ask(router.decidePort ?? 0, asked)).status, "for an ingress, too").toBe(404);
    await eventually(() => expect(bed.controlPlane.counts.at(-1)?.stamps).toMatchObject({ "eu-1": { errors: 2 } }));
  });

  test("read a header only of peers that they trust, and no stamp gets it from others", async () => {
    const header = { name: "X-Org", trustedPeers: ["10.0.0.0/8"] };
    put([{ stamps: ["eu-1"], routing: { ...fleetRules, header } }]);
    await settled();
    const asked = { host: "app.example", headers: { "x-org": "acme" } };
    expect((await ask(router.listenPort, asked)).status).toBe(404);
    await ask(router.listenPort, { host: "acme.localhost", headers: { "x-org": "globex" } });
    expect(bed.stamps[0].seen.at(-1)?.headers).not.toHaveProperty("x-org");
    put([{ stamps: ["eu-1"], routing: { ...fleetRules, header: { ...header, trustedPeers: loopback } } }]);
    await settled();
    expect((await ask(router.listenPort, asked)).json()).toMatchObject({ stamp: "eu-1" });
    const twice = { host: "app.example", headers: { "x-org": ["acme", "umbrella"] } };
    expect((await ask(router.listenPort, twice)).status).toBe(404);
  });

  test("are there again after a start from disk", async () => {
    put([{ stamps: ["eu-1"], routing: { ...fleetRules, path: { prefix: "/v", strip: true } } }]);
    bed.controlPlane.change(tenantPut("initech", "eu-1"));
    await settled();
    await router.close();
    for (const _ of [1, 2]) {
      const again = await bed.start({ controlPlane: undefined } as never);
      const asked = { host: "app.example", path: "/v/initech/x" };
      await eventually(async () => expect((await ask(again.listenPort, asked)).status).toBe(200));
      await again.close();
    }
  });
});
