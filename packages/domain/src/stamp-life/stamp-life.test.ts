import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StampObservation } from "../engine.ts";
import { afterFailure, isServing, type Stamp, type StampState, stampNext, type StampTenants } from "../stamp.ts";
import { planStamp } from "./plan-stamp.ts";
import { isReservedTenantKey, isTenantKey, requireTenantKey } from "../names.ts";
import { verifyTenantKey } from "./verification.ts";

const now = 1_000_000;
const endpoints = [{ host: "10.0.0.7", port: 8_000 }];

function stamp(state: StampState, over: Partial<Stamp> = {}): Stamp {
  return {
    name: "eu-1",
    pool: "eu",
    region: "eu",
    state,
    goal: "present",
    origin: "built",
    releaseDigest: "sha256:v1",
    parameters: {},
    stampDigest: "sha256:v1",
    capacity: { tenants: 9, units: {} },
    endpoints,
    endpointRevision: 1,
    ...over,
  };
}

const whole: StampObservation = {
  stamp: "eu-1",
  presence: "present",
  stampDigest: "sha256:v1",
  host: "up",
  components: [{ name: "api", replica: 0, status: "healthy", restarts: 0, since: now }],
  endpoints,
  endpointRevision: 1,
};
const silent: StampObservation = {
  ...whole,
  components: [{ name: "10.0.0.7:8000", replica: 0, status: "unhealthy", restarts: 0, since: now, reason: "refused" }],
};
const nobody: StampTenants = { count: 0, some: [] };
const three: StampTenants = { count: 3, some: ["acme", "globex"] };
const next = (given: Stamp, tenants = nobody, seen = whole, at = now) => planStamp(given, seen, tenants, at);

test("the table of phases is what it says in the manual, and every phase can end", () => {
  const lines = Object.entries(stampNext).map(([from, to]) => `${from} → ${to.join(", ")}`);
  expect(lines).toEqual([
    "requested → provisioning, verifying, destroying",
    "provisioning → verifying, failed, destroying",
    "verifying → active, cordoned, draining, failed, destroying",
    "active → cordoned, draining, destroying",
    "cordoned → active, draining, destroying",
    "draining → active, cordoned, empty, destroying",
    "empty → active, cordoned, draining, destroying",
    "failed → provisioning, destroying",
    "destroying → gone",
    "gone → ",
  ]);
});

