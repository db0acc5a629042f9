import type { Evidence, EvidenceBucket, GateCheck, GateRule } from "../evidence.ts";
import { type Difference, differenceOf } from "./difference.ts";
import { chance, percent, points, some } from "./figures.ts";
import { quantile, slowFrom } from "./histogram.ts";
import { gridOf, seriesOf } from "./series.ts";
import { type Compared, lookAlpha } from "./spend-alpha.ts";
import { bellAbove } from "./tails.ts";
import { type Heard, hear } from "./told.ts";

/** What the comparison of requests says: two checks, errors and latency. */
export interface Comparison {
  readonly checks: readonly GateCheck[];
  /** Enough was there to judge by. */
  readonly judged: boolean;
  readonly enoughInMs?: number;
}

interface Found {
  readonly alpha: number;
  readonly difference: Difference | undefined;
  /** The same without one of many members. */
  readonly without: (stamp: string) => Difference | undefined;
}

/** An increase that must have been seen if it were there, or the verdict is no pass: five points (decision D20). */
export const mustSee = 0.05;
/** How likely it must have been seen. */
const power = 0.9;

/** Compares the requests of the wave under way with those of concurrent stamps whose release did not change. */
export function compareRequests(rule: GateRule, evidence: Evidence): Comparison {
  const heard = hear(evidence);
  if (heard === undefined) return without("no member is updated yet");
  if (heard.silent.length > 0) return without(`counts of requests are missing or late: ${some(heard.silent)}`);
  if (heard.beside.length === 0) return without("no stamp whose release did not change is there to compare with");
  const lack = lackOf(rule, heard, evidence.now);
  if (lack !== undefined) return lack;
  const grid = gridOf([...heard.judged, ...heard.beside], evidence.bucketMs);
  if (grid === undefined) return without("nothing is counted since the update");

  const compare = (what: Compared, hitsOf: (stamp: string) => (bucket: EvidenceBucket) => number): Found => {
    const series = (told: Heard["judged"]) => told.map((each) => seriesOf(each, grid, hitsOf(each.stamp)));
    const alpha = evidence.isLook ? lookAlpha(rule, what, evidence.look) : 0;
    const options = { seed: `${evidence.seed}/${what}/${evidence.look.index}`, alpha: alpha || rule.alpha };
    const judged = series(heard.judged);
    const beside = series(heard.beside);
    const difference = differenceOf(judged, beside, options);
    const without = (stamp: string) =>
      judged.length < fewestOfMany
        ? undefined
        : differenceOf(
            judged.filter((each) => each.stamp !== stamp),
            beside,
            options,
          );
    return { alpha, difference, without };
  };
  const slow = slowClasses(heard);
  const errors = compare(
    "errors",
    () =>
      ({ errors }) =>
        errors,
  );
  const latency = compare("latency", (stamp) => slowHits(slow.get(stamp) ?? 1));
  if (errors.difference === undefined || latency.difference === undefined) {
    return without("there is no past of the updated members that their present could be told from");
  }
  const checks = [
    ofOneAlone(errorsCheck(rule, errors.difference, errors.alpha), errors),
    ofOneAlone(latencyCheck(rule, latency.difference, latency.alpha, slowerBy(heard)), latency),
  ];
  return { checks, judged: true };
}

function without(text: string, enoughInMs?: number): Comparison {
  const checks = (["errors", "latency"] as const).map((name) => ({ name, verdict: "inconclusive" as const, text }));
  return { checks, judged: false, ...(enoughInMs === undefined ? {} : { enoughInMs }) };
}

/** Too few requests, and when there will be enough at the present traffic. */
function lackOf(
  { errors: { leastRequests } }: GateRule,
  { requests, from }: Heard,
  now: number,
): Comparison | undefined {
  const passed = now - from;
  const wait = (have: number, need: number) => (have >= need ? 0 : have === 0 ? Infinity : passed * (need / have - 1));
  const inMs = Math.max(wait(requests.judged, leastRequests.updated), wait(requests.beside, leastRequests.siblings));
  if (inMs === 0) return undefined;
  const have = `${requests.judged} requests of updated members and ${requests.beside} of siblings`;
  const need = `${leastRequests.updated} and ${leastRequests.siblings} are needed`;
  return without(`${have}: ${need}`, Number.isFinite(inMs) ? Math.ceil(inMs) : undefined);
}

