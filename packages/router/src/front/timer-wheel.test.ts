import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startTimerWheel, type Timed, type TimerWheel } from "./timer-wheel.ts";

let now = 0;
let wheel: TimerWheel;

beforeEach(() => {
  vi.useFakeTimers();
  now = 1_000;
  wheel = startTimerWheel(() => now);
});
afterEach(() => {
  wheel.stop();
  // The end of a turn that was asked for comes; nothing waits for it when the clock is real again.
  vi.runAllTimers();
  vi.useRealTimers();
});

function pass(ms: number): void {
  for (let left = ms; left > 0; left -= 10) {
    now += 10;
    vi.advanceTimersByTime(10);
  }
}

function timed(): Timed & { fired: number[] } {
  const fired: number[] = [];
  return { deadline: Number.POSITIVE_INFINITY, slot: -1, fired, onDeadline: () => void fired.push(now) };
}

test("set() fires once, not before its time and not much later", () => {
  const one = timed();
  wheel.set(one, 200);
  pass(190);
  expect(one.fired).toEqual([]);
  pass(120);
  expect(one.fired).toHaveLength(1);
  pass(200_000);
  expect(one.fired).toHaveLength(1);
});

test("set() again postpones or hastens, clear() forgets", () => {
  const late = timed();
  const soon = timed();
  const never = timed();
  wheel.set(late, 200);
  wheel.set(soon, 60_000);
  wheel.set(never, 200);
  pass(100);
  wheel.set(late, 400);
  wheel.set(soon, 100);
  wheel.clear(never);
  pass(200);
  expect([late.fired.length, soon.fired.length, never.fired.length]).toEqual([0, 1, 0]);
  pass(400);
  expect([late.fired.length, soon.fired.length, never.fired.length]).toEqual([1, 1, 0]);
});

test("set() after a pause of the process counts from then", () => {
  const one = timed();
  now += 5_000;
  wheel.set(one, 200);
  pass(150);
  expect(one.fired).toEqual([]);
  pass(200);
  expect(one.fired).toHaveLength(1);
});

test("deadlines longer than one turn of the wheel come too", () => {
  const one = timed();
  wheel.set(one, 300_000);
  pass(299_900);
  expect(one.fired).toEqual([]);
  pass(300);
  expect(one.fired).toHaveLength(1);
});

test("forget() lets go of it at once, where clear() keeps its place; both can be set again", () => {
  const [cleared, forgotten] = [timed(), timed()];
  for (const one of [cleared, forgotten]) wheel.set(one, 30_000);
  wheel.clear(cleared);
  wheel.forget(forgotten);
  expect(cleared.slot).toBeGreaterThanOrEqual(0);
  expect(forgotten.slot).toBe(-1);
  for (const one of [cleared, forgotten]) wheel.set(one, 200);
  pass(300);
  expect([cleared, forgotten].map(({ fired }) => fired.length)).toEqual([1, 1]);
  wheel.forget(timed());
  pass(200_000);
  expect([cleared, forgotten].map(({ fired }) => fired.length)).toEqual([1, 1]);
});