describe("a stamp of the right digest", () => {
  test("is verified before it takes tenants, and a failed verification is retried from the building on", () => {
    const verifying = stamp({ kind: "verifying", attempt: 2 });
    expect(next(verifying)).toMatchObject({ next: { kind: "active" }, actions: [{ kind: "verify" }] });
    const failed = afterFailure(verifying, "POST /notes answered 500", now);
    expect(failed).toMatchObject({ kind: "failed", attempt: 2, cause: "POST /notes answered 500" });
    expect(next(stamp(failed), nobody, whole, now + 60_000).next).toEqual({ kind: "provisioning", attempt: 3 });
  });

  test("is mended, not verified, while something of it is broken", () => {
    const down = { ...whole, host: "down" } as const;
    const plan = next(stamp({ kind: "verifying", attempt: 1 }), nobody, down);
    expect(plan).toMatchObject({ next: { kind: "verifying" }, actions: [{ kind: "apply" }] });
  });

  test("goes from verifying to where its goal is", () => {
    const after = (goal: Stamp["goal"], tenants = nobody) =>
      next(stamp({ kind: "verifying", attempt: 1 }, { goal }), tenants).next.kind;
    expect(after("cordoned")).toBe("cordoned");
    expect(after("drained")).toBe("draining");
    expect(after("drained", three)).toBe("draining");
  });

  test("cordoned and back again, keeping what is known of its last failure", () => {
    const setback = { attempt: 1, cause: "no", retryAt: now + 9_000, stampDigest: "sha256:v1" } as const;
    const cordoned = next(stamp({ kind: "active", setback }, { goal: "cordoned" }));
    expect(cordoned).toEqual({ next: { kind: "cordoned", setback }, actions: [] });
    expect(next(stamp({ kind: "cordoned" }, { goal: "cordoned" }))).toEqual({
      next: { kind: "cordoned" },
      actions: [],
    });
    expect(next(stamp({ kind: "cordoned" })).next.kind).toBe("active");
  });

  test("drained: says who has to leave and what makes them, is empty after the last, and may come back", () => {
    const goal = "drained";
    expect(next(stamp({ kind: "active" }, { goal }), three).next.kind).toBe("draining");
    const draining = next(stamp({ kind: "draining" }, { goal }), three);
    expect(draining).toMatchObject({ next: { kind: "draining" }, actions: [] });
    expect(draining.waitingOn).toBe(
      "its 3 tenants to leave: acme, globex and 1 more; each leaves when it is moved or deleted (stampyard tenant list --stamp eu-1)",
    );
    expect(next(stamp({ kind: "draining" }, { goal })).next.kind).toBe("empty");
    expect(next(stamp({ kind: "empty" }, { goal }))).toEqual({ next: { kind: "empty" }, actions: [] });
    expect(next(stamp({ kind: "empty" }, { goal }), three).next.kind, "somebody came").toBe("draining");
    expect(next(stamp({ kind: "empty" })).next.kind).toBe("active");
  });

  test("is not empty while a move keeps a place here, and names it (I31)", () => {
    const kept = { count: 0, some: [], keptBy: ["mv-1", "mv-2"] };
    const draining = next(stamp({ kind: "draining" }, { goal: "drained" }), kept);
    expect(draining).toMatchObject({ next: { kind: "draining" }, actions: [] });
    expect(draining.waitingOn).toBe("the end of move mv-1, which keeps a place here (stampyard move show mv-1)");
    const wanted = stamp({ kind: "active" }, { goal: "absent" });
    expect(next(wanted, kept).next.kind).toBe("draining");
    expect(next({ ...wanted, goalDetail: { force: true } }, kept).next.kind).toBe("destroying");
  });

  test("past its deadline says so, and goes on", () => {
    const late = stamp({ kind: "draining" }, { goal: "drained", goalDetail: { deadline: now - 1 } });
    expect(next(late, three).waitingOn).toMatch(/^past its deadline, its 3 tenants to leave/);
    expect(next(late).next.kind).toBe("empty");
  });

  test("is mended in every serving phase", () => {
    for (const kind of ["active", "cordoned", "draining", "empty"] as const) {
      const goal = ({ active: "present", cordoned: "cordoned", draining: "drained", empty: "drained" } as const)[kind];
      const plan = next(stamp({ kind }, { goal }), kind === "draining" ? three : nobody, { ...whole, host: "down" });
      expect(plan, kind).toMatchObject({ next: { kind }, actions: [{ kind: "apply" }] });
    }
  });

  test("to be destroyed waits for its tenants unless it was forced (I31)", () => {
    const wanted = stamp({ kind: "active" }, { goal: "absent" });
    expect(next(wanted, three).next.kind).toBe("draining");
    const waiting = next(stamp({ kind: "draining" }, { goal: "absent" }), three);
    expect(waiting.waitingOn).toMatch(/it is destroyed after the last one$/);
    expect(next(wanted).next.kind).toBe("destroying");
    expect(next({ ...wanted, goalDetail: { force: true } }, three).next.kind).toBe("destroying");
  });
});

describe("an adopted stamp", () => {
  const adopted = (state: StampState, over: Partial<Stamp> = {}) => stamp(state, { origin: "adopted", ...over });

  test("is published when it answers, and never built, verified or destroyed", () => {
    expect(next(adopted({ kind: "requested" })).next.kind).toBe("verifying");
    const quiet = next(adopted({ kind: "verifying", attempt: 1 }), nobody, silent);
    expect(quiet).toMatchObject({
      next: { kind: "verifying" },
      actions: [],
      waitingOn: "10.0.0.7:8000 to answer: refused",
    });
    const known = next(adopted({ kind: "verifying", attempt: 1 }), three);
    expect(known).toMatchObject({ next: { kind: "active" }, actions: [{ kind: "publish", endpoints }] });
  });

  test("stays what it is while it does not answer", () => {
    const plan = next(adopted({ kind: "active" }), three, silent);
    expect(plan).toEqual({ next: { kind: "active" }, actions: [], waitingOn: "10.0.0.7:8000 to answer: refused" });
  });

  test("is only forgotten, and not while tenants live there (I31)", () => {
    expect(next(adopted({ kind: "active" }, { goal: "absent" }), three).next.kind).toBe("draining");
    expect(next(adopted({ kind: "draining" }, { goal: "absent" })).next.kind).toBe("destroying");
    const gone = next(adopted({ kind: "destroying", attempt: 1 }, { goal: "absent" }));
    expect(gone).toEqual({ next: { kind: "gone" }, actions: [{ kind: "withdraw" }] });
  });
});

