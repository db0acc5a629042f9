import type { TenantPhase } from "@stampyard/domain";
import { describe, expect, test } from "vitest";
import { type Claim, planRecovery, type RecoveryFacts } from "./recovery-plan.ts";

const home = (stamp: string, epoch: number, state = "active"): Claim => ({
  source: `stamp/${stamp}`,
  tenant: "acme",
  stamp,
  epoch,
  state,
  hostnames: [],
});
const route = (router: string, stamp: string, epoch: number): Claim => ({
  source: `router/${router}`,
  tenant: "acme",
  stamp,
  epoch,
  state: "routed",
  hostnames: ["notes.acme.com"],
});
const memory = (stamp: string, epoch: number, phase: TenantPhase = "active") => ({
  tenants: [{ key: "acme", phase, stamp, epoch, hostnames: ["notes.acme.com"] }],
});

function plan(claims: readonly Claim[], over: Partial<RecoveryFacts> = {}) {
  const complete = new Set(["stamp/a", "stamp/b", "router/r1"]);
  const known = {
    stamps: ["a", "b"],
    adopted: [],
    routers: ["r1"],
    isEarly: false,
    complete,
    newestRouter: "router/r1",
    moves: [],
    knownMoves: new Set<string>(),
  };
  return planRecovery({ tenants: [], goneEpochs: new Map(), decisions: new Map(), ...known, claims, ...over });
}

describe("planRecovery(), of a tenant of an adopted stamp,", () => {
  const complete = new Set(["stamp/b", "router/r1"]);
  const adopted = ["a"];

  test("believes routers and the store: nobody else has a record of it", () => {
    const kept = plan([route("r1", "a", 1)], { ...memory("a", 1), complete, adopted });
    expect(kept).toMatchObject({ adopt: [], conflicts: [], waitingOn: [] });
    const found = plan([route("r1", "a", 1)], { complete, adopted });
    expect(found).toMatchObject({ adopt: [{ tenant: "acme", stamp: "a", epoch: 1 }], conflicts: [], waitingOn: [] });
  });

  test("believes a stamp that owns it by now", () => {
    const moved = plan([route("r1", "a", 1), home("b", 2)], { ...memory("a", 1), complete, adopted });
    expect(moved.adopt).toMatchObject([{ tenant: "acme", stamp: "b", epoch: 2 }]);
  });
});

