import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Ran, runLine, type StubApi, stubFetch } from "../../test-io.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-capacity-"));
  writeFileSync(join(dir, "token"), "tok_x\n");
  writeFileSync(
    join(dir, "stamp.yaml"),
    `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: shop, version: 1.0.0 }
components: { api: { kind: service, command: x, port: auto } }
ingress: { service: api }
capacity: { tenants: 100, units: { rps: 50 } }
tenancy: { model: schema }
`,
  );
  writeFileSync(
    join(dir, "fleet.yaml"),
    `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: shop }
template: ./stamp.yaml
pools: { main: { regions: [eu, us], stamps: { min: 2, max: 6 } } }
routing: { domains: [localhost] }
tiers: { big: { weight: { rps: 25 } } }
prices: { currency: CHF, components: { service: 40 }, regions: { us: 0.5 } }
`,
  );
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const where = ["--server", "http://127.0.0.1:4300", "--token-file"];
function run(argv: readonly string[], api: StubApi, columns = 80): Promise<Ran> {
  let out = "";
  const write = (text: string) => {
    out += text;
  };
  const sink = { write, isTTY: false, columns };
  return runLine([...argv, ...where, join(dir, "token")], { cwd: dir, fetch: stubFetch(api), out: sink }).then(
    (ran) => ({
      ...ran,
      out,
    }),
  );
}
/** Without a control plane, and without a state directory of this machine. */
const offline = (argv: readonly string[]) => runLine(argv, { cwd: dir, env: { STAMPYARD_STATE: join(dir, "none") } });

const at = "2026-11-23T02:00:00.000Z";
const unit = (name: string, used: number, limit: number) => ({
  unit: name,
  limit,
  reserved: used,
  used,
  free: Math.max(0, limit - used),
  share: used / limit,
});
const stamp = (name: string, rps: number, more: object = {}) => ({
  stamp: name,
  region: "eu",
  phase: "active",
  takesTenants: true,
  basis: "reserved",
  units: [unit("tenants", 20, 100), unit("rps", rps, 50)],
  tightest: { unit: "rps", share: rps / 50 },
  over: rps > 50,
  ...more,
});
const pool = {
  pool: "main",
  tenancy: "shared",
  rules: {
    regions: ["eu", "us"],
    strategy: "spread",
    low: 0.8,
    high: 1,
    headroom: 0,
    stamps: { min: 2, max: 6, spare: 0 },
  },
  newStamp: { tenants: 100, rps: 50 },
  stampCost: { currency: "CHF", regions: { eu: 40, us: 20 } },
  units: [unit("tenants", 40, 200), unit("rps", 65, 100)],
  tightest: { unit: "rps", share: 0.65 },
  over: true,
  stamps: [stamp("main-2", 55), stamp("main-1", 10, { phase: "cordoned", takesTenants: false, basis: "observed" })],
};
const empty = { ...pool, pool: "spare", units: [], tightest: undefined, over: false, stamps: [] };

describe("capacity show", () => {
  test("draws every unit of pool and stamp within 80 columns, the fullest pool first", async () => {
    const { code, out } = await run(["capacity", "show"], {
      "GET /v1/capacity": { json: { at, pools: [empty, pool] } },
    });
    expect(code).toBe(0);
    expect(Math.max(...out.split("\n").map((line) => [...line].length))).toBeLessThanOrEqual(80);
    expect(out.indexOf("Pool main")).toBeLessThan(out.indexOf("Pool spare"));
    expect(out).toContain("Pool main (shared): 1 of 2 stamps take tenants, 65% of rps used");
    expect(out).toContain("The next stamp holds 100 tenants, 50 rps; 4 more allowed");
    expect(out).toContain("A month of it costs CHF 40.00 in eu, CHF 20.00 in us");
    expect(out).toMatch(/rps +█+ +110% +55 of 50 +5 over/);
    expect(out).toContain("main-2 in eu, reserved, over its limits");
    expect(out).toContain("main-1 in eu, cordoned, observed");
  });

  test("keeps to the fullest stamps unless all are asked for", async () => {
    const stamps = Array.from({ length: 30 }, (_, n) => stamp(`main-${n}`, 40 - n));
    const api = { "GET /v1/capacity": { json: { at, pools: [{ ...pool, stamps }] } } };
    expect((await run(["capacity", "show"], api)).out).toContain("and 22 more, none above 64%");
    const all = (await run(["capacity", "show", "--all"], api)).out;
    expect(all.match(/ in eu, reserved/g)).toHaveLength(30);
    const json = JSON.parse((await run(["capacity", "show", "-o", "json"], api)).out);
    expect(json.pools[0].stamps).toHaveLength(30);
  });
});

