import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RunningRouter } from "./router.ts";
import { ask, eventually, makeTestBed, type TestBed } from "./test-bed/test-bed.ts";

let bed: TestBed;
let router: RunningRouter;

beforeEach(async () => {
  bed = await makeTestBed();
  router = await bed.start({ accessLog: join(bed.folder, "access.log") });
  await eventually(async () => expect((await ask(router.listenPort)).status).toBe(200));
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

const admin = async (path: string, headers: Record<string, string> = {}, host = "127.0.0.1") =>
  await ask(router.adminPort, { host, path, headers });
const explain = async (url: string, more = "") =>
  (await admin(`/explain?url=${encodeURIComponent(url)}${more}`)).json();

test("/explain says which rule, tenant, stamp, epoch and endpoint, or why not", async () => {
  expect(await explain("http://acme.localhost:8080/notes?x=1")).toMatchObject({
    outcome: "forward",
    rule: "subdomain",
    tenant: "acme",
    stamp: "eu-1",
    epoch: 3,
    endpoints: [`127.0.0.1:${bed.stamps[0].port}`],
    forwardedPath: "/notes",
    rules: [
      { rule: "host {tenant}.localhost", outcome: "decides", tenant: "acme" },
      { rule: "hostnames of tenants", outcome: "no-match" },
      { rule: "path /t/{tenant}", outcome: "no-match" },
      { rule: "header x-tenant", outcome: "not-trusted" },
    ],
  });
  expect(await explain("http://127.0.0.1/t/globex/a")).toMatchObject({
    rule: "path",
    stamp: "eu-2",
    forwardedPath: "/a",
  });
  expect(await explain("http://nobody.localhost/")).toMatchObject({
    outcome: "refuse",
    reason: "unknown-tenant",
    status: 404,
  });
  expect(await explain("http://acme.localhost/t/globex/")).toMatchObject({
    reason: "conflicting-carriers",
    rules: [
      { kind: "subdomain", outcome: "decides", tenant: "acme" },
      { kind: "hostname" },
      { kind: "path", outcome: "conflicts", tenant: "globex" },
      { kind: "header" },
    ],
  });
  expect(await explain("http://127.0.0.1/", "&header=x-tenant:%20acme")).toMatchObject({ reason: "no-tenant" });
  expect(await explain("http://127.0.0.1/", "&header=X-Tenant:%20acme&peer=10.1.2.3")).toMatchObject({
    rule: "header",
    tenant: "acme",
  });
  expect(await explain("nonsense")).toMatchObject({ reason: "bad-target" });
});

test("/stats and /metrics count requests, errors and refusals per stamp", async () => {
  await bed.stamps[1].stop();
  for (let n = 0; n < 5; n++) await ask(router.listenPort, { host: "globex.localhost" });
  await ask(router.listenPort, { host: "nobody.localhost" });
  const stats = (await admin("/stats")).json();
  expect(stats).toMatchObject({
    name: "r1",
    stamps: { "eu-2": { requests: 5, errors: 5, statuses: { "5xx": 5 } }, "eu-1": { errors: 0 } },
    refusals: { "stamp-unreachable": 5, "unknown-tenant": 1 },
    directory: { feed: "following" },
  });
  const { p50Ms, p99Ms } = (stats["stamps"] as Record<string, { p50Ms: number; p99Ms: number }>)["eu-1"] ?? {
    p50Ms: 0,
    p99Ms: 0,
  };
  expect(p50Ms).toBeGreaterThan(0);
  expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  const text = (await admin("/metrics")).body;
  expect(text).toContain('stampyard_router_requests_total{stamp="eu-2",class="5xx"} 5');
  expect(text).toContain('stampyard_router_errors_total{stamp="eu-2"} 5');
  expect(text).toContain('stampyard_router_refusals_total{reason="unknown-tenant"} 1');
  expect(text).toMatch(/stampyard_router_request_seconds_bucket\{stamp="eu-2",le="\+Inf"\} 5/);
  expect(text).toContain(`stampyard_router_directory_version ${bed.controlPlane.head().version}`);
});

test("the access log says who went where, and nothing secret", async () => {
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await ask(router.listenPort, {
    path: "/notes?token=secret",
    headers: { authorization: "Bearer secret", traceparent },
  });
  await ask(router.listenPort, { host: "nobody.localhost" });
  await router.close();
  const text = await readFile(join(bed.folder, "access.log"), "utf8");
  expect(text).not.toContain("secret");
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.at(-2)).toMatchObject({
    tenant: "acme",
    stamp: "eu-1",
    epoch: 3,
    rule: "subdomain",
    status: 200,
    path: "/notes",
    traceparent,
  });
  expect(lines.at(-1)).toMatchObject({ status: 404, reason: "unknown-tenant" });
  expect(lines.at(-1)).not.toHaveProperty("tenant");
});

test("the admin listener answers no browser page and no name that was rebound to it", async () => {
  expect((await admin("/livez")).status).toBe(200);
  expect((await admin("/livez", {}, "localhost:1")).status).toBe(200);
  expect((await admin("/livez", { origin: "http://evil.example" })).status).toBe(403);
  expect((await admin("/livez", {}, "evil.example")).status).toBe(403);
  expect((await admin("/directory/accept?version=1")).status).toBe(404);
});
