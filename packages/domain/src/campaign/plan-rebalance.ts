import type { PlacementCandidate } from "../placement/candidate.ts";
import { percent } from "../placement/filters.ts";
import { endedMoves } from "../move/move.ts";
import { tightestOf } from "../pool-plan/room.ts";
import type { CampaignItem } from "./campaign.ts";
import type { CampaignTenant, CampaignWorld } from "./campaign-world.ts";
import { type Bookings, openBookings } from "./place-bookings.ts";

export interface RebalancePlan {
  /** In the order of their gain: the biggest first. */
  readonly items: readonly CampaignItem[];
  /** Share of the tightest unit by stamp, before and after all of it. */
  readonly shares: readonly { readonly stamp: string; readonly before: number; readonly after: number }[];
  /** Stamps that stay too full, and why. */
  readonly unmet: readonly { readonly stamp: string; readonly why: string }[];
}

/** Stamps this close to each other are even enough: a move costs more than it brings. */
const evenWithin = 0.1;
/** A move that brings a stamp less than this is not worth its pause. */
const leastGain = 1e-6;
const mostMoves = 10_000;
/** The emptiest targets decide; trying all of a large pool for each tenant brings nothing more. */
const triedTargets = 8;

/**
 * The fewest moves that bring every stamp of a pool below its high mark and, where the pool spreads, close to each
 * other within their region. Each step takes from the fullest stamp the tenant that evens most, to the stamp that placement allows and that
 * gains most. No stamp goes above its mark (I32), and no tenant moves twice. Same inputs, same plan.
 */
export function planRebalance(
  pool: string,
  tenants: readonly CampaignTenant[],
  facts: Pick<CampaignWorld, "candidates" | "settingsOf" | "moves">,
): RebalancePlan {
  // Room that somebody leaves is not counted on: it stays taken while a way back is kept, and moves end in any order.
  const bookings = openBookings(facts.candidates, facts.settingsOf);
  const after = openBookings(facts.candidates, facts.settingsOf);
  for (const { request, from } of goneSoon(tenants, facts.moves)) after.leave(request, from);
  const isPacked = facts.settingsOf(pool).strategy === "pack";
  const serving = () => after.of(pool).filter(({ phase, quarantined }) => phase === "active" && quarantined !== true);
  const before = new Map(serving().map((stamp) => [stamp.name, fullness(stamp)]));
  const homes = homesOf(tenants);
  const items: CampaignItem[] = [];
  const finished = new Set<string>();
  while (items.length < mostMoves) {
    const from = fullest(serving(), finished);
    if (from === undefined) break;
    const isOver = fullness(from) > from.high + 1e-9;
    const step =
      isOver || !isPacked ? bestStep(from, homes.get(from.name) ?? [], serving(), bookings, isOver) : undefined;
    if (step === undefined) {
      finished.add(from.name);
      continue;
    }
    const { tenant, to } = step;
    homes.get(from.name)?.splice(homes.get(from.name)?.indexOf(tenant) ?? -1, 1);
    bookings.take(tenant.request, to);
    after.leave(tenant.request, from.name);
    after.take(tenant.request, to);
    items.push({ tenant: tenant.key, from: from.name, state: { kind: "planned", to } });
  }
  const shares = serving().map((stamp) => {
    return { stamp: stamp.name, before: before.get(stamp.name) ?? 0, after: fullness(stamp) };
  });
  const unmet = serving().flatMap((stamp) => {
    if (fullness(stamp) <= stamp.high + 1e-9) return [];
    return [{ stamp: stamp.name, why: `it stays at ${percent(fullness(stamp))}: none of its tenants fits elsewhere` }];
  });
  return { items, shares, unmet };
}

/**
 * Whoever is on its way out, or has only its way back there: its place is still taken, and will not be for long. A pool
 * that has just been evened out would look uneven otherwise.
 */
function goneSoon(tenants: readonly CampaignTenant[], moves: CampaignWorld["moves"]) {
  const requests = new Map(tenants.map(({ key, request }) => [key, request]));
  return moves.flatMap(({ tenant, from, phase }) => {
    const request = requests.get(tenant);
    return request === undefined || endedMoves.includes(phase) || phase === "aborting" ? [] : [{ request, from }];
  });
}

function homesOf(tenants: readonly CampaignTenant[]): Map<string, CampaignTenant[]> {
  const homes = new Map<string, CampaignTenant[]>();
  for (const tenant of [...tenants].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    // Only who can be moved is counted on.
    if (tenant.phase !== "active" || tenant.goal !== "present" || tenant.barred !== undefined) continue;
    const list = homes.get(tenant.stamp);
    if (list === undefined) homes.set(tenant.stamp, [tenant]);
    else list.push(tenant);
  }
  return homes;
}

/** The tenant whose move makes the fuller of the two stamps emptiest. */
function bestStep(
  from: PlacementCandidate,
  tenants: readonly CampaignTenant[],
  stamps: readonly PlacementCandidate[],
  bookings: Bookings,
  isOver: boolean,
): { readonly tenant: CampaignTenant; readonly to: string } | undefined {
  const share = fullness(from);
  // Evenness is no reason to serve a tenant from farther away.
  const near = stamps.filter(({ name, region }) => name !== from.name && region === from.region);
  const targets = near.sort((a, b) => fullness(a) - fullness(b) || (a.name < b.name ? -1 : 1));
  const emptiest = targets[0];
  if (emptiest === undefined) return undefined;
  if (!isOver && share - fullness(emptiest) <= evenWithin) return undefined;
  let best: { readonly tenant: CampaignTenant; readonly to: string; readonly peak: number } | undefined;
  for (const tenant of tenants) {
    const left = fullness(less(from, tenant));
    if (left >= share - leastGain) continue;
    for (const to of likely(tenant, targets, bookings)) {
      const peak = Math.max(left, fullness(more(to, tenant)));
      const gains = peak < share - leastGain;
      if (gains && (best === undefined || peak < best.peak - leastGain)) best = { tenant, to: to.name, peak };
    }
  }
  return best;
}

function likely(
  tenant: CampaignTenant,
  targets: readonly PlacementCandidate[],
  bookings: Bookings,
): readonly PlacementCandidate[] {
  const found: PlacementCandidate[] = [];
  for (const to of targets) {
    if (bookings.against(tenant.request, to.name) !== undefined) continue;
    found.push(to);
    if (found.length === triedTargets) break;
  }
  return found;
}

function fullest(stamps: readonly PlacementCandidate[], finished: ReadonlySet<string>): PlacementCandidate | undefined {
  let found: PlacementCandidate | undefined;
  for (const stamp of stamps) {
    if (finished.has(stamp.name)) continue;
    if (found === undefined || fullness(stamp) > fullness(found)) found = stamp;
  }
  return found;
}

function fullness({ used, limits }: Pick<PlacementCandidate, "used" | "limits">): number {
  return tightestOf(used, limits).share;
}

function less(stamp: PlacementCandidate, tenant: CampaignTenant): PlacementCandidate {
  return withWeight(stamp, tenant, -1);
}

function more(stamp: PlacementCandidate, tenant: CampaignTenant): PlacementCandidate {
  return withWeight(stamp, tenant, 1);
}

function withWeight(stamp: PlacementCandidate, { request }: CampaignTenant, sign: 1 | -1): PlacementCandidate {
  const used: Record<string, number> = { ...stamp.used };
  for (const [unit, value] of Object.entries({ tenants: 1, ...request.weight })) {
    used[unit] = Math.max(0, (used[unit] ?? 0) + sign * value);
  }
  return { ...stamp, used };
}
