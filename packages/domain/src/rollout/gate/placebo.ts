import { seededNumbers } from "../../planning/seeded-numbers.ts";
import { trialsBetween, type Expectation, restAt, sumBetween } from "./expectation.ts";
import { seedNumber } from "./permute.ts";
import type { Series } from "./series.ts";

/** What is left unexplained of one window, in units of its expected deviation and as a share of its requests. */
export interface WindowRest {
  readonly z: number;
  readonly excess: number;
}

/**
 * Windows of stamps whose release did not change, each as long as what is judged, as if they had been updated. The
 * expected deviation is that of requests that know nothing of each other.
 */
export function differencesOfWindows(
  judged: readonly Series[],
  beside: readonly Series[],
  expectation: Expectation,
): readonly WindowRest[] {
  const length = windowLength(judged);
  const found: WindowRest[] = [];
  const add = (series: Series, from: number, isPast: boolean) => {
    const rest = windowRest(series, from, from + length, expectation, isPast);
    if (rest !== undefined) found.push(rest);
  };
  for (const series of judged) {
    for (let from = series.before - length; from >= series.since; from -= length) add(series, from, true);
  }
  for (const series of beside) {
    const { since, before, after, trials } = series;
    for (let from = before - length; from >= since; from -= length) add(series, from, true);
    for (let from = after; from + length <= trials.length; from += length) add(series, from, false);
  }
  return found;
}

/** As long as what is judged; shorter where the past would not give three of them. */
function windowLength(judged: readonly Series[]): number {
  const lengths = judged.map(({ trials, after }) => trials.length - after).sort((a, b) => a - b);
  const pasts = judged.map(({ since, before }) => before - since).sort((a, b) => a - b);
  const typical = lengths[lengths.length >> 1] ?? 1;
  const past = pasts[pasts.length >> 1] ?? 1;
  return Math.max(1, Math.min(typical, Math.floor(past / 3)));
}

function windowRest(
  series: Series,
  from: number,
  to: number,
  expectation: Expectation,
  isPast: boolean,
): WindowRest | undefined {
  const { trials } = sumBetween(series, from, to);
  if (trials === 0) return undefined;
  let rest = 0;
  let variance = 0;
  for (let span = from; span < to; span++) {
    const part = restAt(series, span, expectation, true);
    rest += part.rest;
    variance += part.variance;
  }
  const usual = expectation.usual.get(series)?.trials ?? 0;
  const others = trialsBetween(expectation, from, to) - trials;
  // The past was counted with this window in it, so it is nearer to it than a new one would be.
  const ofPast = usual === 0 ? 0 : (isPast ? -1 : 1) * Math.min(0.8, trials / usual);
  const ofOthers = others > 0 ? trials / others : 0;
  return { z: rest / Math.sqrt(variance * (1 + ofPast + ofOthers)), excess: rest / trials };
}

export interface MemberPart {
  readonly trials: number;
  readonly deviation: number;
}

const draws = 4_000;
const enoughReached = 20;
/** Members that are drawn for one by one; of a wave with more, the busiest. */
const mostDrawn = 40;

/**
 * Chance that as many windows of unchanged stamps, one for each judged member, reach the same together: as deviations, and
 * as shares of the requests. 0 when none of the draws does: there were too few windows to say how seldom that is.
 */
export function drawnTail(
  seen: number,
  members: readonly MemberPart[],
  windows: readonly WindowRest[],
  seed: string,
): number {
  const drawn = members.toSorted((a, b) => b.trials - a.trials).slice(0, mostDrawn);
  const numbers = seededNumbers(seedNumber(`${seed}/windows`));
  let byDeviation = 0;
  let byShare = 0;
  for (let draw = 1; draw <= draws; draw++) {
    let deviations = 0;
    let shares = 0;
    for (const { trials, deviation } of drawn) {
      const window = windows[Math.floor(numbers.uniform() * windows.length)];
      deviations += deviation * (window?.z ?? 0);
      shares += trials * (window?.excess ?? 0);
    }
    if (deviations >= seen) byDeviation++;
    if (shares >= seen) byShare++;
    if (Math.max(byDeviation, byShare) >= enoughReached) return enoughReached / draw;
  }
  return Math.max(byDeviation, byShare) / draws;
}