describe("capacity forecast", () => {
  const growing = {
    unit: "tenants",
    used: 40,
    limit: 200,
    kind: "growing",
    perDay: 3.2,
    growthPerMonth: 2.4,
    fullAt: "2027-01-12T00:00:00.000Z",
    earliestAt: "2026-12-20T00:00:00.000Z",
    orderBy: "2026-12-19T12:00:00.000Z",
    daysOfHistory: 40,
    note: "one day brought 60% of the growth",
    history: [],
  };
  const unknown = {
    unit: "rps",
    used: 65,
    limit: 100,
    kind: "unknown",
    why: "3 days of history, and 7 days are needed",
    history: [],
  };
  const pools = [{ pool: "main", buildTimeMs: 720_000, buildTimeFrom: "measured", units: [unknown, growing] }];

  test("says when, how sure, and when to order; and what it does not know", async () => {
    const { out } = await run(["capacity", "forecast"], { "GET /v1/capacity/forecast": { json: { at, pools } } });
    const [head = "", first = "", second = ""] = out.split("\n");
    expect(head).toMatch(/^POOL +UNIT +USED +A DAY +FULL +BETWEEN +ORDER BY$/);
    expect(first).toMatch(/^main +tenants +40 of 200 +\+3\.2 +in 50d +27d - never +2026-12-19$/);
    expect(second).toMatch(/^main +rps +65 of 100 +- +unknown +- +-$/);
    expect(out).toContain("main tenants: one day brought 60% of the growth");
    expect(out).toContain("main rps: 3 days of history, and 7 days are needed");
    expect(out).toContain("a stamp takes 12m to build, as measured");
  });
});

