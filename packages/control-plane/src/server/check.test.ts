import { createHash, randomBytes } from "node:crypto";
import type { FleetCheckView } from "@stampyard/api";
import type { EngineFact, Stamp } from "@stampyard/domain";
import { createManualClock, createSimulatedEngine } from "@stampyard/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { residencyView } from "./handlers/check.ts";
import { newStamp } from "./stamp-goal.ts";
import { files, fleetYaml, templateYaml } from "./test-files.ts";
import { startTestServer, type TestServer } from "./test-server.ts";

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest());
const random = { bytes: (count: number) => new Uint8Array(randomBytes(count)) };
const residency = `
residency:
  eu-data: { tiers: [regulated], regions: [eu] }
`;
const template = templateYaml
  .replace(
    "metadata: { name: demo, version: 1.0.0 }",
    "metadata: { name: demo, version: 1.0.0 }\nparameters:\n  reports: { type: string, default: none }",
  )
  .replace("components:", "components:\n  mail: { kind: external, url: 'smtp://mail.corp.example:587' }")
  .replace("env: {", 'env: { REPORTS_URL: "${params.reports}", MAIL: "${mail.url}", PAY: "https://pay.example/v1", ');

let postgres: TestPostgres;
let server: TestServer;
const facts = new Map<string, readonly EngineFact[]>();
beforeAll(async () => {
  postgres = await startTestPostgres();
  const engine = createSimulatedEngine({ clock: createManualClock() });
  const seen = async (stamp: string) => {
    const found = facts.get(stamp);
    if (found === undefined) throw new Error("its host does not answer");
    return found;
  };
  server = await startTestServer(await postgres.database(), { ...engine, facts: seen });
  const applied = {
    ...files,
    templateYaml: template,
    fleetYaml: `${fleetYaml.replace("min: 2, max: 3", "min: 0, max: 9")}${residency}`,
  };
  await server.clients.operator.apply({ body: applied });
});
afterAll(async () => {
  await server?.close();
  await postgres?.[Symbol.asyncDispose]();
});

const uid = (more: Partial<EngineFact> = {}): EngineFact => {
  const shown = "user 0";
  return { kind: "uid", component: "api", identity: "0", shown, advisory: "the checkout is closed to others", ...more };
};

async function make(name: string, reports: string, secrets: Readonly<Record<string, string>> = {}): Promise<void> {
  const { fleet } = server.store;
  const row = await fleet.read();
  const release = await fleet.release(row?.value.release ?? "sha256:none");
  const pool = row?.value.fleet.pools.find((one) => one.name === "shared");
  if (release === undefined || pool === undefined) throw new Error("Nothing is applied");
  const identity = { name, pool: "shared", region: name.endsWith("us") ? "us" : "eu" };
  const made = newStamp(release, { identity, pool, own: { reports } }, sha256, random);
  await server.store.stamps.create({ ...made, secrets: { ...made.secrets, ...secrets } }, server.ctx);
}

const told = (report: FleetCheckView) =>
  report.findings.map(({ verdict, kind, stamps, what }) => `${verdict} ${kind} ${stamps.join("+")} ${what}`);

const outside = (stamps: string) => [
  `undeclared external ${stamps} pay.example:443`,
  `declared-outside external ${stamps} mail.corp.example:587`,
];

test("fleetCheck finds what two stamps share, tells what is outside, and shows no secret (I33)", async () => {
  await make("one", "none");
  await make("two", "none");
  facts.set("one", [uid()]);
  facts.set("two", [uid({ component: "worker" })]);
  const { viewer } = server.clients;
  const advisory = "advisory uid one+two user 0: the checkout is closed to others";
  expect(told(await viewer.fleetCheck())).toEqual([...outside("one+two"), advisory]);

  const password = "copied-from-one-stamp-to-the-other";
  await make("three", "postgres://a:pw-of-a@reports.corp.example/a", { "cache.password": password });
  await make("four", "postgres://b:pw-of-b@reports.corp.example/b", { "cache.password": password });
  facts.set("three", [
    uid({ identity: "7", shown: "user 7" }),
    { kind: "port", component: "api", identity: "21000", shown: "port 21000" },
  ]);
  const report = await viewer.fleetCheck();
  expect(told(report)).toEqual([
    "shared credential four+three cache.password",
    "shared database four+three reports.corp.example:5432",
    ...outside("four+one+three+two"),
    advisory,
  ]);
  expect(report.findings[1]?.where).toEqual(["env REPORTS_URL of api", "parameter reports"]);
  expect(report.unseen).toEqual([{ stamp: "four", why: "its machine: Unexpected failure" }]);
  const text = JSON.stringify(report);
  for (const secret of [password, "pw-of-a", "pw-of-b"]) expect(text).not.toContain(secret);

  expect(told(await viewer.fleetCheck({ query: { stamp: "one" } }))).toEqual([
    ...outside("four+one+three+two"),
    advisory,
  ]);
  await expect(viewer.fleetCheck({ query: { stamp: "nobody" } })).rejects.toMatchObject({ code: "STAMP_NOT_FOUND" });
});

