import type { Series } from "./series.ts";

/** What is to be expected of each stamp where its release makes no difference. */
export interface Expectation {
  /** Share of hits in the stamp's own past. */
  readonly usual: ReadonlyMap<Series, Usual>;
  /** Hits of unchanged stamps beyond their usual share, and their requests, summed up to each span. */
  readonly restUntil: Float64Array;
  readonly trialsUntil: Float64Array;
  /** Spans to each side that are taken together, so that a drift is not read from a handful of requests. */
  readonly reach: number;
}

export interface Usual {
  readonly share: number;
  readonly trials: number;
}

/** A past of so many requests counts as much as what is usual in the fleet. */
const pastWorth = 300;
/** Requests from which a drift of siblings is read. */
const driftWorth = 200;

/** Rounds in which usual shares and drift are read from each other; they hardly change after a few. */
const rounds = 6;

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
  const perSpan = (trialsUntil[spans] ?? 0) / Math.max(1, spans);
  const reach = perSpan > 0 ? Math.min(spans, Math.floor(driftWorth / perSpan / 2)) : 0;

  const usual = new Map<Series, Usual>();
  const expectation = { usual, restUntil, trialsUntil, reach };
  for (const { series, hits, trials } of all) usual.set(series, { share: trials === 0 ? 0 : hits / trials, trials });
  for (let round = 0; round < rounds; round++) {
    sumRests(all, expectation);
    for (const { series, to, hits, trials } of all) {
      if (trials === 0) continue;
      let drifted = 0;
      for (let span = series.since; span < to; span++) {
        drifted += (series.trials[span] ?? 0) * driftAt(span, expectation, undefined);
      }
      usual.set(series, { share: Math.max(0, (hits - drifted) / trials), trials });
    }
  }
  const hits = all.reduce((sum, part) => sum + part.hits, 0.5);
  const fleet = hits / all.reduce((sum, part) => sum + part.trials, 1);
  for (const [series, { share, trials }] of usual) {
    // A short past without a failure is no promise: it is never taken to be better than the fleet's lets believe. A worse
    // one is taken as it is, so that a stamp of clumsy tenants is not blamed for them.
    const shrunk = (share * trials + pastWorth * fleet) / (trials + pastWorth);
    usual.set(series, { share: Math.max(share, shrunk), trials });
  }
  sumRests(all, expectation);
  return expectation;
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
  // Siblings that do better than usual do not make an update's own chance smaller than a quarter of its past.
  const mean = Math.min(1, Math.max(share / 4, share + drift));
  const variance = n * Math.max(mean * (1 - mean), leastVariance);
  return { rest: (series.hits[span] ?? 0) - expected, expected, variance };
}

const leastVariance = 1e-6;

/** What unchanged stamps do beyond their usual share around a span. */
function driftAt(span: number, expectation: Expectation, without: Series | undefined): number {
  const { restUntil, trialsUntil, reach, usual } = expectation;
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
  return requests > 0.5 ? rest / requests : 0;
}
