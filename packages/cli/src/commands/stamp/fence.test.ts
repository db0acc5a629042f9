import type { FenceView } from "@stampyard/api";
import { expect, test } from "vitest";
import { fenceText } from "./fence.ts";

const database: FenceView["databases"][number] = {
  name: "db",
  declared: "report",
  holdsTables: false,
  tables: [
    { table: "public.lines", mode: "report", via: ["public.orders"] },
    { table: "public.orders", mode: "off" },
  ],
  unknown: ["public.odd"],
  report: [{ table: "public.lines", tenant: "acme", writes: 3, latest: "2026-11-23T00:00:00.000Z" }],
};

test("fenceText() shows each table, what a move would refuse, and what report let pass", () => {
  expect(fenceText({ stamp: "zero", databases: [database] })).toMatchInlineSnapshot(`
    "Fence of db in stamp zero

    Declared:                  report
    Changes of tables:         do not wait: that needs a superuser
    Not of tenants, not named: public.odd; a move refuses these

    TABLE          MODE    VIA
    public.lines   report  public.orders
    public.orders  off     -

    Let pass by report
    TABLE         TENANT  HOME     WRITES  LATEST
    public.lines  acme    no home  3       2026-11-23T00:00:00.000Z
    "
  `);
});

test("fenceText() of a dry run names who holds a table and who has no home", () => {
  const heldBy = ["pid 7 (nightly), idle in transaction for 90 ms"];
  const changes = [{ table: "public.orders", change: "install" as const, heldBy }];
  const homeless = [{ table: "public.orders", tenants: ["ghost"] }];
  const text = fenceText({ stamp: "zero", databases: [{ ...database, changes, homeless }] });
  expect(text).toContain("public.orders  install  pid 7 (nightly), idle in transaction for 90 ms");
  expect(text).toContain("public.orders has rows of tenants without a home here: ghost");
  expect(fenceText({ stamp: "zero", databases: [{ ...database, changes: [] }] })).toContain("Nothing would change");
});
