import type { StampPhase } from "./stamp.ts";
import type { Capacity } from "./template.ts";

/** What placement may know of a stamp. `used` counts every reservation, also of tenants still preparing. */
export interface PlacementCandidate {
  readonly name: string;
  readonly region: string;
  readonly phase: StampPhase;
  readonly capacity: Capacity;
  readonly used: { readonly tenants: number; readonly units: Readonly<Record<string, number>> };
}

export interface PlacementRequest {
  readonly pool: string;
  readonly residency: readonly string[];
  readonly weight: Readonly<Record<string, number>>;
}

export type Placement =
  | { readonly kind: "place"; readonly stamp: string }
  /** A stamp that will have room is still being built. */
  | { readonly kind: "wait"; readonly waitingOn: string }
  | { readonly kind: "full"; readonly why: string };

/** Least-used active stamp with a free place; ties go to the first name, so that equal inputs give equal homes. */
export function choosePlacement(request: PlacementRequest, candidates: readonly PlacementCandidate[]): Placement {
  const allowed = candidates.filter((c) => request.residency.length === 0 || request.residency.includes(c.region));
  const roomy = allowed.filter((candidate) => hasRoom(candidate, request.weight));
  const active = roomy.filter((candidate) => candidate.phase === "active").sort(byUse);
  const best = active[0];
  if (best !== undefined) return { kind: "place", stamp: best.name };
  const coming = roomy.find((c) => c.phase === "requested" || c.phase === "provisioning" || c.phase === "failed");
  if (coming !== undefined) return { kind: "wait", waitingOn: `stamp ${coming.name}, which is ${coming.phase}` };
  if (allowed.length === 0 && candidates.length > 0) {
    return { kind: "full", why: `pool ${request.pool} has no stamp in ${request.residency.join(", ")}` };
  }
  const places = allowed.filter((c) => c.phase === "active");
  return { kind: "full", why: `all ${places.length} active stamps of pool ${request.pool} are full` };
}

/** Full if any unit is full: 30% of one unit and 95% of another still counts by the other. */
export function hasRoom(candidate: PlacementCandidate, weight: Readonly<Record<string, number>>): boolean {
  if (candidate.used.tenants + (weight["tenants"] ?? 1) > candidate.capacity.tenants) return false;
  return Object.entries(candidate.capacity.units).every(
    ([unit, limit]) => (candidate.used.units[unit] ?? 0) + (weight[unit] ?? 0) <= limit,
  );
}

function byUse(a: PlacementCandidate, b: PlacementCandidate): number {
  const share = a.used.tenants / a.capacity.tenants - b.used.tenants / b.capacity.tenants;
  return share !== 0 ? share : a.name < b.name ? -1 : 1;
}
