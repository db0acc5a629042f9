import type { PoolDetailView } from "@stampyard/api";
import { expect, test } from "vitest";
import { poolText } from "./show.ts";

const now = Date.parse("2027-01-01T00:00:00Z");
const pool: PoolDetailView = {
  name: "shared",
  tenancy: "shared",
  regions: ["eu", "us"],
  stamps: { min: 1, max: 3, spare: 1 },
  parameters: {},
  present: 3,
  active: 2,
  used: { tenants: 9, units: {} },
  total: { tenants: 10, units: {} },
  waiting: 4,
  waitingOn: "a higher maximum of stamps: tenant acme waits for a place",
  alerts: [{ kind: "at-max", text: "pool shared has its 3 stamps and needs one more" }],
  proposals: [
    { id: "grow-eu-acme", kind: "grow", region: "eu", reservedFor: "acme", why: "tenant acme waits for a place" },
    { id: "scale-down-shared-3", kind: "scale-down", stamp: "shared-3", step: "drain", why: "it is empty" },
    { id: "rebalance-a-b", kind: "rebalance", from: "a", to: "b", unit: "rps", amount: 12.5, why: "a is at 90%" },
  ],
  forecast: {
    unit: "tenants",
    share: 0.9,
    perDay: { tenants: 2 },
    basedOnMs: 86_400_000,
    buildTimeMs: 60_000,
    fullAt: "2027-01-03T00:00:00Z",
    orderBy: "2026-12-31T00:00:00Z",
  },
};

test("pool show says what it waits for, its alerts, and each proposal with the command that does it", () => {
  expect(poolText(pool, now)).toBe(`Pool:          shared
Tenancy:       shared
Regions:       eu, us
Stamps:        2 of 3 active, min 1, max 3, 1 kept empty
Tenants:       9 of 10 places, 4 waiting
Fullest unit:  tenants, 90% used
Marks:         builds from 80%, full from 100%
Placement:     spread
Growth:        2 tenants a day
Full:          in 2d
Order next by: now
Waiting on:    a higher maximum of stamps: tenant acme waits for a place

ALERT   WHAT
at-max  pool shared has its 3 stamps and needs one more

PROPOSAL             WHAT                          WHY
grow-eu-acme         build a stamp in eu for acme  tenant acme waits for a place
scale-down-shared-3  drain shared-3                it is empty
rebalance-a-b        move 12.5 rps from a to b     a is at 90%
Do one with: stampyard pool apply-proposal shared PROPOSAL
`);
});

test("pool show leaves out what there is not", () => {
  const { waitingOn: _, ...rest } = pool;
  const quiet = { ...rest, waiting: 0, alerts: [], proposals: [], forecast: { ...pool.forecast, perDay: {} } };
  const text = poolText(quiet, now);
  for (const word of ["ALERT", "PROPOSAL", "Waiting on", "waiting", "Growth"]) expect(text).not.toContain(word);
});
