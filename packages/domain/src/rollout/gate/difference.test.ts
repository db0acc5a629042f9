import { describe, expect, test } from "vitest";
import { seededNumbers } from "../../planning/seeded-numbers.ts";
import { differenceOf } from "./difference.ts";
import type { Series } from "./series.ts";
import { binomial } from "./test-simulated-fleet.ts";

const spans = 168;
const before = 144;
const options = { seed: "a test", alpha: 0.01 };

/** A stamp of so many requests in each span; the share of hits may be another one in each. */
function series(
  name: string,
  trials: number,
  shareAt: (span: number) => number,
  more: Partial<Pick<Series, "isJudged" | "since">> = {},
): Series {
  const numbers = seededNumbers(Number(name.replace(/\D/g, "")) * 1_009 + trials);
  const hits = new Float64Array(spans);
  for (let span = 0; span < spans; span++) hits[span] = binomial(trials, shareAt(span), numbers);
  return {
    stamp: name,
    isJudged: false,
    since: 0,
    hits,
    trials: new Float64Array(spans).fill(trials),
    before,
    after: before,
    ...more,
  };
}

const siblings = (count: number, trials: number, shareAt: (span: number) => number, since = 0) =>
  Array.from({ length: count }, (_, index) => series(`s-${index + 2}`, trials, shareAt, { since }));
const judged = (trials: number, shareAt: (span: number) => number) =>
  series("s-1", trials, shareAt, { isJudged: true });

/** So many hits in all that is judged, spread evenly. */
function withHits(one: Series, hits: number): Series {
  const given = Float64Array.from(one.hits);
  given.fill(0, one.after);
  for (let each = 0; each < hits; each++) {
    const span = one.after + (each % (spans - one.after));
    given[span] = (given[span] ?? 0) + 1;
  }
  return { ...one, hits: given };
}

describe("differenceOf()", () => {
  test("knows that a handful of failures comes by chance more often than busy siblings let believe", () => {
    // 10 requests a span and 1% make 2.4 hits in what is judged; siblings have a hundred times as many.
    const beside = siblings(8, 1_000, () => 0.01);
    const found = differenceOf(
      [
        withHits(
          judged(10, () => 0.01),
          9,
        ),
      ],
      beside,
      options,
    );
    // Of Poisson's distribution 0.0014; the bell would say 0.00001.
    expect(found?.p).toBeGreaterThan(0.000_7);
    expect(found?.p).toBeLessThan(0.02);
    expect(
      differenceOf(
        [
          withHits(
            judged(10, () => 0.01),
            18,
          ),
        ],
        beside,
        options,
      )?.p,
    ).toBeLessThan(0.001);
  });

  test("takes what an unchanged stamp did just so for no proof", () => {
    const calm = siblings(6, 50, () => 0.01);
    const bad = judged(50, (span) => (span >= before ? 0.07 : 0.01));
    expect(differenceOf([bad], calm, options)?.p).toBeLessThan(0.001);
    const restless = [...calm.slice(1), series("s-9", 50, (span) => (span >= 96 && span < 120 ? 0.09 : 0.01))];
    expect(differenceOf([bad], restless, options)?.p).toBeGreaterThan(0.01);
  });

  test("bears what stamps do in windows of their own all the time", () => {
    // Shares go up and down for a window at a time, each stamp by itself, as tenants' habits do.
    const habits = (phase: number) => (span: number) =>
      0.005 + 0.03 * (1 + Math.sin(Math.floor(span / 24) * 2.4 + phase));
    const beside = Array.from({ length: 8 }, (_, index) => series(`s-${index + 2}`, 100, habits(index)));
    const moody = judged(100, (span) => (span >= before ? 0.065 : habits(3)(span)));
    expect(differenceOf([moody], beside, options)?.p).toBeGreaterThan(0.01);
  });

  test("does not take a time of trouble for the share of a stamp that has known nothing else", () => {
    // All are in trouble from span 96 on, and siblings of an earlier wave have no past but that.
    const trouble = (span: number) => (span >= 96 ? 0.04 : 0.005);
    const found = differenceOf([judged(100, trouble)], siblings(6, 100, trouble, 96), options);
    expect(found?.expected).toBeGreaterThan(0.03);
    expect(found?.p).toBeGreaterThan(0.05);
  });

  test("has no answer without a past, or without anybody beside", () => {
    expect(
      differenceOf(
        [{ ...judged(50, () => 0.01), before: 0 }],
        siblings(3, 50, () => 0.01),
        options,
      ),
    ).toBeUndefined();
    expect(differenceOf([judged(50, () => 0.01)], [], options)).toBeUndefined();
    expect(
      differenceOf(
        [judged(50, () => 0.01)],
        siblings(3, 0, () => 0),
        options,
      ),
    ).toBeUndefined();
  });

  test("says the same of the same, and names who went furthest", () => {
    const two = [
      judged(50, (span) => (span >= before ? 0.05 : 0.01)),
      { ...series("s-8", 50, () => 0.01), isJudged: true },
    ];
    const beside = siblings(4, 50, () => 0.01);
    expect(differenceOf(two, beside, options)).toEqual(differenceOf(two, beside, options));
    expect(differenceOf(two, beside, options)?.furthest).toBe("s-1");
  });
});
