import { addUnits, type UnitVector } from "../capacity.ts";
import type { PlacementCandidate, PlacementRequest, PlacementSettings } from "../placement/candidate.ts";
import { choosePlacement } from "../placement/choose.ts";
import { type FilterName, filterOf, weightOf } from "../placement/filters.ts";
import { isBig } from "../placement/scores.ts";

/** Stamps as a plan fills them, one tenant after the other. It lives within one plan. */
export interface Bookings {
  candidate(name: string): PlacementCandidate | undefined;
  of(pool: string): readonly PlacementCandidate[];
  /** What is against this stamp, with all that the plan has put there. */
  against(request: PlacementRequest, stamp: string): FilterName | undefined;
  /** The best stamp, by placement's own rules, or why there is none. */
  choose(request: PlacementRequest): ReturnType<typeof choosePlacement>;
  take(request: PlacementRequest, stamp: string): void;
  /** It leaves; what it takes there is free for the rest of the plan. */
  leave(request: PlacementRequest, stamp: string): void;
}

export function openBookings(
  candidates: readonly PlacementCandidate[],
  settingsOf: (pool: string) => PlacementSettings,
): Bookings {
  const byName = new Map(candidates.map((candidate) => [candidate.name, candidate]));
  const byPool = new Map<string, PlacementCandidate[]>();
  for (const candidate of [...candidates].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const list = byPool.get(candidate.pool);
    if (list === undefined) byPool.set(candidate.pool, [candidate]);
    else list.push(candidate);
  }
  const put = (candidate: PlacementCandidate) => {
    byName.set(candidate.name, candidate);
    const list = byPool.get(candidate.pool) ?? [];
    const at = list.findIndex(({ name }) => name === candidate.name);
    if (at >= 0) list[at] = candidate;
  };
  return {
    candidate: (name) => byName.get(name),
    of: (pool) => byPool.get(pool) ?? [],
    against(request, stamp) {
      const candidate = byName.get(stamp);
      return candidate === undefined ? "pool" : filterOf(request, candidate, settingsOf(request.pool));
    },
    choose: (request) => choosePlacement(request, byPool.get(request.pool) ?? [], settingsOf(request.pool)),
    take(request, stamp) {
      const candidate = byName.get(stamp);
      if (candidate !== undefined) put(changed(candidate, request, 1, settingsOf(request.pool)));
    },
    leave(request, stamp) {
      const candidate = byName.get(stamp);
      if (candidate !== undefined) put(changed(candidate, request, -1, settingsOf(request.pool)));
    },
  };
}

function changed(
  candidate: PlacementCandidate,
  { weight, override, key }: PlacementRequest,
  sign: 1 | -1,
  settings: PlacementSettings,
): PlacementCandidate {
  const taken = Object.fromEntries(
    Object.entries({ tenants: 1, ...weight }).map(([unit, value]) => [unit, sign * value]),
  );
  const used = Object.entries(addUnits(candidate.used, taken)).map(([unit, value]) => [unit, Math.max(0, value)]);
  const big = Math.max(0, (candidate.bigTenants ?? 0) + (isBig(weight, candidate.limits, settings) ? sign : 0));
  const isFirst = sign === 1 && (candidate.used["tenants"] ?? 0) === 0;
  return {
    ...candidate,
    used: Object.fromEntries(used),
    bigTenants: big,
    ...(isFirst && override?.kind === "quarantine" ? { quarantined: true } : {}),
    ...(isFirst && candidate.tenancy === "dedicated" ? { reservedFor: candidate.reservedFor ?? key } : {}),
  };
}

/** How much of a stamp a tenant takes, in the unit that it takes most of. */
export function shareOf(weight: UnitVector, limits: UnitVector): number {
  let most = 0;
  for (const [unit, limit] of Object.entries(limits)) {
    const taken = weightOf(weight, unit);
    if (taken > 0) most = Math.max(most, limit > 0 ? taken / limit : 1);
  }
  return most;
}
