import type { Series } from "./series.ts";

/** What is to be expected of each stamp where its release makes no difference. */
export interface Expectation {
  /** Share of hits in the stamp's own past. */
  readonly usual: ReadonlyMap<Series, Usual>;
  /** Share of hits of all unchanged stamps. */
  readonly fleet: number;
  /** Hits of unchanged stamps beyond their usual share, and their requests, summed up to each span. */
  readonly restUntil: Float64Array;
  readonly trialsUntil: Float64Array;
  /** Spans to each side that are taken together, so that a drift is not read from a handful of requests. */
  readonly reach: number;
}

export interface Usual {
  readonly share: number;
  /** Requests of its own past. */
  readonly trials: number;
  /** Requests that the share is known as well as from, with what the fleet adds to it. */
  readonly known: number;
}

/** Of how many requests a stamp's own past must be to count as much as what is usual in the fleet. */
const pastWorth = { least: 100, most: 20_000 };
/** A drift is read from requests of which so many are hits, or what is read is chance; and over so many spans at most. */
const driftWorth = 30;
const mostReach = 24;

/** Rounds in which usual shares and drift are read from each other. A few will do, but where pasts differ much in length. */
const mostRounds = 30;
const settled = 2e-5;

/**
 * Usual shares of stamps, and a drift that all have in common, are read together from every span of an unchanged stamp.
 * Pasts are of different length, so a share that was counted while all were in trouble must not pass for a stamp's own.
 */
export function expectationOf(judged: readonly Series[], beside: readonly Series[]): Expectation {
  const all = [
    ...judged.map((series) => ({ series, to: series.before, ...sumBetween(series, series.since, series.before) })),
    ...beside.map((series) => ({
      series,
      to: series.trials.length,
      ...sumBetween(series, series.since, series.trials.length),
    })),
  ];
  const spans = all[0]?.series.trials.length ?? 0;
  const restUntil = new Float64Array(spans + 1);
  const trialsUntil = new Float64Array(spans + 1);
  for (const { series, to } of all) {
    for (let span = series.since; span < to; span++) {
      trialsUntil[span + 1] = (trialsUntil[span + 1] ?? 0) + (series.trials[span] ?? 0);
    }
  }
  for (let span = 0; span < spans; span++)
    trialsUntil[span + 1] = (trialsUntil[span + 1] ?? 0) + (trialsUntil[span] ?? 0);
  const hits = all.reduce((sum, part) => sum + part.hits, 0.5);
  const fleet = hits / all.reduce((sum, part) => sum + part.trials, 1);
  const reach = Math.min(mostReach, Math.floor((driftWorth * spans) / hits / 2));

  const usual = new Map<Series, Usual>();
  const expectation = { usual, fleet, restUntil, trialsUntil, reach };
  for (const { series, hits, trials } of all)
    usual.set(series, { share: trials === 0 ? 0 : hits / trials, trials, known: trials });
  for (let round = 0, change = 1; round < mostRounds && change > settled; round++) {
    change = 0;
    sumRests(all, expectation);
    for (const { series, to, hits, trials } of all) {
      if (trials === 0) continue;
      let drifted = 0;
      for (let span = series.since; span < to; span++) {
        drifted += (series.trials[span] ?? 0) * driftAt(span, expectation, undefined);
      }
      const share = Math.max(0, (hits - drifted) / trials);
      change = Math.max(change, Math.abs(share - (usual.get(series)?.share ?? 0)));
      usual.set(series, { share, trials, known: trials });
    }
  }
  const worth = worthOfFleet([...usual.values()], fleet);
  for (const [series, { share, trials }] of usual) {
    const known = trials + worth;
    usual.set(series, { share: (share * trials + worth * fleet) / known, trials, known });
  }
  sumRests(all, expectation);
  return expectation;
}

/**
 * A short past is luck, good or bad, and is drawn to what is usual in the fleet: far where stamps are alike, and hardly
 * where their shares differ more than luck explains (an empirical Bayes estimate by moments).
 */