describe("planRecovery()", () => {
  test("keeps what store and stamp agree on", () => {
    expect(plan([home("a", 3), route("r1", "a", 3)], memory("a", 3))).toEqual({
      adopt: [],
      forget: [],
      moves: [],
      conflicts: [],
      waitingOn: [],
    });
  });

  test("lets the highest active epoch win over the store and over a stale owner (I25)", () => {
    const { adopt, conflicts } = plan([home("a", 3), home("b", 4), route("r1", "b", 4)], memory("a", 3));
    expect(conflicts).toEqual([]);
    expect(adopt).toMatchObject([{ tenant: "acme", stamp: "b", epoch: 4, stampKnows: true }]);
  });

  test("registers an unknown tenant again, with the hostnames that routers know", () => {
    const { adopt } = plan([home("a", 1), route("r1", "a", 1)]);
    expect(adopt).toMatchObject([{ tenant: "acme", stamp: "a", epoch: 1, hostnames: ["notes.acme.com"] }]);
  });

  test("takes hostnames that changed after the backup from the newest router, and from no older one", () => {
    const stale = { tenants: [{ key: "acme", phase: "active" as const, stamp: "a", epoch: 3, hostnames: [] }] };
    const claims = [home("a", 3), route("r1", "a", 3)];
    expect(plan(claims, stale).adopt).toMatchObject([{ stamp: "a", epoch: 3, hostnames: ["notes.acme.com"] }]);
    expect(plan(claims, { ...stale, newestRouter: undefined }).adopt).toEqual([]);
  });

  test("keeps what was suspended so, whether store or stamp remembers it, and what was resumed served", () => {
    const told = [home("a", 3, "suspended"), route("r1", "suspended", 3)];
    for (const phase of ["suspended", "suspending", "resuming", "deleting"] as const) {
      expect(plan(told, memory("a", 3, phase))).toMatchObject({ adopt: [], conflicts: [] });
    }
    const owned = { tenant: "acme", stamp: "a", epoch: 3, stampKnows: true };
    expect(plan(told, memory("a", 3))).toMatchObject({ adopt: [{ ...owned, suspended: true }], conflicts: [] });
    expect(plan(told)).toMatchObject({ adopt: [{ ...owned, suspended: true }], conflicts: [] });
    const resumed = plan([home("a", 3), route("r1", "a", 3)], memory("a", 3, "suspended"));
    expect(resumed).toMatchObject({ adopt: [owned], conflicts: [] });
    expect(resumed.adopt[0]?.suspended).toBeUndefined();
    // The stamp had not been told yet: the suspension goes on.
    expect(plan([home("a", 3), route("r1", "suspended", 3)], memory("a", 3, "suspending")).adopt).toEqual([]);
  });

  test("lets only active rows own: a fenced, moved or importing copy is no owner", () => {
    const { adopt, conflicts } = plan([home("a", 3), home("b", 4, "importing")], memory("b", 2, "preparing"));
    expect(conflicts).toEqual([]);
    expect(adopt).toMatchObject([{ stamp: "a", epoch: 3 }]);
    expect(plan([home("a", 5, "moved")]).adopt).toEqual([]);
  });

  test.each([
    ["two stamps own it at one epoch", [home("a", 3), home("b", 3)], memory("a", 3)],
    ["a router has a higher epoch than any owner", [home("a", 3), route("r1", "b", 4)], memory("a", 3)],
    ["the store has a higher epoch than any owner", [home("a", 3)], memory("b", 4)],
    ["a router sends the owner's epoch elsewhere", [home("a", 3), route("r1", "b", 3)], memory("a", 3)],
    ["its stamp does not know it", [], memory("a", 3)],
    ["it was deleted, and a stamp still owns it", [home("a", 3)], { goneEpochs: new Map([["acme", 3]]) }],
    ["routers know a stamp that the store does not", [route("r1", "c", 3)], {}],
  ])("waits for a person when %s", (_, claims, over) => {
    const { adopt, conflicts } = plan(claims, over);
    expect(adopt).toEqual([]);
    expect(conflicts.map((conflict) => conflict.tenant)).toEqual(["acme"]);
  });

  test("believes routers about a stamp that cannot be read, and has it told before it is published (I45)", () => {
    const complete = new Set(["stamp/b", "router/r1"]);
    const { adopt, waitingOn } = plan([route("r1", "a", 3)], { complete });
    expect(adopt).toMatchObject([{ stamp: "a", epoch: 3, stampKnows: false }]);
    expect(waitingOn).toEqual(["the report of stamp/a"]);
    expect(plan([route("r1", "a", 3)], { ...memory("a", 3), complete })).toMatchObject({ adopt: [], conflicts: [] });
  });

  test("a person's word is a new epoch above every one seen, or the owner's own (I2)", () => {
    const decisions = new Map<string, string | undefined>([["acme", "a"]]);
    const twins = [home("a", 3), home("b", 3), route("r1", "b", 5)];
    expect(plan(twins, { ...memory("a", 2), decisions }).adopt).toMatchObject([
      { stamp: "a", epoch: 6, stampKnows: false },
    ]);
    const single = plan([home("a", 7), home("b", 3)], { decisions });
    expect(single.adopt).toMatchObject([{ stamp: "a", epoch: 7, stampKnows: true }]);
    const gone = plan(twins, { decisions: new Map([["acme", undefined]]) });
    expect(gone).toMatchObject({ forget: [{ tenant: "acme", epoch: 5 }], adopt: [], conflicts: [] });
  });

  test("waits for routers to connect only at the beginning", () => {
    const quiet = { routers: [], complete: new Set(["stamp/a", "stamp/b"]) };
    expect(plan([], { ...quiet, isEarly: true }).waitingOn).toEqual(["routers to connect"]);
    expect(plan([], quiet).waitingOn).toEqual([]);
  });

  test("leaves a deletion that had begun, and a tenant that was never published", () => {
    expect(plan([home("a", 3)], memory("a", 3, "deleting")).adopt).toEqual([]);
    expect(plan([], memory("a", 3, "preparing"))).toMatchObject({ adopt: [], conflicts: [] });
  });
});
