import { describe, expect, test } from "vitest";
import type { Evidence, EvidenceBucket, GateRule, GateVerdict, MemberSignals } from "../evidence.ts";
import { latencyBounds, sickGraceMs, signalsFreshMs } from "../evidence.ts";
import { defaultGate } from "./default-strategy.ts";
import { judgeGate } from "./judge-gate.ts";
import { calm } from "./test-simulated-rollout.ts";

const bucketMs = 5_000;
const minute = 60_000;
const begunAt = 60 * minute;
const updatedAt = begunAt + 20_000;
const bakeMs = 10 * minute;
const now = updatedAt + bakeMs;

/** What a stamp tells of one span. */
type Telling = (stamp: string, at: number) => Partial<EvidenceBucket> | "nothing";

/** Six stamps of 600 requests a minute, of which one of a hundred fails, on and on. */
function evidence(telling: Telling = () => ({}), more: Partial<Evidence> = {}): Evidence {
  const stamps = ["s-1", "s-2", "s-3", "s-4", "s-5", "s-6"];
  const buckets: EvidenceBucket[] = [];
  for (let at = 0; at < now; at += bucketMs) {
    for (const [index, stamp] of stamps.entries()) {
      const told = telling(stamp, at);
      if (told === "nothing") continue;
      // Every second span one fails, one after the other: chance without a chance generator.
      const errors = (at / bucketMs + index) % 2;
      buckets.push({
        stamp,
        at,
        ms: bucketMs,
        complete: true,
        requests: 50,
        errors,
        latency: around(15, 50),
        synthetic: 0,
        ...told,
      });
    }
  }
  return {
    now,
    bucketMs,
    updated: [{ stamp: "s-1", begunAt, updatedAt, wave: 0 }],
    siblings: stamps.slice(1),
    buckets,
    signals: [calm("s-1", now)],
    look: { index: 0, of: 4 },
    isLook: true,
    seed: "ro-1 0",
    ...more,
  };
}

/** Most of them in the class of so many milliseconds, and some in the one below and above. */
function around(ms: number, requests: number): number[] {
  const counts = new Array<number>(latencyBounds.length + 1).fill(0);
  const index = latencyBounds.findIndex((bound) => bound >= ms);
  const few = Math.floor(requests / 10);
  counts[index - 1] = few;
  counts[index + 1] = few;
  counts[index] = requests - 2 * few;
  return counts;
}

const isNew = (stamp: string, at: number) => stamp === "s-1" && at >= updatedAt;
const of = (name: string, judged: Evidence, rule: GateRule = defaultGate) => {
  const check = judgeGate(rule, judged).checks.find((each) => each.name === name);
  if (check === undefined) throw new Error(`No check is called ${name}`);
  return check;
};

