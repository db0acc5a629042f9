import type { EvidenceBucket } from "../evidence.ts";

/** One stamp's complete buckets, and where its story changes. */
export interface Told {
  readonly stamp: string;
  readonly buckets: readonly EvidenceBucket[];
  /** Until then is what was usual. */
  readonly beforeUntil: number;
  /** From then on is what is judged, or what stands beside it. */
  readonly afterFrom: number;
  /** What lies before it says nothing: the stamp was itself just updated. */
  readonly since: number;
  /** Whether what lies between `beforeUntil` and `afterFrom` is an update, which is of neither release. */
  readonly isJudged: boolean;
}

/** A stamp's requests in spans of equal length, the same for all stamps. */
export interface Series {
  readonly stamp: string;
  readonly isJudged: boolean;
  /** Failed, or slow. */
  readonly hits: Float64Array;
  readonly trials: Float64Array;
  /** Spans from `since` to before `before` are what was usual; from `after` on they are judged, or stand beside. */
  readonly since: number;
  readonly before: number;
  readonly after: number;
}

export interface Grid {
  readonly origin: number;
  readonly spanMs: number;
  readonly spans: number;
}

/** About so many spans of what is judged: enough to permute, and long enough to hold a few requests each. */
const spansJudged = 24;
/** Of a bake that is short beside what came before it, only so much is looked back on. */
const mostSpans = 1_200;

/** A grid that ends where the last bucket does; undefined when nothing lies behind the update. */
export function gridOf(told: readonly Told[], bucketMs: number): Grid | undefined {
  let first = Infinity;
  let last = -Infinity;
  let from = Infinity;
  for (const { buckets, afterFrom, isJudged } of told) {
    first = Math.min(first, buckets[0]?.at ?? Infinity);
    last = Math.max(last, (buckets.at(-1)?.at ?? -Infinity) + bucketMs);
    if (isJudged) from = Math.min(from, afterFrom);
  }
  if (!(last > from && last > first)) return undefined;
  const spanMs = Math.max(1, Math.floor((last - from) / bucketMs / spansJudged)) * bucketMs;
  const spans = Math.min(mostSpans, Math.ceil((last - first) / spanMs));
  return { origin: last - spans * spanMs, spanMs, spans };
}

export function seriesOf(told: Told, grid: Grid, hitsOf: (bucket: EvidenceBucket) => number): Series {
  const { origin, spanMs, spans } = grid;
  const spanAt = (at: number) => Math.max(0, Math.min(spans, Math.floor((at - origin) / spanMs)));
  const hits = new Float64Array(spans);
  const trials = new Float64Array(spans);
  const after = spanAt(told.afterFrom);
  const before = Math.min(spanAt(told.beforeUntil), after);
  for (const bucket of told.buckets) {
    const span = Math.floor((bucket.at - origin) / spanMs);
    if (span < 0 || span >= spans || bucket.at < told.since) continue;
    // Requests of both sides of an update are never in one span: a span in which both lie is of the new release.
    if (told.isJudged && bucket.at < told.afterFrom && (span >= before || bucket.at + bucket.ms > told.beforeUntil)) {
      continue;
    }
    hits[span] = (hits[span] ?? 0) + hitsOf(bucket);
    trials[span] = (trials[span] ?? 0) + bucket.requests;
  }
  const since = told.since === -Infinity ? 0 : Math.min(before, spanAt(told.since));
  return { stamp: told.stamp, isJudged: told.isJudged, hits, trials, since, before, after };
}