/** What may be seen of it on the way, and how many tenants it has then. */
const anyMoment = fc.record({
  seen: fc.constantFrom<StampObservation>(
    whole,
    silent,
    { ...whole, host: "down" },
    { ...whole, presence: "unknown", components: [] },
    { ...whole, presence: "absent", host: "none", components: [], endpoints: [] },
    { ...whole, stampDigest: "sha256:v0" },
    { ...whole, endpointRevision: 2 },
  ),
  count: fc.nat({ max: 3 }),
  goal: fc.constantFrom<Stamp["goal"]>("present", "cordoned", "drained", "absent"),
  fails: fc.boolean(),
});

const late = { attempt: 3, cause: "no", retryAt: now + 90_000 };
const anyBeginning = fc.constantFrom<StampState>(
  { kind: "requested" },
  { kind: "provisioning", attempt: 2 },
  { kind: "verifying", attempt: 2 },
  { kind: "active" },
  { kind: "active", setback: { ...late, stampDigest: "sha256:v1" } },
  { kind: "cordoned" },
  { kind: "draining" },
  { kind: "empty" },
  { kind: "failed", ...late },
);

test("from any state and any history a stamp reaches its goal once it is seen whole and its tenants have left (I29, I31)", () => {
  fc.assert(
    fc.property(
      anyBeginning,
      fc.array(anyMoment, { maxLength: 12 }),
      fc.constantFrom<Stamp["goal"]>("present", "cordoned", "drained", "absent"),
      fc.constantFrom<Stamp["origin"]>("built", "adopted"),
      (beginning, history, goal, origin) => {
        let given = stamp(beginning, { origin, endpoints: [], endpointRevision: 0 });
        let at = now;
        const turn = (seen: StampObservation, tenants: StampTenants, fails: boolean) => {
          at += 30_000;
          const plan = planStamp(given, seen, tenants, at);
          if (plan.next.kind === "destroying" && given.state.kind !== "destroying") expect(tenants.count).toBe(0);
          const acts = plan.actions.some(({ kind }) => kind === "apply" || kind === "destroy");
          const state =
            fails && plan.actions.length > 0 ? afterFailure(given, "no", at) : acts ? given.state : plan.next;
          const published = plan.actions.find((action) => action.kind === "publish");
          given = { ...given, state, ...(published === undefined || fails ? {} : { endpointRevision: 1 }) };
        };
        for (const { seen, count, goal: asked, fails } of history) {
          // `absent` is a last word.
          if (given.goal !== "absent") given = { ...given, goal: asked };
          turn(seen, { count, some: [] }, fails);
        }
        if (given.goal !== "absent") given = { ...given, goal };
        const isGone = () => given.state.kind === "destroying" || given.state.kind === "gone";
        for (let n = 0; n < 12; n++) turn(isGone() ? { ...whole, presence: "absent" } : whole, nobody, false);
        const end = { present: "active", cordoned: "cordoned", drained: "empty", absent: "gone" }[given.goal];
        expect(given.state.kind).toBe(end);
        if (end !== "gone") expect(isServing(given.state.kind)).toBe(true);
      },
    ),
  );
});

test("verifyTenantKey() is a label that no user can take", () => {
  expect(verifyTenantKey("eu-1")).toBe("stampyard-verify-eu-1");
  expect(verifyTenantKey("a".repeat(40))).toHaveLength(57);
  expect(isTenantKey(verifyTenantKey("a".repeat(40)))).toBe(true);
  expect(isReservedTenantKey("acme")).toBe(false);
  expect(() => requireTenantKey(verifyTenantKey("eu-1"))).toThrow(/reserved/);
});