describe("judgeGate()", () => {
  test("lets a release that changes nothing go on, and says the same again", () => {
    const report = judgeGate(defaultGate, evidence());
    expect(report.checks.filter(({ verdict }) => verdict !== "go")).toEqual([]);
    expect(report).toMatchObject({ verdict: "go", at: now, tookLook: true });
    expect(judgeGate(defaultGate, evidence())).toEqual(report);
  });

  test("aborts at five points more errors than its siblings have, with figures", () => {
    const worse = evidence((stamp, at) => (isNew(stamp, at) ? { errors: 3 } : {}));
    expect(of("errors", worse)).toMatchObject({ verdict: "abort" });
    expect(of("errors", worse).text).toMatch(/^6% of requests failed where 1% were to be expected \(\+5 points\)/);
    expect(judgeGate(defaultGate, worse)).toMatchObject({ verdict: "abort", tookLook: true });
  });

  test("does not blame an updated stamp for what its siblings suffer as well", () => {
    const all = evidence((_, at) => (at >= updatedAt ? { errors: 3 } : {}));
    expect(judgeGate(defaultGate, all).verdict).toBe("go");
    // Nor for what it was like before.
    expect(
      judgeGate(
        defaultGate,
        evidence((stamp) => (stamp === "s-1" ? { errors: 3 } : {})),
      ).verdict,
    ).toBe("go");
  });

  test("sees what all siblings got rid of and it did not", () => {
    const left = evidence((stamp, at) => (at < updatedAt || stamp === "s-1" ? { errors: 5 } : { errors: 0 }));
    expect(of("errors", left).verdict).toBe("abort");
  });

  test("spends of alpha at a look only, and between looks says neither abort nor go of what looks bad", () => {
    const worse = evidence((stamp, at) => (isNew(stamp, at) ? { errors: 3 } : {}), { isLook: false });
    expect(judgeGate(defaultGate, worse)).toMatchObject({ verdict: "inconclusive", tookLook: false });
    expect(judgeGate(defaultGate, evidence(undefined, { isLook: false }))).toMatchObject({
      verdict: "go",
      tookLook: false,
    });
    const late = { index: 4, of: 4 };
    expect(of("errors", { ...worse, isLook: true, look: late }).verdict).toBe("inconclusive");
  });

  test("aborts at 300 ms more, and bears what its siblings have too", () => {
    const slow = { latency: around(315, 50) };
    expect(
      of(
        "latency",
        evidence((stamp, at) => (isNew(stamp, at) ? slow : {})),
      ),
    ).toMatchObject({ verdict: "abort" });
    expect(
      of(
        "latency",
        evidence((_, at) => (at >= updatedAt ? slow : {})),
      ).verdict,
    ).toBe("go");
    const little = { latency: around(75, 50) };
    expect(
      of(
        "latency",
        evidence((stamp, at) => (isNew(stamp, at) ? little : {})),
      ).verdict,
    ).toBe("go");
    const rule = { ...defaultGate, latency: { worseMs: 30 } };
    expect(
      of(
        "latency",
        evidence((stamp, at) => (isNew(stamp, at) ? little : {})),
        rule,
      ).verdict,
    ).toBe("abort");
  });

  test("compares a last wave with the waves before it, where nobody is left", () => {
    const updated = ["s-1", "s-2", "s-3"].map((stamp) => ({
      stamp,
      begunAt: 20 * minute,
      updatedAt: 21 * minute,
      wave: 0,
    }));
    const last = ["s-4", "s-5", "s-6"].map((stamp) => ({ stamp, begunAt, updatedAt, wave: 1 }));
    const all = [...updated, ...last];
    const more = {
      updated: all,
      siblings: [],
      signals: all.map(({ stamp }) => calm(stamp, now)),
      look: { index: 1, of: 2 },
    };
    expect(judgeGate(defaultGate, evidence(undefined, more)).verdict).toBe("go");
    const bad = last.map(({ stamp }) => stamp);
    const worse = evidence((stamp, at) => (bad.includes(stamp) && at >= updatedAt ? { errors: 3 } : {}), more);
    expect(of("errors", worse).verdict).toBe("abort");
  });

  test("asks a person where one of many members fails alone", () => {
    const updated = ["s-1", "s-2", "s-3"].map((stamp) => ({ stamp, begunAt, updatedAt, wave: 0 }));
    const more = { updated, siblings: ["s-4", "s-5", "s-6"], signals: updated.map(({ stamp }) => calm(stamp, now)) };
    const one = evidence((stamp, at) => (isNew(stamp, at) ? { errors: 5 } : {}), more);
    expect(of("errors", one)).toMatchObject({ verdict: "inconclusive" });
    expect(of("errors", one).text).toContain("of s-1 alone");
    const bad = ["s-1", "s-2"];
    const two = evidence((stamp, at) => (bad.includes(stamp) && at >= updatedAt ? { errors: 5 } : {}), more);
    expect(of("errors", two).verdict).toBe("abort");
  });
});

