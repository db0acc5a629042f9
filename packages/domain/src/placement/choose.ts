import type { Placement, PlacementCandidate, PlacementRequest, PlacementSettings } from "./candidate.ts";
import { filterOf, hasRoom, isEmpty, whyRefused } from "./filters.ts";
import { type PoolTotals, scoresOf, totalOf } from "./scores.ts";

/**
 * The home of a tenant: of all stamps that no filter refuses the one with the highest score, the first name among
 * equals, so that equal inputs give equal homes in whatever order they come. Reads every candidate once.
 */
export function choosePlacement(
  request: PlacementRequest,
  candidates: readonly PlacementCandidate[],
  settings: PlacementSettings,
): Placement {
  const totals = totalsOf(request.pool, candidates);
  let best: PlacementCandidate | undefined;
  let bestTotal = 0;
  for (const candidate of candidates) {
    if (filterOf(request, candidate, settings) !== undefined) continue;
    const total = totalOf(scoresOf(request, candidate, settings, totals));
    if (best === undefined || total > bestTotal || (total === bestTotal && candidate.name < best.name)) {
      best = candidate;
      bestTotal = total;
    }
  }
  return best === undefined ? noPlacement(request, candidates, settings) : { kind: "place", stamp: best.name };
}

export function totalsOf(pool: string, candidates: readonly PlacementCandidate[]): PoolTotals {
  let big = 0;
  let empty = 0;
  for (const candidate of candidates) {
    if (candidate.pool !== pool) continue;
    big += candidate.bigTenants ?? 0;
    if (candidate.phase === "active" && isEmpty(candidate)) empty += 1;
  }
  return { big, empty };
}

/** What a tenant waits for when no stamp can take it now, or why waiting is in vain. */
export function noPlacement(
  request: PlacementRequest,
  candidates: readonly PlacementCandidate[],
  settings: PlacementSettings,
): Placement {
  let coming: PlacementCandidate | undefined;
  let troubled: PlacementCandidate | undefined;
  for (const candidate of candidates) {
    const filter = filterOf(request, candidate, settings);
    if (filter === "building" && isFirst(candidate, coming)) coming = candidate;
    if (filter === "trouble" && isFirst(candidate, troubled)) troubled = candidate;
  }
  if (coming !== undefined) return { kind: "wait", waitingOn: `stamp ${coming.name}, which is ${coming.phase}` };
  if (troubled !== undefined) {
    return { kind: "wait", waitingOn: `stamp ${troubled.name}, which has room, and ${troubled.trouble}` };
  }
  if (mayGrowFor(request, settings)) {
    return { kind: "wait", waitingOn: `the next stamp of pool ${request.pool}, which is not built yet` };
  }
  return { kind: "full", why: whyFull(request, candidates, settings) };
}

/** Whether a stamp that the pool may still get would take the tenant. */
function mayGrowFor(request: PlacementRequest, { canGrow, tiers }: PlacementSettings): boolean {
  if (canGrow === undefined || canGrow.stampsLeft <= 0) return false;
  if (request.override?.kind === "pin") return false;
  if (tiers !== undefined && !tiers.includes(request.tier)) return false;
  if (request.residency.length > 0 && !request.residency.some((region) => canGrow.regions.includes(region)))
    return false;
  return (
    canGrow.limits === undefined ||
    hasRoom({ used: {}, limits: canGrow.limits, high: canGrow.high ?? 1 }, request.weight)
  );
}

function whyFull(
  request: PlacementRequest,
  candidates: readonly PlacementCandidate[],
  settings: PlacementSettings,
): string {
  const { pool, override } = request;
  const mine = candidates.filter((candidate) => candidate.pool === pool);
  if (override?.kind === "pin") return whyPinFull(override.stamp, request, candidates, settings);
  if (mine.length === 0) return `pool ${pool} has no stamp`;
  if (settings.tiers !== undefined && !settings.tiers.includes(request.tier)) {
    return `pool ${pool} is for tiers ${settings.tiers.join(", ")}, not ${request.tier}`;
  }
  const allowed = mine.filter(({ region }) => request.residency.length === 0 || request.residency.includes(region));
  if (allowed.length === 0) {
    const rule = request.residencyRule === undefined ? "" : `, as residency rule ${request.residencyRule} asks for`;
    return `pool ${pool} has no stamp in ${request.residency.join(", ")}${rule}`;
  }
  if (!allowed.some((candidate) => hasRoom({ ...candidate, used: {} }, request.weight))) {
    return `no stamp of pool ${pool} could hold this weight, even empty`;
  }
  const active = allowed.filter((candidate) => candidate.phase === "active");
  if (active.every((candidate) => filterOf(request, candidate, settings) === "room")) {
    return active.length === 1
      ? `the active stamp of pool ${pool} is full`
      : `all ${active.length} active stamps of pool ${pool} are full`;
  }
  return `no stamp of pool ${pool} takes it: ${reasons(request, allowed, settings)}`;
}

function whyPinFull(
  stamp: string,
  request: PlacementRequest,
  candidates: readonly PlacementCandidate[],
  settings: PlacementSettings,
): string {
  const home = candidates.find((candidate) => candidate.name === stamp);
  if (home === undefined) return `it is pinned to stamp ${stamp}, which takes no tenants`;
  const filter = filterOf(request, home, settings) ?? "override";
  return `it is pinned to stamp ${stamp}, which ${whyRefused(filter, request, home, settings)}`;
}

/** The reasons of the first stamps by name, which is enough to know where to look. */
function reasons(request: PlacementRequest, all: readonly PlacementCandidate[], settings: PlacementSettings): string {
  const sorted = [...all].sort((a, b) => (a.name < b.name ? -1 : 1));
  const shown = sorted.slice(0, 3).map((candidate) => {
    const filter = filterOf(request, candidate, settings) ?? "phase";
    return `${candidate.name} ${whyRefused(filter, request, candidate, settings)}`;
  });
  const more = sorted.length - shown.length;
  return shown.join("; ") + (more > 0 ? `; and ${more} more` : "");
}

function isFirst(candidate: PlacementCandidate, other: PlacementCandidate | undefined): boolean {
  return other === undefined || candidate.name < other.name;
}
