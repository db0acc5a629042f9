import { expect, test } from "vitest";
import { createTenantGate } from "../tenant-gate.ts";

function admitted(shares: number, limits: Parameters<ReturnType<typeof createTenantGate>["enter"]>[1]): number {
  const gate = createTenantGate(() => 0, undefined, shares);
  let count = 0;
  while (count < 1_000 && gate.enter("acme", limits).kind === "in") count += 1;
  return count;
}

test("a tenant's limits are shared by the workers in equal parts, and no part is below one (D17)", () => {
  expect(admitted(1, { concurrency: 9 })).toBe(9);
  expect(admitted(2, { concurrency: 9 })).toBe(5);
  expect(admitted(4, { concurrency: 1 })).toBe(1);
  expect(admitted(1, { requestsPerSecond: 10, burst: 20 })).toBe(20);
  expect(admitted(4, { requestsPerSecond: 10, burst: 20 })).toBe(5);
  expect(admitted(8, { requestsPerSecond: 1, burst: 1 })).toBe(1);
});
