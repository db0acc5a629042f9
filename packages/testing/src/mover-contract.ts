import { type Clock, type Move, type Mover, wayBackOf } from "@stampyard/domain";
import { describe, expect, test } from "vitest";
import { type DriveOptions, driveMove, type Step } from "./drive-move.ts";
import { createSeededRandom } from "./seeded-random.ts";

export type BedStamp = "a" | "b";

/**
 * Two stamps, with the tenant `acme` at home in `a` at epoch 1, and a neighbour in each. Made anew for every test;
 * disposing of it removes everything.
 */
export interface MoverBed extends AsyncDisposable {
  readonly clock: Clock;
  /** A mover for that move, as a new process would open it; `from` and `to` are stamps of the bed. */
  open(move: Move): Promise<Mover>;
  /**
   * One transaction of the application that keeps this value and changes another row, at some isolation level. `false` =
   * refused, and nothing was kept.
   */
  write(stamp: BedStamp, value: string): Promise<boolean>;
  /** Values of the tenant that are kept there, sorted. */
  values(stamp: BedStamp): Promise<readonly string[]>;
  /** All rows of the tenant, in a form that can be compared between stamps. */
  copy(stamp: BedStamp): Promise<unknown>;
  /** All rows of everybody else. */
  neighbours(stamp: BedStamp): Promise<unknown>;
  /** Draws an id where every stamp counts in a block of its own. */
  nextNumber(stamp: BedStamp): Promise<number>;
  /** What moves have noted down there and not taken away: captured keys, positions, names of moves in homes. */
  notes(stamp: BedStamp): Promise<readonly string[]>;
}

const stay = new AbortController().signal;
const call = { signal: stay };

export function moveFixture(edit: Partial<Move> = {}): Move {
  return {
    id: "mv-1",
    tenant: "acme",
    from: "a",
    to: "b",
    epoch: 1,
    mode: "capture",
    verify: "incremental",
    goal: "finish",
    state: { kind: "requested" },
    maxPauseMs: 5_000,
    restMs: 3_600_000,
    report: {},
    ...edit,
  };
}

interface Writers extends AsyncDisposable {
  stop(): Promise<readonly string[]>;
}

/** With its cause, so that a test that fails says why. */
function endOf({ state }: Move): string {
  return "cause" in state && state.cause !== "it was asked for" ? `${state.kind}: ${state.cause}` : state.kind;
}

/** Clients that know where the tenant was last, and look again when they are refused. Answers what was acknowledged. */
function startWriters(bed: MoverBed, count: number, from: BedStamp = "a"): Writers {
  let isOver = false;
  const writers = Array.from({ length: count }, async (_, writer) => {
    const acknowledged: string[] = [];
    let home = from;
    for (let n = 0; !isOver; ) {
      const value = `${from}-${writer}-${n}`;
      if (await bed.write(home, value)) {
        acknowledged.push(value);
        n += 1;
      } else {
        home = home === "a" ? "b" : "a";
        await bed.clock.sleep(2);
      }
    }
    return acknowledged;
  });
  const stop = async () => {
    isOver = true;
    return (await Promise.all(writers)).flat().sort();
  };
  return {
    stop,
    // A test that failed has something else to say.
    [Symbol.asyncDispose]: async () => void (await stop().catch(() => [])),
  };
}

/** A single writer may meet another one's row (40001), or a fence that is about to open. */
async function writeSoon(bed: MoverBed, stamp: BedStamp, value: string): Promise<void> {
  const until = bed.clock.now() + 5_000;
  while (!(await bed.write(stamp, value))) {
    if (bed.clock.now() > until) throw new Error(`Stamp ${stamp} refused ${value} for five seconds`);
    await bed.clock.sleep(5);
  }
}

