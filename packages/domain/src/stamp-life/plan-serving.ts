import type { StampObservation } from "../engine.ts";
import type { Instant } from "../ports.ts";
import {
  type ServingPhase,
  type ServingState,
  type Stamp,
  type StampAction,
  type StampPlan,
  type StampTenants,
  whatIsLacking,
} from "../stamp.ts";

/** One turn of a stamp that serves: its phase follows its goal and its tenants, and what is broken is mended. */
export function planServing(
  stamp: Stamp,
  state: ServingState,
  seen: StampObservation,
  tenants: StampTenants,
  now: Instant,
): StampPlan {
  const step = phaseStep(stamp, state.kind, tenants);
  if (step !== state.kind) {
    return { next: { ...state, kind: step }, actions: [], ...leaving(stamp, step, tenants, now) };
  }
  const plan = planMending(stamp, state, seen, now);
  const waiting = plan.waitingOn === undefined ? leaving(stamp, step, tenants, now) : {};
  return { ...plan, ...waiting };
}

/** Where goal and tenants want a serving stamp, one step of the table at a time. */
export function servingPhase(stamp: Pick<Stamp, "goal">, tenants: StampTenants): ServingPhase {
  switch (stamp.goal) {
    case "present":
      return "active";
    case "cordoned":
      return "cordoned";
    default:
      return isEmpty(tenants) ? "empty" : "draining";
  }
}

/** Only an empty stamp is destroyed, or one whose operator named it and forced it (I31). */
export function mayDestroy({ goalDetail }: Pick<Stamp, "goalDetail">, tenants: StampTenants): boolean {
  return isEmpty(tenants) || goalDetail?.force === true;
}

/** What a move keeps here may be a tenant's only way back. */
function isEmpty({ count, keptBy = [] }: StampTenants): boolean {
  return count === 0 && keptBy.length === 0;
}

function phaseStep(stamp: Stamp, from: ServingPhase, tenants: StampTenants): ServingPhase {
  const to = servingPhase(stamp, tenants);
  // An empty stamp was drained first, also when there was nobody to drain.
  return to === "empty" && from !== "draining" && from !== "empty" ? "draining" : to;
}

/** Who has to leave, and what makes them. */
function leaving(
  { name, goal, goalDetail }: Stamp,
  phase: ServingPhase,
  tenants: StampTenants,
  now: Instant,
): { waitingOn?: string } {
  if (phase !== "draining" || isEmpty(tenants)) return {};
  const isLate = goalDetail?.deadline !== undefined && now > goalDetail.deadline;
  const last = goal === "absent" ? "; it is destroyed after the last one" : "";
  const [move] = tenants.keptBy ?? [];
  if (tenants.count === 0 && move !== undefined) {
    const kept = `the end of move ${move}, which keeps a place here (stampyard move show ${move})`;
    return { waitingOn: `${isLate ? "past its deadline, " : ""}${kept}${last}` };
  }
  const more = tenants.count - tenants.some.length;
  const who = `${tenants.some.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  const what = `its ${tenants.count} ${tenants.count === 1 ? "tenant" : "tenants"} to leave: ${who}`;
  const how = `each leaves when it is moved or deleted (stampyard tenant list --stamp ${name})`;
  return { waitingOn: `${isLate ? "past its deadline, " : ""}${what}; ${how}${last}` };
}

function planMending(stamp: Stamp, state: ServingState, seen: StampObservation, now: Instant): StampPlan {
  // Applying would build an empty stamp in the place of a lost one, or of one whose disk is not mounted yet, and hide
  // that its data is missing. A person decides.
  if (seen.presence === "absent") {
    return { next: state, actions: [], waitingOn: "its data to come back: nothing of it is left on its engine" };
  }
  const lack = whatIsLacking(stamp, seen);
  const published = movedEndpoints(stamp, seen);
  if (lack === undefined) return { next: { kind: state.kind }, actions: published };
  if (!isOurs(stamp, seen)) return { next: state, actions: published, waitingOn: lack };
  const { setback } = state;
  if (setback !== undefined && setback.stampDigest === stamp.stampDigest && now < setback.retryAt) {
    return { next: state, actions: published, waitingOn: `retry of: ${setback.cause}` };
  }
  // Known endpoints first: routers need them while the rest is mended.
  return { next: state, actions: [...published, { kind: "apply", why: lack }], waitingOn: lack };
}

/** A component that its host is restarting is the host's work; only what the host cannot mend is ours. */
function isOurs(stamp: Stamp, seen: StampObservation): boolean {
  if (seen.host !== "up" || seen.stampDigest !== stamp.stampDigest) return true;
  return seen.components.some((c) => c.status === "absent");
}

/** What routers have to be told of it, if anything. */
export function movedEndpoints(stamp: Stamp, seen: StampObservation): readonly StampAction[] {
  return seen.endpointRevision !== stamp.endpointRevision && seen.endpoints.length > 0 ? [publish(seen)] : [];
}

export function publish({ endpoints, endpointRevision }: StampObservation): StampAction {
  return { kind: "publish", endpoints, endpointRevision };
}
