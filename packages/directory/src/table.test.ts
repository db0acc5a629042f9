import { expect, test } from "vitest";
import { createDirectory } from "./table.ts";

const acme = { kind: "tenant-put", tenant: "acme", stamp: "eu-1", epoch: 3, hostnames: ["notes.acme.com"] } as const;

test("lookupHostname() finds the tenant until the hostname or the tenant goes away", () => {
  const table = createDirectory();
  table.apply(acme);
  expect(table.lookupHostname("notes.acme.com")?.tenant).toBe("acme");

  table.apply({ ...acme, hostnames: ["n.acme.com"] });
  expect(table.lookupHostname("notes.acme.com")).toBeUndefined();
  expect(table.lookupHostname("n.acme.com")?.stamp).toBe("eu-1");

  table.apply({ kind: "tenant-remove", tenant: "acme" });
  expect(table.lookupHostname("n.acme.com")).toBeUndefined();
  expect(table.counts()).toEqual({ tenants: 0, stamps: 0, hostnames: 0, aliases: 0 });
});

test("apply() refuses a lower epoch and keeps what it had (I2)", () => {
  const table = createDirectory();
  table.apply(acme);
  expect(table.apply({ ...acme, stamp: "eu-2", epoch: 2 })).toBe("epoch-decreases");
  expect(table.lookupTenant("acme")).toMatchObject({ stamp: "eu-1", epoch: 3 });
});

test("apply() refuses a hostname of another tenant, whole change included", () => {
  const table = createDirectory();
  table.apply(acme);
  const globex = { kind: "tenant-put", tenant: "globex", stamp: "eu-1", epoch: 1 } as const;
  expect(table.apply({ ...globex, hostnames: ["g.com", "notes.acme.com"] })).toBe("hostname-taken");
  expect(table.lookupTenant("globex")).toBeUndefined();
  expect(table.lookupHostname("g.com")).toBeUndefined();
});

test("tenantCountOf() follows moves and removals", () => {
  const table = createDirectory();
  table.apply(acme);
  table.apply({ ...acme, tenant: "globex", hostnames: [] });
  expect(table.tenantCountOf("eu-1")).toBe(2);
  table.apply({ ...acme, stamp: "eu-2", epoch: 4 });
  expect([table.tenantCountOf("eu-1"), table.tenantCountOf("eu-2")]).toEqual([1, 1]);
  table.apply({ kind: "tenant-remove", tenant: "acme" });
  table.apply({ kind: "tenant-remove", tenant: "acme" });
  expect([table.tenantCountOf("eu-1"), table.tenantCountOf("eu-2")]).toEqual([1, 0]);
});
