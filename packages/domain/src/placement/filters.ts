import { type UnitVector, unitWithoutRoom } from "../capacity.ts";
import type { PlacementCandidate, PlacementRequest, PlacementSettings } from "./candidate.ts";

/** Why a stamp may not take a tenant, in the order in which it is asked: what time cannot mend comes first. */
export type FilterName =
  | "pool"
  | "override"
  | "tenancy"
  | "reserved"
  | "tier"
  | "residency"
  | "region"
  | "channel"
  | "phase"
  | "room"
  | "building"
  | "trouble";

/** Stamps that will take tenants once they are ready. A failed one is tried again. */
const buildingPhases: ReadonlySet<string> = new Set(["requested", "provisioning", "verifying", "failed"]);

/** Sums of fractions must not refuse the last place. */
const rounding = 1e-9;

/** Whether a stamp in this phase has yet to take its first tenant. */
export function isBuilding(phase: string): boolean {
  return buildingPhases.has(phase);
}

/** The first filter that refuses the stamp, or undefined. `building` and `trouble` mean: it would do, but not now. */
export function filterOf(
  request: PlacementRequest,
  candidate: PlacementCandidate,
  settings: PlacementSettings,
): FilterName | undefined {
  if (candidate.pool !== request.pool) return "pool";
  if (isOverruled(request, candidate)) return "override";
  if (candidate.tenancy !== request.tenancy) return "tenancy";
  if (isKeptForOthers(request, candidate)) return "reserved";
  if (settings.tiers !== undefined && !settings.tiers.includes(request.tier)) return "tier";
  if (request.residency.length > 0 && !request.residency.includes(candidate.region)) {
    return request.residencyRule === undefined ? "region" : "residency";
  }
  if (request.channel !== undefined && request.channel !== candidate.channel) return "channel";
  const building = isBuilding(candidate.phase);
  if (!building && candidate.phase !== "active") return "phase";
  if (!fits(candidate.used, request.weight, candidate.limits, candidate.high)) return "room";
  if (building) return "building";
  return candidate.trouble === undefined ? undefined : "trouble";
}

/** Room in every unit below `high` of its limit (I32): 30% of one unit and 95% of another still counts by the other. */
export function hasRoom(candidate: Pick<PlacementCandidate, "used" | "limits" | "high">, weight: UnitVector): boolean {
  return fits(candidate.used, weight, candidate.limits, candidate.high);
}

/** The same answer as `unitWithoutRoom`, without naming the unit: thousands of stamps are asked for each tenant. */
function fits(used: UnitVector, weight: UnitVector, limits: UnitVector, high: number): boolean {
  for (const unit in limits) {
    if ((used[unit] ?? 0) + weightOf(weight, unit) > (limits[unit] ?? 0) * high + rounding) return false;
  }
  return true;
}

/** What a tenant of this weight takes of a unit; it takes one place unless it says otherwise. */
export function weightOf(weight: UnitVector, unit: string): number {
  return weight[unit] ?? (unit === "tenants" ? 1 : 0);
}

export function isEmpty(candidate: Pick<PlacementCandidate, "used">): boolean {
  return (candidate.used["tenants"] ?? 0) === 0;
}

function isOverruled({ override }: PlacementRequest, candidate: PlacementCandidate): boolean {
  if (override?.kind === "pin" && override.stamp !== candidate.name) return true;
  if (override?.kind === "quarantine") return candidate.quarantined !== true && !isEmpty(candidate);
  // Not even a pin brings a healthy tenant among the quarantined ones.
  return candidate.quarantined === true;
}

/** A dedicated stamp is for the tenant it was built for, or for the first that comes if it was built for nobody. */
function isKeptForOthers({ key }: PlacementRequest, candidate: PlacementCandidate): boolean {
  if (candidate.reservedFor !== undefined) return candidate.reservedFor !== key;
  return candidate.tenancy === "dedicated" && !isEmpty(candidate);
}

/** What a filter has against the stamp, to be read after its name: "is full: rps at 950 of 1000". */
export function whyRefused(
  filter: FilterName,
  request: PlacementRequest,
  candidate: PlacementCandidate,
  settings: PlacementSettings,
): string {
  switch (filter) {
    case "pool":
      return `is of pool ${candidate.pool}, not ${request.pool}`;
    case "override":
      return whyOverruled(request);
    case "tenancy":
      return `is ${candidate.tenancy}, and the tenant is ${request.tenancy}`;
    case "reserved":
      return candidate.reservedFor === undefined
        ? "already has its one tenant"
        : `is kept for tenant ${candidate.reservedFor}`;
    case "tier":
      return `is of a pool for tiers ${(settings.tiers ?? []).join(", ")}, not ${request.tier}`;
    case "region":
      return `is in ${candidate.region}, and not in ${request.residency.join(", ")}`;
    case "residency":
      return `is in ${candidate.region}, which residency rule ${request.residencyRule} does not allow: only ${request.residency.join(", ")}`;
    case "channel":
      return `is on channel ${candidate.channel ?? "default"}, not ${request.channel}`;
    case "phase":
    case "building":
      return `is ${candidate.phase}`;
    case "room":
      return whyNoRoom(request, candidate);
    case "trouble":
      return `cannot take it now: ${candidate.trouble}`;
  }
}

function whyOverruled({ override }: PlacementRequest): string {
  if (override?.kind === "pin") return `is not ${override.stamp}, which the tenant is pinned to`;
  if (override?.kind === "quarantine") return "holds tenants that are not quarantined";
  return "holds quarantined tenants only";
}

function whyNoRoom({ weight }: PlacementRequest, { used, limits, high }: PlacementCandidate): string {
  const unit = unitWithoutRoom(used, weight, limits, high) ?? "tenants";
  const mark = high === 1 ? "" : `, of which ${percent(high)} may be used`;
  const more = weightOf(weight, unit);
  return `has no room for ${amount(more)} more ${unit}: ${amount(used[unit] ?? 0)} of ${amount(limits[unit] ?? 0)} used${mark}`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

export function amount(value: number): string {
  return String(Math.round(value * 100) / 100);
}
