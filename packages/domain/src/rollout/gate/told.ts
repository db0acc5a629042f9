import type { Evidence, EvidenceBucket, UpdatedMember } from "../evidence.ts";
import { seededNumbers } from "../../planning/seeded-numbers.ts";
import { seedNumber } from "./permute.ts";
import type { Told } from "./series.ts";

/** What there is to compare, and what is not there. */
export interface Heard {
  readonly judged: readonly Told[];
  readonly beside: readonly Told[];
  readonly requests: { readonly judged: number; readonly beside: number };
  /** Judged members of which spans are missing, in words. */
  readonly silent: readonly string[];
  /** Since when the requests of judged members are counted. */
  readonly from: number;
}

/** More siblings do not make a comparison better, and reading them takes time. */
const mostBeside = 120;
const mostJudged = 120;
/** Share of spans that may be missing of a stamp that is compared; and of those that are wanted, how many may be late. */
const missingBorne = 0.1;
/** How late routers may tell of a span. */
const lateMs = 4_000;

/**
 * Who is compared with whom: members of the last wave with siblings, and with members of earlier waves, which ran the new
 * release all the while. Spans that are not complete are left out, and a stamp of which too many are missing says nothing.
 */
export function hear(evidence: Evidence): Heard | undefined {
  const { updated, siblings, buckets, seed } = evidence;
  const wave = updated.reduce((last, member) => Math.max(last, member.wave), -1);
  const newest = updated.filter((member) => member.wave === wave);
  if (newest.length === 0) return undefined;
  const from = newest.reduce((first, { updatedAt }) => Math.min(first, updatedAt), Infinity);
  const until = newest.reduce((first, { begunAt }) => Math.min(first, begunAt), Infinity);
  const earlier = updated.filter((member) => member.wave < wave && member.updatedAt < until);
  const stamps = new Map<string, Told & { buckets: EvidenceBucket[] }>();
  for (const { stamp, begunAt, updatedAt } of sample(newest, mostJudged, seed)) {
    const told = { stamp, buckets: [], beforeUntil: begunAt, afterFrom: updatedAt, since: -Infinity, isJudged: true };
    stamps.set(stamp, told);
  }
  const others: readonly Pick<UpdatedMember, "stamp" | "updatedAt">[] = [
    ...siblings.map((stamp) => ({ stamp, updatedAt: -Infinity })),
    ...earlier,
  ];
  for (const { stamp, updatedAt } of sample(others, mostBeside, seed)) {
    if (stamps.has(stamp)) continue;
    const told = { stamp, buckets: [], beforeUntil: until, afterFrom: from, since: updatedAt, isJudged: false };
    stamps.set(stamp, told);
  }
  for (const bucket of buckets) {
    if (bucket.complete) stamps.get(bucket.stamp)?.buckets.push(bucket);
  }
  const judged: Told[] = [];
  const beside: Told[] = [];
  const silent: string[] = [];
  for (const told of stamps.values()) {
    told.buckets.sort((a, b) => a.at - b.at);
    const lack = whatIsMissing(told, evidence);
    if (told.isJudged && lack !== undefined) silent.push(`${told.stamp}: ${lack}`);
    if (told.isJudged) judged.push(told);
    else if (lack === undefined) beside.push(told);
  }
  return { judged, beside, silent, from, requests: { judged: requestsOf(judged), beside: requestsOf(beside) } };
}

/**
 * Too many spans are missing, in words. An outage of counts costs as much time as it took and no more: once as much was
 * told as the bake wants, it does not matter how much lies between.
 */
function whatIsMissing({ buckets, afterFrom }: Told, { now, bucketMs, watchMs }: Evidence): string | undefined {
  const due = now - Math.max(2 * bucketMs, lateMs);
  const expected = Math.floor((due - afterFrom) / bucketMs);
  const heard = buckets.filter(({ at }) => at >= afterFrom && at + bucketMs <= due);
  const missing = expected - heard.length;
  if (missing <= Math.max(1, missingBorne * expected)) return undefined;
  const wanted = Math.floor((watchMs ?? 0) / bucketMs);
  const late = Math.floor((due - (heard.at(-1)?.at ?? afterFrom)) / bucketMs) - 1;
  const isMadeUpFor = heard.length >= (1 - missingBorne) * wanted && late <= Math.max(1, missingBorne * wanted);
  return wanted > 0 && isMadeUpFor ? undefined : `${missing} of ${expected} spans`;
}

function requestsOf(stamps: readonly Told[]): number {
  let sum = 0;
  for (const { buckets, afterFrom } of stamps) {
    for (const { at, requests } of buckets) if (at >= afterFrom) sum += requests;
  }
  return sum;
}

function sample<T>(all: readonly T[], most: number, seed: string): readonly T[] {
  if (all.length <= most) return all;
  const numbers = seededNumbers(seedNumber(seed));
  const pool = [...all];
  for (let place = 0; place < most; place++) {
    const from = place + Math.floor(numbers.uniform() * (pool.length - place));
    [pool[place], pool[from]] = [pool[from] as T, pool[place] as T];
  }
  return pool.slice(0, most);
}