/** What every mode of moving promises (decisions D12–D15): exact, repeatable, abortable, and nothing left behind. */
export function describeMover(name: string, makeBed: () => Promise<MoverBed>): void {
  const drive = (bed: MoverBed, move: Move, options: Partial<DriveOptions> = {}) =>
    driveMove(move, { clock: bed.clock, open: (of) => bed.open(of), ...options });

  describe(`Mover contract: ${name}`, () => {
    test.each(["incremental", "before", "after"] as const)(
      "a tenant moves under writers, verified %s: each acknowledged write is there once, and neighbours are as they were (I15, I16, I18, I20)",
      async (verify) => {
        await using bed = await makeBed();
        const before = await Promise.all([bed.neighbours("a"), bed.neighbours("b")]);
        await using writers = startWriters(bed, 4);
        const move = await drive(bed, moveFixture({ verify }));
        expect(endOf(move)).toBe("resting");
        const acknowledged = await writers.stop();
        expect(acknowledged.length).toBeGreaterThan(20);
        const [there, left] = await Promise.all([bed.values("b"), bed.values("a")]);
        expect(there).toEqual(acknowledged);
        expect(left.every((value) => there.includes(value))).toBe(true);
        expect(await bed.write("a", "late")).toBe(false);
        expect(await Promise.all([bed.neighbours("a"), bed.neighbours("b")])).toEqual(before);
        const done = await drive(bed, { ...move, state: { kind: "erasing" } });
        expect(endOf(done)).toBe("done");
        expect(await bed.values("a")).toEqual([]);
        expect(await bed.values("b")).toEqual(acknowledged);
        expect(await Promise.all([bed.notes("a"), bed.notes("b")])).toEqual([["acme moved by mv-1"], []]);
      },
    );

    test("each call repeated changes nothing more (I27)", async () => {
      await using bed = await makeBed();
      await using writers = startWriters(bed, 2);
      const move = await drive(bed, moveFixture({ restMs: 0 }), {
        until: ({ state }) => state.kind === "done",
        onAction: () => "twice",
      });
      expect(endOf(move)).toBe("done");
      const acknowledged = await writers.stop();
      expect(await bed.values("b")).toEqual(acknowledged);
      expect(await bed.notes("b")).toEqual([]);
    });

    test("look() and a new process go on from whatever a killed one has left (I15, I16, I22)", async () => {
      const seed = Number(process.env["STAMPYARD_SEED"] ?? 20_261_123);
      for (let round = 0; round < 3; round++) {
        await using bed = await makeBed();
        const random = createSeededRandom(seed + round);
        await using writers = startWriters(bed, 2);
        const steps: string[] = [];
        const onAction = (step: Step) => {
          const killAfterMs = random.int(0, 24);
          const isKilled = steps.length < 25 && random.int(0, 2) > 0;
          steps.push(isKilled ? `${step} killed after ${killAfterMs}` : step);
          return isKilled ? { killAfterMs } : "live";
        };
        const why = () => `seed ${seed + round}: ${steps.join(", ")}`;
        const until = (move: Move) => ["done", "aborted"].includes(move.state.kind);
        const move = await drive(bed, moveFixture({ restMs: 0, maxPauseMs: 300 }), { onAction, until });
        const acknowledged = await writers.stop();
        const home = move.state.kind === "done" ? "b" : "a";
        expect(await bed.values(home), why()).toEqual(acknowledged);
        expect(await bed.values(home === "a" ? "b" : "a"), why()).toEqual([]);
        const left = move.state.kind === "done" ? ["acme moved by mv-1"] : [];
        expect([...(await bed.notes("a")), ...(await bed.notes("b"))], why()).toEqual(left);
      }
    });

    test.each(["arm", "copy", "follow", "fence", "settle"] as const)(
      "an abort before %s returns the tenant to its source, and leaves nothing (I21, I22)",
      async (last) => {
        await using bed = await makeBed();
        const before = await Promise.all([bed.neighbours("a"), bed.neighbours("b")]);
        await using writers = startWriters(bed, 2);
        const reached = await performUntil(bed, moveFixture(), last);
        const move = await drive(bed, { ...reached, goal: "abort" });
        expect(endOf(move)).toBe("aborted");
        await writeSoon(bed, "a", "z");
        const acknowledged = [...(await writers.stop()), "z"];
        expect(await bed.values("a")).toEqual(acknowledged);
        expect(await bed.values("b")).toEqual([]);
        expect(await Promise.all([bed.notes("a"), bed.notes("b")])).toEqual([[], []]);
        expect(await Promise.all([bed.neighbours("a"), bed.neighbours("b")])).toEqual(before);
      },
    );

    test("of flip() and reopen() exactly one happens, whoever is faster (I19)", async () => {
      await using bed = await makeBed();
      const seen = new Set<string>();
      for (let round = 0; round < 12; round++) {
        const move = moveFixture({ id: `mv-${round}`, maxPauseMs: 30_000 });
        await performUntil(bed, move, "flip");
        await using first = await bed.open(move);
        await using second = await bed.open(move);
        await Promise.all([first.look(), second.look()]);
        const wait = async (ms: number) => void (ms > 0 && (await bed.clock.sleep(ms)));
        const [hasFlipped] = await Promise.all([
          wait(round % 3 === 0 ? 3 : 0).then(() => first.flip(call)),
          wait(round % 3 === 1 ? 3 : 0).then(() => second.reopen(call)),
        ]);
        seen.add(String(hasFlipped));
        expect(await bed.write("a", `w${round}`)).toBe(!hasFlipped);
        if (hasFlipped) break;
        await second.forget(call);
      }
      expect(seen.has("true")).toBe(true);
    });

    test("flip() refuses while the target lacks a change, whoever believes that it has all (I18)", async () => {
      await using bed = await makeBed();
      const move = moveFixture({ maxPauseMs: 30_000 });
      await performUntil(bed, move, "fence");
      await writeSoon(bed, "a", "last");
      await using mover = await bed.open(move);
      await mover.fence(call);
      expect(await mover.flip(call)).toBe(false);
      await mover.settle(call);
      expect(await mover.flip(call)).toBe(true);
      await mover.open(call);
      expect(await bed.values("b")).toEqual(["last"]);
    });

    test("a fence opens by itself after its longest pause, and then nothing can flip (I23, I41)", async () => {
      await using bed = await makeBed();
      const move = moveFixture({ maxPauseMs: 150 });
      await performUntil(bed, move, "fence");
      await using mover = await bed.open(move);
      await mover.look();
      await mover.fence(call);
      expect(await bed.write("a", "early")).toBe(false);
      await writeSoon(bed, "a", "later");
      expect(await bed.values("a")).toEqual(["later"]);
      await mover.settle(call).catch(() => {});
      expect(await mover.flip(call)).toBe(false);
      await writeSoon(bed, "a", "still");
    });

    test("a process that was thought dead spoils nothing when it wakes (I15, I18)", async () => {
      await using bed = await makeBed();
      const move = moveFixture();
      await performUntil(bed, move, "follow");
      await using asleep = await bed.open(move);
      await asleep.look();
      const rested = await drive(bed, { ...move, state: { kind: "copying" } });
      expect(endOf(rested)).toBe("resting");
      await writeSoon(bed, "b", "new");
      for (const step of ["admit", "copy", "follow", "settle", "reopen", "forget"] as const) {
        await asleep[step](call).catch(() => {});
      }
      expect(await asleep.flip(call).catch(() => false)).toBe(false);
      expect(await bed.values("b")).toEqual(["new"]);
      expect(await bed.write("a", "old")).toBe(false);
    });

    test("compare() by another process answers only while nobody has written since the flip (I18)", async () => {
      await using bed = await makeBed();
      const move = moveFixture({ verify: "after" });
      await drive(bed, move, { until: ({ state }) => state.kind === "verifying" });
      await using mover = await bed.open(move);
      expect(await mover.compare(call)).toMatchObject({ policy: "after", isEqual: true });
      expect((await mover.look()).isEqual).toBe(true);
      await writeSoon(bed, "b", "new");
      expect(await mover.compare(call)).toBeUndefined();
    });

    test("ids go on being counted as each stamp counts them (I24)", async () => {
      await using bed = await makeBed();
      const before = [await bed.nextNumber("a"), await bed.nextNumber("b")];
      await drive(bed, moveFixture({ restMs: 0 }), { until: ({ state }) => state.kind === "done" });
      expect([await bed.nextNumber("a"), await bed.nextNumber("b")]).toEqual(before.map((n) => n + 1));
    });

    test("open() before the source has decided is refused (I16)", async () => {
      await using bed = await makeBed();
      const move = moveFixture();
      await performUntil(bed, move, "flip");
      await using mover = await bed.open(move);
      await expect(mover.open(call)).rejects.toMatchObject({ code: "WRONG_PHASE" });
      expect(await bed.write("b", "early")).toBe(false);
    });

    describeWayBack(makeBed, drive);
  });
}

