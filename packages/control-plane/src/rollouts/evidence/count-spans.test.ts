import type { EvidenceBucket } from "@stampyard/domain";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { RouterCounts } from "../../store/rollout-port.ts";
import { createSpanCounter } from "./count-spans.ts";
import { spread } from "./spread-counts.ts";

const spanMs = 5_000;
/** On a span's edge. */
const begin = 1_800_000_000_000;

interface Simulated {
  readonly name: string;
  readonly life: string;
  /** How far its clock is ahead. */
  readonly skewMs: number;
  number: number;
  requests: number;
  errors: number;
}

/** Routers that tell of themselves, and a counter that looks on. */
function world() {
  const counter = createSpanCounter(spanMs);
  const newest = new Map<string, RouterCounts>();
  const saved = new Map<string, EvidenceBucket>();
  let live: readonly string[] = [];
  const router = (name: string, options: { skewMs?: number; life?: string } = {}): Simulated => {
    const { skewMs = 0, life = `${name}-1` } = options;
    return { name, life, skewMs, number: 0, requests: 0, errors: 0 };
  };
  return {
    counter,
    router,
    saved,
    setLive: (...routers: readonly Simulated[]) => {
      live = routers.map(({ name }) => name);
    },
    count(one: Simulated, requests: number, errors = 0) {
      one.requests += requests;
      one.errors += errors;
    },
    tell(one: Simulated, at: number, wayMs = 3) {
      one.number += 1;
      const { name, life, number, skewMs, requests, errors } = one;
      const stamps = { "eu-1": { requests, errors, latency: [requests, 0] } };
      const times = { countedAt: at + skewMs, receivedAt: at + wayMs };
      newest.set(name, { router: name, life, number, ...times, stamps, failing: [] });
    },
    look(now: number, always: readonly string[] = []) {
      counter.note([...newest.values()], live, now);
      for (const bucket of counter.take(now, always)) saved.set(`${bucket.stamp} ${bucket.at}`, bucket);
    },
    buckets: () => [...saved.values()].sort((left, right) => left.at - right.at),
  };
}

/** Ticks of 500 ms; every router counts one request at each, and tells every `everyMs`. */
function run(
  its: ReturnType<typeof world>,
  routers: readonly Simulated[],
  span: { readonly from: number; readonly ms: number; readonly everyMs?: number },
  tells: (one: Simulated, at: number) => number | undefined = () => 3,
): number {
  const { from, ms, everyMs = 2_000 } = span;
  let at = from;
  for (; at <= from + ms; at += 500) {
    for (const one of routers) {
      its.count(one, 1);
      if ((at - begin) % everyMs !== 0) continue;
      const wayMs = tells(one, at);
      if (wayMs !== undefined) its.tell(one, at, wayMs);
    }
    its.look(at + 10);
  }
  return at;
}

const whole = (its: ReturnType<typeof world>) => its.buckets().filter(({ complete }) => complete);

test("spans of two routers with clocks hours apart are aligned, whole, and hold what was counted", () => {
  const its = world();
  const routers = [its.router("a", { skewMs: 7_200_000 }), its.router("b", { skewMs: -3_600_000 })];
  its.setLive(...routers);
  run(its, routers, { from: begin, ms: 60_000 });
  const buckets = whole(its);
  expect(buckets.length).toBeGreaterThanOrEqual(10);
  for (const { at, requests, ms } of buckets) {
    expect((at - begin) % spanMs).toBe(0);
    expect(ms).toBe(spanMs);
    // Two of each router a second; where a report cuts a span, one more or less.
    expect(requests).toBeGreaterThanOrEqual(18);
    expect(requests).toBeLessThanOrEqual(22);
  }
  expect(its.buckets().every(({ complete }) => complete)).toBe(true);
});

test("a router that is there and tells nothing makes every span incomplete, whatever others tell", () => {
  const its = world();
  const a = its.router("a");
  const old = its.router("old");
  its.setLive(a, old);
  run(its, [a, old], { from: begin, ms: 60_000 }, (one) => (one === a ? 3 : undefined));
  expect(whole(its)).toEqual([]);
  expect(its.buckets().length).toBeGreaterThan(5);
});

test("a killed router makes spans incomplete until nobody takes it for live, and never looks quiet", () => {
  const its = world();
  const [a, b] = [its.router("a"), its.router("b")];
  its.setLive(a, b);
  const killedAt = run(its, [a, b], { from: begin, ms: 30_000 });
  const gone = run(its, [a], { from: killedAt, ms: 15_000 });
  its.setLive(a);
  run(its, [a], { from: gone, ms: 60_000 });
  const states = its.buckets().map(({ complete }) => complete);
  expect(states.indexOf(false)).toBeGreaterThan(3);
  expect(states.lastIndexOf(true)).toBeGreaterThan(states.lastIndexOf(false));
  for (const { at, complete } of its.buckets()) {
    if (at + spanMs > killedAt && at < gone - 500) expect(complete, String(at - begin)).toBe(false);
  }
});

