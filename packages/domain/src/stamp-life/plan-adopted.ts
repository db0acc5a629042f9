import type { StampObservation } from "../engine.ts";
import type { Instant } from "../ports.ts";
import type { Stamp, StampPlan, StampTenants } from "../stamp.ts";
import { mayDestroy, planServing, publish, servingPhase } from "./plan-serving.ts";

/**
 * One turn of a stamp that somebody else built and runs: nothing of it is ever applied, verified by a tenant of ours or
 * destroyed. It is published once its endpoints answer, and its removal only forgets it.
 */
export function planAdopted(stamp: Stamp, seen: StampObservation, tenants: StampTenants, now: Instant): StampPlan {
  const { state } = stamp;
  switch (state.kind) {
    case "gone":
      return { next: state, actions: [] };
    case "destroying":
      return { next: { kind: "gone" }, actions: [{ kind: "withdraw" }] };
    default:
      if (stamp.goal === "absent" && mayDestroy(stamp, tenants)) {
        return { next: { kind: "destroying", attempt: 1 }, actions: [] };
      }
  }
  const sick = seen.components.find((component) => component.status !== "healthy");
  const lack = sick === undefined ? undefined : `${sick.name} to answer: ${sick.reason ?? sick.status}`;
  switch (state.kind) {
    case "requested":
    case "provisioning":
      return { next: { kind: "verifying", attempt: 1 }, actions: [] };
    case "failed":
      if (now < state.retryAt) return { next: state, actions: [], waitingOn: `retry of: ${state.cause}` };
      return { next: { kind: "provisioning", attempt: state.attempt + 1 }, actions: [] };
    case "verifying": {
      if (lack !== undefined) return { next: state, actions: [], waitingOn: lack };
      const phase = servingPhase(stamp, tenants);
      return { next: { kind: phase === "empty" ? "draining" : phase }, actions: [publish(seen)] };
    }
    default: {
      // Routers keep one that does not answer us: they find out by themselves, and it may answer them.
      const well = {
        ...seen,
        presence: "present",
        host: "up",
        stampDigest: stamp.stampDigest,
        components: [],
      } as const;
      const plan = planServing(stamp, state, well, tenants, now);
      return lack === undefined ? plan : { ...plan, waitingOn: lack };
    }
  }
}
