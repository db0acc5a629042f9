import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, type LightFleet, lightFleet, until } from "../light-fleet.ts";

/** Routing rules over real stamps by waves, under the traffic of their tenants: a good change, then one that loses everybody. */

const old = "domains: [localhost]";
const withPath = `${old}\n  path: { prefix: /t }`;
const tenants = ["t1", "t2", "t3"];
const homes = new Map(tenants.map((tenant, index) => [tenant, `shared-${index + 1}`]));

let fleet: LightFleet;
let router: string;

beforeAll(async () => {
  fleet = lightFleet("rules");
  const [plain = ""] = fleetFile().split(/^rollout:/m);
  const pools = plain.replace("min: 1, max: 2", "min: 3, max: 3");
  writeFleet(`${pools}rollout:
  canary: { leastPerMinute: 0, bake: 3s }
  waves: [{ count: 1, approval: true }, { rest: true }]
  bake: 1s
  gate:
    errors: { leastRequests: { updated: 20, siblings: 40 } }
    wait: 30s
`);
  // Spans of a second instead of five.
  process.env["STAMPYARD_EVIDENCE_MS"] = "1000";
  ({ router } = await fleet.up());
  for (const [tenant, stamp] of homes) await fleet.json("tenant", "create", tenant, "--stamp", stamp, "--wait");
}, 60_000);
afterAll(async () => {
  delete process.env["STAMPYARD_EVIDENCE_MS"];
  await fleet?.[Symbol.asyncDispose]();
}, 60_000);

const fleetFile = () => readFileSync(join(fleet.dir, "fleet.yaml"), "utf8");
const writeFleet = (text: string) => writeFileSync(join(fleet.dir, "fleet.yaml"), text);

interface Shown {
  readonly id: string;
  readonly phase: string;
  readonly why?: string;
  readonly stamps: readonly { readonly stamp: string; readonly phase: string }[];
}

/** Applies what the file says. @returns the rollout that it began */
async function apply(): Promise<string> {
  const { code, out, err } = await fleet.run(["apply", "-o", "json"]);
  expect(code, err).toBe(0);
  return (JSON.parse(out) as { rollout: string }).rollout;
}

const show = (id: string) => fleet.json<Shown>("rollout", "show", id);
const ended = (id: string) =>
  until(
    `rollout ${id} to end`,
    async () => {
      const shown = await show(id);
      return ["done", "aborted", "paused"].includes(shown.phase) ? shown : undefined;
    },
    60_000,
  );

/** As a client that knows a tenant by its path only. */
function byPath(tenant: string): Promise<number> {
  const { hostname, port } = new URL(router);
  return new Promise((settle) => {
    const asked = { hostname, port, path: `/t/${tenant}/`, headers: { host: "app.example" } };
    const sent = request(asked, (response) => {
      response.resume().on("end", () => settle(response.statusCode ?? 0));
    });
    sent.on("error", () => settle(0)).end();
  });
}

/** Every tenant's own traffic until it is disposed of: how many requests, and failed ones by tenant. */
function traffic() {
  const failed = new Map<string, number>();
  let requests = 0;
  let isOver = false;
  const clients = tenants.map(async (tenant) => {
    while (!isOver) {
      const { status } = await ask(router, tenant);
      requests += 1;
      if (status !== 200) failed.set(tenant, (failed.get(tenant) ?? 0) + 1);
      await delay(30);
    }
  });
  return {
    failed,
    count: () => requests,
    async [Symbol.asyncDispose]() {
      isOver = true;
      await Promise.all(clients);
    },
  };
}

test("rules go wave by wave without a lost request, and bad ones harm the first stamp's tenants only (I12, I35)", async () => {
  await using load = traffic();
  // What is usual has to be known before anything is compared with it.
  await until("some traffic", () => (load.count() > 300 ? true : undefined));
  writeFleet(fleetFile().replace(old, withPath));
  const good = await apply();
  const first = await until("the canary to be good", async () => {
    const shown = await show(good);
    return shown.phase === "approval" ? shown.stamps.find(({ phase }) => phase === "updated")?.stamp : undefined;
  });
  const isFirst = (tenant: string) => homes.get(tenant) === first;
  const reached = await Promise.all(tenants.map(async (tenant) => [tenant, await byPath(tenant)] as const));
  expect(reached).toEqual(tenants.map((tenant) => [tenant, isFirst(tenant) ? 200 : 404]));
  expect((await fleet.run(["rollout", "show", good])).out).toMatch(/^Routing: +\+ path \/t\/\{tenant\}$/m);
  const explained = await fleet.run(["route", "explain", `http://app.example/t/${tenants.find(isFirst)}/`]);
  expect(explained.out).toMatch(new RegExp(`^Rules: +on trial at ${first}$`, "m"));
  const shown = await fleet.run(["stamp", "show", first ?? ""]);
  expect(shown.out).toMatch(/^Routing: +not the fleet's rules: \+ path \/t\/\{tenant\}$/m);
  expect((await fleet.run(["rollout", "approve", good])).code).toBe(0);
  expect(await ended(good)).toMatchObject({ phase: "done" });
  expect(await Promise.all(tenants.map(byPath))).toEqual([200, 200, 200]);
  expect(load.failed, "the good change loses nothing").toEqual(new Map());

  writeFleet(fleetFile().replace(withPath, "domains: [other.example]\n  path: { prefix: /t }"));
  const planned = await fleet.run(["plan"]);
  expect(planned.out).toContain("~ routing: + host {tenant}.other.example, − host {tenant}.localhost (3 tenants)");
  const back = await ended(await apply());
  expect(back).toMatchObject({ phase: "aborted", why: expect.stringMatching(/fail/) });
  const touched = back.stamps.filter(({ phase }) => phase === "returned").map(({ stamp }) => stamp);
  expect(touched).toHaveLength(1);
  expect([...load.failed.keys()].map((tenant) => homes.get(tenant))).toEqual(touched);
  const lost = new Map(load.failed);
  const before = load.count();
  await until("more traffic", () => (load.count() > before + 60 ? true : undefined));
  expect(load.failed, "everybody is back").toEqual(lost);
  process.stdout.write(`${load.count()} requests, lost to the bad rules: ${JSON.stringify([...lost])}; ${back.why}\n`);
}, 120_000);
