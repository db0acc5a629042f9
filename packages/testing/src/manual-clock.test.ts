import { expect, test } from "vitest";
import { createManualClock } from "./manual-clock.ts";
import { createSeededRandom, forSeeds } from "./seeded-random.ts";

test("createManualClock() wakes sleepers in the order of their times, also those that sleep again", async () => {
  const clock = createManualClock(0);
  const woken: string[] = [];
  const twice = async () => {
    await clock.sleep(10);
    woken.push(`a${clock.now()}`);
    await clock.sleep(10);
    woken.push(`a${clock.now()}`);
  };
  const done = [twice(), clock.sleep(15).then(() => woken.push(`b${clock.now()}`))];
  await clock.advance(19);
  expect(woken).toEqual(["a10", "b15"]);
  await clock.advance(1);
  await Promise.all(done);
  expect(woken).toEqual(["a10", "b15", "a20"]);
  expect(clock.sleepers()).toBe(0);
});

test("createManualClock() lets an aborted sleeper go with the reason", async () => {
  const clock = createManualClock();
  const abort = new AbortController();
  const sleep = clock.sleep(1_000, abort.signal);
  abort.abort(new Error("enough"));
  await expect(sleep).rejects.toThrow("enough");
  await expect(clock.sleep(1, abort.signal)).rejects.toThrow("enough");
  expect(clock.sleepers()).toBe(0);
});

test("createSeededRandom() repeats itself for one seed, and spreads evenly", () => {
  const series = (seed: number) => {
    const random = createSeededRandom(seed);
    return Array.from({ length: 8 }, () => random.int(1, 1_000));
  };
  expect(series(42)).toEqual(series(42));
  expect(series(42)).not.toEqual(series(43));
  const random = createSeededRandom(1);
  const counts = [0, 0, 0, 0, 0];
  for (let n = 0; n < 5_000; n++) {
    const side = random.int(0, 4);
    counts[side] = (counts[side] ?? 0) + 1;
  }
  for (const count of counts) expect(count).toBeGreaterThan(850);
  expect(random.bytes(3)).toHaveLength(3);
  expect(() => random.pick([])).toThrow(RangeError);
});

test("forSeeds() names the seed of the history that failed", async () => {
  const failing = forSeeds(50, (random) => {
    if (random.chance(0.5)) throw new Error("lost a write");
  });
  await expect(failing).rejects.toThrow(/^Failed with STAMPYARD_SEED=\d+: lost a write$/);
});
