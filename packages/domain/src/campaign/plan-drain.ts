import type { Placement, PlacementCandidate } from "../placement/candidate.ts";
import { whyRefused } from "../placement/filters.ts";
import type { CampaignItem } from "./campaign.ts";
import type { CampaignTenant, CampaignWorld } from "./campaign-world.ts";
import { type Bookings, openBookings, shareOf } from "./place-bookings.ts";

const shownStamps = 3;

type Facts = Pick<CampaignWorld, "candidates" | "settingsOf">;

/**
 * Where every tenant of a stamp would go: the biggest first, because what is left between them takes the small ones. A
 * target that was planned before stays while it has room. Placement's rules and marks hold for all of them together
 * (I32). Reads nothing, changes nothing: same inputs, same plan.
 */
export function planDrain(
  tenants: readonly CampaignTenant[],
  facts: Facts,
  planned: ReadonlyMap<string, string> = new Map(),
): readonly CampaignItem[] {
  const bookings = openBookings(facts.candidates, facts.settingsOf);
  const items = new Map<string, CampaignItem>();
  const open: CampaignTenant[] = [];
  for (const tenant of bySize(tenants, facts.candidates)) {
    const to = planned.get(tenant.key);
    const stays = to !== undefined && tenant.barred === undefined && bookings.against(tenant.request, to) === undefined;
    if (!stays) open.push(tenant);
    else {
      bookings.take(tenant.request, to);
      items.set(tenant.key, { tenant: tenant.key, from: tenant.stamp, state: { kind: "planned", to } });
    }
  }
  for (const tenant of open) items.set(tenant.key, placeOne(tenant, bookings, facts));
  return bySize(tenants, facts.candidates).flatMap(({ key }) => items.get(key) ?? []);
}

function placeOne(tenant: CampaignTenant, bookings: Bookings, facts: Facts): CampaignItem {
  const { key, stamp, request, barred } = tenant;
  const item = (state: CampaignItem["state"]): CampaignItem => ({ tenant: key, from: stamp, state });
  if (barred !== undefined) return item({ kind: "blocked", why: barred });
  if (request.override?.kind === "pin" && request.override.stamp === stamp) {
    return item({ kind: "blocked", why: `it is pinned to stamp ${stamp}; stampyard tenant unpin ${key} lets it go` });
  }
  const near = chooseNear(tenant, bookings);
  const placement = near?.kind === "place" ? near : bookings.choose(request);
  if (placement.kind === "place") {
    bookings.take(request, placement.stamp);
    return item({ kind: "planned", to: placement.stamp });
  }
  if (placement.kind === "wait") return item({ kind: "blocked", why: `it waits for ${placement.waitingOn}` });
  return item({ kind: "blocked", why: withoutHome(tenant, bookings, facts) });
}

/** In its own region if there is room: whoever chose that had a reason, and its users are near. */
function chooseNear({ stamp, request }: CampaignTenant, bookings: Bookings): Placement | undefined {
  const region = bookings.candidate(stamp)?.region;
  if (region === undefined || (request.residency.length > 0 && !request.residency.includes(region))) return undefined;
  return bookings.choose({ ...request, residency: [region] });
}

/** What is against the first stamps by name, with all that the plan has put there; the one that is emptied is no news. */
function withoutHome({ stamp, request }: CampaignTenant, bookings: Bookings, { settingsOf }: Facts): string {
  const others = bookings.of(request.pool).filter(({ name }) => name !== stamp);
  if (others.length === 0) return `pool ${request.pool} has no other stamp`;
  const settings = settingsOf(request.pool);
  const shown = others.slice(0, shownStamps).map((other) => {
    const filter = bookings.against(request, other.name) ?? "phase";
    return `stamp ${other.name} ${whyRefused(filter, request, other, settings)}`;
  });
  const more = others.length - shown.length;
  return `${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

/** Biggest first, in the unit that each takes most of; then by key. */
export function bySize(
  tenants: readonly CampaignTenant[],
  candidates: readonly PlacementCandidate[],
): readonly CampaignTenant[] {
  const limits = new Map(candidates.map(({ name, limits: of }) => [name, of]));
  const sizes = new Map(
    tenants.map(({ key, stamp, request }) => [key, shareOf(request.weight, limits.get(stamp) ?? {})]),
  );
  const size = (key: string) => sizes.get(key) ?? 0;
  return [...tenants].sort((a, b) => size(b.key) - size(a.key) || (a.key < b.key ? -1 : 1));
}
