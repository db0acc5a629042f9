import type { StampObservation } from "../engine.ts";
import type { Instant } from "../ports.ts";
import { type Stamp, type StampPlan, type StampTenants, type StateOf, whatIsLacking } from "../stamp.ts";
import { planAdopted } from "./plan-adopted.ts";
import { mayDestroy, movedEndpoints, planServing, publish, servingPhase } from "./plan-serving.ts";

/** Decides one turn of a stamp. Reads nothing, changes nothing: same inputs, same plan. */
export function planStamp(stamp: Stamp, seen: StampObservation, tenants: StampTenants, now: Instant): StampPlan {
  const { state } = stamp;
  if (state.kind === "gone") return { next: state, actions: [] };
  if (stamp.origin === "adopted") return planAdopted(stamp, seen, tenants, now);
  if (state.kind === "destroying") return planRemoval(state, seen, now);
  if (stamp.goal === "absent" && mayDestroy(stamp, tenants)) {
    return { next: { kind: "destroying", attempt: 1 }, actions: [] };
  }
  if (seen.presence === "unknown") {
    return { next: state, actions: [], waitingOn: `its engine to answer: ${seen.reason ?? "no reason given"}` };
  }
  switch (state.kind) {
    case "requested":
      return { next: { kind: "provisioning", attempt: 1 }, actions: [] };
    case "provisioning":
      return planProvisioning(stamp, state, seen);
    case "verifying":
      return planVerifying(stamp, state, seen, tenants);
    case "failed":
      return planRetry(stamp, state, now);
    default:
      return planServing(stamp, state, seen, tenants, now);
  }
}

function planProvisioning(stamp: Stamp, state: StateOf<"provisioning">, seen: StampObservation): StampPlan {
  const lack = whatIsLacking(stamp, seen);
  // Published before it is shown to work: a router has to know it to bring the tenant that shows it.
  if (lack === undefined) return { next: { kind: "verifying", attempt: state.attempt }, actions: [publish(seen)] };
  return { next: state, actions: [{ kind: "apply", why: lack }], waitingOn: lack };
}

/** What broke since it was built is mended here, so that a verification only ever meets a whole stamp. */
function planVerifying(
  stamp: Stamp,
  state: StateOf<"verifying">,
  seen: StampObservation,
  tenants: StampTenants,
): StampPlan {
  const lack = whatIsLacking(stamp, seen);
  if (lack !== undefined) return { next: state, actions: [{ kind: "apply", why: lack }], waitingOn: lack };
  const phase = servingPhase(stamp, tenants);
  return {
    next: { kind: phase === "empty" ? "draining" : phase },
    actions: [...movedEndpoints(stamp, seen), { kind: "verify" }],
    waitingOn: "its verification by a tenant of Stampyard's own",
  };
}

function planRetry(stamp: Stamp, state: StateOf<"failed">, now: Instant): StampPlan {
  if (state.stampDigest !== undefined && state.stampDigest !== stamp.stampDigest) {
    return { next: { kind: "provisioning", attempt: 1 }, actions: [] };
  }
  if (now < state.retryAt) return { next: state, actions: [], waitingOn: `retry of: ${state.cause}` };
  return { next: { kind: "provisioning", attempt: state.attempt + 1 }, actions: [] };
}

/** Routers forget it first. Once begun there is no way back, whatever the goal says then. */
function planRemoval(state: StateOf<"destroying">, seen: StampObservation, now: Instant): StampPlan {
  // Withdrawn here too: it may have vanished by itself before its first removal turn.
  if (seen.presence === "absent") return { next: { kind: "gone" }, actions: [{ kind: "withdraw" }] };
  if (state.retryAt !== undefined && now < state.retryAt) {
    return { next: state, actions: [], waitingOn: `retry of: ${state.cause ?? "its removal"}` };
  }
  const waitingOn = "removal of its processes and data";
  return { next: state, actions: [{ kind: "withdraw" }, { kind: "destroy" }], waitingOn };
}
