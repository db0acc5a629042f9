import {
  choosePlacement,
  explainPlacement,
  type Fleet,
  isBig,
  type Placement,
  type PlacementCandidate,
  type PlacementExplanation,
  type PlacementRequest,
  residencyOf,
  StampyardError,
  type Tenant,
  type UnitVector,
} from "@stampyard/domain";
import type { FleetSight } from "./fleet-view.ts";
import type { TakenPlace } from "./place-guard.ts";
import { stampNotFound } from "./stamp-rows.ts";
import type { TenantDraft } from "./tenant-rows.ts";

/** A tenant that wants a place: where it may go, what it weighs, and what an operator said of it. */
export interface Wish {
  readonly request: PlacementRequest;
  /** The home that its caller named; its room is asked, the scores are not. */
  readonly named?: string;
  /** Residency rules leave it no region. */
  readonly barred?: string;
}

export type Decision =
  | { readonly kind: "place"; readonly stamp: string; readonly isBig: boolean }
  | Exclude<Placement, { kind: "place" }>;

/** What a tenant weighs: its own word for each unit, then its tier's, then one place. */
export function weightByTier(fleet: Fleet | undefined, tier: string, own: UnitVector | undefined): UnitVector {
  const byTier = fleet?.tiers === undefined || !Object.hasOwn(fleet.tiers, tier) ? undefined : fleet.tiers[tier];
  return { tenants: 1, ...byTier?.weight, ...own };
}

/** @throws StampyardError POOL_NOT_FOUND, STAMP_NOT_FOUND, INVALID_REQUEST */
export function wishOf(draft: TenantDraft, sight: FleetSight): Wish {
  const override = sight.overrides.get(draft.key);
  const pinned = override?.kind === "pin" ? override.stamp : undefined;
  const pool = poolOf(draft, sight, homeOf(draft.stamp, sight) ?? (pinned && sight.candidate(pinned)?.pool));
  const wish = askedBy({ ...draft, pool, weight: weightByTier(sight.fleet, draft.tier, draft.weight) }, sight);
  if (wish.barred !== undefined) {
    throw new StampyardError("INVALID_REQUEST", `Tenant ${draft.key} can live nowhere: ${wish.barred}`, {
      mend: "Change its residency, its tier, or the rule in the fleet file.",
    });
  }
  return { ...wish, ...(draft.stamp === undefined ? {} : { named: draft.stamp }) };
}

/** What a registered tenant asks for, whether it has a home or not. */
export function wishOfTenant(tenant: Tenant, sight: FleetSight): Wish {
  return askedBy(tenant, sight);
}

interface Registered extends Pick<Tenant, "key" | "pool" | "tier" | "residency" | "weight"> {
  readonly tenancy?: Tenant["tenancy"];
  readonly channel?: string | undefined;
}

function askedBy(tenant: Registered, sight: FleetSight): Wish {
  const { key, pool, tier, weight, channel } = tenant;
  const override = sight.overrides.get(key);
  const residency = residencyOf(sight.fleet?.residency ?? [], tenant);
  const regions =
    residency.kind === "conflict"
      ? { residency: tenant.residency }
      : {
          residency: residency.regions,
          ...(residency.rule === undefined ? {} : { residencyRule: residency.rule }),
        };
  const request = {
    key,
    pool,
    tenancy: tenant.tenancy ?? sight.pool(pool)?.tenancy ?? "shared",
    tier,
    ...regions,
    ...(channel === undefined ? {} : { channel }),
    weight,
    ...(override === undefined ? {} : { override }),
  };
  return residency.kind === "conflict" ? { request, barred: residency.why } : { request };
}

function homeOf(stamp: string | undefined, sight: FleetSight): string | undefined {
  if (stamp === undefined) return undefined;
  const home = sight.candidate(stamp);
  if (home === undefined) throw stampNotFound(stamp);
  return home.pool;
}

/**
 * As the draft says, its stamp's, or the only one that is for such a tenant. Who does not ask for a stamp of its own does
 * not want one: beside dedicated pools the only shared one is meant.
 */
function poolOf(draft: TenantDraft, sight: FleetSight, home: string | undefined): string {
  const { pools } = sight;
  const fitting = pools.filter((name) => isFor(draft, name, sight));
  const shared = fitting.filter((name) => draft.tenancy === undefined && sight.pool(name)?.tenancy === "shared");
  const [meant] = shared.length === 1 ? shared : fitting.length === 1 ? fitting : [];
  const pool = draft.pool ?? home ?? meant;
  if (pool === undefined) {
    const choice = fitting.length === 0 ? pools : fitting;
    throw new StampyardError("INVALID_REQUEST", `Tenant ${draft.key} needs a pool: ${howMany(fitting.length)}`, {
      mend: pools.length === 0 ? "Apply a fleet first." : `Name one of ${choice.join(", ")}.`,
    });
  }
  if (home !== undefined && home !== pool) {
    const stamp = draft.stamp === undefined ? "the stamp that it is pinned to" : draft.stamp;
    throw new StampyardError("INVALID_REQUEST", `Stamp ${stamp} is of pool ${home}, not ${pool}`);
  }
  if (!pools.includes(pool)) throw new StampyardError("POOL_NOT_FOUND", `There is no pool ${pool}`);
  const tenancy = sight.pool(pool)?.tenancy;
  if (draft.tenancy !== undefined && tenancy !== undefined && draft.tenancy !== tenancy) {
    throw new StampyardError(
      "INVALID_REQUEST",
      `Tenant ${draft.key} is to be ${draft.tenancy}, and pool ${pool} is ${tenancy}`,
      { mend: `Name a pool whose tenancy is ${draft.tenancy}.` },
    );
  }
  return pool;
}