describe("capacity simulate", () => {
  test("needs no fleet, and says what it came to within 80 columns", async () => {
    const line = "capacity simulate --tenants 2000 --growth 10%/month --months 2 --capacity tenants=100 --low 100%";
    const { code, out } = await offline([...line.split(" "), "--stamp-cost", "50", "--failover", "--restore-tested"]);
    expect(code).toBe(0);
    // The sink of a test is 100 wide.
    expect(Math.max(...out.split("\n").map((text) => text.length))).toBeLessThanOrEqual(100);
    expect(out).toMatch(/now +2,000 +21 +EUR 1,050 +95% of tenants +4\.8% of tenants/);
    expect(out).toMatch(/\+2 +2,420 +26 +EUR 1,300/);
    expect(out).toContain("may lose 1 stamp with room for all its tenants");
  });

  test("answers in JSON what it was asked, so that it can be asked again", async () => {
    const line =
      "capacity simulate --tenants 500 --months 0 --capacity tenants=50,rps=90 --tiers a=90%,b=10%x5:dedicated -o json";
    const { out, err } = await offline([
      ...line.split(" "),
      "--distribution",
      "lognormal:median=1,sigma=1",
      "--regions",
      "eu=3,us=1",
    ]);
    expect(err).toBe("");
    const answer = JSON.parse(out);
    expect(answer.months).toHaveLength(1);
    expect(answer.input.sizes).toEqual({ rps: { kind: "lognormal", median: 1, sigma: 1 } });
    expect(answer.input.tiers[1]).toEqual({ name: "b", share: 0.1, scale: 5, dedicated: true });
    expect(answer.months[0].pools.map((row: { pool: string; region: string }) => `${row.pool} ${row.region}`)).toEqual([
      "shared eu",
      "shared us",
      "dedicated eu",
      "dedicated us",
    ]);
  });

  test("takes pools and prices of the files where no control plane answers", async () => {
    const { out, err } = await offline([
      "capacity",
      "simulate",
      "--from-fleet",
      "--tenants",
      "900",
      "--growth",
      "0%",
      "-o",
      "json",
    ]);
    expect(err).toBe("");
    const answer = JSON.parse(out);
    expect(answer.input.prices).toEqual({ currency: "CHF", regions: { eu: 40, us: 20 }, otherwise: 40 });
    expect(answer.input.pools).toMatchObject([
      { name: "main", capacity: { tenants: 100, rps: 50 }, regions: ["eu", "us"] },
    ]);
    expect(answer.aboveMax).toMatchObject([{ pool: "main", max: 6, month: 0 }]);
    const tiers = ["--tenants", "100", "--tiers", "small=90%,big=10%", "-o", "json"];
    const weighed = JSON.parse((await offline(["capacity", "simulate", "--from-fleet", ...tiers])).out);
    expect(weighed.input.tiers).toEqual([
      { name: "small", share: 0.9 },
      { name: "big", share: 0.1, weight: { tenants: 1, rps: 25 } },
    ]);
    expect(weighed.months[0].fullest.unit).toBe("rps");
  });

  test("takes tenants, sizes and growth of the fleet that runs", async () => {
    const api: StubApi = {
      "GET /v1/capacity": { json: { at, pools: [pool] } },
      "GET /v1/capacity/sizes": {
        json: {
          pools: [
            {
              pool: "main",
              tenants: 80,
              units: [
                {
                  unit: "rps",
                  share: 1,
                  biggestShare: 0.1,
                  buckets: [
                    { share: 0.9, value: 1 },
                    { share: 0.1, value: 4 },
                  ],
                },
              ],
            },
          ],
        },
      },
      "GET /v1/capacity/forecast": { json: { at, pools: [] } },
    };
    const { out } = await run(["capacity", "simulate", "--from-fleet", "-o", "json"], api);
    expect(JSON.parse(out).input).toMatchObject({
      tenants: 80,
      growthPerMonth: 0,
      sizes: {
        rps: {
          kind: "buckets",
          buckets: [
            { share: 72, value: 1 },
            { share: 8, value: 4 },
          ],
        },
      },
    });
  });

  const wrong: readonly (readonly [string, string])[] = [
    ["--tenants 10", "What one stamp holds is not said"],
    ["--capacity tenants=5", "How many tenants is not said"],
    ["--tenants 10 --capacity tenants:5", "cannot be read"],
    ["--tenants 10 --capacity tenants=5 --growth fast", "cannot be read"],
    ["--tenants 10 --capacity tenants=5 --distribution zipf:1", "is no distribution of sizes"],
    ["--tenants 10 --capacity tenants=5,a=1,b=1 --distribution fixed:1", "could be of a or b"],
    ["--tenants 10 --capacity tenants=5 --distribution rps=fixed:1", "Tenants take rps"],
    ["--tenants 10 --capacity tenants=5 --distribution lognormal:median=1", "cannot be read"],
    ["--tenants 10 --capacity tenants=0", "Pool shared holds 0 tenants"],
    ["--tenants 10 --capacity tenants=5 --tiers a=1x", "cannot be read"],
  ];
  test.each(wrong)("%s: %s", async (options, message) => {
    const { code, out, err } = await offline(["capacity", "simulate", ...options.split(" ")]);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain(message);
    expect(err).toContain("try: ");
  });
});

test("plan shows what it costs per month, stamp by stamp, and what has no price", async () => {
  const { planText } = await import("../plan.ts");
  const digest = `sha256:${"a".repeat(64)}` as const;
  const plan = {
    fleet: "shop",
    changes: [{ kind: "stamp-create" as const, stamp: "main-3", pool: "main", region: "eu" }],
    notes: [],
    releaseDigest: digest,
    fleetRevision: 1,
    cost: {
      currency: "EUR",
      before: 240,
      after: 360,
      changes: [{ stamp: "main-3", region: "eu", monthly: 120 }],
      unpriced: ["cache"],
    },
  };
  expect(planText(plan)).toBe(
    [
      "Fleet shop: 1 change",
      "  + stamp main-3 in eu, pool main",
      "  +EUR 120.00 a month for stamp main-3",
      "  cost: EUR 360.00 a month, +EUR 120.00, from EUR 240.00",
      "  note: no price for cache: it costs more than this",
      "",
    ].join("\n"),
  );
  const same = { ...plan, changes: [], cost: { ...plan.cost, after: 240, changes: [], unpriced: [] } };
  expect(planText(same)).toContain("cost: EUR 240.00 a month, as now");
  const many = Array.from({ length: 20 }, (_, n) => ({ stamp: `main-${n}`, region: "eu", monthly: -1 }));
  const fewer = planText({ ...plan, cost: { ...plan.cost, after: 220, changes: many } });
  expect(fewer).toContain("-EUR 8.00 a month for 8 more stamps");
  expect(fewer).toContain("cost: EUR 220.00 a month, -EUR 20.00, from EUR 240.00");
});
