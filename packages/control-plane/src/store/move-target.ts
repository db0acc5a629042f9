import {
  choosePlacement,
  explainPlacement,
  type FilterName,
  isBig,
  type PlacementCandidate,
  type PlacementRequest,
  quote,
  StampyardError,
  type Tenant,
} from "@stampyard/domain";
import type { FleetSight } from "./fleet-view.ts";
import type { MoveInput } from "./move-port.ts";
import { stampNotFound } from "./stamp-rows.ts";
import { poolFull, type Wish, wishOfTenant } from "./tenant-wish.ts";

export interface MoveTarget {
  readonly stamp: string;
  readonly isBig: boolean;
  /** A dedicated stamp that is kept for nobody yet: it becomes this tenant's. */
  readonly isUnclaimed: boolean;
}

/**
 * Where a move takes the tenant by this sight: the named stamp if placement would give it a place there, or the stamp
 * that placement prefers among the others of a pool. A move waits for no stamp that is not there yet.
 * @throws StampyardError STAMP_NOT_FOUND, POOL_NOT_FOUND, INVALID_REQUEST; POOL_FULL without room, WRONG_PHASE for a
 *   stamp that takes nobody now, MOVE_REFUSED for what the rules have against it
 */
export function chooseTarget(
  tenant: Tenant,
  { to, toPool }: Pick<MoveInput, "to" | "toPool">,
  sight: FleetSight,
): MoveTarget {
  const pool = to === undefined ? (toPool ?? tenant.pool) : namedPool(tenant, to, sight);
  if (!sight.pools.includes(pool)) throw new StampyardError("POOL_NOT_FOUND", `There is no pool ${quote(pool)}`);
  const wish = wishOfTenant({ ...tenant, pool }, sight);
  requireSomewhere(wish);
  const others = sight.candidates(pool).filter((candidate) => candidate.name !== tenant.stamp);
  const candidates = to === undefined ? others : others.filter((candidate) => candidate.name === to);
  const { canGrow: _, ...settings } = sight.settings(pool);
  const { request } = wish;
  const placement = choosePlacement(request, candidates, settings);
  if (placement.kind === "place") {
    const found = candidates.find((candidate) => candidate.name === placement.stamp);
    const isUnclaimed = found?.tenancy === "dedicated" && found.reservedFor === undefined;
    return { stamp: placement.stamp, isBig: isBig(request.weight, found?.limits ?? {}, settings), isUnclaimed };
  }
  if (to !== undefined) throw whyNotThere(request, candidates, settings, to);
  if (candidates.length === 0) throw poolFull(tenant.key, `pool ${pool} has no other stamp`);
  throw poolFull(tenant.key, placement.kind === "wait" ? `there is only ${placement.waitingOn}` : placement.why);
}

function namedPool({ key, stamp }: Tenant, to: string, sight: FleetSight): string {
  if (to === stamp) {
    throw new StampyardError("INVALID_REQUEST", `Tenant ${key} is on stamp ${to} already`, {
      mend: "Name another stamp.",
    });
  }
  const target = sight.candidate(to);
  if (target === undefined) throw stampNotFound(to);
  return target.pool;
}

/** Residency rules may leave it no region at all. */
function requireSomewhere({ request, barred }: Wish): void {
  if (barred === undefined) return;
  throw refusedBy(request, "residency", `Tenant ${request.key} can live nowhere: ${barred}`);
}

/** In the words of `tenant explain`. */
function whyNotThere(
  request: PlacementRequest,
  candidates: readonly PlacementCandidate[],
  settings: Parameters<typeof explainPlacement>[2],
  to: string,
): StampyardError {
  const [verdict] = explainPlacement(request, candidates, settings).verdicts;
  const filter = verdict?.filter ?? "phase";
  const why = `stamp ${to} ${verdict?.why ?? "takes no tenants"}`;
  switch (filter) {
    case "room":
      return poolFull(request.key, why);
    case "phase":
    case "building":
    case "trouble":
      return new StampyardError("WRONG_PHASE", `Tenant ${request.key} cannot move now: ${why}`, {
        mend: `Wait until it takes tenants (stampyard stamp show ${to}), or name another stamp.`,
      });
    default:
      return refusedBy(request, filter, `Tenant ${request.key} may not move there: ${why}`);
  }
}

const mends: Partial<Record<FilterName, string>> = {
  override: "Take the pin or the quarantine back first (stampyard tenant overrides), or name another stamp.",
  region: "Name a stamp in a region that its residency allows.",
  residency: "Name a stamp in a region that the residency rules allow.",
};

function refusedBy(request: PlacementRequest, filter: FilterName, message: string): StampyardError {
  const mend = mends[filter] ?? "Name another stamp, or a pool that is for such a tenant.";
  return new StampyardError("MOVE_REFUSED", message, {
    mend,
    problems: [{ path: `tenant ${request.key}`, message, mend }],
  });
}
