import { expect, test } from "vitest";
import { createThrottle, type SourceLoad } from "./throttle.ts";

const { signal } = new AbortController();

/** How long a range of so many bytes is followed by nothing. */
function paceOf(load: () => SourceLoad, bytesPerSecond?: number) {
  let now = 0;
  const slept: number[] = [];
  const clock = {
    now: () => now,
    advance: (ms: number) => {
      now += ms;
    },
    sleep: async (ms: number) => {
      slept.push(Math.round(ms));
      now += ms;
    },
  };
  const throttle = createThrottle({
    clock,
    waiting: async () => load(),
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
  });
  return { clock, slept, spend: (bytes: number) => throttle.spend(bytes, signal) };
}

const idle: SourceLoad = { active: 3, waiting: 1 };

test("spend() keeps to a rate over ranges of any size, and does not save up for later", async () => {
  const { clock, slept, spend } = paceOf(() => idle, 1_000);
  expect(await spend(500)).toBe("the limit of 1000 bytes a second");
  await spend(1_500);
  expect(slept).toEqual([500, 1_500]);
  clock.advance(60_000);
  await spend(1_000);
  expect(slept.at(-1)).toBe(1_000);
});

test("spend() stands back while most of the source's busy clients wait, longer and longer, and no more after that", async () => {
  let load: SourceLoad = { active: 20, waiting: 15 };
  const { clock, slept, spend } = paceOf(() => load);
  for (let range = 0; range < 7; range++) {
    expect(await spend(1_000_000)).toBe("clients of the source, which wait");
    clock.advance(1_000);
  }
  expect(slept).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000]);
  load = { active: 40, waiting: 15 };
  expect(await spend(1_000_000)).toBeUndefined();
  load = { active: 8, waiting: 8 };
  clock.advance(1_000);
  expect(await spend(1_000_000)).toBeUndefined();
});
