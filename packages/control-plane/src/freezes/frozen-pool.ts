import { type Freezes, type Instant, type Pool, type PoolPlan, type ScaleStep, whyFrozen } from "@stampyard/domain";
import type { PoolFacts } from "../store/port.ts";
import { endOfFreeze } from "./freezes.ts";

/** Why nothing of a pool may be scaled now: all of its regions are in the scope of a freeze. */
export function whyPoolFrozen(freezes: Freezes, { name, regions }: Pool, now: Instant): string | undefined {
  const whys = regions.map((region) => whyFrozen(freezes, "scaling", { pool: name, region }, now));
  const [first] = whys;
  if (first === undefined || whys.includes(undefined)) return undefined;
  return first.until === undefined ? first.why : `${first.why}, until ${new Date(first.until).toISOString()}`;
}

/** The plan without what a freeze of one region or of one stamp stops, which says so. */
export function thawedPlan(freezes: Freezes, facts: PoolFacts, plan: PoolPlan, now: Instant): PoolPlan {
  const { name } = facts.pool;
  const waits: string[] = [];
  const isThawed = (thing: "scaling" | "destroys", target: { readonly region?: string; readonly stamp?: string }) => {
    const frozen = whyFrozen(freezes, thing, { pool: name, ...target }, now);
    if (frozen !== undefined) waits.push(endOfFreeze(frozen));
    return frozen === undefined;
  };
  const targetOf = ({ stamp }: ScaleStep) => {
    const region = facts.stamps.find((one) => one.name === stamp)?.region;
    return { stamp, ...(region === undefined ? {} : { region }) };
  };
  const create = plan.create.filter(({ region }) => isThawed("scaling", { region }));
  const steps = plan.steps.filter((step) => {
    const target = targetOf(step);
    return isThawed("scaling", target) && (step.kind !== "destroy" || isThawed("destroys", target));
  });
  const [wait] = waits;
  return { ...plan, create, steps, ...(wait === undefined ? {} : { waitingOn: plan.waitingOn ?? wait }) };
}