test("fleetCheck compares an adopted stamp by what is known of it, and says that this is little", async () => {
  const adoption = {
    endpoints: [{ host: "10.0.0.1", port: 8080 }],
    hasDatabase: true,
    capabilities: { guard: false, fence: false, drain: false, restore: false },
  };
  const zero: Stamp = {
    name: "zero",
    pool: "shared",
    region: "eu",
    state: { kind: "requested" },
    goal: "present",
    origin: "adopted",
    adoption,
    releaseDigest: "sha256:none",
    stampDigest: "sha256:none",
    parameters: {},
    capacity: { tenants: 10, units: {} },
    endpoints: [],
    endpointRevision: 0,
  };
  const databaseUrl = "postgres://zero:a-password-of-zero@reports.corp.example/zero";
  await server.store.stamps.adopt({ stamp: zero, databaseUrl }, server.ctx);
  const report = await server.clients.viewer.fleetCheck({ query: { stamp: "zero" } });
  expect(told(report)).toEqual(["shared database four+three+zero reports.corp.example:5432"]);
  expect(report.unseen).toEqual([{ stamp: "zero", why: expect.stringContaining("it was adopted") }]);
  expect(JSON.stringify(report)).not.toContain("a-password-of-zero");
});

test("residencyList tells where each tenant lives, where it may, by which rule, and who must not", async () => {
  await make("far-us", "none");
  const { store, ctx } = server;
  await store.tenants.create({ key: "free", pool: "shared" }, ctx);
  await store.tenants.create({ key: "bank", pool: "shared", tier: "regulated" }, ctx);
  await store.tenants.create({ key: "local", pool: "shared", residency: ["us"] }, ctx);
  const { viewer } = server.clients;
  const all = await viewer.residencyList();
  const row = (tenant: string) => all.items.find((one) => one.tenant === tenant);
  expect(row("free")).toMatchObject({ allowed: [], residency: [] });
  expect(row("bank")).toMatchObject({ allowed: ["eu"], rule: "eu-data", tier: "regulated" });
  expect(row("local")).toMatchObject({ allowed: ["us"], residency: ["us"] });
  expect((await viewer.residencyList({ query: { violations: true } })).items).toEqual([]);
});

test("residencyView() names the rule or the wish that a home breaks", () => {
  const rules = [{ name: "eu-data", tiers: ["regulated"], regions: ["eu"] }];
  const regions = new Map([["far", "us"]]);
  const tenant = {
    pool: "p",
    weight: {},
    hostnames: [],
    goal: "present",
    state: { kind: "active" },
    epoch: 1,
  } as const;
  const bank = { ...tenant, key: "bank", tier: "regulated", residency: [], stamp: "far" };
  expect(residencyView(bank, rules, regions)).toMatchObject({
    region: "us",
    rule: "eu-data",
    violation: "may live only in eu, not in us: residency rule eu-data",
  });
  const wish = { ...tenant, key: "wish", tier: "standard", residency: ["fra"], stamp: "far" };
  expect(residencyView(wish, rules, regions).violation).toBe("asks to live only in fra, not in us");
  const lost = residencyView({ ...bank, stamp: "gone" }, rules, regions);
  expect([lost.region, lost.violation]).toEqual([undefined, undefined]);
  const { stamp: _, ...homeless } = { ...bank, residency: ["us"] };
  expect(residencyView(homeless, rules, regions)).toMatchObject({
    allowed: [],
    violation: expect.stringContaining("can live nowhere"),
  });
});
