import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, lightFleet, type LightFleet, until } from "./light-fleet.ts";

/** A fleet that grows by itself, on real parts. */

interface StampRow {
  readonly name: string;
  readonly pool: string;
  readonly region: string;
  readonly phase: string;
  readonly reservedFor?: string;
  readonly used: { readonly tenants: number };
}

interface TenantRow {
  readonly key: string;
  readonly phase: string;
  readonly stamp?: string;
  readonly waitingOn?: string;
}

let fleet: LightFleet;
let router = "";
let api = "";
beforeAll(async () => {
  fleet = lightFleet("pool-growth-test");
  writeFileSync(
    join(fleet.dir, "fleet.yaml"),
    `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: pool-growth-test }
template: ./stamp.yaml
pools:
  shared: { regions: [eu], stamps: { min: 1, max: 3 }, capacity: { tenants: 5 } }
  own: { tenancy: dedicated, regions: [eu, us], stamps: { min: 0, max: 2 } }
routing:
  domains: [localhost]
`,
  );
  ({ router, api } = await fleet.up());
}, 60_000);
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
}, 60_000);

/** By the API, because a process for each of many calls takes longer than what is tried. */
async function call<T>(path: string, body?: object): Promise<T> {
  const token = readFileSync(join(fleet.state, "secrets/admin.token"), "utf8").trim();
  const answer = await fetch(api + path, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(answer.ok, `${path}: ${answer.status}`).toBe(true);
  return (await answer.json()) as T;
}

const stampsOf = async (pool: string) => (await call<{ items: StampRow[] }>(`/v1/stamps?pool=${pool}`)).items;
const create = (pool: string, ...keys: string[]) =>
  Promise.all(keys.map((key) => call<TenantRow>("/v1/tenants", { key, pool })));
const keys = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => `t${from + n}`);

test("a pool builds its next stamp before it is full, places who waits, and refuses only above its maximum", async () => {
  const homes = await create("shared", ...keys(1, 4));
  expect(homes.map(({ stamp }) => stamp)).toEqual(["shared-1", "shared-1", "shared-1", "shared-1"]);
  const next = await until("the next stamp", async () => (await stampsOf("shared"))[1]);
  expect(next).toMatchObject({ name: "shared-2", region: "eu" });
  const [first] = await stampsOf("shared");
  // Asked for while there is a place left.
  expect(first).toMatchObject({ name: "shared-1", used: { tenants: 4 } });

  // More than the first stamp can take, at once: nobody is refused while the pool may grow.
  const crowd = await create("shared", ...keys(5, 15));
  const waiting = crowd.filter(({ stamp }) => stamp === undefined);
  for (const tenant of waiting) expect(tenant).toMatchObject({ phase: expect.stringMatching(/requested|placing/) });
  expect(waiting.length).toBeGreaterThan(0);
  await until(
    "every tenant to be active",
    async () => {
      const { items } = await call<{ items: TenantRow[] }>("/v1/tenants");
      return items.length === 15 && items.every(({ phase }) => phase === "active") ? true : undefined;
    },
    60_000,
  );
  const full = await stampsOf("shared");
  expect(full.map(({ name, used }) => [name, used.tenants])).toEqual([
    ["shared-1", 5],
    ["shared-2", 5],
    ["shared-3", 5],
  ]);
  for (const key of ["t1", "t15"]) expect(await ask(router, key)).toMatchObject({ status: 200 });

  const refused = await fleet.run(["tenant", "create", "t16", "--pool", "shared", "-o", "json"]);
  expect(refused.code).not.toBe(0);
  expect(refused.err).toContain("No place for tenant t16: all 3 active stamps of pool shared are full");
  const pool = await fleet.json<{ alerts: { kind: string; text: string }[]; waitingOn: string }>(
    "pool",
    "show",
    "shared",
  );
  expect(pool.alerts.map(({ kind }) => kind)).toContain("at-max");
  expect(pool.waitingOn).toMatch(/^a higher maximum of stamps/);
}, 120_000);

test("a dedicated tenant gets a stamp of its own where it may live, and nobody else is placed there", async () => {
  const bank = ["tenant", "create", "bank", "--tenancy", "dedicated", "--region", "us", "--wait"];
  const shop = ["tenant", "create", "shop", "--pool", "own", "--wait"];
  const made = await Promise.all([fleet.json<TenantRow>(...bank), fleet.json<TenantRow>(...shop)]);
  const stamps = await stampsOf("own");
  expect(stamps).toHaveLength(2);
  for (const { key, stamp } of made) {
    expect(stamps.find(({ name }) => name === stamp)).toMatchObject({ reservedFor: key, used: { tenants: 1 } });
    expect(await ask(router, key)).toMatchObject({ status: 200 });
  }
  expect(stamps.find(({ name }) => name === made[0]?.stamp)).toMatchObject({ region: "us" });
  expect(await fleet.run(["tenant", "create", "third", "--pool", "own"])).not.toMatchObject({ code: 0 });
}, 120_000);
