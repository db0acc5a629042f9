import { createManualClock, createSeededRandom, forSeeds } from "@stampyard/testing";
import { describe, expect, test } from "vitest";
import { again, createGate, rest, type TurnEnd } from "./turn.ts";
import { createTurns } from "./turns.ts";

function setUp(turn: (id: string) => Promise<TurnEnd>, concurrency = 4) {
  const clock = createManualClock();
  const stop = new AbortController();
  const errors: string[] = [];
  const turns = createTurns({
    turn,
    concurrency,
    clock,
    random: createSeededRandom(7),
    signal: stop.signal,
    onError: (id, caught) => errors.push(`${id}: ${(caught as Error).message}`),
  });
  return { clock, stop, errors, turns };
}

describe("createTurns()", () => {
  test("gives one object one turn at a time, and another one when it was asked meanwhile", async () => {
    let inside = 0;
    let count = 0;
    const finish: (() => void)[] = [];
    const { turns, clock } = setUp(async () => {
      count += 1;
      inside += 1;
      expect(inside).toBe(1);
      await new Promise<void>((resolve) => finish.push(resolve));
      inside -= 1;
      return rest;
    });
    turns.wake("a");
    turns.wake("a");
    turns.wake("a");
    await clock.advance(0);
    expect(count).toBe(1);
    finish[0]?.();
    await clock.advance(0);
    expect(count).toBe(2);
    finish[1]?.();
    await clock.advance(1_000);
    expect(count).toBe(2);
  });

  test("a long turn of one object holds up no other, up to the limit", async () => {
    const begun: string[] = [];
    const finish: (() => void)[] = [];
    const { turns, clock } = setUp(async (id) => {
      begun.push(id);
      await new Promise<void>((resolve) => finish.push(resolve));
      return rest;
    }, 2);
    for (const id of ["a", "b", "c"]) turns.wake(id);
    await clock.advance(0);
    expect(begun).toEqual(["a", "b"]);
    finish[1]?.();
    await clock.advance(0);
    expect(begun).toEqual(["a", "b", "c"]);
  });

  test("a failing object backs off longer each time, whoever wakes it, and starts over once it worked", async () => {
    const at: number[] = [];
    let isFailing = true;
    const { turns, clock, errors } = setUp(async () => {
      at.push(clock.now());
      if (isFailing) throw new Error("no");
      return rest;
    });
    turns.wake("a");
    for (let n = 0; n < 600; n++) {
      await clock.advance(100);
      turns.wake("a");
    }
    const gaps = at.slice(1).map((time, n) => time - (at[n] ?? 0));
    expect(gaps.length).toBeGreaterThan(5);
    expect(gaps.length).toBeLessThan(15);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(30_000 + 100);
    expect(gaps.at(-1)).toBeGreaterThan(gaps[0] ?? 0);
    expect(errors).toHaveLength(at.length);
    isFailing = false;
    await clock.advance(40_000);
    const before = at.length;
    turns.wake("a");
    await clock.advance(0);
    expect(at.length).toBe(before + 1);
  });

  test("goes on at once, or at the time that the turn named", async () => {
    const ends: TurnEnd[] = [again, { kind: "rest", until: 0 }, rest];
    const at: number[] = [];
    const { turns, clock } = setUp(async () => {
      at.push(clock.now());
      const end = ends.shift() ?? rest;
      return end.kind === "rest" && end.until === 0 ? { kind: "rest", until: clock.now() + 500 } : end;
    });
    const start = clock.now();
    turns.wake("a");
    await clock.advance(2_000);
    expect(at.map((time) => time - start)).toEqual([0, 0, 500]);
  });

  test("begins nothing after the abort, and says when the last turn has ended", async () => {
    let finish = () => {};
    let count = 0;
    const { turns, clock, stop } = setUp(async () => {
      count += 1;
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return again;
    });
    turns.wake("a");
    stop.abort();
    turns.wake("b");
    const idle = turns.idle();
    finish();
    await idle;
    await clock.advance(60_000);
    expect(count).toBe(1);
  });
});

test("createGate() lets so many through, loses nobody and admits nobody after an abort", async () => {
  await forSeeds(20, async (random) => {
    const width = random.int(1, 4);
    const gate = createGate(width);
    const clock = createManualClock();
    let inside = 0;
    let done = 0;
    const visitors = Array.from({ length: 20 }, async () => {
      const patience = new AbortController();
      const visit = gate.pass(patience.signal, async () => {
        inside += 1;
        expect(inside).toBeLessThanOrEqual(width);
        await clock.sleep(random.int(1, 50));
        inside -= 1;
        if (random.chance(0.2)) throw new Error("failed inside");
      });
      if (random.chance(0.3)) patience.abort(new Error("left"));
      await visit.catch(() => {});
      done += 1;
    });
    await clock.advance(5_000);
    await Promise.all(visitors);
    expect(done).toBe(20);
  });
});

test("createGate() lets what is urgent through beside what fills it, and twice its width at most", async () => {
  const gate = createGate(2);
  const never = new AbortController().signal;
  const inside: string[] = [];
  const finish = new Map<string, () => void>();
  const pass = (name: string, isUrgent = false) => {
    const work = () => {
      inside.push(name);
      return new Promise<void>((resolve) => finish.set(name, resolve));
    };
    return gate.pass(never, work, isUrgent);
  };
  const done = [pass("built-1"), pass("built-2"), pass("built-3")];
  done.push(pass("back-1", true), pass("back-2", true), pass("back-3", true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(inside).toEqual(["built-1", "built-2", "back-1", "back-2"]);
  finish.get("built-1")?.();
  await expect.poll(() => inside.at(-1)).toBe("back-3");
  for (const name of ["built-2", "back-1", "back-2", "back-3"]) finish.get(name)?.();
  await expect.poll(() => inside.at(-1)).toBe("built-3");
  finish.get("built-3")?.();
  await Promise.all(done);
});
