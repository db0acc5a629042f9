import { expect, test } from "vitest";
import { wordsOf } from "./search-words.ts";

test("wordsOf() finds each word once, whatever its case and width", () => {
  expect(wordsOf("Red, red — ＲＥＤ kettles; it's 20 °C")).toEqual(["red", "kettles", "it's", "20", "c"]);
  expect(wordsOf("... !")).toEqual([]);
  expect(wordsOf("今日は天気がいい").length).toBeGreaterThan(2);
});

test("wordsOf() is bounded", () => {
  expect(wordsOf(Array.from({ length: 5_000 }, (_, n) => `w${n}`).join(" ")).length).toBe(2_000);
  expect(wordsOf("x".repeat(41))).toEqual([]);
});
