import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ComponentStatus, StampObservation } from "./engine.ts";
import type { Digest } from "./ports.ts";
import {
  afterFailure,
  isServing,
  retryDelayMs,
  type Stamp,
  type StampPhase,
  type StampState,
  type StampTenants,
  servingPhases,
  stampNext,
  whatIsLacking,
} from "./stamp.ts";
import { planStamp as plan } from "./stamp-life/plan-stamp.ts";

const now = 1_000_000;
const nobody: StampTenants = { count: 0, some: [] };
const planStamp = (stamp: Stamp, seen: StampObservation, at: number, tenants = nobody) =>
  plan(stamp, seen, tenants, at);
const wanted: Digest = "sha256:wanted";
const other: Digest = "sha256:other";

function stamp(state: StampState, over: Partial<Stamp> = {}): Stamp {
  return {
    name: "eu-1",
    pool: "eu",
    region: "eu",
    state,
    goal: "present",
    origin: "built",
    releaseDigest: wanted,
    parameters: {},
    stampDigest: wanted,
    capacity: { tenants: 1, units: {} },
    endpoints: [],
    endpointRevision: 0,
    ...over,
  };
}

const endpoints = [{ host: "127.0.0.1", port: 20_001 }];
const complete: StampObservation = {
  stamp: "eu-1",
  presence: "present",
  stampDigest: wanted,
  host: "up",
  components: [{ name: "api", replica: 0, status: "healthy", restarts: 0, since: now }],
  endpoints,
  endpointRevision: 1,
};
const absent: StampObservation = { ...complete, presence: "absent", host: "none", components: [], endpoints: [] };
const seen = (over: Partial<StampObservation>): StampObservation => ({ ...complete, ...over });
const sick = (status: ComponentStatus) =>
  seen({ components: [{ name: "api", replica: 0, status, restarts: 3, since: now, reason: "it answers 500" }] });

describe("planStamp()", () => {
  test("records the intent to provision before the first engine call (I26)", () => {
    expect(planStamp(stamp({ kind: "requested" }), absent, now)).toEqual({
      next: { kind: "provisioning", attempt: 1 },
      actions: [],
    });
    const plan = planStamp(stamp({ kind: "provisioning", attempt: 1 }), absent, now);
    expect(plan.actions).toEqual([{ kind: "apply", why: "it does not exist yet" }]);
    expect(plan.next).toEqual({ kind: "provisioning", attempt: 1 });
  });

  test("publishes with the step to verifying, only once nothing is lacking", () => {
    const provisioning = stamp({ kind: "provisioning", attempt: 2 });
    expect(planStamp(provisioning, complete, now)).toEqual({
      next: { kind: "verifying", attempt: 2 },
      actions: [{ kind: "publish", endpoints, endpointRevision: 1 }],
    });
    for (const lacking of [sick("starting"), seen({ endpoints: [] }), seen({ stampDigest: other })]) {
      expect(planStamp(provisioning, lacking, now).next.kind).toBe("provisioning");
    }
  });

  test("does nothing while it cannot look", () => {
    const plan = planStamp(stamp({ kind: "active" }), seen({ presence: "unknown", reason: "no answer in 2 s" }), now);
    expect(plan).toEqual({
      next: { kind: "active" },
      actions: [],
      waitingOn: "its engine to answer: no answer in 2 s",
    });
  });

  test("publishes moved endpoints of an active stamp even while something else is lacking", () => {
    const active = stamp({ kind: "active" }, { endpointRevision: 1 });
    expect(planStamp(active, seen({ endpointRevision: 2 }), now).actions).toMatchObject([{ kind: "publish" }]);
    const plan = planStamp(active, seen({ endpointRevision: 2, host: "down" }), now);
    expect(plan.actions.map((action) => action.kind)).toEqual(["publish", "apply"]);
    expect(planStamp(active, seen({ endpointRevision: 0, endpoints: [], host: "down" }), now).actions).toMatchObject([
      { kind: "apply" },
    ]);
  });

  test("leaves a restarting component to its host, and says so", () => {
    const plan = planStamp(stamp({ kind: "active" }, { endpointRevision: 1 }), sick("unhealthy"), now);
    expect(plan).toEqual({ next: { kind: "active" }, actions: [], waitingOn: "api is unhealthy: it answers 500" });
  });

  test("never builds an empty stamp in the place of one that held tenants", () => {
    const plan = planStamp(stamp({ kind: "active" }), absent, now);
    expect(plan.actions).toEqual([]);
    expect(plan.waitingOn).toMatch(/data/);
  });

  test("a failed update of an active stamp backs off, keeps serving, and is forgotten once it works", () => {
    const active = stamp({ kind: "active" }, { endpointRevision: 1 });
    const drifted = seen({ stampDigest: other });
    const first = afterFailure(active, "image is missing", now);
    expect(first).toMatchObject({ kind: "active", setback: { attempt: 1, retryAt: now + retryDelayMs(1) } });
    const waiting = stamp(first, { endpointRevision: 1 });
    expect(planStamp(waiting, drifted, now + 1)).toMatchObject({
      actions: [],
      waitingOn: "retry of: image is missing",
    });
    expect(planStamp(waiting, drifted, now + 2_000).actions).toMatchObject([{ kind: "apply" }]);
    expect(afterFailure(waiting, "again", now + 2_000)).toMatchObject({ setback: { attempt: 2 } });
    expect(planStamp(waiting, complete, now + 1)).toEqual({ next: { kind: "active" }, actions: [] });
  });

  test("a new rendering is tried at once, whatever failed before", () => {
    const failed = afterFailure(stamp({ kind: "provisioning", attempt: 5 }), "no", now);
    const renewed = { stampDigest: other };
    expect(planStamp(stamp(failed), absent, now).next).toEqual(failed);
    expect(planStamp(stamp(failed, renewed), absent, now).next).toEqual({ kind: "provisioning", attempt: 1 });
    const setback = afterFailure(stamp({ kind: "active" }), "no", now);
    expect(planStamp(stamp(setback, { ...renewed, endpointRevision: 1 }), complete, now).actions).toMatchObject([
      { kind: "apply" },
    ]);
  });

  test("removal records its intent, withdraws before it destroys, and backs off", () => {
    const leaving = { goal: "absent" } as const;
    expect(planStamp(stamp({ kind: "active" }, leaving), complete, now)).toEqual({
      next: { kind: "destroying", attempt: 1 },
      actions: [],
    });
    const destroying = stamp({ kind: "destroying", attempt: 1 }, leaving);
    expect(planStamp(destroying, complete, now).actions).toEqual([{ kind: "withdraw" }, { kind: "destroy" }]);
    const failed = stamp(afterFailure(destroying, "a mount is busy", now), leaving);
    expect(planStamp(failed, complete, now + 1)).toMatchObject({ actions: [], waitingOn: "retry of: a mount is busy" });
    expect(planStamp(failed, complete, now + 2_000).actions).toHaveLength(2);
  });

  test("a stamp that vanished by itself is still withdrawn before it is gone", () => {
    const plan = planStamp(stamp({ kind: "destroying", attempt: 1 }, { goal: "absent" }), absent, now);
    expect(plan).toEqual({ next: { kind: "gone" }, actions: [{ kind: "withdraw" }] });
  });

  test("a removal that has begun ends, even if the goal changes its mind", () => {
    expect(planStamp(stamp({ kind: "destroying", attempt: 1 }), complete, now).actions).toHaveLength(2);
    expect(planStamp(stamp({ kind: "gone" }), absent, now)).toEqual({ next: { kind: "gone" }, actions: [] });
  });
});