function worthOfFleet(usual: readonly Usual[], fleet: number): number {
  const known = usual.filter(({ trials }) => trials > 0);
  const chance = Math.max(fleet * (1 - fleet), leastVariance);
  const differ = known.reduce((sum, { share, trials }) => sum + (share - fleet) ** 2 - chance / trials, 0);
  const between = differ / Math.max(1, known.length);
  return between <= 0 ? pastWorth.most : Math.min(pastWorth.most, Math.max(pastWorth.least, chance / between));
}

function sumRests(
  all: readonly { readonly series: Series; readonly to: number }[],
  { usual, restUntil }: Pick<Expectation, "usual" | "restUntil">,
): void {
  restUntil.fill(0);
  for (const { series, to } of all) {
    const share = usual.get(series)?.share ?? 0;
    for (let span = series.since; span < to; span++) {
      const rest = (series.hits[span] ?? 0) - (series.trials[span] ?? 0) * share;
      restUntil[span + 1] = (restUntil[span + 1] ?? 0) + rest;
    }
  }
  for (let span = 1; span < restUntil.length; span++)
    restUntil[span] = (restUntil[span] ?? 0) + (restUntil[span - 1] ?? 0);
}

export function sumBetween({ hits, trials }: Series, from: number, to: number): { hits: number; trials: number } {
  const sum = { hits: 0, trials: 0 };
  for (let span = from; span < to; span++) {
    sum.hits += hits[span] ?? 0;
    sum.trials += trials[span] ?? 0;
  }
  return sum;
}

/** Requests of unchanged stamps from one span to another. */
export function trialsBetween({ trialsUntil }: Expectation, from: number, to: number): number {
  return (trialsUntil[to] ?? 0) - (trialsUntil[from] ?? 0);
}

/** What stands between a span's hits and what was to be expected of them, and the variance of it by chance. */
export interface Rest {
  readonly rest: number;
  readonly expected: number;
  readonly variance: number;
}

/**
 * One span of one stamp. While its release has not changed it is compared with the others alone: with itself among them it
 * would be as expected.
 */
export function restAt(series: Series, span: number, expectation: Expectation, isUnchanged: boolean): Rest {
  const n = series.trials[span] ?? 0;
  const share = expectation.usual.get(series)?.share ?? 0;
  const drift = driftAt(span, expectation, isUnchanged ? series : undefined);
  const expected = n * Math.min(1, Math.max(0, share + drift));
  // Siblings that do better than usual do not make a stamp's own chance smaller than half of its past.
  const mean = Math.min(1, Math.max(share / 2, share + drift));
  const variance = n * Math.max(mean * (1 - mean), leastVariance);
  return { rest: (series.hits[span] ?? 0) - expected, expected, variance };
}

const leastVariance = 1e-6;

/** What unchanged stamps do beyond their usual share around a span. */
function driftAt(span: number, expectation: Expectation, without: Series | undefined): number {
  const { restUntil, trialsUntil, reach, usual, fleet } = expectation;
  const from = Math.max(0, span - reach);
  const to = Math.min(restUntil.length - 1, span + reach + 1);
  let rest = (restUntil[to] ?? 0) - (restUntil[from] ?? 0);
  let requests = (trialsUntil[to] ?? 0) - (trialsUntil[from] ?? 0);
  if (without !== undefined) {
    const share = usual.get(without)?.share ?? 0;
    const own = sumBetween(
      without,
      Math.max(from, without.since),
      without.isJudged ? Math.min(to, without.before) : to,
    );
    rest -= own.hits - own.trials * share;
    requests -= own.trials;
  }
  if (requests < 0.5) return 0;
  const drift = rest / requests;
  // What may as well be luck is left out by and by, so that it does not come in where nothing happened.
  const luck = Math.max(fleet * (1 - fleet), leastVariance) / requests;
  return drift * Math.max(0, 1 - luck / (drift * drift || 1));
}
