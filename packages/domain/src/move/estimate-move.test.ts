import { expect, test } from "vitest";
import { estimateMove } from "./estimate-move.ts";
import type { MoveReport } from "./report.ts";

const report = (bytes: number, ms: number, pauseMs: number): MoveReport => ({
  copied: { rows: 1, bytes, ms },
  switches: [
    { at: 0, outcome: "opened-again", holdMs: 1, fencedMs: 1, pauseMs: 9_999, rows: 0 },
    { at: 1, outcome: "decided", holdMs: 1, fencedMs: 1, pauseMs, rows: 0 },
  ],
});

test("estimateMove() assumes until something was measured, and says so", () => {
  expect(estimateMove({ bytes: 0 }, [])).toEqual({ totalMs: 1_500, pauseMs: 200, basedOn: 0 });
  expect(estimateMove({ bytes: 150_000_000 }, []).totalMs).toBe(13_500);
});

test("estimateMove() takes the median of what was measured, and no rate from small copies", () => {
  const past = [report(10_000_000, 1_000, 50), report(20_000_000, 1_000, 90), report(90_000_000, 1_000, 400)];
  expect(estimateMove({ bytes: 20_000_000 }, past)).toEqual({ totalMs: 2_700, pauseMs: 90, basedOn: 3 });
  expect(estimateMove({ bytes: 15_000_000 }, [report(500, 100, 80)])).toEqual({
    totalMs: 2_700,
    pauseMs: 80,
    basedOn: 1,
  });
});
