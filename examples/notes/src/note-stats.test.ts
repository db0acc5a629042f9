import { expect, test } from "vitest";
import { measureText } from "./note-stats.ts";

test("measureText() counts words in any language and characters as code points", () => {
  expect(measureText("Hello, big world!")).toMatchObject({ words: 3, characters: 17 });
  expect(measureText("今日は天気がいい").words).toBeGreaterThan(2);
  expect(measureText("👍")).toMatchObject({ words: 0, characters: 1 });
  expect(measureText("").digest).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});
