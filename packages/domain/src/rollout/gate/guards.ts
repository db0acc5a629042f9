import {
  type Evidence,
  type GateCheck,
  type GateRule,
  type GateVerdict,
  type MemberSignals,
  type SignalResult,
  sickGraceMs,
  signalsFreshMs,
} from "../evidence.ts";
import { percent, some } from "./figures.ts";

/** What one member's signals say about one thing. */
interface Finding {
  readonly stamp: string;
  readonly verdict: GateVerdict;
  readonly text: string;
}

type Look = (signals: MemberSignals) => { readonly verdict: GateVerdict; readonly text: string };

/** Judged of every updated member at every time, whatever its siblings do. A member that was not looked at is no good one. */
export function guardChecks(rule: GateRule, evidence: Evidence): readonly GateCheck[] {
  const { now, updated } = evidence;
  if (updated.length === 0) {
    return [{ name: "members", verdict: "inconclusive", text: "no member is updated yet" }];
  }
  const fresh = new Map<string, MemberSignals>();
  for (const signals of evidence.signals) {
    if (now - signals.at <= signalsFreshMs) fresh.set(signals.stamp, signals);
  }
  const check = (name: string, good: string, look: Look): GateCheck => {
    const findings = updated.map(({ stamp }): Finding => {
      const signals = fresh.get(stamp);
      if (signals === undefined) return { stamp, verdict: "inconclusive", text: "was not looked at lately" };
      return { stamp, ...look(signals) };
    });
    return summary(name, good, findings);
  };
  return [
    check("health", "every component is healthy", (signals) => health(signals, now)),
    check("restarts", `no component restarted more than ${rule.mostRestarts} times`, ({ restarts }) =>
      restarts > rule.mostRestarts ? bad(`a component restarted ${restarts} times since the update`) : good,
    ),
    check("jobs", "no job failed", ({ failedJobs }) =>
      failedJobs.length > 0 ? bad(`failed: ${some(failedJobs)}`) : good,
    ),
    check("tenant", "no tenant newly fails", (signals) => tenants(rule, signals)),
    ...(rule.queueLag === undefined ? [] : [check("queue", "queues are no longer than before", queue(rule.queueLag))]),
    ...rule.probes.map(({ name }) => check(`probe/${name}`, "good", (signals) => result(signals.probes, name))),
    ...rule.queries.map(({ name }) => check(`query/${name}`, "good", (signals) => result(signals.queries, name))),
  ];
}

const good = { verdict: "go", text: "" } as const;
const bad = (text: string) => ({ verdict: "abort", text }) as const;
const unclear = (text: string) => ({ verdict: "inconclusive", text }) as const;

function health({ sick, sickSince }: MemberSignals, now: number) {
  if (sick === undefined) return unclear("cannot be looked at");
  if (sick.length === 0) return good;
  const lapsed = sickSince === undefined || now - sickSince >= sickGraceMs;
  return lapsed ? bad(`not healthy: ${some(sick)}`) : unclear(`not healthy for a moment: ${some(sick)}`);
}

function tenants({ tenant: rule }: GateRule, { failingTenants }: MemberSignals) {
  const failing = failingTenants.filter(
    ({ requests, errors, wasFailing }) =>
      !wasFailing && requests >= rule.leastRequests && errors >= rule.errorShare * requests,
  );
  const [worst] = failing.toSorted((a, b) => b.errors - a.errors);
  if (worst === undefined) return good;
  const more = failing.length === 1 ? "" : `, and ${failing.length - 1} more`;
  return bad(`tenant ${worst.tenant} newly fails, ${worst.errors} of ${worst.requests} requests${more}`);
}

function queue({ most }: { readonly most: number }): Look {
  return ({ queueLag }) => {
    if (queueLag === undefined) return unclear("its queues are not measured");
    const { now, before } = queueLag;
    return now - before > most ? bad(`${now} wait in its queues, ${before} before the update`) : good;
  };
}

function result(results: readonly SignalResult[], name: string) {
  const found = results.find((each) => each.name === name);
  if (found?.ok === undefined) return unclear(found?.text ?? "no answer yet");
  return found.ok ? good : bad(found.text);
}

/** The worst of its members decides, and is named. */
function summary(name: string, whenGood: string, findings: readonly Finding[]): GateCheck {
  for (const verdict of ["abort", "inconclusive"] as const) {
    const found = findings.filter((finding) => finding.verdict === verdict);
    const [first] = found;
    if (first === undefined) continue;
    const more = found.length === 1 ? "" : `, and ${found.length - 1} more of ${findings.length} members`;
    return { name, verdict, text: `${first.stamp}: ${first.text}${more}` };
  }
  return { name, verdict: "go", text: whenGood };
}

/** Fewer say nothing about a share. */
const leastForShare = 10;
const recentMs = 60_000;

/**
 * A member above the absolute bound, over the last minute or since its update. What routers have not told of yet may only
 * make this worse, so nothing is waited for. Three standard deviations keep a handful of requests from deciding.
 */
export function absoluteErrors(rule: GateRule, { now, updated, buckets }: Evidence): GateCheck {
  const most = rule.mostErrors;
  const since = new Map(updated.map(({ stamp, updatedAt }) => [stamp, updatedAt]));
  const tallies = new Map<string, { requests: number; errors: number; recent: number; recentErrors: number }>();
  for (const { stamp, at, ms, requests, errors } of buckets) {
    if (at < (since.get(stamp) ?? Infinity)) continue;
    const tally = tallies.get(stamp) ?? { requests: 0, errors: 0, recent: 0, recentErrors: 0 };
    tallies.set(stamp, tally);
    tally.requests += requests;
    tally.errors += errors;
    if (at + ms <= now - recentMs) continue;
    tally.recent += requests;
    tally.recentErrors += errors;
  }
  const isAbove = (errors: number, requests: number) =>
    requests >= leastForShare && errors > most * requests + 3 * Math.sqrt(requests * most * (1 - most));
  const findings = updated.map(({ stamp }): Finding => {
    const { requests, errors, recent, recentErrors } = tallies.get(stamp) ?? none;
    const said = (part: number, whole: number, when: string) =>
      ({ stamp, ...bad(`${part} of ${whole} requests failed ${when}, more than ${percent(most)}`) }) as const;
    if (isAbove(recentErrors, recent)) return said(recentErrors, recent, "in the last minute");
    if (isAbove(errors, requests)) return said(errors, requests, "since its update");
    return { stamp, ...good };
  });
  return summary("absolute", `no member fails more than ${percent(most)} of its requests`, findings);
}

const none = { requests: 0, errors: 0, recent: 0, recentErrors: 0 };
