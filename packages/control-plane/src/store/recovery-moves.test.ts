import type { MovePhase, TenantPhase } from "@stampyard/domain";
import { describe, expect, test } from "vitest";
import type { RememberedMove } from "./recovery-moves.ts";
import { type Claim, planRecovery, type RecoveryFacts } from "./recovery-plan.ts";

const id = "mv-0123456789ab";

const home = (stamp: string, epoch: number, state: string, more: Partial<Claim> = {}): Claim => ({
  source: `stamp/${stamp}`,
  tenant: "acme",
  stamp,
  epoch,
  state,
  hostnames: [],
  ...more,
});
const moved = (from: string, epoch: number, movedTo: string, moveId = id) =>
  home(from, epoch, "moved", { moveId, movedTo });
const route = (stamp: string, epoch: number): Claim => ({
  ...home(stamp, epoch, "routed"),
  source: "router/r1",
  hostnames: ["notes.acme.com"],
});

/** By a move from `a` to `b`, at epoch 3. */
const move = (phase: MovePhase, over: Partial<RememberedMove> = {}): RememberedMove => ({
  id,
  tenant: "acme",
  from: "a",
  to: "b",
  epoch: 3,
  phase,
  ...over,
});
const memory = (stamp: string, epoch: number, phase: TenantPhase, inMove?: string) => ({
  tenants: [
    {
      key: "acme",
      phase,
      stamp,
      epoch,
      hostnames: ["notes.acme.com"],
      ...(inMove === undefined ? {} : { move: inMove }),
    },
  ],
});
const moving = memory("a", 3, "moving", id);

function plan(claims: readonly Claim[], over: Partial<RecoveryFacts> = {}) {
  const moves = over.moves ?? [];
  return planRecovery({
    tenants: [],
    goneEpochs: new Map(),
    decisions: new Map(),
    stamps: ["a", "b", "c"],
    adopted: [],
    routers: ["r1"],
    isEarly: false,
    complete: new Set(["stamp/a", "stamp/b", "stamp/c", "router/r1"]),
    newestRouter: undefined,
    knownMoves: new Set(moves.map((each) => each.id)),
    claims,
    ...over,
    moves,
  });
}

const nothing = { adopt: [], forget: [], moves: [], conflicts: [], waitingOn: [] };

describe("planRecovery(), of a move that the store remembers,", () => {
  test("believes a fenced or armed source, and lets the move go on", () => {
    for (const state of ["active", "fenced"]) {
      const claims = [home("a", 3, state, { moveId: id }), home("b", 4, "importing", { moveId: id }), route("a", 3)];
      expect(plan(claims, { ...moving, moves: [move("copying")] })).toEqual(nothing);
    }
  });

  test("gives up what neither stamp has heard of, and begins nothing twice", () => {
    const silent = plan([home("a", 3, "active"), route("a", 3)], { ...moving, moves: [move("copying")] });
    expect(silent).toEqual({ ...nothing, moves: [{ kind: "give-up", move: move("copying") }] });
    const early = plan([home("a", 3, "active")], { ...moving, moves: [move("requested")] });
    expect(early).toEqual(nothing);
  });

  test("lets the target win over the source that has decided, also before it has opened", () => {
    const claims = [moved("a", 4, "b"), home("b", 4, "importing", { moveId: id }), route("a", 3)];
    expect(plan(claims, { ...moving, moves: [move("copying")] })).toEqual(nothing);
  });

  test("lands what has opened, in its own words (I2, I25)", () => {
    const claims = [
      moved("a", 4, "b"),
      home("b", 4, "active", { moveId: `${id}-back`, isWatched: true }),
      route("b", 4),
    ];
    const found = plan(claims, { ...moving, moves: [move("copying")] });
    expect(found.adopt).toMatchObject([{ tenant: "acme", stamp: "b", epoch: 4, stampKnows: true, moving: id }]);
    expect(found.moves).toEqual([{ kind: "landed", move: move("copying") }]);
    expect(found.conflicts).toEqual([]);
    const landed = { ...memory("b", 4, "moving", id), moves: [move("opening")] };
    expect(plan(claims, landed)).toEqual(nothing);
    const resting = { ...memory("b", 4, "active"), moves: [move("resting")] };
    expect(plan(claims, resting)).toEqual(nothing);
  });

  test("ends what the tenant has left behind", () => {
    const gone = plan([moved("a", 4, "b"), moved("b", 5, "c", "mv-later"), home("c", 5, "active")], {
      ...moving,
      moves: [move("switching")],
      knownMoves: new Set([id, "mv-later"]),
    });
    expect(gone.adopt).toMatchObject([{ stamp: "c", epoch: 5 }]);
    expect(gone.adopt[0]?.moving).toBeUndefined();
    expect(gone.moves).toEqual([{ kind: "ended", move: move("switching"), as: "done" }]);
    const back = plan([home("a", 5, "active"), moved("b", 5, "a", `${id}-back`)], {
      ...memory("b", 4, "active"),
      moves: [move("resting")],
      knownMoves: new Set([id, `${id}-back`]),
    });
    expect(back.moves).toEqual([{ kind: "ended", move: move("resting"), as: "returned" }]);
    const forgotten = plan([home("b", 4, "active")], { ...moving, moves: [move("opening")] });
    expect(forgotten.moves).toEqual([{ kind: "ended", move: move("opening"), as: "done" }]);
    expect(forgotten.adopt).toMatchObject([{ stamp: "b", epoch: 4 }]);
  });

  test("waits for a stamp that does not answer", () => {
    const complete = new Set(["stamp/a", "stamp/c", "router/r1"]);
    const found = plan([moved("a", 4, "b"), route("a", 3)], { ...moving, moves: [move("switching")], complete });
    expect(found).toEqual({ ...nothing, waitingOn: ["the report of stamp/b"] });
  });

  test("asks a person where the target has lost what was given to it", () => {
    const facts = { ...moving, moves: [move("switching")] };
    const lost = plan([moved("a", 4, "b"), route("a", 3)], facts);
    expect(lost.conflicts).toMatchObject([{ tenant: "acme", why: expect.stringContaining("does not have it") }]);
    const closed = plan([moved("a", 4, "b"), home("b", 4, "importing", { moveId: id }), route("b", 4)], facts);
    expect(closed.conflicts).toMatchObject([{ why: expect.stringContaining("routed there already") }]);
    const elsewhere = plan([moved("a", 4, "z"), route("a", 3)], facts);
    expect(elsewhere.conflicts).toMatchObject([{ why: expect.stringContaining("does not know") }]);
  });

  test("takes a person's word, and leaves the tenant to it", () => {
    const claims = [moved("a", 4, "b"), route("a", 3)];
    const facts = { ...moving, moves: [move("switching")] };
    const kept = plan(claims, { ...facts, decisions: new Map([["acme", "a"]]) });
    expect(kept.adopt).toMatchObject([{ stamp: "a", epoch: 5, stampKnows: false }]);
    expect(kept.adopt[0]?.moving).toBeUndefined();
    expect(kept.conflicts).toEqual([]);
    expect(kept.moves).toEqual([{ kind: "ended", move: move("switching"), as: "aborted" }]);
    const brought = [...claims, home("b", 4, "importing", { moveId: id })];
    for (const known of [facts, memory("a", 3, "active")]) {
      const against = plan(brought, { ...known, decisions: new Map([["acme", "a"]]) });
      expect(against.moves.filter((finding) => finding.kind !== "ended")).toEqual([]);
    }
    const armed = [home("a", 3, "active", { moveId: id }), home("b", 4, "importing", { moveId: id }), route("b", 9)];
    const undecided = plan(armed, { ...facts, decisions: new Map([["acme", "a"]]) });
    expect(undecided.moves).toEqual([{ kind: "give-up", move: move("switching") }]);
    const other = plan(claims, { ...facts, decisions: new Map([["acme", "c"]]) });
    expect(other.moves).toEqual([{ kind: "ended", move: move("switching"), as: "done" }]);
  });
});

