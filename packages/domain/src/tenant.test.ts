import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StampState } from "./stamp.ts";
import {
  afterTenantFailure,
  homeReadiness,
  type HomeReadiness,
  planTenant,
  type Tenant,
  type TenantPhase,
  type TenantState,
  tenantNext,
} from "./tenant.ts";

const now = 1_000_000;

function tenant(state: TenantState, over: Partial<Tenant> = {}): Tenant {
  return {
    key: "acme",
    pool: "main",
    tier: "standard",
    residency: [],
    weight: {},
    hostnames: [],
    state,
    goal: "present",
    epoch: 1,
    ...over,
  };
}

const home = { stamp: "eu-1" };
const preparing: TenantState = { kind: "preparing", attempt: 0, retryAt: now };
const deleting: TenantState = { kind: "deleting", attempt: 0, retryAt: now };

describe("planTenant()", () => {
  test("goes from request to place to preparation, each recorded before it begins (I26)", () => {
    expect(planTenant(tenant({ kind: "requested" }), "gone", now)).toEqual({ next: { kind: "placing" }, actions: [] });
    expect(planTenant(tenant({ kind: "requested" }, home), "ready", now)).toEqual({ next: preparing, actions: [] });
    expect(planTenant(tenant({ kind: "placing" }), "gone", now)).toMatchObject({
      actions: [{ kind: "place" }],
      waitingOn: "a free place in pool main",
    });
  });

  test("publishes only after the stamp was told (D5, I45)", () => {
    expect(planTenant(tenant(preparing, home), "ready", now)).toEqual({
      next: { kind: "active" },
      actions: [
        { kind: "prepare", stamp: "eu-1", epoch: 1 },
        { kind: "publish", stamp: "eu-1", epoch: 1 },
      ],
    });
    expect(planTenant(tenant(preparing, home), "not-ready", now)).toMatchObject({
      actions: [],
      waitingOn: "stamp eu-1 to be active",
    });
  });

  test("places again one that lost its stamp before it was published, under a higher epoch (I1)", () => {
    expect(planTenant(tenant(preparing, home), "gone", now)).toEqual({
      next: { kind: "placing" },
      actions: [{ kind: "vacate" }],
    });
  });

  test("gives an active tenant no other home by itself", () => {
    const plan = planTenant(tenant({ kind: "active" }, home), "gone", now);
    expect(plan).toMatchObject({ next: { kind: "active" }, actions: [] });
    expect(plan.waitingOn).toMatch(/eu-1 to come back/);
  });

  test("leaves one that moves to its move, whatever is wanted of it", () => {
    const moving: TenantState = { kind: "moving", move: "mv-1" };
    for (const goal of ["present", "suspended", "absent"] as const) {
      for (const readiness of ["ready", "not-ready", "gone"] as const) {
        const plan = planTenant(tenant(moving, { ...home, goal }), readiness, now);
        expect(plan, goal).toEqual({ next: moving, actions: [], waitingOn: "the end of move mv-1" });
      }
    }
    // What is wanted of it comes first once it is served by one stamp again.
    const wanted = (goal: Tenant["goal"]) => planTenant(tenant({ kind: "active" }, { ...home, goal }), "ready", now);
    expect(wanted("suspended").next.kind).toBe("suspending");
    expect(wanted("absent").next.kind).toBe("deleting");
  });

  test("deletes as the mirror: intent, withdraw, forget", () => {
    const leaving = { ...home, goal: "absent" as const };
    expect(planTenant(tenant({ kind: "active" }, leaving), "ready", now)).toEqual({ next: deleting, actions: [] });
    expect(planTenant(tenant(deleting, leaving), "ready", now)).toEqual({
      next: { kind: "gone" },
      actions: [{ kind: "withdraw" }, { kind: "forget", stamp: "eu-1", epoch: 1 }],
    });
    expect(planTenant(tenant(deleting, leaving), "not-ready", now)).toMatchObject({
      next: deleting,
      actions: [{ kind: "withdraw" }],
    });
  });

  test("deletes without asking a stamp that is being destroyed", () => {
    const leaving = { ...home, goal: "absent" as const };
    expect(planTenant(tenant(deleting, leaving), "gone", now)).toEqual({
      next: { kind: "gone" },
      actions: [{ kind: "withdraw" }],
    });
    expect(planTenant(tenant({ kind: "placing" }, { goal: "absent" }), "gone", now).next).toEqual({ kind: "gone" });
  });

  test("suspends routers first, then the stamp, and resumes the other way round, under the same epoch", () => {
    const stopped = { ...home, goal: "suspended" as const };
    const suspending: TenantState = { kind: "suspending", attempt: 0, retryAt: now };
    const resuming: TenantState = { kind: "resuming", attempt: 0, retryAt: now };
    const hidden = { next: suspending, actions: [{ kind: "hide" }] };
    expect(planTenant(tenant({ kind: "active" }, stopped), "ready", now)).toEqual(hidden);
    // Also while the home is not there: routers need not wait for it.
    expect(planTenant(tenant({ kind: "active" }, stopped), "not-ready", now)).toEqual(hidden);
    expect(planTenant(tenant(resuming, stopped), "ready", now)).toEqual(hidden);
    expect(planTenant(tenant(suspending, stopped), "ready", now)).toEqual({
      next: { kind: "suspended" },
      actions: [{ kind: "suspend", stamp: "eu-1", epoch: 1 }],
    });
    expect(planTenant(tenant(suspending, stopped), "not-ready", now).waitingOn).toBe("stamp eu-1 to be active");
    expect(planTenant(tenant({ kind: "suspended" }, stopped), "ready", now).actions).toEqual([]);
    for (const from of [suspending, { kind: "suspended" } as const]) {
      expect(planTenant(tenant(from, home), "ready", now)).toEqual({ next: resuming, actions: [] });
    }
    expect(planTenant(tenant(resuming, home), "ready", now)).toEqual({
      next: { kind: "active" },
      actions: [
        { kind: "resume", stamp: "eu-1", epoch: 1 },
        { kind: "publish", stamp: "eu-1", epoch: 1 },
      ],
    });
    const lost = planTenant(tenant(resuming, home), "gone", now);
    expect(lost).toMatchObject({ next: resuming, actions: [], waitingOn: expect.stringContaining("destroyed") });
  });

  test("deletes a suspended tenant as any other", () => {
    const leaving = { ...home, goal: "absent" as const };
    expect(planTenant(tenant({ kind: "suspended" }, leaving), "ready", now)).toEqual({ next: deleting, actions: [] });
  });

  test("shows the cause while it waits to try again", () => {
    const failed = afterTenantFailure(preparing, "HOOK_FAILED: onCreate answered 500", now);
    expect(planTenant(tenant(failed, home), "ready", now)).toMatchObject({
      actions: [],
      waitingOn: "retry of: HOOK_FAILED: onCreate answered 500",
    });
    expect(planTenant(tenant(failed, home), "ready", now + 30_000).actions).toHaveLength(2);
  });
});