function errorsCheck(rule: GateRule, found: Difference, alpha: number): GateCheck {
  const { excess, error, p, share, expected } = found;
  const name = "errors";
  const seen = `${percent(share)} of requests failed where ${percent(expected)} were to be expected (${points(excess)})`;
  const isWorse = excess >= rule.errors.worse;
  if (isWorse && p <= alpha) return { name, verdict: "abort", text: `${seen}; by chance with ${chance(p)}` };
  if (isWorse && p <= rule.alpha) {
    return { name, verdict: "inconclusive", text: `${seen}, which may be chance (${chance(p)})` };
  }
  const limit = Math.max(mustSee, rule.errors.worse);
  // What would have to be seen is seen, and only its proof is lacking: after a short past everything may be chance.
  if (excess >= limit) return { name, verdict: "inconclusive", text: `${seen}, which may be chance (${chance(p)})` };
  const visible = (bellAbove(alpha || rule.alpha) + bellAbove(1 - power)) * error;
  if (visible > limit) {
    const text = `${seen}, and requests differ so much that ${points(limit)} could have gone unseen`;
    return { name, verdict: "inconclusive", text };
  }
  return { name, verdict: "go", text: seen };
}

/** From so many members on, one that fails alone says more of itself than of the release. */
const fewestOfMany = 2;
/** What the others show need not be enough by itself, only more than luck gives them five times of a hundred. */
const shownByOthers = 0.05;

/**
 * What a release does, it does to more than one of many stamps. One bad hour of a single tenant comes in every fleet, and
 * must not take back the others; so a person is asked, unless a guard finds that stamp to be too bad by itself.
 */
function ofOneAlone(check: GateCheck, found: Found): GateCheck {
  const furthest = found.difference?.furthest;
  if (check.verdict !== "abort" || furthest === undefined) return check;
  const rest = found.without(furthest);
  if (rest === undefined || rest.p <= shownByOthers) return check;
  return { ...check, verdict: "inconclusive", text: `${check.text}; of ${furthest} alone, and not of the others` };
}

/** Classes of the router's histogram are up to two thirds wide, so three quarters of what was asked for are taken for it. */
const nearlyAll = 0.75;

function latencyCheck(rule: GateRule, found: Difference, alpha: number, slowerMs: number): GateCheck {
  const name = "latency";
  const seen = `${slowerMs < 0 ? "" : "+"}${Math.round(slowerMs)} ms at the 90th percentile, ${points(found.excess)} of slow requests`;
  const isWorse = slowerMs >= nearlyAll * rule.latency.worseMs;
  if (isWorse && found.p <= alpha)
    return { name, verdict: "abort", text: `${seen}; by chance with ${chance(found.p)}` };
  if (isWorse && (found.p <= rule.alpha || slowerMs >= rule.latency.worseMs)) {
    return { name, verdict: "inconclusive", text: `${seen}, which may be chance (${chance(found.p)})` };
  }
  return { name, verdict: "go", text: seen };
}

function slowHits(from: number): (bucket: EvidenceBucket) => number {
  return ({ latency }) => {
    let hits = 0;
    for (let k = from; k < latency.length; k++) hits += latency[k] ?? 0;
    return hits;
  };
}

/** Of each stamp by its own past: from which class of the histogram on a request is slow. */
function slowClasses({ judged, beside }: Heard): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const told of [...judged, ...beside]) found.set(told.stamp, slowFrom(histogramOf([told], "before")));
  return found;
}

/** Difference in differences of the 90th percentile, in milliseconds. */
function slowerBy({ judged, beside }: Heard): number {
  const rise = (told: Heard["judged"]) => {
    const before = quantile(histogramOf(told, "before"), 0.9);
    const after = quantile(histogramOf(told, "after"), 0.9);
    return before === undefined || after === undefined ? 0 : after - before;
  };
  return rise(judged) - rise(beside);
}

function histogramOf(stamps: Heard["judged"], side: "before" | "after"): Float64Array {
  const sum = new Float64Array(22);
  for (const { buckets, beforeUntil, afterFrom, since } of stamps) {
    for (const { at, ms, latency } of buckets) {
      const isIn = side === "before" ? at >= since && at + ms <= beforeUntil : at >= afterFrom;
      if (isIn) for (let k = 0; k < latency.length; k++) sum[k] = (sum[k] ?? 0) + (latency[k] ?? 0);
    }
  }
  return sum;
}
