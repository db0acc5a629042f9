import { expect, test } from "vitest";
import { longestGap } from "./writers.ts";

test("longestGap() is the longest time between two that follow each other", () => {
  expect(longestGap([])).toBe(0);
  expect(longestGap([5])).toBe(0);
  expect(longestGap([0, 10, 15, 103, 110])).toBe(88);
});
