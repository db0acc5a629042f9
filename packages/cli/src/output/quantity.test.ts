import { expect, test } from "vitest";
import { bytesText, counted, durationIn, durationText } from "./quantity.ts";

test.each([
  [0, "0 ms"],
  [93.4, "93 ms"],
  [1_234, "1.2 s"],
  [45_000, "45 s"],
  [720_000, "12 min"],
  [12_600_000, "3.5 h"],
  [30 * 86_400_000, "30 days"],
])("durationText(%d) is %s", (ms, text) => expect(durationText(ms)).toBe(text));

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [3_400, "3.4 kB"],
  [999_900, "1.0 MB"],
  [74_000_000, "74 MB"],
])("bytesText(%d) is %s", (bytes, text) => expect(bytesText(bytes)).toBe(text));

test("counted() knows one from many", () => {
  expect([counted(1, "row"), counted(12_345, "row")]).toEqual(["1 row", "12,345 rows"]);
});

test("durationIn() reads times with their unit, and refuses what is none or outside its range", () => {
  const read = durationIn("max-pause", 0, 3_600_000);
  expect(["0", "500ms", "2s", "1.5s", "30m", "1h"].map(read)).toEqual([0, 500, 2_000, 1_500, 1_800_000, 3_600_000]);
  for (const bad of ["", "2", "2 s", "-1s", "2h", "1w", "1e3ms", "NaN"]) {
    expect(() => read(bad), bad).toThrow(expect.objectContaining({ code: "INVALID_REQUEST" }));
  }
});
