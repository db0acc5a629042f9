import { createSeededRandom, type SeededRandom } from "@stampyard/testing";
import { describe, expect, test } from "vitest";
import { type HomeSeen, type Move, type MoveAction, moveNext, type MoveSeen, type VerifyPolicy } from "./move.ts";
import { afterMoveFailure, isDecided, planMove } from "./plan-move.ts";

type Home = Extract<HomeSeen, { kind: "present" }>;

/** Two databases, a directory and routers, reduced to what a move may change. Every action may be repeated. */
interface World {
  move: Move;
  now: number;
  tenant: MoveSeen["tenant"];
  isCompared: boolean;
  source: Home;
  target: HomeSeen;
  isCopied: boolean;
  lag: number;
  directory: { stamp: string; epoch: number };
  isHeld: boolean;
  sourceHasRows: boolean;
  /** Writes that reached the source while nothing captured them and the target was said to be whole. */
  hasUncaptured: boolean;
  compared: boolean | undefined;
  fencedUntil: number;
}

function newWorld(verify: VerifyPolicy = "after"): World {
  const state = { kind: "requested" } as const;
  return {
    move: {
      id: "mv-1",
      tenant: "acme",
      from: "a",
      to: "b",
      epoch: 4,
      mode: "capture",
      verify,
      goal: "finish",
      state,
      maxPauseMs: 2_000,
      restMs: 5_000,
      report: {},
    },
    now: 0,
    tenant: "staying",
    isCompared: false,
    source: { kind: "present", state: "active", epoch: 4 },
    target: { kind: "absent" },
    isCopied: false,
    lag: 0,
    directory: { stamp: "a", epoch: 4 },
    isHeld: false,
    sourceHasRows: true,
    hasUncaptured: false,
    compared: undefined,
    fencedUntil: 0,
  };
}

function look(world: World): MoveSeen {
  return {
    source: world.source,
    target: world.target,
    isCopied: world.isCopied,
    lag: world.lag,
    tenant: world.tenant,
    isCompared: world.isCompared,
    isPublished: world.directory.stamp === "b",
    ...(world.compared === undefined ? {} : { isEqual: world.compared }),
    isErased: !world.sourceHasRows,
  };
}

const { id } = newWorld().move;

function act(world: World, action: MoveAction, random: SeededRandom): void {
  const armed = world.source.moveId === id && world.source.state === "active";
  switch (action.kind) {
    case "admit":
      if (world.target.kind === "absent") world.target = { kind: "present", state: "importing", epoch: 5, moveId: id };
      return;
    case "arm":
      if (world.source.state === "active" && world.source.moveId === undefined) {
        world.source = { ...world.source, moveId: id };
        world.hasUncaptured = false;
      }
      return;
    case "copy":
      if (armed && world.target.kind === "present") world.isCopied = true;
      return;
    case "follow":
      if (armed) world.lag = 0;
      return;
    case "verify":
      if (armed && world.isCopied) world.isCompared = true;
      return;
    case "switch":
      attemptSwitch(world, random);
      return;
    case "open":
      if (world.target.kind === "present" && isDecided(world.move, world.source)) {
        world.target = { kind: "present", state: "active", epoch: 5 };
      }
      return;
    case "publish":
      world.directory = { stamp: "b", epoch: 5 };
      return;
    case "release":
      world.isHeld = false;
      return;
    case "compare":
      world.compared = !world.hasUncaptured;
      return;
    case "erase":
      if (world.tenant !== "gone") {
        const proof = world.move.verify === "after" ? world.compared : world.isCompared;
        expect(proof, "erased without proof (I18)").toBe(true);
      }
      world.sourceHasRows = false;
      return;
    case "reopen":
      if (world.source.moveId === id && world.source.state !== "moved") world.source = open(world.source);
      world.lag = 0;
      return;
    case "forget":
      expect(world.target.kind === "present" && world.target.state === "active", "forgot an open tenant").toBe(false);
      world.target = { kind: "absent" };
      world.isCopied = false;
      world.isCompared = false;
      return;
    case "check":
      return;
  }
}