const digest = fc.constantFrom(wanted, other);
const attempt = fc.integer({ min: 1, max: 12 });
const at = fc.integer({ min: now - 5_000, max: now + 5_000 });
const serving = fc.constantFrom(...servingPhases);
const anyState: fc.Arbitrary<StampState> = fc.oneof(
  fc.constant({ kind: "requested" as const }),
  fc.record({ kind: fc.constant("provisioning" as const), attempt }),
  fc.record({ kind: fc.constant("verifying" as const), attempt }),
  serving.map((kind) => ({ kind })),
  fc
    .record({ kind: serving, attempt, cause: fc.constant("no"), retryAt: at, stampDigest: digest })
    .map(({ kind, ...setback }) => ({ kind, setback })),
  fc.record({
    kind: fc.constant("failed" as const),
    attempt,
    cause: fc.constant("no"),
    retryAt: at,
    stampDigest: digest,
  }),
  fc.record({ kind: fc.constant("destroying" as const), attempt, cause: fc.constant("no"), retryAt: at }),
  fc.constant({ kind: "gone" as const }),
);
const anyStamp = fc
  .record({
    state: anyState,
    goal: fc.constantFrom("present" as const, "cordoned" as const, "drained" as const, "absent" as const),
    goalDetail: fc.record({ force: fc.boolean(), deadline: at }),
    origin: fc.constantFrom("built" as const, "adopted" as const),
    stampDigest: digest,
    endpointRevision: fc.nat({ max: 2 }),
  })
  .map(({ state, ...over }) => stamp(state, over));
const anyTenants = fc.nat({ max: 2 }).map((count) => ({ count, some: ["acme", "globex"].slice(0, count) }));
const anySight: fc.Arbitrary<StampObservation> = fc.record(
  {
    stamp: fc.constant("eu-1"),
    presence: fc.constantFrom("absent" as const, "present" as const, "unknown" as const),
    stampDigest: digest,
    host: fc.constantFrom("up" as const, "down" as const, "none" as const),
    components: fc.array(
      fc.record({
        name: fc.constantFrom("api", "db"),
        replica: fc.constant(0),
        status: fc.constantFrom<ComponentStatus>(
          "absent",
          "starting",
          "healthy",
          "unhealthy",
          "stopped",
          "done",
          "failed",
        ),
        restarts: fc.nat({ max: 3 }),
        since: fc.constant(now),
      }),
      { maxLength: 2 },
    ),
    endpoints: fc.constantFrom([], endpoints),
    endpointRevision: fc.nat({ max: 2 }),
  },
  { requiredKeys: ["stamp", "presence", "host", "components", "endpoints", "endpointRevision"] },
);

