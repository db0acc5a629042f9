import { expect, test } from "vitest";
import { defaultGate } from "./default-strategy.ts";
import { type OneLook, oneLook } from "./test-one-look.ts";
import { type SimulatedCase, type SimulatedEnd, simulatedRollout } from "./test-simulated-rollout.ts";

/*
 * What the gate does is a matter of chance, so it is tried on fleets that are made up: STAMPYARD_GATES=long for as many as
 * the figures of the documentation are of (npm run test:gates:long), a few of the same in every run.
 */
const isLong = process.env["STAMPYARD_GATES"] === "long";
const firstSeed = Number(process.env["STAMPYARD_SEED"] || 1);
const minute = 60_000;
const timeout = isLong ? 3_000_000 : 60_000;

const wild = { stamps: 16, perMinute: 150, errors: 0.008, wild: 1 };
const usual: SimulatedCase = {
  habits: wild,
  rule: defaultGate,
  effect: {},
  bakesMs: [10 * minute, 5 * minute, 5 * minute, 5 * minute],
  pastMs: 60 * minute,
};

function runs(name: string, count: number, simulated: SimulatedCase): readonly SimulatedEnd[] {
  const ends = Array.from({ length: count }, (_, index) => simulatedRollout(firstSeed + index, simulated));
  const of = (end: SimulatedEnd["end"]) => ends.filter((each) => each.end === end);
  console.log(
    `${name}: ${count} rollouts from seed ${firstSeed}: ${of("done").length} done, ${of("aborted").length} aborted, ` +
      `${of("paused").length} paused; by wave ${JSON.stringify(of("aborted").map(({ wave }) => wave))}`,
  );
  return ends;
}

function said(ends: readonly SimulatedEnd[]): string {
  return ends
    .map(({ seed, wave, end, report }) => {
      const worst = report.checks.filter(({ verdict }) => verdict === report.verdict);
      return `seed ${seed}, wave ${wave}, ${end}: ${worst.map(({ name, text }) => `${name}: ${text}`).join("; ")}`;
    })
    .join("\n");
}

/** At most one in a hundred; of few, none or one that is luck. */
const borne = (count: number) => Math.max(1, Math.floor(count / 100));

test("judgeGate() takes back at most one of a hundred releases that change nothing, among tenants of all habits", {
  timeout,
}, () => {
  const count = isLong ? 1_000 : 24;
  const ends = runs("A/A, tenants of different habits", count, usual);
  const aborted = ends.filter(({ end }) => end === "aborted");
  expect(aborted.length, said(aborted)).toBeLessThanOrEqual(borne(count));
  const paused = ends.filter(({ end }) => end === "paused");
  expect(paused.length, said(paused)).toBeLessThanOrEqual(count * 0.06 + 2);
});

test("judgeGate() takes back at most one of a hundred where requests differ less", { timeout }, () => {
  const count = isLong ? 1_000 : 8;
  const ends = runs("A/A, milder habits", count, { ...usual, habits: { ...wild, wild: 0.5 } });
  const aborted = ends.filter(({ end }) => end === "aborted");
  expect(aborted.length, said(aborted)).toBeLessThanOrEqual(borne(count));
});

const lookOf300: OneLook = {
  habits: { stamps: 11, perMinute: 30, errors: 0.01, wild: 0 },
  rule: defaultGate,
  effect: { errors: 0.05 },
  pastMs: 60 * minute,
  canary: 300,
  siblings: 3_000,
  look: { index: 0, of: 4 },
};

function looks(name: string, count: number, one: OneLook): Readonly<Record<string, number>> {
  const verdicts: Record<string, number> = { go: 0, abort: 0, inconclusive: 0 };
  for (let index = 0; index < count; index++) {
    const errors = oneLook(firstSeed + index, one).checks.find((check) => check.name === "errors");
    if (errors !== undefined) verdicts[errors.verdict] = (verdicts[errors.verdict] ?? 0) + 1;
  }
  console.log(`${name}: ${count} looks from seed ${firstSeed}: ${JSON.stringify(verdicts)}`);
  return verdicts;
}

test("judgeGate() sees five points more errors in 99 of 100, from 300 requests beside 3,000", { timeout }, () => {
  const count = isLong ? 2_000 : 40;
  const habits = { ...lookOf300.habits, errors: 0.005 };
  const { abort = 0 } = looks("0.5% to 5.5%, 300 beside 3,000", count, { ...lookOf300, habits });
  expect(abort).toBeGreaterThanOrEqual(isLong ? count * 0.99 : count - 2);
});

test("judgeGate() sees them in nearly as many where twice as much fails at all times", { timeout }, () => {
  const count = isLong ? 2_000 : 40;
  const { abort = 0 } = looks("1% to 6%, 300 beside 3,000", count, lookOf300);
  // Of 18 failures to be expected, eight or fewer come in 6 of 1,000, and eight of 3 are no proof at 1%.
  expect(abort).toBeGreaterThanOrEqual(isLong ? count * 0.985 : count - 3);
});

test("judgeGate() hardly ever aborts at that look when nothing changed", { timeout }, () => {
  const count = isLong ? 2_000 : 40;
  const { abort = 0 } = looks("1% to 1%, 300 beside 3,000", count, { ...lookOf300, effect: {} });
  expect(abort).toBeLessThanOrEqual(borne(count));
});

test("judgeGate() lets no rollout with five points more errors come to its end", { timeout }, () => {
  const count = isLong ? 300 : 6;
  const calmer = runs("+5 points, milder habits", count, {
    ...usual,
    habits: { ...wild, wild: 0.5 },
    effect: { errors: 0.05 },
  });
  expect(calmer.filter(({ end, wave }) => end === "aborted" && wave === 0).length).toBeGreaterThanOrEqual(count * 0.9);
  const ends = runs("+5 points, tenants of different habits", count, { ...usual, effect: { errors: 0.05 } });
  const passed = [...calmer, ...ends].filter(({ end }) => end === "done");
  expect(passed.length, said(passed)).toBe(0);
});

test("judgeGate() sees a third more latency where a rule asks for it, and 300 ms more by default", { timeout }, () => {
  const count = isLong ? 300 : 5;
  const rule = { ...defaultGate, latency: { worseMs: 10 } };
  const slower = runs("+30% latency", count, {
    ...usual,
    rule,
    habits: { ...wild, wild: 0.5 },
    effect: { slower: 1.3 },
  });
  expect(slower.filter(({ end }) => end === "done").length, said(slower)).toBeLessThanOrEqual(count / 100);
  const added = runs("+300 ms", count, { ...usual, effect: { addedMs: 300 } });
  expect(added.filter(({ end }) => end === "aborted").length, said(added)).toBe(count);
});
