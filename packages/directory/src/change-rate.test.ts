import { expect, test } from "vitest";
import type { DirectoryChange } from "./change.ts";
import { changeRateGuard, measureChanges } from "./change-rate.ts";
import { createDirectory } from "./table.ts";

function tableOf(tenants: number, stamps: number) {
  const table = createDirectory();
  for (let n = 0; n < tenants; n++) table.apply(put(n, `s-${n % stamps}`));
  return table;
}

function put(n: number, stamp: string): DirectoryChange {
  return { kind: "tenant-put", tenant: `t${n}`, stamp, epoch: 2, hostnames: [] };
}

const moves = (count: number) => Array.from({ length: count }, (_, n) => put(n, "elsewhere"));
const verdict = (tenants: number, stamps: number, changes: readonly DirectoryChange[]) =>
  changeRateGuard(measureChanges(tableOf(tenants, stamps), changes));

test("changeRateGuard() lets through up to 5% or up to 50 tenants, and asks above both (D8)", () => {
  expect(verdict(2_000, 3, moves(100)).kind).toBe("ok");
  expect(verdict(2_000, 3, moves(101))).toEqual({
    kind: "needs-confirmation",
    reasons: ["changes 101 of 2000 tenants"],
  });
  expect(verdict(400, 3, moves(50)).kind).toBe("ok");
  expect(verdict(400, 3, moves(51)).kind).toBe("needs-confirmation");
});

test("changeRateGuard() asks before a stamp is emptied, but not for its only tenant", () => {
  const remove = (n: number): DirectoryChange => ({ kind: "tenant-remove", tenant: `t${n}` });
  expect(verdict(6, 3, [remove(0), remove(3)])).toEqual({
    kind: "needs-confirmation",
    reasons: ["takes all 2 tenants from stamp s-0"],
  });
  expect(verdict(6, 3, [remove(0)]).kind).toBe("ok");
  expect(verdict(3, 3, [remove(0)]).kind).toBe("ok");
  expect(verdict(6, 3, [put(0, "s-1"), put(3, "s-1"), put(1, "s-0")]).kind).toBe("ok");
});

test("measureChanges() counts a tenant once, and neither new tenants nor changed hostnames", () => {
  const table = tableOf(4, 2);
  const changes = [put(0, "s-1"), put(0, "s-0"), put(9, "s-1"), put(1, "s-1")];
  expect(measureChanges(table, changes)).toEqual({ tenants: 4, touched: 0, emptied: [] });
});
