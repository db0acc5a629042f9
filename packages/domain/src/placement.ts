import type { StampObservation } from "./engine.ts";
import type { StampPhase } from "./stamp.ts";
import type { Capacity } from "./template.ts";

/** What placement may know of a stamp. `used` counts every reservation, also of tenants still preparing. */
export interface PlacementCandidate {
  readonly name: string;
  readonly region: string;
  readonly phase: StampPhase;
  readonly capacity: Capacity;
  /** Why it can take nobody now although it is active, as it was last observed; undefined = nothing is known against it. */
  readonly trouble?: string;
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
  const best = active.find((candidate) => candidate.trouble === undefined);
  if (best !== undefined) return { kind: "place", stamp: best.name };
  const coming = roomy.find((c) => c.phase === "requested" || c.phase === "provisioning" || c.phase === "failed");
  if (coming !== undefined) return { kind: "wait", waitingOn: `stamp ${coming.name}, which is ${coming.phase}` };
  const troubled = active[0];
  if (troubled !== undefined) {
    return { kind: "wait", waitingOn: `stamp ${troubled.name}, which has room, and ${troubled.trouble}` };
  }
  return { kind: "full", why: whyFull(request, candidates, allowed) };
}

/** What its last observation has against placing tenants on an active stamp: they could not be prepared there. */
export function placementTrouble(seen: StampObservation | undefined): string | undefined {
  if (seen === undefined) return undefined;
  if (seen.presence === "absent") return "nothing of it is left on its engine";
  if (seen.presence === "unknown") return "its engine does not answer";
  const isDown = seen.host !== "up" && !seen.components.some((component) => component.status === "healthy");
  return isDown ? "its stamp host is down with all of its components" : undefined;
}

function whyFull(
  request: PlacementRequest,
  candidates: readonly PlacementCandidate[],
  allowed: readonly PlacementCandidate[],
): string {
  const { pool } = request;
  if (candidates.length === 0) return `pool ${pool} has no stamp`;
  if (allowed.length === 0) return `pool ${pool} has no stamp in ${request.residency.join(", ")}`;
  const empty = { tenants: 0, units: {} };
  if (!allowed.some((candidate) => hasRoom({ ...candidate, used: empty }, request.weight))) {
    return `no stamp of pool ${pool} could hold this weight, even empty`;
  }
  const active = allowed.filter((candidate) => candidate.phase === "active").length;
  return active === 1
    ? `the active stamp of pool ${pool} is full`
    : `all ${active} active stamps of pool ${pool} are full`;
}

/** Full if any unit is full: 30% of one unit and 95% of another still counts by the other. */
export function hasRoom(candidate: PlacementCandidate, weight: Readonly<Record<string, number>>): boolean {
  if (candidate.used.tenants + (weight["tenants"] ?? 1) > candidate.capacity.tenants) return false;
  return Object.entries(candidate.capacity.units).every(
    ([unit, limit]) => (candidate.used.units[unit] ?? 0) + (weight[unit] ?? 0) <= limit,
  );
}

function byUse(a: PlacementCandidate, b: PlacementCandidate): number {
  const difference = share(a) - share(b);
  return difference !== 0 ? difference : a.name < b.name ? -1 : 1;
}

/** A stamp that may hold nobody counts as full, not as 0/0. */
function share({ used, capacity }: PlacementCandidate): number {
  return capacity.tenants > 0 ? used.tenants / capacity.tenants : 1;
}
