import { createHash } from "node:crypto";
import type { Pool, Template } from "@stampyard/domain";
import { renderStamp } from "@stampyard/manifest";
import { createSeededRandom } from "@stampyard/testing";
import { expect, test } from "vitest";
import { newStamp, oneMore, ownParameters, planOf, rowsOf, stampCapacity } from "./stamp-goal.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
const random = createSeededRandom(1);

const template: Template = {
  name: "notes",
  version: "1.0.0",
  parameters: { size: { type: "string", default: "s" }, beta: { type: "boolean", default: false } },
  stages: [
    {
      name: "main",
      engine: "local",
      components: [
        {
          kind: "postgres",
          name: "db",
          version: 18,
          maxConnections: 50,
          resources: {},
          protect: true,
          ids: {},
          via: {},
        },
        {
          kind: "service",
          name: "api",
          command: ["node", "api.js"].map((word) => [word]),
          env: { SIZE: [{ of: "params", field: "size" }], BETA: [{ of: "params", field: "beta" }] },
          resources: {},
          after: [],
          replicas: 1,
          listens: true,
          stopGraceMs: 1_000,
        },
      ],
    },
  ],
  ingress: { service: "api" },
  capacity: { tenants: 100, units: { rps: 500 } },
  tenancy: { model: "rows", column: "tenant_id" },
  hooks: {},
};

const pool: Pool = {
  name: "shared",
  tenancy: "shared",
  regions: ["eu", "us"],
  stamps: { min: 2, max: 4 },
  parameters: { size: "m" },
};
const fleet = { name: "demo", template: "./stamp.yaml", pools: [pool], routing: { domains: ["localhost"] } };

function stampNamed(name: string, own: Record<string, string | boolean> = {}) {
  return newStamp({ template }, { identity: { name, pool: "shared", region: "eu" }, pool, own }, sha256, random).stamp;
}

test("stampCapacity() is the template's, lowered by the pool, and one tenant when dedicated", () => {
  expect(stampCapacity(template, pool)).toEqual({ tenants: 100, units: { rps: 500 } });
  expect(stampCapacity(template, { ...pool, capacity: { tenants: 10, units: { rps: 20 } } })).toEqual({
    tenants: 10,
    units: { rps: 20 },
  });
  expect(stampCapacity(template, { ...pool, tenancy: "dedicated" }).tenants).toBe(1);
  expect(stampCapacity(template, { ...pool, capacity: { tenants: 1_000 } }).tenants).toBe(100);
});

test("newStamp() has the digest of its rendering and a secret for every role, each of its own", () => {
  const { stamp, secrets } = newStamp(
    { template },
    { identity: { name: "a", pool: "shared", region: "eu" }, pool, own: {} },
    sha256,
    random,
  );
  const rendered = renderStamp(template, { name: "a", pool: "shared", region: "eu" }, { size: "m" }, sha256);
  expect(stamp).toMatchObject({ state: { kind: "requested" }, goal: "present", stampDigest: rendered.stampDigest });
  expect(Object.keys(secrets).sort()).toEqual([
    "db.appPassword",
    "db.moverPassword",
    "db.ownerPassword",
    "db.superPassword",
  ]);
  expect(new Set(Object.values(secrets)).size).toBe(4);
});

test("planOf() and rowsOf() make the same stamps: nothing more, nothing less", () => {
  const now = { fleet: undefined, stamps: [] };
  const plan = planOf(now, { fleet, template }, sha256);
  expect(plan.changes.map(({ kind }) => kind)).toEqual([
    "release-create",
    "routing-update",
    "pool-create",
    "stamp-create",
    "stamp-create",
  ]);
  const rows = rowsOf(now, { fleet, template }, plan, sha256, random);
  expect(rows.stampCreates.map(({ stamp }) => [stamp.name, stamp.region])).toEqual([
    ["shared-1", "eu"],
    ["shared-2", "us"],
  ]);
  expect(rows.stampUpdates).toEqual([]);
});

test("planOf() leaves names alone that tenants of destroyed stamps still call home", () => {
  const now = { fleet: undefined, stamps: [stampNamed("shared-2")], reservedNames: ["shared-1"] };
  const { changes } = planOf(now, { fleet, template }, sha256);
  expect(changes.flatMap((change) => (change.kind === "stamp-create" ? [change.stamp] : []))).toEqual(["shared-3"]);
});

test("planOf() of the same files is empty, and keeps what one stamp was given on top", () => {
  const stamps = [stampNamed("shared-1"), stampNamed("shared-2", { beta: true })];
  const now = { fleet: { fleet, release: stamps[0]?.releaseDigest ?? "sha256:0" }, stamps } as const;
  const plan = planOf(now, { fleet, template }, sha256);
  expect(plan.changes).toEqual([]);
  expect(rowsOf(now, { fleet, template }, plan, sha256, random)).toEqual({ stampCreates: [], stampUpdates: [] });

  const larger = { ...fleet, pools: [{ ...pool, parameters: { size: "l" } }] };
  const changed = planOf(now, { fleet: larger, template }, sha256);
  expect(changed.changes.map(({ kind }) => kind)).toEqual(["pool-update", "stamp-update", "stamp-update"]);
  const { stampUpdates } = rowsOf(now, { fleet: larger, template }, changed, sha256, random);
  expect(stampUpdates.map(({ parameters }) => parameters)).toEqual([{ size: "l" }, { size: "l", beta: true }]);
});

test("rowsOf() carries a lowered capacity to stamps whose digest stays", () => {
  const stamps = [stampNamed("shared-1"), stampNamed("shared-2")];
  const now = { fleet: { fleet, release: stamps[0]?.releaseDigest ?? "sha256:0" }, stamps } as const;
  const smaller = { ...fleet, pools: [{ ...pool, capacity: { tenants: 5 } }] };
  const plan = planOf(now, { fleet: smaller, template }, sha256);
  expect(plan.changes.map(({ kind }) => kind)).toEqual(["pool-update"]);
  const { stampUpdates } = rowsOf(now, { fleet: smaller, template }, plan, sha256, random);
  expect(stampUpdates.map(({ capacity }) => capacity.tenants)).toEqual([5, 5]);
});

test("ownParameters() are those that the pool does not say", () => {
  expect(ownParameters({ parameters: { size: "m", beta: true } }, pool)).toEqual({ beta: true });
  expect(ownParameters({ parameters: { size: "xl" } }, pool)).toEqual({ size: "xl" });
});

test("oneMore() takes the next free name and the next region, unless told", () => {
  const stamps = [stampNamed("shared-1")];
  expect(oneMore(pool, stamps, new Set(["shared-1", "shared-2"]), {})).toEqual({ name: "shared-3", region: "us" });
  expect(oneMore(pool, stamps, new Set(), { name: "big", region: "eu" })).toEqual({ name: "big", region: "eu" });
});