describe("planRecovery(), of a move that the store does not know,", () => {
  const active = memory("a", 3, "active");

  test("cleans up what was not decided (I22)", () => {
    const claims = [home("a", 3, "fenced", { moveId: id }), home("b", 4, "importing", { moveId: id }), route("a", 3)];
    const found = plan(claims, active);
    expect(found).toMatchObject({ adopt: [], conflicts: [] });
    expect(found.moves).toMatchObject([
      { kind: "found", move: { id, from: "a", to: "b", epoch: 3, goal: "abort", state: { kind: "aborting" } } },
    ]);
  });

  test("goes on with what was decided, also of a tenant that it does not know", () => {
    const claims = [moved("a", 4, "b"), home("b", 4, "importing", { moveId: id }), route("a", 3)];
    for (const known of [active, {}]) {
      const found = plan(claims, known);
      expect(found.adopt).toMatchObject([{ tenant: "acme", stamp: "a", epoch: 3, moving: id }]);
      expect(found.moves).toMatchObject([
        { kind: "found", move: { id, from: "a", to: "b", epoch: 3, state: { kind: "opening" } } },
      ]);
    }
  });

  test("leaves it to a person whether the copies were equal (I18)", () => {
    const opened = [
      moved("a", 4, "b"),
      home("b", 4, "active", { moveId: `${id}-back`, isWatched: true }),
      route("b", 4),
    ];
    const found = plan(opened, active);
    expect(found.adopt).toMatchObject([{ stamp: "b", epoch: 4 }]);
    expect(found.adopt[0]?.moving).toBeUndefined();
    expect(found.moves).toMatchObject([
      { kind: "found", move: { id, restMs: 3_600_000, state: { kind: "disputed" } } },
    ]);
    const unwatched = plan([moved("a", 4, "b"), home("b", 4, "active"), route("b", 4)], active);
    expect(unwatched.moves).toMatchObject([{ kind: "found", move: { id, restMs: 0, state: { kind: "disputed" } } }]);
  });

  test("knows a way back by its name", () => {
    const claims = [
      home("a", 5, "importing", { moveId: `${id}-back` }),
      home("b", 4, "active", { moveId: `${id}-back` }),
      route("b", 4),
    ];
    const found = plan(claims, { ...memory("b", 4, "active"), moves: [move("resting")] });
    expect(found.moves).toMatchObject([
      {
        kind: "found",
        move: { id: `${id}-back`, returns: id, from: "b", to: "a", epoch: 4, state: { kind: "aborting" } },
      },
    ]);
  });

  test("says nothing of rows that tenants left behind long ago", () => {
    // Deleted since, known to be gone or not; and moved on.
    expect(plan([moved("a", 4, "b")], { goneEpochs: new Map([["acme", 4]]) })).toEqual(nothing);
    expect(plan([moved("a", 4, "b")])).toEqual(nothing);
    const on = plan([moved("a", 4, "b", "mv-old"), moved("b", 5, "c"), home("c", 5, "active")], {
      ...memory("c", 5, "active"),
      knownMoves: new Set([id]),
    });
    expect(on).toEqual(nothing);
  });
});