describe("planStamp(), for any stamp, any tenants and any sight of it,", () => {
  test("plans only steps that the table allows", () => {
    fc.assert(
      fc.property(anyStamp, anySight, anyTenants, (given, sight, tenants) => {
        for (const next of [planStamp(given, sight, now, tenants).next, afterFailure(given, "no", now)]) {
          if (next.kind === given.state.kind) continue;
          expect(stampNext[given.state.kind] as readonly StampPhase[]).toContain(next.kind);
        }
      }),
    );
  });

  test("enters a working phase without an effect on the stamp: its intent is durable first (I26)", () => {
    const working: readonly StampPhase[] = ["provisioning", "verifying", "destroying"];
    fc.assert(
      fc.property(anyStamp, anySight, anyTenants, (given, sight, tenants) => {
        const { next, actions } = planStamp(given, sight, now, tenants);
        if (next.kind === given.state.kind || !working.includes(next.kind)) return;
        expect(actions.filter(({ kind }) => kind !== "publish")).toEqual([]);
      }),
    );
  });

  test("stands still without a reason only where there is nothing left to do", () => {
    const settled: Partial<Record<StampPhase, Stamp["goal"]>> = { active: "present", cordoned: "cordoned" };
    fc.assert(
      fc.property(anyStamp, anySight, anyTenants, (given, sight, tenants) => {
        const { next, actions, waitingOn } = planStamp(given, sight, now, tenants);
        const isStill = actions.length === 0 && next.kind === given.state.kind;
        if (!isStill || waitingOn !== undefined || given.state.kind === "gone") return;
        expect(given.goal).toBe(settled[given.state.kind] ?? "drained");
        if (given.goal === "drained") expect([given.state.kind, tenants.count]).toEqual(["empty", 0]);
        if (given.origin === "built") expect(whatIsLacking(given, sight)).toBeUndefined();
      }),
    );
  });

  test("destroys only what is to be absent, and applies only what is to be there", () => {
    fc.assert(
      fc.property(anyStamp, anySight, anyTenants, (given, sight, tenants) => {
        const kinds = planStamp(given, sight, now, tenants).actions.map((action) => action.kind);
        if (kinds.includes("destroy") || kinds.includes("withdraw")) expect(given.state.kind).toBe("destroying");
        if (kinds.includes("apply") || kinds.includes("verify")) expect(given.state.kind).not.toBe("destroying");
        if (given.origin !== "adopted") return;
        expect(
          kinds.filter((kind) => kind !== "publish" && kind !== "withdraw"),
          "nothing of it is ours",
        ).toEqual([]);
      }),
    );
  });

  test("begins to destroy only an empty stamp, or one whose removal was forced (I31)", () => {
    fc.assert(
      fc.property(anyStamp, anySight, anyTenants, (given, sight, tenants) => {
        if (given.state.kind === "destroying" || given.state.kind === "gone") return;
        if (planStamp(given, sight, now, tenants).next.kind !== "destroying") return;
        expect(given.goal).toBe("absent");
        if (given.goalDetail?.force !== true) expect(tenants.count).toBe(0);
      }),
    );
  });

  test("lets it take tenants only after a verification", () => {
    fc.assert(
      fc.property(anyStamp, fc.oneof(anySight, fc.constant(complete)), anyTenants, (given, sight, tenants) => {
        const { next, actions } = planStamp(given, sight, now, tenants);
        if (!isServing(next.kind) || isServing(given.state.kind)) return;
        expect(given.state.kind).toBe("verifying");
        if (given.origin === "built") expect(actions.at(-1)).toEqual({ kind: "verify" });
      }),
    );
  });

  test("a failure never shortens the wait and never loses the attempt", () => {
    fc.assert(
      fc.property(anyStamp, (given) => {
        const next = afterFailure(given, "no", now);
        if (next === given.state) return;
        if (next.kind === "failed") expect(next.retryAt).toBeGreaterThan(now);
        if ("setback" in next) expect(next.setback?.retryAt).toBeGreaterThan(now);
        if (next.kind === "destroying") expect(next.retryAt).toBeGreaterThan(now);
      }),
    );
    for (let n = 1; n < 20; n++) expect(retryDelayMs(n + 1)).toBeGreaterThanOrEqual(retryDelayMs(n));
    expect(retryDelayMs(1_000)).toBe(60_000);
  });
});