test("homeReadiness() counts a stamp that is to go as gone", () => {
  const stamp = (state: StampState, goal: "present" | "absent" = "present") => ({ state, goal });
  expect(homeReadiness(undefined)).toBe("gone");
  expect(homeReadiness(stamp({ kind: "active" }))).toBe("ready");
  expect(homeReadiness(stamp({ kind: "active" }, "absent"))).toBe("gone");
  expect(homeReadiness(stamp({ kind: "provisioning", attempt: 1 }))).toBe("not-ready");
  expect(homeReadiness(stamp({ kind: "destroying", attempt: 1 }))).toBe("gone");
});

const counted = { attempt: fc.nat({ max: 12 }), retryAt: fc.integer({ min: now - 50, max: now + 50 }) };
const anyState: fc.Arbitrary<TenantState> = fc.oneof(
  fc.constant({ kind: "requested" as const }),
  fc.constant({ kind: "placing" as const }),
  fc.record({ kind: fc.constant("preparing" as const), ...counted }),
  fc.constant({ kind: "active" as const }),
  fc.constant({ kind: "moving" as const, move: "mv-1" }),
  fc.record({ kind: fc.constant("suspending" as const), ...counted }),
  fc.constant({ kind: "suspended" as const }),
  fc.record({ kind: fc.constant("resuming" as const), ...counted }),
  fc.record({ kind: fc.constant("deleting" as const), ...counted }),
  fc.constant({ kind: "gone" as const }),
);
const anyTenant = fc
  .record({
    state: anyState,
    goal: fc.constantFrom("present" as const, "suspended" as const, "absent" as const),
    isPlaced: fc.boolean(),
    epoch: fc.integer({ min: 1, max: 9 }),
  })
  .map(({ state, isPlaced, ...over }) => tenant(state, { ...over, ...(isPlaced ? home : {}) }));