describe("judgeGate() is inconclusive, and never good (I35),", () => {
  const unclear = (judged: Evidence, text: RegExp) => {
    const report = judgeGate(defaultGate, judged);
    expect(report).toMatchObject({ verdict: "inconclusive", tookLook: false });
    expect(report.checks.find(({ name }) => name === "errors")?.text).toMatch(text);
    return report;
  };

  test("without any count", () => {
    unclear({ ...evidence(), buckets: [] }, /missing or late/);
  });

  test("when nobody is updated", () => {
    expect(judgeGate(defaultGate, evidence(undefined, { updated: [] })).verdict).toBe("inconclusive");
  });

  test("with too few requests, and says when there are enough", () => {
    const report = unclear(
      evidence((stamp) => ({ requests: stamp === "s-1" ? 1 : 50, errors: 0 })),
      /^120 requests of updated/,
    );
    expect(report.enoughInMs).toBe(bakeMs * 1.5);
    unclear(
      evidence((stamp) => ({ requests: stamp === "s-1" ? 50 : 1, errors: 0 })),
      /and 600 of siblings: 300 and 1000/,
    );
    expect(
      judgeGate(
        defaultGate,
        evidence(() => ({ requests: 0, errors: 0 })),
      ),
    ).not.toHaveProperty("enoughInMs");
  });

  test("when spans are missing, or a router has not told of them", () => {
    const gap = (at: number) => at >= updatedAt + 2 * minute && at < updatedAt + 4 * minute;
    unclear(
      evidence((stamp, at) => (stamp === "s-1" && gap(at) ? "nothing" : {})),
      /missing or late: s-1: 24 of 118/,
    );
    unclear(
      evidence((_, at) => ({ complete: !gap(at) })),
      /missing or late/,
    );
  });

  test("until an outage of counts is made up for, which takes as long as it lasted", () => {
    const isOut = (at: number) => at >= updatedAt + 2 * minute && at < updatedAt + 4 * minute;
    const broken = (watchMs: number, more: Partial<EvidenceBucket> = {}) =>
      evidence((stamp, at) => ({ complete: !isOut(at), ...(isNew(stamp, at) ? more : {}) }), { watchMs });
    unclear(broken(bakeMs), /missing or late: s-1: 24 of 118/);
    expect(judgeGate(defaultGate, broken(bakeMs - 2 * minute))).toMatchObject({ verdict: "go", tookLook: true });
    expect(judgeGate(defaultGate, broken(bakeMs - 2 * minute, { errors: 3 })).verdict).toBe("abort");
    unclear(broken(0), /missing or late/);
    // What has just begun may be the release's own doing.
    unclear(
      evidence((_, at) => (at >= now - 2 * minute ? "nothing" : {}), { watchMs: bakeMs - 3 * minute }),
      /missing or late: s-1: 22 of 118/,
    );
  });

  test("when counts come to an end before the bake does", () => {
    unclear(
      evidence((_, at) => (at >= now - 3 * minute ? "nothing" : {})),
      /missing or late: s-1: 34 of 118/,
    );
    expect(
      judgeGate(
        defaultGate,
        evidence((_, at) => (at >= now - 10_000 ? "nothing" : {})),
      ).verdict,
    ).toBe("go");
  });

  test("without siblings, or when theirs are missing", () => {
    unclear(evidence(undefined, { siblings: [] }), /no stamp whose release did not change/);
    unclear(
      evidence((stamp, at) => (stamp !== "s-1" && at >= updatedAt ? "nothing" : {})),
      /no stamp whose release/,
    );
  });

  test("without a past to compare with", () => {
    unclear(
      evidence((_, at) => (at < begunAt ? "nothing" : {})),
      /no past/,
    );
  });

  test("where requests differ so much that five points could not be seen", () => {
    // Each stamp has minutes in which half of its requests fail.
    const swings = evidence((stamp, at) => ({
      errors: Math.floor(at / (5 * minute) + 3 + Number(stamp.slice(2))) % 7 === 0 ? 25 : 0,
    }));
    expect(of("errors", swings)).toMatchObject({ verdict: "inconclusive" });
    expect(of("errors", swings).text).toContain("could have gone unseen");
  });

  test("where five points more are seen, and only their proof is lacking", () => {
    const swings = evidence((stamp, at) => ({
      errors: Math.floor(at / (5 * minute) + Number(stamp.slice(2))) % 7 === 0 ? 25 : 0,
    }));
    expect(of("errors", swings)).toMatchObject({ verdict: "inconclusive" });
    expect(of("errors", swings).text).toContain("which may be chance");
  });

  test("when one of its checks is, whatever the others say", () => {
    const blind = { ...calm("s-1", now), sick: undefined };
    expect(judgeGate(defaultGate, evidence(undefined, { signals: [blind] })).verdict).toBe("inconclusive");
  });
});

