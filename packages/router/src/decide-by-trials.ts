import type { DirectoryView } from "@stampyard/directory";
import type { Routing, RoutingTrial } from "@stampyard/domain";
import { type Decision, decide, type LostRequest, type RegionScope, type RequestFacts } from "./decide.ts";

/** What these rules want to know of the request; undefined when a header that decides by them is there twice. */
export type FactsUnder = (routing: Routing) => RequestFacts | undefined;

/**
 * Lets the trials of routing rules have their say. A request that the fleet's rules give to a stamp of a trial is decided
 * by that trial's, whatever they say. One that they know nothing of is decided by the newest trial that has a stamp of its
 * own for it. So what a trial breaks or mends, it does for its own stamps, and nobody else's tenants notice (I5, I12).
 * @param base what the fleet's rules say
 * @returns the very same object where no trial has a say
 */
export function withTrials(
  directory: DirectoryView,
  base: Decision,
  factsUnder: FactsUnder,
  scope?: RegionScope,
): Decision {
  const trials = trialsOf(directory.routing());
  if (isUnknown(base)) {
    for (const trial of trials) {
      const decision = decideUnder(directory, trial, factsUnder, scope);
      if (!isUnknown(decision) && decision.stamp !== undefined && trial.stamps.has(decision.stamp)) return decision;
    }
    return base;
  }
  const { stamp, tenant } = base;
  if (stamp === undefined) return base;
  const trial = trials.find((one) => one.stamps.has(stamp));
  if (trial === undefined) return base;
  const decision = decideUnder(directory, trial, factsUnder, scope);
  return isLost(base, decision) ? { ...decision, lost: { stamp, tenant } satisfies LostRequest } : decision;
}

/** Neither a tenant nor a stamp was found; whether a fallback takes it makes no difference. */
function isUnknown(decision: Decision): boolean {
  if (decision.kind === "forward") return decision.unresolved !== undefined;
  return decision.rule === "catch-all" || decision.reason === "no-tenant" || decision.reason === "unknown-tenant";
}

/** Without a tenant any stamp will do; with one only its own. */
function isLost(base: Decision, { stamp, tenant }: Decision): boolean {
  return base.tenant === undefined ? stamp === undefined : tenant !== base.tenant;
}

function decideUnder(
  directory: DirectoryView,
  { trial, routing }: Trial,
  factsUnder: FactsUnder,
  scope: RegionScope,
): Decision {
  const facts = factsUnder(routing);
  const decision: Decision =
    facts === undefined ? { kind: "refuse", reason: "malformed-header" } : decide(directory, facts, scope, routing);
  return { ...decision, trial };
}

/** A trial in the form that is asked for requests. */
export interface Trial {
  readonly trial: RoutingTrial;
  readonly stamps: ReadonlySet<string>;
  /** Its rules with the fleet's limits and fallback, which no trial changes. */
  readonly routing: Routing;
}

const noTrials: readonly Trial[] = [];
const known = new WeakMap<Routing, readonly Trial[]>();

/** Newest first; worked out once for each routing. */
export function trialsOf(routing: Routing): readonly Trial[] {
  if (routing.trials === undefined) return noTrials;
  let trials = known.get(routing);
  if (trials === undefined) {
    const { limits, catchAll } = routing;
    const kept = { ...(limits === undefined ? {} : { limits }), ...(catchAll === undefined ? {} : { catchAll }) };
    trials = routing.trials.map((trial) => ({
      trial,
      stamps: new Set(trial.stamps),
      routing: { ...trial.routing, ...kept },
    }));
    known.set(routing, trials);
  }
  return trials;
}

/** The rules that hold for requests of tenants of this stamp. */
export function routingFor(routing: Routing, stamp: string): Routing {
  return trialsOf(routing).find(({ stamps }) => stamps.has(stamp))?.routing ?? routing;
}
