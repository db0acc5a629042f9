import type { Pool } from "../fleet.ts";
import { planPool } from "./plan-pool.ts";
import type { PoolPlan, PoolStamp, PoolState, WaitingTenant } from "./pool-state.ts";

/** A fixed, arbitrary day. */
export const today = 1_750_000_000_000;

export const sharedPool: Pool = {
  name: "shared",
  tenancy: "shared",
  regions: ["eu"],
  stamps: { min: 1, max: 4 },
  parameters: {},
};

export const dedicatedPool: Pool = {
  ...sharedPool,
  name: "dedicated",
  tenancy: "dedicated",
  regions: ["eu", "us"],
  stamps: { min: 0, max: 4 },
};

/** An active stamp in eu for ten tenants, with so many. */
export function stampWith(name: string, tenants: number, over: Partial<PoolStamp> = {}): PoolStamp {
  return {
    name,
    region: "eu",
    phase: "active",
    goal: "present",
    limits: { tenants: 10 },
    used: { tenants },
    ...over,
  };
}

export function waiter(key: string, over: Partial<WaitingTenant> = {}): WaitingTenant {
  return { key, regions: [], weight: {}, ...over };
}

export function waiters(count: number): readonly WaitingTenant[] {
  return Array.from({ length: count }, (_, n) => waiter(`tenant-${n}`));
}

export function planOf(over: Partial<PoolState>): PoolPlan {
  const state = { pool: sharedPool, stamps: [], waiting: [], history: [], newLimits: { tenants: 10 }, ...over };
  return planPool(state, today);
}
