import type { EvidenceBucket, Instant } from "@stampyard/domain";
import type { RouterCounts, StampCount } from "../../store/rollout-port.ts";
import { longestGapMs } from "./evidence-times.ts";
import { spread } from "./spread-counts.ts";

/** Turns cumulative counts of routers into spans of time that are the same for all of them. */
export interface SpanCounter {
  /**
   * One look at what routers have told.
   * @param live routers that are there now, whether they tell anything or not
   */
  note(reports: readonly RouterCounts[], live: readonly string[], now: Instant): void;
  /** Requests of our own that were sent to a stamp at a time. */
  noteSynthetic(stamp: string, at: Instant): void;
  /**
   * Spans that are over and not handed out yet, or were handed out with less.
   * @param always stamps that get a bucket for a span without requests, too
   */
  take(now: Instant, always: Iterable<string>): readonly EvidenceBucket[];
}

interface Teller {
  readonly life: string;
  readonly number: number;
  /** Of the last report, by the router's clock. */
  readonly countedAt: Instant;
  /** The same moment by ours. */
  readonly at: Instant;
  readonly stamps: RouterCounts["stamps"];
  /** How far our clock was ahead of the router's, with the time that each report was on its way. */
  readonly offsets: readonly number[];
}

interface Span {
  readonly at: Instant;
  readonly tallies: Map<string, Tally>;
  /** Routers that were there at some time of it. */
  readonly expected: Set<string>;
  /** Milliseconds of it that each router has told of. */
  readonly told: Map<string, number>;
  taken: "no" | "incomplete" | "complete";
}

interface Tally {
  requests: number;
  errors: number;
  latency: number[];
  synthetic: number;
}

interface Counter {
  readonly spanMs: number;
  readonly tellers: Map<string, Teller>;
  readonly spans: Map<Instant, Span>;
  /** Nothing before it is known here: another process led, or nobody. */
  since: Instant | undefined;
  lookedAt: Instant;
}

/** The least of the last reports' offsets is the one with the shortest way; more would not follow a clock that drifts. */
const offsetsKept = 60;
/** A span is handed out incomplete when it is that many spans old, and waited for no longer when it is so many. */
const patience = { incomplete: 3, forgotten: 12 } as const;

export function createSpanCounter(spanMs: number): SpanCounter {
  const counter: Counter = { spanMs, tellers: new Map(), spans: new Map(), since: undefined, lookedAt: 0 };
  return {
    note(reports, live, now) {
      expect(counter, live, now);
      for (const report of reports) hear(counter, report);
    },
    noteSynthetic(stamp, at) {
      const span = spanAt(counter, at);
      if (span !== undefined) tallyOf(span, stamp).synthetic += 1;
    },
    take: (now, always) => take(counter, now, [...always]),
  };
}

/** Who is there must tell, or the span is not whole. A router that was killed counts as there for some seconds. */
function expect(counter: Counter, live: readonly string[], now: Instant): void {
  const { spanMs } = counter;
  counter.since ??= Math.floor(now / spanMs) * spanMs + spanMs;
  // After a pause of ours nobody can say who was there meanwhile: those spans are never complete.
  if (now - counter.lookedAt > longestGapMs(spanMs) || now < counter.lookedAt) counter.lookedAt = now;
  for (let at = counter.lookedAt; ; at = Math.min(now, at + spanMs)) {
    const span = spanAt(counter, at);
    for (const router of live) span?.expected.add(router);
    if (at >= now) break;
  }
  counter.lookedAt = now;
}

function hear(counter: Counter, report: RouterCounts): void {
  const { tellers, spanMs } = counter;
  const { router, life, number, countedAt, receivedAt, stamps } = report;
  const before = tellers.get(router);
  const isSame = before?.life === life;
  if (isSame && number <= before.number) return;
  const offsets = [...(isSame ? before.offsets : []), receivedAt - countedAt].slice(-offsetsKept);
  const earliest = isSame ? before.at : Number.NEGATIVE_INFINITY;
  const at = Math.max(earliest, countedAt + Math.min(...offsets));
  tellers.set(router, { life, number, countedAt, at, stamps, offsets });
  // The first report of a life, and the first after a silence, say where to count from, and nothing of what was before.
  if (!isSame || countedAt - before.countedAt > longestGapMs(spanMs) || at <= before.at) return;
  for (const span of spansBetween(counter, before.at, at)) {
    const ms = Math.min(at, span.at + spanMs) - Math.max(before.at, span.at);
    span.told.set(router, (span.told.get(router) ?? 0) + ms);
  }
  for (const [stamp, count] of Object.entries(stamps)) {
    addTo(counter, { stamp, earlier: before.stamps[stamp], count, from: before.at, to: at });
  }
}