function howMany(count: number): string {
  return count === 0 ? "none is for it" : `there are ${count}`;
}

function isFor({ tier, tenancy, channel }: TenantDraft, name: string, sight: FleetSight): boolean {
  const pool = sight.pool(name);
  // One that is no longer in the file still has stamps, and no rules.
  if (pool === undefined) return true;
  if (pool.tiers !== undefined && !pool.tiers.includes(tier)) return false;
  if (tenancy !== undefined && pool.tenancy !== tenancy) return false;
  return channel === undefined || pool.channel === channel;
}

/** Where the tenant goes by this sight. Fast: no reasons for stamps that are not taken. */
export function decide({ request, named, barred }: Wish, sight: FleetSight): Decision {
  if (barred !== undefined) return { kind: "full", why: barred };
  const settings = sight.settings(request.pool);
  const placement =
    named === undefined
      ? choosePlacement(request, sight.candidates(request.pool), settings)
      : explainNamed(request, named, sight).placement;
  if (placement.kind !== "place") return placement;
  const limits = sight.candidate(placement.stamp)?.limits ?? {};
  return { ...placement, isBig: isBig(request.weight, limits, settings) };
}

export function explain({ request, named }: Wish, sight: FleetSight): PlacementExplanation {
  if (named !== undefined) return explainNamed(request, named, sight);
  return explainPlacement(request, sight.candidates(request.pool), sight.settings(request.pool));
}

/**
 * Somebody knows where the tenant belongs, or already lives. The stamp need not be ready, or may be closed to others if
 * it was adopted; what it holds and whom it may hold still counts. An adopted one may be over-full: that is why its
 * company is here.
 */
function explainNamed(request: PlacementRequest, named: string, sight: FleetSight): PlacementExplanation {
  const home = sight.candidate(named);
  if (home === undefined || home.phase === "destroying" || home.phase === "gone") {
    return refused(named, "is being removed");
  }
  const isClosed = home.phase === "cordoned" || home.phase === "draining" || home.phase === "empty";
  if (isClosed && home.adopted !== true) return refused(named, `is ${home.phase}`);
  if (request.override?.kind === "pin" && request.override.stamp !== named) {
    return refused(named, `is not ${request.override.stamp}, which the tenant is pinned to`);
  }
  const { trouble: _, ...rest } = home;
  const ready: PlacementCandidate = { ...rest, phase: "active", ...(home.adopted === true ? { limits: {} } : {}) };
  const { canGrow: _g, ...settings } = sight.settings(request.pool);
  const explained = explainPlacement(request, [ready], settings);
  const [verdict] = explained.verdicts;
  if (explained.placement.kind === "place" || verdict === undefined) return explained;
  return { ...explained, placement: { kind: "full", why: `stamp ${named} ${verdict.why}` } };
}

function refused(stamp: string, why: string): PlacementExplanation {
  return {
    placement: { kind: "full", why: `stamp ${stamp} ${why}` },
    verdicts: [{ stamp, outcome: "refused", filter: "phase", why }],
  };
}

/** What is written of a new tenant by such a decision, and the place that it takes. */
export function registrationOf(
  draft: TenantDraft,
  { request, named }: Wish,
  decision: Exclude<Decision, { kind: "full" }>,
  now: number,
): { tenant: Omit<Tenant, "epoch">; isBig: boolean; place: TakenPlace | undefined } {
  const { key, tier, residency, hostnames, tenancy, channel } = draft;
  const { pool, weight } = request;
  const kept = {
    key,
    pool,
    tier,
    residency,
    weight,
    hostnames,
    goal: "present",
    ...(tenancy === undefined ? {} : { tenancy }),
    ...(channel === undefined ? {} : { channel }),
  } as const;
  if (decision.kind === "wait") {
    const tenant = { ...kept, state: { kind: "placing" }, waitingOn: decision.waitingOn } as const;
    return { tenant, isBig: false, place: undefined };
  }
  const { stamp } = decision;
  return {
    tenant: { ...kept, state: { kind: "preparing", attempt: 0, retryAt: now }, stamp },
    isBig: decision.isBig,
    place: { key, stamp, weight, isNamed: named !== undefined },
  };
}

export function poolFull(key: string, why: string): StampyardError {
  return new StampyardError("POOL_FULL", `No place for tenant ${key}: ${why}`, {
    mend: "Add a stamp (stampyard stamp create), raise the pool's capacity, or choose another pool.",
  });
}
