import { expect, test } from "vitest";
import { addFailing, noteTenant, type TenantWindow } from "./failing-tenants.ts";
import { createMetrics } from "./metrics.ts";

function table() {
  const failing = new Map<string, TenantWindow>();
  const clock = { now: 1_000 };
  const note = (tenant: string, isFault: boolean, times = 1) => {
    for (let n = 0; n < times; n++) noteTenant(failing, tenant, isFault, () => clock.now);
  };
  return { failing, clock, note };
}

test("noteTenant() keeps nothing of a tenant that never failed", () => {
  const { failing, note } = table();
  note("acme", false, 1_000);
  expect(failing.size).toBe(0);
});

test("noteTenant() sees a long-good tenant fail within a window, and when that began", () => {
  const { failing, clock, note } = table();
  note("acme", true);
  note("acme", false, 62);
  expect(failing.get("acme")?.since).toBe(0);
  clock.now = 9_000;
  note("acme", true, 64);
  const window = failing.get("acme");
  expect(window?.since).toBe(9_000);
  expect(window?.errors).toBeGreaterThanOrEqual(20);
  expect((window?.errors ?? 0) / (window?.requests ?? 1)).toBeGreaterThan(0.5);
});

test("noteTenant() does not take a tenant for newly failing that fails now and then, or nearly failed before", () => {
  const { failing, clock, note } = table();
  for (let n = 0; n < 200; n++) note("acme", n % 20 === 0);
  expect(failing.get("acme")?.since).toBe(0);
  clock.now = 5_000;
  for (let n = 0; n < 100; n++) note("acme", n % 5 < 2);
  expect(failing.get("acme")?.since).toBe(5_000);
  clock.now = 9_000;
  note("acme", true, 64);
  expect(failing.get("acme")?.since).toBe(5_000);
});

test("noteTenant() forgets a tenant that is well again", () => {
  const { failing, note } = table();
  note("acme", true, 30);
  note("acme", false, 500);
  expect(failing.size).toBe(0);
});

test("noteTenant() keeps at most 200 tenants, and makes room by those that have not failed for long", () => {
  const { failing, clock, note } = table();
  for (let n = 0; n < 5_000; n++) note(`t${n}`, true);
  expect(failing.size).toBe(200);
  clock.now += 599_000;
  note("acme", true);
  expect(failing.has("acme")).toBe(false);
  clock.now += 2_000;
  note("acme", true);
  expect(failing.has("acme")).toBe(true);
});

test("addFailing() adds up what processes saw of one tenant, from the first of them on", () => {
  const total = new Map<string, TenantWindow>();
  addFailing(total, new Map([["acme", { requests: 10, errors: 8, since: 500, failedAt: 600 }]]));
  addFailing(total, new Map([["acme", { requests: 4, errors: 4, since: 300, failedAt: 550 }]]));
  addFailing(total, new Map([["acme", { requests: 9, errors: 1, since: 0, failedAt: 700 }]]));
  expect(total.get("acme")).toEqual({ requests: 23, errors: 13, since: 300, failedAt: 700 });
});

test("record() counts a fault for whatever the stamp did, and none for a hold", () => {
  const metrics = createMetrics();
  const one = { stamp: "eu-1", tenant: "acme", ms: 1 };
  metrics.record({ ...one, status: 503, reason: "held" });
  metrics.record({ ...one, status: 503, reason: "stamp-unreachable" });
  metrics.record({ ...one, status: 500, reason: undefined });
  metrics.record({ ...one, status: 200, reason: undefined, cut: true });
  metrics.record({ ...one, status: 429, reason: "too-many-requests" });
  expect(metrics.counts().stamps.get("eu-1")).toMatchObject({ requests: 5, errors: 3, faults: 3 });
});