const anyHome = fc.constantFrom<HomeReadiness>("ready", "not-ready", "gone");

describe("planTenant(), for any tenant and any home,", () => {
  test("plans only steps that the table allows", () => {
    fc.assert(
      fc.property(anyTenant, anyHome, (given, readiness) => {
        for (const next of [planTenant(given, readiness, now).next, afterTenantFailure(given.state, "no", now)]) {
          if (next.kind === given.state.kind) continue;
          expect(tenantNext[given.state.kind] as readonly TenantPhase[]).toContain(next.kind);
        }
      }),
    );
  });

  test("publishes only what is wanted, right after telling the same stamp the same epoch (I45)", () => {
    fc.assert(
      fc.property(anyTenant, anyHome, (given, readiness) => {
        const { actions } = planTenant(given, readiness, now);
        const at = actions.findIndex((action) => action.kind === "publish");
        if (at < 0) return;
        const told = given.state.kind === "resuming" ? "resume" : "prepare";
        // What was wanted before it was ever published comes first: only a published tenant can be suspended.
        if (told === "resume") expect(given.goal).toBe("present");
        expect(given.goal).not.toBe("absent");
        expect(actions[at - 1]).toEqual({ ...actions[at], kind: told });
      }),
    );
  });

  test("forgets only after withdrawing, and asks no stamp that is not ready", () => {
    fc.assert(
      fc.property(anyTenant, anyHome, (given, readiness) => {
        const kinds = planTenant(given, readiness, now).actions.map((action) => action.kind);
        const forgets = kinds.indexOf("forget");
        if (forgets >= 0) expect(kinds.indexOf("withdraw")).toBe(forgets - 1);
        if (readiness !== "ready") expect(kinds.filter((k) => k === "prepare" || k === "forget")).toEqual([]);
      }),
    );
  });

  test("stands still without a reason only where there is nothing left to do", () => {
    fc.assert(
      fc.property(anyTenant, anyHome, (given, readiness) => {
        const plan = planTenant(given, readiness, now);
        const isStill = plan.actions.length === 0 && plan.next.kind === given.state.kind;
        if (!isStill || plan.waitingOn !== undefined || given.state.kind === "gone") return;
        expect([
          { goal: "present", kind: "active" },
          { goal: "suspended", kind: "suspended" },
        ]).toContainEqual({ goal: given.goal, kind: given.state.kind });
      }),
    );
  });

  test("a failure waits longer each time, up to 30 s", () => {
    let state: TenantState = preparing;
    let before = 0;
    for (let n = 0; n < 12; n++) {
      state = afterTenantFailure(state, "no", now);
      const wait = state.kind === "preparing" ? state.retryAt - now : 0;
      expect(wait).toBeGreaterThanOrEqual(before);
      before = wait;
    }
    expect(before).toBe(30_000);
  });
});
