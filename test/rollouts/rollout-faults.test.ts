import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { until } from "../light-fleet.ts";
import { report } from "../long-report.ts";
import { faults, good, goodAgain, merelySlow, startingWithin, type Variant, withSetting } from "./faults/releases.ts";
import { type FaultReport, faultLine, followFault, followRollout } from "./judge-fault.ts";
import { type Load, startLoad } from "./load.ts";
import { mutedRouter } from "./muted-router.ts";
import { type RolloutFleet, rolloutFleet } from "./rollout-fleet.ts";

/**
 * Releases that really go wrong, on real stamps, under load through the real router: each is seen, and taken back from
 * the one stamp that had it. STAMPYARD_ROLLOUTS=long tries all of them, so many times over and with longer bakes; else
 * those that differ most.
 */

const isLong = process.env["STAMPYARD_ROLLOUTS"] === "long";
const rounds = isLong ? Number(process.env["STAMPYARD_ROLLOUT_ROUNDS"] ?? 1) : 1;
const bakeMs = isLong ? 30_000 : 10_000;
/** Of one tenant. */
const perSecond = 10;
/** Of the issue: from the decision until the touched stamps run what they ran before. */
const mostReturnMs = 60_000;
/** Of requests to stamps that nothing was done to: they share two cores with one whose processes start and die. */
const borneBeyond = isLong ? 0 : 0.01;

interface Fault {
  readonly variant: Variant;
  /** What its rollout says it saw. */
  readonly seen: RegExp;
  /** It is caught while the stamp is brought to it, so no request meets it. */
  readonly isUnserved?: boolean;
  readonly onlyLong?: boolean;
}

/** One of each stamp, whichever is the canary. */
const victim = "tenant-1,tenant-2,tenant-3";
const caught: readonly Fault[] = [
  { variant: faults.errors, seen: /of requests failed where/ },
  { variant: faults.typo, seen: /api/, isUnserved: true },
  { variant: faults.badMigration, seen: /migrate/, isUnserved: true },
  { variant: faults.crashLoop, seen: /restart|healthy|fail/, onlyLong: true },
  { variant: faults.healthLies, seen: /fail/ },
  { variant: withSetting(faults.oneTenant, { FAULT_TENANT: victim }), seen: /fail/ },
  { variant: faults.workerCrash, seen: /worker|restart|jobs/ },
  {
    variant: withSetting(faults.failsLate, { FAULT_AFTER_MS: String(bakeMs * 0.6) }),
    // The probe meets it, too.
    seen: /fail|answered 500/,
    onlyLong: true,
  },
  { variant: faults.slow, seen: /ms at the 90th percentile/, onlyLong: true },
  { variant: faults.leak, seen: /restart|healthy|fail/, onlyLong: true },
  { variant: faults.workerStuck, seen: /healthz\/jobs answered 503/, onlyLong: true },
  {
    variant: startingWithin(withSetting(faults.slowStart, { FAULT_START_MS: "20000" }), 4_000),
    seen: /api/,
    isUnserved: true,
    onlyLong: true,
  },
];

const strategy = `  canary: { leastPerMinute: 60, bake: ${bakeMs}ms }
  waves: [{ rest: true }]
  bake: ${bakeMs / 2}ms
  gate:
    errors: { leastRequests: { updated: 200, siblings: 200 } }
    mostErrors: 0.5
    latency: { worse: ${isLong ? "200ms" : "10s"} }
    probes: [{ name: jobs, path: /healthz/jobs }]
    wait: 8s
`;