describe("guards", () => {
  const rule: GateRule = {
    ...defaultGate,
    queueLag: { most: 10 },
    probes: [{ kind: "http", name: "home", path: "/", status: 200, timeoutMs: 1_000 }],
    queries: [{ name: "rate", url: "http://prometheus", query: "x", atMost: 1 }],
  };
  const fine: MemberSignals = {
    ...calm("s-1", now),
    queueLag: { now: 12, before: 5 },
    probes: [{ name: "home", ok: true, text: "200" }],
    queries: [{ name: "rate", ok: true, text: "0.5" }],
  };
  const failing = { tenant: "acme", requests: 20, errors: 10, wasFailing: false };
  const rows: readonly (readonly [string, string, GateVerdict, Partial<MemberSignals> | undefined])[] = [
    ["health", "a component that is not healthy", "abort", { sick: ["worker: exited"] }],
    ["health", "one that is not healthy for long", "abort", { sick: ["api"], sickSince: now - sickGraceMs }],
    [
      "health",
      "one that is not healthy for a moment",
      "inconclusive",
      { sick: ["api"], sickSince: now - sickGraceMs + 1 },
    ],
    ["health", "a stamp that cannot be looked at", "inconclusive", { sick: undefined }],
    ["health", "a stamp of which nothing is known", "inconclusive", undefined],
    ["health", "a sight that is old", "inconclusive", { at: now - signalsFreshMs - 1 }],
    ["health", "a sight that is not too old", "go", { at: now - signalsFreshMs }],
    ["restarts", "restarts that are borne", "go", { restarts: 2 }],
    ["restarts", "one more", "abort", { restarts: 3 }],
    ["restarts", "an old count of none", "inconclusive", { at: now - minute }],
    ["jobs", "a job that failed", "abort", { failedJobs: ["migrate"] }],
    ["tenant", "a tenant that newly fails", "abort", { failingTenants: [failing] }],
    ["tenant", "one that failed before", "go", { failingTenants: [{ ...failing, wasFailing: true }] }],
    ["tenant", "one with too few requests", "go", { failingTenants: [{ ...failing, requests: 19 }] }],
    ["tenant", "one that fails less", "go", { failingTenants: [{ ...failing, requests: 21 }] }],
    ["queue", "a queue that grew", "abort", { queueLag: { now: 16, before: 5 } }],
    ["queue", "a long one that was long before", "go", { queueLag: { now: 500, before: 495 } }],
    ["probe/home", "a probe that fails", "abort", { probes: [{ name: "home", ok: false, text: "500" }] }],
    [
      "probe/home",
      "a probe without an answer",
      "inconclusive",
      { probes: [{ name: "home", ok: undefined, text: "-" }] },
    ],
    ["probe/home", "a probe that was not asked", "inconclusive", { probes: [] }],
    ["query/rate", "a query above its bound", "abort", { queries: [{ name: "rate", ok: false, text: "2" }] }],
    [
      "query/rate",
      "a query without data",
      "inconclusive",
      { queries: [{ name: "rate", ok: undefined, text: "empty" }] },
    ],
  ];
  test.each(rows)("%s judges %s: %s", (name, _, verdict, signals) => {
    const given = signals === undefined ? [] : [{ ...fine, ...signals }];
    expect(of(name, evidence(undefined, { signals: given }), rule).verdict).toBe(verdict);
  });

  test("queue is inconclusive where queues are to be watched and are not measured", () => {
    expect(of("queue", evidence(undefined, { signals: [calm("s-1", now)] }), rule).verdict).toBe("inconclusive");
  });

  test("name the member, and count the others", () => {
    const updated = ["s-1", "s-2", "s-3"].map((stamp) => ({ stamp, begunAt, updatedAt, wave: 0 }));
    const signals = [fine, { ...fine, stamp: "s-2", restarts: 7 }, { ...fine, stamp: "s-3", restarts: 9 }];
    const { text } = of("restarts", evidence(undefined, { updated, siblings: ["s-4"], signals }), rule);
    expect(text).toBe("s-2: a component restarted 7 times since the update, and 1 more of 3 members");
  });

  test("abort at once where a member fails most of its requests, also from counts that are not complete", () => {
    const broken = evidence(
      (stamp, at) => (isNew(stamp, at) && at >= now - 30_000 ? { errors: 50, complete: false } : {}),
      {
        isLook: false,
      },
    );
    expect(of("absolute", broken)).toMatchObject({ verdict: "abort" });
    expect(of("absolute", broken).text).toBe("s-1: 303 of 600 requests failed in the last minute, more than 25%");
    // All stamps at once are no excuse.
    expect(
      of(
        "absolute",
        evidence((_, at) => (at >= updatedAt ? { errors: 25 } : {})),
      ).verdict,
    ).toBe("abort");
    expect(
      of(
        "absolute",
        evidence((stamp, at) => (isNew(stamp, at) ? { errors: 10 } : {})),
      ).verdict,
    ).toBe("go");
  });

  test("do not judge by a handful of requests", () => {
    const few = (requests: number, errors: number) =>
      evidence((stamp, at) =>
        isNew(stamp, at) ? (at < updatedAt + bucketMs ? { requests, errors } : { requests: 0, errors: 0 }) : {},
      );
    expect(of("absolute", few(9, 9)).verdict).toBe("go");
    expect(of("absolute", few(10, 6)).verdict).toBe("go");
    expect(of("absolute", few(10, 10)).verdict).toBe("abort");
  });
});
