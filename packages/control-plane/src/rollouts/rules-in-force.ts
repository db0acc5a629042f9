import {
  bringsRules,
  type Digest,
  type RolloutMember,
  type RoutingRules,
  rulesDifference,
  rulesOf,
} from "@stampyard/domain";
import type { Store } from "../store/port.ts";
import { fleetRules } from "./aims.ts";

type Asked = Pick<Store, "fleet">;

/** What a rollout changes about routing rules, in words; most of its members, where they had different ones. Empty = nothing. */
export async function rulesBrought(
  store: Asked,
  members: readonly Pick<RolloutMember, "from" | "to">[],
): Promise<readonly string[]> {
  const ways = new Map<string, { readonly from: Digest; readonly to: Digest; count: number }>();
  for (const { from, to } of members) {
    if (from.routing === undefined || to.routing === undefined || !bringsRules(from, to)) continue;
    const key = `${from.routing} ${to.routing}`;
    const way = ways.get(key) ?? { from: from.routing, to: to.routing, count: 0 };
    ways.set(key, { ...way, count: way.count + 1 });
  }
  const [most] = [...ways.values()].sort((a, b) => b.count - a.count);
  return most === undefined ? [] : await difference(store, most.from, most.to);
}

/** How the rules of a stamp differ from the fleet's. Empty = they do not. */
export async function rulesAside(store: Asked, routing: Digest | undefined): Promise<readonly string[]> {
  if (routing === undefined) return [];
  const base = fleetRules((await store.fleet.read())?.value.fleet);
  return base === undefined || base === routing ? [] : await difference(store, base, routing);
}

/** Rules that hold for tenants of a stamp. undefined before the first apply. */
export async function rulesAt(store: Asked, routing: Digest | undefined): Promise<RoutingRules | undefined> {
  const own = routing === undefined ? undefined : (await store.fleet.rules([routing])).get(routing);
  if (own !== undefined) return own;
  const fleet = (await store.fleet.read())?.value.fleet;
  return fleet === undefined ? undefined : rulesOf(fleet.routing);
}

/** All rules that hold somewhere, or will when a rollout is done. */
export async function rulesInForce({ fleet }: Asked): Promise<readonly RoutingRules[]> {
  const [routing, goals] = await Promise.all([fleet.routing(), fleet.goals()]);
  const here = routing === undefined ? [] : [rulesOf(routing), ...(routing.trials ?? []).map((trial) => trial.routing)];
  return [...here, ...goals.map((goal) => rulesOf(goal.fleet.routing))];
}

async function difference(store: Asked, from: Digest, to: Digest): Promise<readonly string[]> {
  const [before, after] = await Promise.all([rulesNamed(store, from), rulesNamed(store, to)]);
  return before === undefined || after === undefined ? [] : rulesDifference(before, after);
}

/** The fleet's own are not kept beside it before its first rollout. */
async function rulesNamed(store: Asked, digest: Digest): Promise<RoutingRules | undefined> {
  const kept = (await store.fleet.rules([digest])).get(digest);
  if (kept !== undefined) return kept;
  const fleet = (await store.fleet.read())?.value.fleet;
  return fleet !== undefined && fleetRules(fleet) === digest ? rulesOf(fleet.routing) : undefined;
}