test("a restarted router's counts begin anew: nothing is negative, and the spans of its absence are incomplete", () => {
  const its = world();
  const first = its.router("a");
  its.setLive(first);
  const downAt = run(its, [first], { from: begin, ms: 31_000 });
  const second = its.router("a", { life: "a-2" });
  const upAt = downAt + 3_000;
  run(its, [second], { from: upAt, ms: 40_000, everyMs: 1_000 });
  expect(its.buckets().every(({ requests, errors }) => requests >= 0 && errors >= 0)).toBe(true);
  for (const { at, complete } of its.buckets()) {
    if (at < upAt && at + spanMs > downAt) expect(complete).toBe(false);
  }
  const after = its.buckets().filter(({ at }) => at >= upAt + spanMs && at < upAt + 30_000);
  expect(after.length).toBeGreaterThan(3);
  for (const { complete, requests } of after) {
    expect(complete).toBe(true);
    expect(Math.abs(requests - 10)).toBeLessThanOrEqual(1);
  }
});

test("reports that come late make spans whole late, and those that come after a long silence never do", () => {
  const its = world();
  const a = its.router("a");
  its.setLive(a);
  const lateFrom = run(its, [a], { from: begin, ms: 20_000 });
  // Held up on their way for 9 s; what they say is of its own time all the same.
  const badAt = Math.ceil(lateFrom / spanMs) * spanMs + spanMs;
  const held: { readonly at: number; readonly requests: number; readonly errors: number }[] = [];
  let at = lateFrom;
  for (; at < lateFrom + 30_000; at += 500) {
    its.count(a, 1, at >= badAt && at < badAt + spanMs ? 1 : 0);
    if ((at - begin) % 2_000 === 0) held.push({ at, requests: a.requests, errors: a.errors });
    const [oldest] = held;
    if (oldest !== undefined && at >= oldest.at + 9_000) {
      held.shift();
      const { requests, errors } = a;
      Object.assign(a, oldest);
      its.tell(a, oldest.at, at - oldest.at);
      Object.assign(a, { requests, errors });
    }
    its.look(at);
  }
  const late = whole(its).filter((bucket) => bucket.at >= lateFrom);
  expect(late.length).toBeGreaterThanOrEqual(3);
  // Reports do not begin where spans do, so some of them may lie beside it.
  expect(late.find((bucket) => bucket.at === badAt)?.errors).toBeGreaterThanOrEqual(6);
  // A silence of 40 s: nobody can say when its requests were.
  const again = at + 40_000;
  its.look(again - 1_000);
  run(its, [a], { from: again, ms: 30_000 });
  const silent = its.buckets().filter((bucket) => bucket.at >= at && bucket.at + spanMs <= again);
  expect(silent.every(({ complete }) => !complete)).toBe(true);
  expect(Math.max(...its.buckets().map(({ requests }) => requests))).toBeLessThan(15);
});

test("no router at all is not quiet", () => {
  const its = world();
  for (let at = begin; at < begin + 60_000; at += 1_000) its.look(at, ["eu-1"]);
  expect(its.buckets().length).toBeGreaterThan(5);
  expect(whole(its)).toEqual([]);
});

test("a watched stamp without requests gets buckets of none", () => {
  const its = world();
  const a = its.router("a");
  its.setLive(a);
  for (let at = begin; at <= begin + 20_000; at += 1_000) {
    its.tell(a, at);
    its.look(at + 10, ["eu-2"]);
  }
  const quiet = whole(its).filter(({ stamp }) => stamp === "eu-2");
  expect(quiet.length).toBeGreaterThanOrEqual(2);
  expect(quiet.every(({ requests }) => requests === 0)).toBe(true);
});

test("a process that begins to lead says nothing of spans that began before it did", () => {
  const its = world();
  const a = its.router("a");
  its.setLive(a);
  run(its, [a], { from: begin + 1_000, ms: 20_000, everyMs: 1_000 });
  expect(its.buckets()[0]?.at).toBe(begin + spanMs);
});

test("spread() keeps sums, and never has more errors than requests in a part", () => {
  const given = fc.record({
    latency: fc.array(fc.nat(50), { minLength: 1, maxLength: 6 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 }),
  });
  fc.assert(
    fc.property(given, ({ latency, share, cuts }) => {
      const requests = latency.reduce((total, one) => total + one, 0);
      const errors = Math.floor(requests * share);
      const parts = spread({ errors, latency }, [...cuts.sort((a, b) => a - b), 1]);
      const sum = (of: (part: (typeof parts)[number]) => number) => parts.reduce((total, part) => total + of(part), 0);
      expect(sum((part) => part.requests)).toBe(requests);
      expect(sum((part) => part.errors)).toBe(errors);
      for (const part of parts) expect(part.errors).toBeLessThanOrEqual(part.requests);
      for (const index of latency.keys()) expect(sum((part) => part.latency[index] ?? 0)).toBe(latency[index]);
    }),
  );
});
