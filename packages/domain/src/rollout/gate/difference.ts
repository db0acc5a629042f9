import { trialsBetween, type Expectation, expectationOf, restAt } from "./expectation.ts";
import { permutedTail } from "./permute.ts";
import { differencesOfWindows, drawnTail, type MemberPart } from "./placebo.ts";
import type { Series } from "./series.ts";
import { countTail } from "./tails.ts";

/** What the shares of updated stamps and of those beside them come to. */
export interface Difference {
  /** How much more of the requests are hits than the same stamps' own past and their siblings' present let expect. */
  readonly excess: number;
  /** Standard deviation of `excess` where nothing differs. */
  readonly error: number;
  /** Chance of such an excess or more where nothing differs. */
  readonly p: number;
  readonly share: number;
  readonly expected: number;
  /** The member that went furthest beyond what was to be expected. */
  readonly furthest: string;
  /** Windows of stamps whose release did not change: how far chance really goes is seen there. */
  readonly windows: number;
}

/**
 * Difference in differences: what updated stamps do beyond their own past, less what concurrent siblings do beyond
 * theirs. How likely chance alone gives it is asked in three ways, and the greatest answer counts:
 *
 * - by permutation over stamps × spans of what is left unexplained, in units of its own expected deviation, widened by how
 *   much further whole windows go than spans do that know nothing of each other, since habits of tenants last for minutes;
 * - by the tail of a count in clumps, since a handful of failures has a longer tail than many have;
 * - by how often a window of an unchanged stamp went as far.
 *
 * undefined when there is no past or nothing beside that it could be told from.
 */
export function differenceOf(
  judged: readonly Series[],
  beside: readonly Series[],
  options: { readonly seed: string; readonly alpha: number },
): Difference | undefined {
  const expectation = expectationOf(judged, beside);
  const sum = sumOfJudged(judged, expectation);
  if (sum === undefined) return undefined;
  const windows = differencesOfWindows(judged, beside, expectation);
  if (windows.length < fewestWindows) return undefined;
  const unchanged = restsOfUnchanged(judged, beside, expectation);
  const rests = Float64Array.from([...unchanged, ...sum.rests]);
  // How much further spans go than requests would that know nothing of each other, and windows than spans.
  const ofSpans = Math.max(1, meanSquare(unchanged));
  const ofWindows = Math.max(1, clumpingOf(windows.map(({ z }) => z)) / ofSpans);
  const unsure = sum.uncertainty / sum.variance;
  const permuted = permutedTail(sum.rest, sum.deviations, rests, Math.sqrt(unsure * ofWindows), options);
  const counted = countTail(sum.hits, sum.expected, ofSpans * ofWindows * unsure);
  const seen = drawnTail(sum.rest, sum.members, windows, options.seed);
  return {
    excess: sum.rest / sum.trials,
    error: Math.sqrt(sum.uncertainty * ofSpans * ofWindows) / sum.trials,
    p: Math.max(permuted, counted, seen),
    share: sum.hits / sum.trials,
    expected: sum.expected / sum.trials,
    furthest: sum.members.reduce((most, member) => (member.rest > most.rest ? member : most), nobody).stamp,
    windows: windows.length,
  };
}

const nobody = { stamp: "", rest: -Infinity };
const fewestWindows = 3;
/**
 * How much further windows go than requests would that know nothing of each other. What luck explains is none; where they
 * do go further, few windows may have been the calm ones, so about a standard deviation of their mean square is added.
 */
function clumpingOf(deviations: readonly number[]): number {
  const mean = meanSquare(deviations);
  const luck = Math.SQRT2 / Math.sqrt(deviations.length);
  return mean <= 1 + 1.6 * luck ? 1 : mean * (1 + luck);
}

interface JudgedSum {
  readonly hits: number;
  readonly trials: number;
  readonly rest: number;
  readonly expected: number;
  /** Of what is judged alone, and with what is not known exactly of the past and of the siblings. */
  readonly variance: number;
  readonly uncertainty: number;
  readonly deviations: readonly number[];
  readonly members: readonly (MemberPart & { readonly stamp: string; readonly rest: number })[];
  readonly rests: readonly number[];
}

function sumOfJudged(judged: readonly Series[], expectation: Expectation): JudgedSum | undefined {
  const deviations: number[] = [];
  const rests: number[] = [];
  const members: (MemberPart & { stamp: string; rest: number })[] = [];
  const all = { hits: 0, trials: 0, rest: 0, expected: 0, variance: 0, uncertainty: 0 };
  let first = Infinity;
  for (const series of judged) {
    const { after, trials } = series;
    // A stamp without a past cannot be told from what is usual in it; guards watch it all the same.
    const usual = expectation.usual.get(series);
    if (usual === undefined || usual.trials === 0) continue;
    const own = { trials: 0, variance: 0, rest: 0 };
    for (let span = after; span < trials.length; span++) {
      const n = trials[span] ?? 0;
      if (n === 0) continue;
      const { rest, expected, variance } = restAt(series, span, expectation, false);
      deviations.push(Math.sqrt(variance));
      rests.push(rest / Math.sqrt(variance));
      own.trials += n;
      own.variance += variance;
      own.rest += rest;
      all.hits += series.hits[span] ?? 0;
      all.rest += rest;
      all.expected += expected;
    }
    if (own.trials === 0) continue;
    all.trials += own.trials;
    all.variance += own.variance;
    const uncertainty = own.variance * (1 + own.trials / usual.known);
    all.uncertainty += uncertainty;
    members.push({ stamp: series.stamp, rest: own.rest, trials: own.trials, deviation: Math.sqrt(uncertainty) });
    first = Math.min(first, after);
  }
  const others = all.trials === 0 ? 0 : trialsBetween(expectation, first, expectation.trialsUntil.length - 1);
  const othersPast = trialsBetween(expectation, 0, first);
  if (others === 0 || othersPast === 0) return undefined;
  const ofOthers = all.variance * all.trials * (1 / others + 1 / othersPast);
  return { ...all, uncertainty: all.uncertainty + ofOthers, deviations, members, rests };
}

function restsOfUnchanged(judged: readonly Series[], beside: readonly Series[], expectation: Expectation): number[] {
  const rests: number[] = [];
  const add = (series: Series, to: number) => {
    for (let span = series.since; span < to; span++) {
      if ((series.trials[span] ?? 0) === 0) continue;
      const { rest, variance } = restAt(series, span, expectation, true);
      rests.push(rest / Math.sqrt(variance));
    }
  };
  for (const series of judged) add(series, series.before);
  for (const series of beside) add(series, series.trials.length);
  return rests;
}

function meanSquare(values: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += (values[index] ?? 0) ** 2;
  return values.length === 0 ? 1 : sum / values.length;
}
