import type { PlanView } from "@stampyard/api";
import { type FleetPlan, planCost, type Stamp, type StampShift, type Template } from "@stampyard/domain";
import type { Store } from "../store/port.ts";
import type { FleetFiles } from "./stamp-goal.ts";

/** What the plan does to the cost per month, or nothing where the file has no prices. Adopted stamps have no template that could be priced. */
export async function costOfPlan(
  store: Pick<Store, "fleet">,
  stamps: readonly Stamp[],
  files: FleetFiles,
  plan: FleetPlan,
): Promise<Pick<PlanView, "cost">> {
  const { prices } = files.fleet;
  if (prices === undefined) return {};
  const built = stamps.filter(
    (stamp) => stamp.origin === "built" && stamp.goal !== "absent" && stamp.state.kind !== "gone",
  );
  const digests = [...new Set(built.map((stamp) => stamp.releaseDigest))];
  const releases = await Promise.all(digests.map((digest) => store.fleet.release(digest)));
  const templates = new Map<string, Template>();
  for (const release of releases) if (release !== undefined) templates.set(release.digest, release.template);
  const updated = new Set(plan.changes.flatMap((change) => (change.kind === "stamp-update" ? [change.stamp] : [])));
  const shifts: StampShift[] = built.map(({ name, region, releaseDigest }) => {
    const from = templates.get(releaseDigest);
    const to = updated.has(name) ? files.template : from;
    return { stamp: name, region, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
  });
  for (const change of plan.changes) {
    if (change.kind !== "stamp-create") continue;
    shifts.push({ stamp: change.stamp, region: change.region, to: files.template });
  }
  const { currency, before, after, changes, unpriced } = planCost(prices, shifts);
  return { cost: { currency, before, after, changes: [...changes], unpriced: [...unpriced] } };
}
