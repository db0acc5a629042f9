import type { FleetChange } from "@stampyard/domain";
import { expect, test } from "vitest";
import { affectedBy } from "./affected.ts";

const stamps = [
  { name: "s-1", pool: "shared" },
  { name: "s-2", pool: "shared" },
  { name: "d-1", pool: "solo" },
];
const counts = [
  { pool: "shared", stamp: "s-1", tenants: 7 },
  { pool: "shared", stamp: "s-2", tenants: 5 },
  { pool: "shared", tenants: 2 },
  { pool: "solo", stamp: "d-1", tenants: 1 },
];
const update = (stamp: string): FleetChange => ({ kind: "stamp-update", stamp, from: "sha256:a", to: "sha256:b" });
const routing: FleetChange = { kind: "routing-update", rules: ["+ path /t/{tenant}"] };
const pool: FleetChange = { kind: "pool-update", pool: "shared", fields: ["stamps"] };

test("affectedBy() counts each tenant once, however many changes reach it", () => {
  const { changes, affected } = affectedBy([update("s-1"), pool, { kind: "pool-create", pool: "new" }], stamps, counts);
  expect(changes.map((change) => ("tenants" in change ? change.tenants : undefined))).toEqual([7, 14, undefined]);
  expect(affected).toEqual({
    tenants: 14,
    total: 15,
    stamps: [
      { stamp: "s-1", pool: "shared", tenants: 7 },
      { stamp: "s-2", pool: "shared", tenants: 5 },
    ],
  });
});

test("affectedBy() knows that routing reaches everybody, and a new or empty stamp nobody", () => {
  expect(affectedBy([routing], stamps, counts).affected).toMatchObject({ tenants: 15, total: 15 });
  const nobody: FleetChange[] = [update("s-9"), { kind: "stamp-create", stamp: "s-3", pool: "shared", region: "eu" }];
  const { changes, affected } = affectedBy(nobody, stamps, counts);
  expect(changes).toEqual(nobody);
  expect(affected).toEqual({ tenants: 0, total: 15, stamps: [] });
  expect(affectedBy([], [], []).affected).toEqual({ tenants: 0, total: 0, stamps: [] });
});