function open({ epoch }: Home): Home {
  return { kind: "present", state: "active", epoch };
}

/** Hold, fence, last changes, flip; a crash or the deadline may come between any two. */
function attemptSwitch(world: World, random: SeededRandom): void {
  if (world.source.moveId !== id || world.source.state === "moved") return;
  if (world.move.verify === "incremental") expect(world.isCompared, "fenced before it was compared").toBe(true);
  else world.isCompared = true;
  world.isHeld = true;
  if (random.chance(0.2)) return;
  world.source = { ...world.source, state: "fenced" };
  world.fencedUntil = world.now + world.move.maxPauseMs;
  if (random.chance(0.3)) return;
  world.lag = 0;
  world.now += random.int(0, 3_000);
  if (world.now >= world.fencedUntil) return;
  world.source = { ...world.source, state: "moved", epoch: 5, moveId: id };
}

/** Clients write whenever they may; the first one after the deadline opens the fence. */
function clientsWrite(world: World): void {
  if (world.source.state === "fenced" && world.now >= world.fencedUntil) world.source = open(world.source);
  if (world.source.state !== "active") return;
  if (world.source.moveId === id) world.lag += 50;
  else if (world.isCopied) world.hasUncaptured = true;
}

function checkOwners(world: World): void {
  const targetOpen = world.target.kind === "present" && world.target.state === "active";
  expect(targetOpen && world.source.state !== "moved", "two owners (I16)").toBe(false);
  if (world.directory.stamp === "b")
    expect(isDecided(world.move, world.source), "published undecided (I19)").toBe(true);
}

/** One turn: some of its actions may be done and not recorded, as after a kill. */
function turn(world: World, random: SeededRandom): void {
  const unknown = { kind: "unknown", why: "restarting" } as const;
  const seen = random.chance(0.1) ? { ...look(world), [random.pick(["source", "target"])]: unknown } : look(world);
  const plan = planMove(world.move, seen, world.now);
  for (const action of plan.actions) {
    if (random.chance(0.15)) return;
    act(world, action, random);
    clientsWrite(world);
    checkOwners(world);
  }
  if (random.chance(0.1)) return;
  const from = world.move.state.kind;
  if (from !== plan.next.kind)
    expect(moveNext[from] as readonly string[], `${from} to ${plan.next.kind}`).toContain(plan.next.kind);
  world.move = { ...world.move, state: plan.next };
}

