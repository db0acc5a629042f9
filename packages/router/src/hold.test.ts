import { beforeEach, describe, expect, test } from "vitest";
import { createHolds, type Holds, type HoldVerdict } from "./hold.ts";

let now = 0;
let timers: { at: number; call: () => void }[] = [];
let holds: Holds;
let verdicts: HoldVerdict[] = [];
const wait = (tenant = "acme") => holds.wait(tenant, (verdict) => void verdicts.push(verdict));

/** Moves the clock and calls what is due, in order. */
function pass(ms: number): void {
  now += ms;
  for (const timer of timers.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)) {
    timers = timers.filter((other) => other !== timer);
    timer.call();
  }
}

beforeEach(() => {
  now = 1_000;
  timers = [];
  verdicts = [];
  const after = (ms: number, call: () => void) => {
    const timer = { at: now + ms, call };
    timers.push(timer);
    return () => {
      timers = timers.filter((other) => other !== timer);
    };
  };
  holds = createHolds({ now: () => now, after }, { mostMs: 1_000, mostPerTenant: 2, mostInAll: 3, mostTenants: 2 });
});

describe("createHolds() (D13)", () => {
  test("lets all that wait go on when its move releases, and not when another does", () => {
    holds.hold("acme", "m1", 500, 1);
    wait();
    wait();
    holds.release("acme", "m2");
    expect(verdicts).toEqual([]);
    holds.release("acme", "m1");
    expect(verdicts).toEqual(["go", "go"]);
    expect(holds.isHeld("acme")).toBe(false);
    expect(timers).toEqual([]);
  });

  test("runs out by itself, and never lasts longer than its bound", () => {
    holds.hold("acme", "m1", 60_000, 1);
    wait();
    pass(999);
    expect(holds.isHeld("acme")).toBe(true);
    pass(1);
    expect(verdicts).toEqual(["expired"]);
    expect(holds.isHeld("acme")).toBe(false);
  });

  test("a late timer does not keep a tenant held: the clock decides", () => {
    holds.hold("acme", "m1", 500, 1);
    now += 500;
    expect(holds.isHeld("acme")).toBe(false);
  });

  test("ends when the home's epoch rises, not when the tenant changes otherwise", () => {
    holds.hold("acme", "m1", 500, 4);
    wait();
    holds.moved("acme", 4);
    expect(verdicts).toEqual([]);
    holds.moved("acme", 5);
    expect(verdicts).toEqual(["go"]);
  });

  test("refuses more than its bounds: per tenant, in all, tenants (I13)", () => {
    holds.hold("acme", "m1", 500, 1);
    holds.hold("globex", "m2", 500, 1);
    holds.hold("umbrella", "m3", 500, 1);
    expect(holds.isHeld("umbrella")).toBe(false);
    wait();
    wait();
    wait();
    expect(verdicts).toEqual(["full"]);
    wait("globex");
    wait("globex");
    expect(verdicts).toEqual(["full", "full"]);
    holds.release("acme", "m1");
    wait("globex");
    expect(holds.states()).toMatchObject([{ tenant: "globex", waiting: 2 }]);
  });

  test("who left is not called, and frees its place", () => {
    holds.hold("acme", "m1", 500, 1);
    const leave = wait();
    wait();
    leave();
    leave();
    wait();
    expect(verdicts).toEqual([]);
    pass(500);
    expect(verdicts).toEqual(["expired", "expired"]);
    leave();
    holds.hold("acme", "m2", 500, 1);
    holds.hold("globex", "m3", 500, 1);
    for (const tenant of ["acme", "acme", "globex", "globex"]) wait(tenant);
    expect(verdicts.slice(2)).toEqual(["full"]);
  });

  test("the same move again extends it, and those that wait go on waiting", () => {
    holds.hold("acme", "m1", 500, 1);
    wait();
    pass(400);
    holds.hold("acme", "m1", 500, 1);
    pass(400);
    expect(verdicts).toEqual([]);
    pass(100);
    expect(verdicts).toEqual(["expired"]);
  });
});
