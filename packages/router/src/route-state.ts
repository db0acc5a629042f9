import type { RegionScope } from "./decide.ts";
import { createHolds, type HoldPorts, type Holds } from "./hold.ts";
import { createTenantGate, type TenantGate } from "./tenant-gate.ts";
import { createUnresolvedTable, type UnresolvedTable } from "./unresolved.ts";

/** What routing remembers between requests, all of it bounded and none of it on disk. */
export interface RouteState {
  readonly holds: Holds;
  readonly gate: TenantGate;
  readonly unresolved: UnresolvedTable;
  readonly scope: RegionScope;
  /** Where tenants of other regions are sent, e.g. `https://{region}.example.com`; undefined = answer 421. */
  readonly redirect: string | undefined;
  /** Wall time, milliseconds. */
  readonly now: () => number;
}

export interface RouteStateOptions {
  readonly regions?: readonly string[] | undefined;
  readonly redirect?: string | undefined;
  /** Processes that share the limits of tenants. @default 1 */
  readonly shares?: number | undefined;
  readonly now: () => number;
}

export function createRouteState({ regions, redirect, shares, now }: RouteStateOptions): RouteState {
  const ports: HoldPorts = {
    now: () => performance.now(),
    after(ms, call) {
      const timer = setTimeout(call, ms);
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
  return {
    holds: createHolds(ports),
    gate: createTenantGate(ports.now, undefined, shares),
    unresolved: createUnresolvedTable(),
    scope: regions === undefined || regions.length === 0 ? undefined : new Set(regions),
    redirect,
    now,
  };
}