describe("releases that go wrong", { timeout: 180_000 }, () => {
  let fleet: RolloutFleet;
  let load: Load;
  const seen: FaultReport[] = [];

  beforeAll(async () => {
    fleet = await rolloutFleet({ name: "faults", stamps: 3, tenants: 3, strategy });
    load = startLoad({ router: fleet.router, homes: fleet.homes, perSecond });
    // What is usual has to be known before anything can be told from it.
    let before = 0;
    await until(
      "a past",
      () => {
        for (const { requests } of load.take().counts.values()) before += requests;
        return before > (perSecond * fleet.homes.size * bakeMs) / 1_000 ? before : undefined;
      },
      90_000,
    );
  }, 180_000);
  afterAll(async () => {
    for (const each of seen) {
      console.log(faultLine(each));
      if (process.env["STAMPYARD_VERBOSE"] !== undefined) console.log(each.failures, each.failedAfter, each.verdicts);
    }
    await load?.stop();
    await fleet?.[Symbol.asyncDispose]();
  }, 120_000);

  const follow = async (variant: Variant, withinMs = 90_000 + bakeMs * 3) => {
    const found = await followFault(fleet, load, variant, withinMs);
    seen.push(found);
    report(`fault ${found.fault}`, { ...found });
    return found;
  };
  /** What has not come to an end by itself would keep the next one waiting. */
  const end = async (id: string) => {
    const rollout = await fleet.rollout(id);
    if (!["done", "aborted"].includes(rollout.phase)) await fleet.call("POST", `/v1/rollouts/${id}/abort`, {});
    return await until(
      `rollout ${id} to be over`,
      async () => {
        const { phase } = await fleet.rollout(id);
        return phase === "aborted" || phase === "done" ? phase : undefined;
      },
      60_000,
    );
  };
  afterEach(async () => {
    const { items } = await fleet.call<{ items: { id: string }[] }>("GET", "/v1/rollouts?open=true");
    for (const { id } of items) await end(id);
  }, 120_000);

  test.runIf(isLong)("a release that is merely slow to start is none that fails", async () => {
    const found = await follow(merelySlow(4_000));
    expect(found, faultLine(found)).toMatchObject({ phase: "done", inRing: { failed: 0 } });
  });

  test("a good release goes through the whole fleet without one failed request", async () => {
    const found = await follow(goodAgain(2));
    expect(found, faultLine(found)).toMatchObject({ phase: "done", touched: { length: fleet.stamps.length } });
    expect(found.inRing.requests).toBeGreaterThan(300);
    expect(found.inRing.failed).toBe(0);
    expect(found.failedAfter).toEqual([]);
    load.take();
    await expect
      .poll(() => fleet.stamps.map((stamp) => load.releases(stamp)))
      .toEqual(fleet.stamps.map(() => ["good-2"]));
  });

  const tried = caught.filter(({ onlyLong }) => isLong || onlyLong !== true);
  test.for(Array.from({ length: rounds }, () => tried).flat())(
    "$variant.name is seen and taken back inside its ring (I35, I37)",
    async ({ variant, seen: words, isUnserved }) => {
      const found = await follow(variant);
      expect(found, faultLine(found)).toMatchObject({ phase: "aborted", touched: { length: 1 } });
      expect(found.why).toMatch(words);
      expect(found.returnedMs).toBeLessThan(mostReturnMs);
      expect(found.beyond.requests).toBeGreaterThan(0);
      const failedBeyond = found.beyond.failed / found.beyond.requests;
      expect(failedBeyond, "failed requests of stamps beyond the ring").toBeLessThanOrEqual(borneBeyond);
      expect(found.releasesBeyond, "releases that answered beyond the ring").not.toContain(variant.name);
      if (isUnserved === true) expect(found.inRing.failed, "requests that met it").toBe(0);
      expect(found.failedAfter, "failed requests once it is back").toEqual([]);
    },
  );

  test.for(
    [
      { name: "metrics-missing", how: "lost" as const, onlyLong: false },
      { name: "metrics-late", how: { lateMs: 10_000 }, onlyLong: true },
    ].filter(({ onlyLong }) => isLong || !onlyLong),
  )("$name ends paused and is never passed (I35)", async ({ name, how }) => {
    await using muted = await mutedRouter(fleet.api, fleet.state, fleet.dir);
    await until("its reports", () => (muted.passed > 1 ? true : undefined), 60_000);
    load.take();
    const { id } = await fleet.apply({ ...good, name });
    await until("its bake", async () => ((await fleet.rollout(id)).phase === "baking" ? true : undefined), 60_000);
    muted.reports(how);
    const found = await followRollout(fleet, load, name, id, 120_000);
    seen.push(found);
    report(`fault ${name}`, { ...found });
    expect(found, faultLine(found)).toMatchObject({
      phase: "paused",
      touched: { length: 1 },
    });
    expect(found.releasesBeyond).not.toContain(name);
    expect(found.why).toMatch(/missing or late/);
    expect(await end(id)).toBe("aborted");
  });
});
