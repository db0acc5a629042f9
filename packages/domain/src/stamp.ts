import type { Endpoint, StampObservation } from "./engine.ts";
import type { Digest, Instant } from "./ports.ts";
import type { Parameters } from "./rendered.ts";
import type { Capacity } from "./template.ts";

export type StampState =
  | { readonly kind: "requested" }
  | { readonly kind: "provisioning"; readonly attempt: number }
  | { readonly kind: "active" }
  | { readonly kind: "failed"; readonly attempt: number; readonly cause: string; readonly retryAt: Instant }
  | { readonly kind: "destroying"; readonly attempt: number }
  | { readonly kind: "gone" };
export type StampPhase = StampState["kind"];

/** Where a stamp may go next. Nothing comes back from `gone`; its name may be used again by a new stamp. */
export const stampNext = {
  requested: ["provisioning", "destroying"],
  provisioning: ["active", "failed", "destroying"],
  active: ["destroying"],
  failed: ["provisioning", "destroying"],
  destroying: ["gone"],
  gone: [],
} as const satisfies Record<StampPhase, readonly StampPhase[]>;

/** A stamp as the control plane keeps it. */
export interface Stamp {
  readonly name: string;
  readonly pool: string;
  readonly region: string;
  readonly state: StampState;
  /** What its operator wants of it. */
  readonly goal: "present" | "absent";
  readonly releaseDigest: Digest;
  readonly parameters: Parameters;
  /** Digest of the rendering it should run. */
  readonly stampDigest: Digest;
  readonly capacity: Capacity;
  /** Last published endpoints. */
  readonly endpoints: readonly Endpoint[];
  readonly endpointRevision: number;
  /** Why nothing is happening, in words. */
  readonly waitingOn?: string;
}

export type StampAction =
  | { readonly kind: "apply"; readonly why: string }
  | { readonly kind: "destroy" }
  | { readonly kind: "publish"; readonly endpoints: readonly Endpoint[]; readonly endpointRevision: number }
  | { readonly kind: "withdraw" };

export interface StampPlan {
  readonly next: StampState;
  readonly actions: readonly StampAction[];
  readonly waitingOn?: string;
}

/** Attempts back off 2 s, 4 s, … up to a minute, so that a broken template does not burn the machine. */
export function retryDelayMs(attempt: number): number {
  return Math.min(60_000, 1_000 * 2 ** Math.min(attempt, 6));
}

/** Decides one turn of a stamp. Reads nothing, changes nothing: same inputs, same plan. */
export function planStamp(stamp: Stamp, seen: StampObservation, now: Instant): StampPlan {
  if (stamp.state.kind === "gone") return { next: stamp.state, actions: [] };
  if (stamp.goal === "absent") return planRemoval(stamp, seen);
  if (seen.presence === "unknown") {
    return { next: stamp.state, actions: [], waitingOn: `cannot observe: ${seen.reason ?? "no reason given"}` };
  }
  switch (stamp.state.kind) {
    case "requested":
      return { next: { kind: "provisioning", attempt: 1 }, actions: [{ kind: "apply", why: "new stamp" }] };
    case "provisioning":
      return planProvisioning(stamp, stamp.state.attempt, seen);
    case "failed":
      if (now < stamp.state.retryAt)
        return { next: stamp.state, actions: [], waitingOn: `retry of: ${stamp.state.cause}` };
      return {
        next: { kind: "provisioning", attempt: stamp.state.attempt + 1 },
        actions: [{ kind: "apply", why: `attempt ${stamp.state.attempt + 1}` }],
      };
    case "active":
      return planActive(stamp, seen);
    case "destroying":
      return planRemoval(stamp, seen);
  }
}

/** The state after an engine call failed: provisioning waits and tries again, everything else stays where it was. */
export function afterFailure(state: StampState, cause: string, now: Instant): StampState {
  if (state.kind !== "provisioning") return state;
  return { kind: "failed", attempt: state.attempt, cause, retryAt: now + retryDelayMs(state.attempt) };
}

function planProvisioning(stamp: Stamp, attempt: number, seen: StampObservation): StampPlan {
  const lack = whatIsLacking(stamp, seen);
  if (lack === undefined) return { next: { kind: "active" }, actions: [publish(seen)] };
  return { next: { kind: "provisioning", attempt }, actions: [{ kind: "apply", why: lack }], waitingOn: lack };
}

function planActive(stamp: Stamp, seen: StampObservation): StampPlan {
  const lack = whatIsLacking(stamp, seen);
  const moved = seen.endpointRevision !== stamp.endpointRevision && seen.endpoints.length > 0;
  const actions: StampAction[] = [];
  // A component that its host is restarting is the host's work; only what the host cannot mend is ours.
  const ours = lack !== undefined && (seen.presence === "absent" || seen.host !== "up" || isOtherDigest(stamp, seen));
  if (ours) actions.push({ kind: "apply", why: lack });
  if (moved) actions.push(publish(seen));
  return { next: { kind: "active" }, actions, ...(lack === undefined ? {} : { waitingOn: lack }) };
}

function planRemoval(stamp: Stamp, seen: StampObservation): StampPlan {
  const attempt = stamp.state.kind === "destroying" ? stamp.state.attempt : 1;
  if (stamp.state.kind === "destroying" && seen.presence === "absent") return { next: { kind: "gone" }, actions: [] };
  const actions: StampAction[] = [{ kind: "withdraw" }, { kind: "destroy" }];
  return { next: { kind: "destroying", attempt }, actions, waitingOn: "removal of its processes and data" };
}

/** What keeps the stamp from being complete, or undefined. Silence is not health: no digest is a lack. */
function whatIsLacking(stamp: Stamp, seen: StampObservation): string | undefined {
  if (seen.presence === "absent") return "it does not exist yet";
  if (seen.host !== "up") return "its stamp host is down";
  if (isOtherDigest(stamp, seen)) return "it runs another digest than its release";
  const sick = seen.components.find((c) => c.status !== "healthy" && c.status !== "done");
  if (sick !== undefined) return `${sick.name} is ${sick.status}${sick.reason === undefined ? "" : `: ${sick.reason}`}`;
  if (seen.endpoints.length === 0) return "no endpoint of its ingress service is known";
  return undefined;
}

function isOtherDigest(stamp: Stamp, seen: StampObservation): boolean {
  return seen.stampDigest !== stamp.stampDigest;
}

function publish(seen: StampObservation): StampAction {
  return { kind: "publish", endpoints: seen.endpoints, endpointRevision: seen.endpointRevision };
}