interface Growth {
  readonly stamp: string;
  readonly earlier: StampCount | undefined;
  readonly count: StampCount;
  readonly from: Instant;
  readonly to: Instant;
}

function addTo(counter: Counter, { stamp, earlier, count, from, to }: Growth): void {
  if (count.requests <= (earlier?.requests ?? 0)) return;
  const { spanMs } = counter;
  const first = Math.floor(from / spanMs) * spanMs;
  const ends: number[] = [];
  for (let at = first; at < to; at += spanMs) ends.push((Math.min(to, at + spanMs) - from) / (to - from));
  const latency = count.latency.map((total, index) => Math.max(0, total - (earlier?.latency[index] ?? 0)));
  const errors = Math.max(0, count.errors - (earlier?.errors ?? 0));
  for (const [index, part] of spread({ errors, latency }, ends).entries()) {
    const span = spanAt(counter, first + index * spanMs);
    if (span === undefined || part.requests === 0) continue;
    const tally = tallyOf(span, stamp);
    tally.requests += part.requests;
    tally.errors += part.errors;
    tally.latency = part.latency.map((more, bound) => more + (tally.latency[bound] ?? 0));
  }
}

function take(counter: Counter, now: Instant, always: readonly string[]): readonly EvidenceBucket[] {
  const { spanMs, spans } = counter;
  const taken: EvidenceBucket[] = [];
  for (const span of spans.values()) {
    const age = now - span.at - spanMs;
    if (age < 0) continue;
    const isComplete = span.expected.size > 0 && [...span.expected].every((router) => isTold(span, router, spanMs));
    const isOld = age > patience.forgotten * spanMs;
    const isDue = isComplete ? span.taken !== "complete" : span.taken === "no" && age > patience.incomplete * spanMs;
    if (isDue) taken.push(...bucketsOf(span, spanMs, isComplete, always));
    if (isDue) span.taken = isComplete ? "complete" : "incomplete";
    if (isOld) spans.delete(span.at);
  }
  return taken;
}

/** Times of reports are whole milliseconds, so a millisecond at each end may be lost. */
function isTold(span: Span, router: string, spanMs: number): boolean {
  return (span.told.get(router) ?? 0) >= spanMs - 2;
}

function bucketsOf(
  { at, tallies }: Span,
  ms: number,
  complete: boolean,
  always: readonly string[],
): readonly EvidenceBucket[] {
  const stamps = new Set([...always, ...tallies.keys()]);
  return [...stamps].map((stamp) => {
    const { requests = 0, errors = 0, latency = [], synthetic = 0 } = tallies.get(stamp) ?? {};
    return { stamp, at, ms, complete, requests, errors, latency, synthetic: Math.min(synthetic, requests) };
  });
}

function tallyOf({ tallies }: Span, stamp: string): Tally {
  let tally = tallies.get(stamp);
  if (tally === undefined) {
    tally = { requests: 0, errors: 0, latency: [], synthetic: 0 };
    tallies.set(stamp, tally);
  }
  return tally;
}

function* spansBetween(counter: Counter, from: Instant, to: Instant): Iterable<Span> {
  const { spanMs } = counter;
  for (let at = Math.floor(from / spanMs) * spanMs; at < to; at += spanMs) {
    const span = spanAt(counter, at);
    if (span !== undefined) yield span;
  }
}

/** undefined for what was before our time, or is forgotten. */
function spanAt({ spanMs, spans, since = Number.POSITIVE_INFINITY, lookedAt }: Counter, at: Instant): Span | undefined {
  const begin = Math.floor(at / spanMs) * spanMs;
  if (begin < since || begin < lookedAt - patience.forgotten * spanMs) return undefined;
  let span = spans.get(begin);
  if (span === undefined) {
    span = { at: begin, tallies: new Map(), expected: new Set(), told: new Map(), taken: "no" };
    spans.set(begin, span);
  }
  return span;
}
