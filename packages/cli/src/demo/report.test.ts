import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DemoReport, judgeDemo, phaseRows, reportText } from "./report.ts";
import { createTally, type Outcome, type Phase, phaseOf } from "./tally.ts";

const phases: readonly Phase[] = ["steady", "control-plane-dead", "control-plane-back", "stamp-dead", "after"];
const stamps = ["shared-1", "shared-2", "shared-3"];

/** A run in which everything held. */
function good(): DemoReport {
  const homes = { acme: "shared-1", globex: "shared-2", initech: "shared-3" };
  const rows = phases.flatMap((phase) =>
    stamps.map((stamp) => {
      const hit = phase === "stamp-dead" && stamp === "shared-1";
      const reasons: Record<string, number> = hit ? { STAMP_UNREACHABLE: 7 } : {};
      return { phase, stamp, requests: 40, errors: hit ? 7 : 0, strays: 0, slowestMs: 12, reasons };
    }),
  );
  const timings = { upMs: 9_000, controlPlaneBackMs: 900, stampBackMs: 2_100, totalMs: 30_000 };
  return { victim: "shared-1", stamps, homes, rows, move, writes: { acknowledged: 90, found: 90 }, timings };
}

const move: NonNullable<DemoReport["move"]> = {
  tenant: "globex",
  from: "shared-1",
  to: "shared-2",
  tookMs: 1_900,
  pauseMs: 88,
  acknowledged: 600,
  found: 600,
  twice: 0,
  sentAgain: 2,
  neighbours: { requests: 90, errors: 0 },
};

describe("judgeDemo()", () => {
  test("holds for a run in which only the killed stamp's tenants noticed (I12)", () => {
    const verdict = judgeDemo(good());
    expect(verdict.checks.filter((check) => !check.ok)).toEqual([]);
    expect(verdict.held).toBe(true);
  });

  test("breaks on one error or one stray of anybody else, in any phase (I3, I12)", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...phases),
        fc.constantFrom(...stamps),
        fc.constantFrom("errors", "strays"),
        (phase, stamp, what) => {
          const report = good();
          const isOutage = phase === "stamp-dead" && stamp === report.victim;
          if (isOutage && what === "errors") return;
          const rows = report.rows.map((row) =>
            row.phase === phase && row.stamp === stamp ? { ...row, [what]: 1 } : row,
          );
          expect(judgeDemo({ ...report, rows }).held).toBe(false);
        },
      ),
    );
  });

  test("takes silence for no proof: a phase without requests of some stamp breaks it", () => {
    fc.assert(
      fc.property(fc.constantFrom(...phases), fc.constantFrom(...stamps), (phase, stamp) => {
        const report = good();
        const silent = { requests: 0, errors: 0, strays: 0, slowestMs: 0, reasons: {} };
        const rows = report.rows.map((row) =>
          row.phase === phase && row.stamp === stamp ? { ...row, ...silent } : row,
        );
        expect(judgeDemo({ ...report, rows }).held).toBe(false);
        const without = report.rows.filter((row) => row.phase !== phase || row.stamp !== stamp);
        expect(judgeDemo({ ...report, rows: without }).held).toBe(false);
      }),
    );
  });

  test.each<[string, Partial<DemoReport>]>([
    ["an acknowledged write is missing", { writes: { acknowledged: 90, found: 89 } }],
    ["nothing was written", { writes: { acknowledged: 0, found: 0 } }],
    ["the stamp did not come back", { timings: { upMs: 1, totalMs: 2 } }],
    ["there were two stamps only", { stamps: ["shared-1", "shared-2"] }],
    ["a stamp had no tenant", { stamps: [...stamps, "shared-4"] }],
    ["no stamp was killed", { victim: undefined }],
    ["no tenant moved", { move: undefined as never }],
    ["a write was lost by the move", { move: { ...move, found: 599 } }],
    ["a write came twice by the move", { move: { ...move, twice: 1 } }],
    ["nothing was written meanwhile", { move: { ...move, acknowledged: 0, found: 0 } }],
    ["the pause was long", { move: { ...move, pauseMs: 3_001 } }],
    ["a neighbour noticed the move", { move: { ...move, neighbours: { requests: 90, errors: 1 } } }],
    ["no neighbour asked anything meanwhile", { move: { ...move, neighbours: { requests: 0, errors: 0 } } }],
    ["it ended early", { failure: "Stamp shared-1 failed" }],
  ])("breaks when %s", (_, change) => {
    expect(judgeDemo({ ...good(), ...change }).held).toBe(false);
  });
});

test("reportText() prints rows, checks and the end", () => {
  const broken = { ...good(), writes: { acknowledged: 90, found: 89 } };
  const text = reportText(broken, judgeDemo(broken));
  expect(text).toContain("stamp-dead          shared-1  40        7       12          7 STAMP_UNREACHABLE");
  expect(text).toContain("BROKEN  no acknowledged write is lost: 89 of 90 found");
  expect(text).toContain(
    "Not everything held (up 9.0 s, move 1.9 s, control plane back 0.9 s, stamp back 2.1 s, total 30.0 s)",
  );
  expect(reportText(good(), judgeDemo(good()))).toContain("\nEverything held (");
});

describe("tally", () => {
  const outcome = (change: Partial<Outcome>): Outcome => ({
    tenant: "acme",
    home: "shared-1",
    begun: "steady",
    ended: "steady",
    ms: 5,
    status: 200,
    servedBy: "shared-1",
    code: undefined,
    ...change,
  });

  test("phaseOf() gives a request that an outage touched to the outage", () => {
    expect(phaseOf({ begun: "control-plane-back", ended: "stamp-dead" })).toBe("stamp-dead");
    expect(phaseOf({ begun: "stamp-dead", ended: "after" })).toBe("stamp-dead");
    expect(phaseOf({ begun: "steady", ended: "control-plane-dead" })).toBe("control-plane-dead");
  });

  test("add() counts errors with their reasons, missing answers and strays", () => {
    const tally = createTally();
    tally.add(outcome({}));
    tally.add(outcome({ status: 503, servedBy: undefined, code: "STAMP_UNREACHABLE", ms: 50 }));
    tally.add(outcome({ status: 0, servedBy: undefined, code: "ECONNREFUSED" }));
    tally.add(outcome({ servedBy: "shared-2" }));
    tally.add(outcome({ tenant: "globex", home: "shared-2", servedBy: "shared-2" }));
    expect(tally.of("steady", "acme")).toEqual({
      requests: 4,
      errors: 2,
      strays: 1,
      slowestMs: 50,
      reasons: { STAMP_UNREACHABLE: 1, ECONNREFUSED: 1 },
    });
    expect(tally.ofStamp("shared-2").requests).toBe(1);
    expect(phaseRows(tally).map((row) => [row.stamp, row.requests])).toEqual([
      ["shared-1", 4],
      ["shared-2", 1],
    ]);
  });
});