type Drive = (bed: MoverBed, move: Move, options?: Partial<DriveOptions>) => Promise<Move>;

function describeWayBack(makeBed: () => Promise<MoverBed>, drive: Drive): void {
  const back = (edit: Partial<Move> = {}) =>
    moveFixture({ id: wayBackOf("mv-1"), from: "b", to: "a", epoch: 2, returns: "mv-1", ...edit });

  test("a way back brings every write that its target took, under writers (I15, I16)", async () => {
    await using bed = await makeBed();
    await using first = startWriters(bed, 2);
    await drive(bed, moveFixture());
    const old = await first.stop();
    await using second = startWriters(bed, 3, "b");
    await using mover = await bed.open(back());
    await mover.admit(call);
    expect(await mover.copy(call)).toEqual({ rows: 0, bytes: 0 });
    const move = await drive(bed, { ...back(), state: { kind: "copying" } });
    expect(endOf(move)).toBe("resting");
    const acknowledged = [...old, ...(await second.stop())].sort();
    expect(await bed.values("a")).toEqual(acknowledged);
    const done = await drive(bed, { ...move, state: { kind: "erasing" } });
    expect(endOf(done)).toBe("done");
    expect(await bed.values("a")).toEqual(acknowledged);
    expect(await bed.values("b")).toEqual([]);
  });

  test.each(["arm", "follow", "flip"] as const)(
    "a way back that was aborted before %s, and killed at that, is tried again without loss (I15, I21)",
    async (last) => {
      await using bed = await makeBed();
      await drive(bed, moveFixture());
      await using writers = startWriters(bed, 2, "b");
      const random = createSeededRandom(last.length);
      const onAction = () => (random.int(0, 1) === 0 ? { killAfterMs: random.int(0, 15) } : ("live" as const));
      const reached = await performUntil(bed, back({ maxPauseMs: 300 }), last);
      const aborted = await drive(bed, { ...reached, goal: "abort" }, { onAction });
      expect(endOf(aborted)).toBe("aborted");
      await writeSoon(bed, "b", "z");
      const move = await drive(bed, back());
      expect(endOf(move)).toBe("resting");
      const acknowledged = [...(await writers.stop()), "z"].sort();
      expect(await bed.values("a")).toEqual(acknowledged);
      expect(await bed.copy("a")).not.toEqual([]);
    },
  );

  test("a way back goes on from whatever a killed process has left (I15)", async () => {
    await using bed = await makeBed();
    await drive(bed, moveFixture());
    await using writers = startWriters(bed, 2, "b");
    const random = createSeededRandom(7);
    let kills = 0;
    const onAction = () => (++kills < 20 && kills % 2 === 0 ? { killAfterMs: random.int(0, 20) } : ("live" as const));
    const move = await drive(bed, back(), { onAction });
    expect(endOf(move)).toBe("resting");
    const acknowledged = await writers.stop();
    expect(await bed.values("a")).toEqual(acknowledged);
  });

  test("an erase that wakes when the tenant has come back erases nothing (I18)", async () => {
    await using bed = await makeBed();
    await using asleep = await bed.open(await drive(bed, moveFixture()));
    await asleep.look();
    await writeSoon(bed, "b", "kept");
    expect(endOf(await drive(bed, back()))).toBe("resting");
    await expect(asleep.erase(call)).rejects.toMatchObject({ code: "WRONG_PHASE" });
    expect(await bed.values("a")).toEqual(["kept"]);
    expect(await bed.copy("a")).toEqual(await bed.copy("b"));
  });

  test("the end of a way back captures no more, and then nothing returns by it (I22)", async () => {
    await using bed = await makeBed();
    const rested = await drive(bed, moveFixture());
    await writeSoon(bed, "b", "kept");
    expect(await bed.notes("b")).not.toEqual([]);
    await drive(bed, { ...rested, state: { kind: "erasing" } });
    expect(await bed.notes("b")).toEqual([]);
    await using mover = await bed.open(back());
    await expect(mover.admit(call)).rejects.toMatchObject({ code: "WRONG_PHASE" });
    expect(await bed.values("b")).toEqual(["kept"]);
  });
}

/** A move as it stands when its next step would be this one; its process is gone. */
async function performUntil(bed: MoverBed, move: Move, last: Step): Promise<Move> {
  await using mover = await bed.open(move);
  const order = move.returns === undefined ? allSteps : allSteps.filter((step) => step !== "copy");
  for (const step of order) {
    if (step === last) break;
    await mover[step](call);
  }
  const switching = { kind: "switching", attempt: 2, retryAt: 0 } as const;
  return { ...move, state: ["settle", "flip"].includes(last) ? switching : { kind: "copying" } };
}

const allSteps = ["admit", "arm", "copy", "follow", "verify", "fence", "settle", "flip"] as const;
