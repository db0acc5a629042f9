import { createDirectory } from "@stampyard/directory";
import { expect, test } from "vitest";
import type { CertificateStore } from "./certificate-store.ts";
import { isAllowedHost } from "./allowed-host.ts";

const store = { lookup: () => ({ pattern: "*.a.io" }) } as unknown as Pick<CertificateStore, "lookup">;

test("isAllowedHost() knows two names of one tenant by the rules of its stamp (I12)", () => {
  const table = createDirectory();
  const trials = [{ stamps: ["eu-1"], routing: { domains: ["a.io", "x.a.io"] } }];
  table.apply({ kind: "routing-put", routing: { domains: ["a.io"], trials } });
  for (const [tenant, stamp] of [
    ["acme", "eu-1"],
    ["globex", "eu-2"],
  ] as const) {
    table.apply({ kind: "tenant-put", tenant, stamp, epoch: 1, hostnames: [] });
  }
  expect(isAllowedHost(store, table, "acme.a.io", "acme.x.a.io")).toBe(true);
  expect(isAllowedHost(store, table, "globex.a.io", "globex.x.a.io")).toBe(false);
  expect(isAllowedHost(store, table, "globex.a.io", "acme.x.a.io")).toBe(false);
});