describe("planMove()", () => {
  test("ends every history with one owner, whatever dies when and whoever aborts (I16, I18, I19, I21, I22)", () => {
    const ends = { done: 0, aborted: 0 };
    for (let seed = 1; seed <= 3_000; seed++) {
      const random = createSeededRandom(seed);
      const world = newWorld(random.pick(["incremental", "before", "after"]));
      const abortAt = random.chance(0.4) ? random.int(0, 25) : Number.POSITIVE_INFINITY;
      const leaveAt = random.chance(0.1) ? random.int(0, 25) : Number.POSITIVE_INFINITY;
      for (let step = 0; step < 400 && !["done", "aborted"].includes(world.move.state.kind); step++) {
        if (step === abortAt) world.move = { ...world.move, goal: "abort" };
        if (step === leaveAt) world.tenant = "leaving";
        turn(world, random);
        clientsWrite(world);
        world.now += random.int(0, 1_500);
      }
      const { kind } = world.move.state;
      expect(["done", "aborted"], `seed ${seed} stands at ${kind}`).toContain(kind);
      ends[kind as "done" | "aborted"] += 1;
      if (kind === "done") {
        expect(
          [world.source.state, world.target.kind === "present" && world.target.state, world.directory.stamp],
          `seed ${seed}`,
        ).toEqual(["moved", "active", "b"]);
        expect([world.hasUncaptured, world.sourceHasRows], `seed ${seed}`).toEqual([false, false]);
      } else {
        expect(
          [world.source.state, world.source.moveId, world.target.kind, world.lag, world.sourceHasRows],
          `seed ${seed}`,
        ).toEqual(["active", undefined, "absent", 0, true]);
      }
      expect(world.isHeld, `seed ${seed} still holds requests`).toBe(false);
    }
    expect(ends.done).toBeGreaterThan(1_000);
    expect(ends.aborted).toBeGreaterThan(300);
  });

  test("goes only forward once the source has decided, even when an abort was recorded (D12)", () => {
    const world = newWorld();
    const decided: MoveSeen = { ...look(world), source: { kind: "present", state: "moved", epoch: 5, moveId: id } };
    for (const state of [
      { kind: "copying" },
      { kind: "switching", attempt: 1, retryAt: 0 },
      { kind: "aborting", cause: "asked" },
    ] as const) {
      expect(planMove({ ...world.move, goal: "abort", state }, decided, 0).next).toEqual({ kind: "opening" });
    }
  });

  test("counts tries of the switch through a copy that begins anew, and ends with what failed last", () => {
    const world = newWorld();
    const failed = { at: 0, outcome: "opened-again", cause: "held by pid 7", holdMs: 1, fencedMs: 1, rows: 0 } as const;
    const report = { switches: Array.from({ length: 8 }, () => failed) };
    const armed: MoveSeen = {
      ...look(world),
      source: { ...world.source, moveId: id },
      target: { kind: "present", state: "importing", epoch: 5, moveId: id },
      isCopied: true,
    };
    const { next } = planMove({ ...world.move, report, state: { kind: "copying" } }, armed, 0);
    expect(next).toEqual({ kind: "switching", attempt: 9, retryAt: 0 });
    expect(planMove({ ...world.move, report, state: next }, armed, 0).next).toEqual({
      kind: "aborting",
      cause: "it could not be switched in 8 attempts; the last one: held by pid 7",
    });
  });

  test("erases nothing while the copies differ, and waits for a person (D15)", () => {
    const world = newWorld();
    const seen: MoveSeen = {
      ...look(world),
      source: { kind: "present", state: "moved", epoch: 5, moveId: id },
      isEqual: false,
    };
    const { next } = planMove({ ...world.move, state: { kind: "verifying" } }, seen, 0);
    expect(next).toEqual({ kind: "disputed", cause: "the copies differ" });
    const plan = planMove({ ...world.move, state: next }, seen, 0);
    expect(plan.actions).toEqual([]);
    expect(plan.waitingOn).toContain("a person");
  });

  test("aborts when the tenant is not the source's to give any more, and says why", () => {
    const world = newWorld();
    const state = { kind: "copying" } as const;
    const suspended = planMove(
      { ...world.move, state },
      { ...look(world), source: { ...world.source, state: "suspended" } },
      0,
    );
    expect(suspended.next).toEqual({ kind: "aborting", cause: "the tenant is suspended in stamp a" });
    const taken = planMove(
      { ...world.move, state },
      { ...look(world), source: { ...world.source, moveId: "mv-2" } },
      0,
    );
    expect(taken.next).toEqual({ kind: "aborting", cause: "move mv-2 has the tenant" });
  });

  test("goes on to the switch while a busy tenant leaves hundreds of changes between two looks", () => {
    const world = newWorld("incremental");
    const armed = { kind: "present", state: "active", epoch: 4, moveId: id } as const;
    const target = { kind: "present", state: "importing", epoch: 5, moveId: id } as const;
    const seen: MoveSeen = { ...look(world), source: armed, target, isCopied: true, isCompared: true, lag: 800 };
    const move: Move = { ...world.move, state: { kind: "copying" } };
    expect(planMove(move, seen, 0).next.kind).toBe("switching");
    expect(planMove(move, { ...seen, lag: 8_000 }, 0).actions).toEqual([{ kind: "follow" }]);
  });

  test("opens the source of an aborted move while its target is dead, and forgets there later (I21, I22)", () => {
    const world = newWorld();
    const dead: MoveSeen = {
      ...look(world),
      source: { kind: "present", state: "fenced", epoch: 4, moveId: id },
      target: { kind: "unknown", why: "connection refused" },
    };
    const move: Move = { ...world.move, state: { kind: "aborting", cause: "asked" } };
    expect(planMove(move, dead, 0).actions).toEqual([{ kind: "reopen" }, { kind: "release" }]);
    const opened = planMove(move, { ...dead, source: world.source }, 0);
    expect(opened).toMatchObject({ actions: [], waitingOn: "the database of stamp b to answer: connection refused" });
  });

  test("leaves a way back captured when the return is aborted, and brings nothing else", () => {
    const world = newWorld();
    const back: Move = { ...world.move, returns: "mv-0", state: { kind: "aborting", cause: "asked" } };
    const watched = { kind: "present", state: "active", epoch: 4, moveId: id, isWatched: true } as const;
    expect(planMove(back, { ...look(world), source: watched, lag: 900 }, 0).next.kind).toBe("aborted");
    const start = planMove({ ...back, state: { kind: "copying" } }, { ...look(world), source: watched, lag: 900 }, 0);
    expect(start.actions.map(({ kind }) => kind)).toEqual(["admit", "arm", "copy"]);
  });

  test("ends as returned once its way back has been decided, and waits while it is on its way", () => {
    const world = newWorld();
    const resting: Move = { ...world.move, state: { kind: "resting", until: 0 } };
    const importing = { kind: "present", state: "importing", epoch: 6, moveId: "mv-1-back" } as const;
    const seen: MoveSeen = { ...look(world), source: importing };
    expect(planMove(resting, { ...seen, wayBack: "live" }, 10)).toMatchObject({ next: resting.state, actions: [] });
    expect(planMove(resting, { ...seen, wayBack: "decided" }, 10).next).toEqual({ kind: "returned" });
  });

  test("erases the closed copy of a tenant that was deleted meanwhile, without waiting", () => {
    const world = newWorld();
    const moved = { kind: "present", state: "moved", epoch: 5, moveId: id } as const;
    const resting: Move = { ...world.move, state: { kind: "resting", until: 9_999 } };
    expect(planMove(resting, { ...look(world), source: moved, tenant: "gone" }, 0).next).toEqual({ kind: "erasing" });
  });

  test("changes nothing while it cannot see a database, and names it", () => {
    const world = newWorld();
    const seen: MoveSeen = { ...look(world), target: { kind: "unknown", why: "connection refused" } };
    const plan = planMove({ ...world.move, state: { kind: "copying" } }, seen, 0);
    expect(plan).toMatchObject({ actions: [], waitingOn: "the database of stamp b to answer: connection refused" });
  });
});

describe("afterMoveFailure()", () => {
  test("tries later before the decision, ends the move after many failures, and never after the decision (D12)", () => {
    let move: Move = { ...newWorld().move, state: { kind: "copying" } };
    const failure = { cause: "connection refused", isFinal: false };
    for (let n = 1; n <= 12; n++) {
      move = { ...move, ...afterMoveFailure(move, failure, 1_000) };
      expect(move).toMatchObject({ state: { kind: "copying" }, setback: { attempt: n, cause: "connection refused" } });
    }
    expect(afterMoveFailure(move, failure, 1_000)).toEqual({
      state: { kind: "aborting", cause: "connection refused" },
    });
    const opening: Move = { ...move, state: { kind: "opening" }, setback: { attempt: 50, cause: "", retryAt: 0 } };
    expect(afterMoveFailure(opening, { ...failure, isFinal: true }, 0)).toMatchObject({
      state: { kind: "opening" },
      setback: { attempt: 51, retryAt: 30_000 },
    });
  });

  test("ends it at once for what time does not mend", () => {
    const move: Move = { ...newWorld().move, state: { kind: "checking" } };
    expect(afterMoveFailure(move, { cause: "no key", isFinal: true }, 0).state).toEqual({
      kind: "aborting",
      cause: "no key",
    });
  });
});
