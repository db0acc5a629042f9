import type { Endpoint, StampObservation } from "./engine.ts";
import type { Digest, Instant } from "./ports.ts";
import type { Parameters } from "./rendered.ts";
import type { Adoption } from "./stamp-life/adoption.ts";
import type { Verification } from "./stamp-life/verification.ts";
import type { Capacity } from "./template.ts";

export type StampState =
  | { readonly kind: "requested" }
  | { readonly kind: "provisioning"; readonly attempt: number }
  /** Built and published to routers, and not yet shown to serve a tenant. */
  | { readonly kind: "verifying"; readonly attempt: number }
  | ServingState
  | {
      readonly kind: "failed";
      readonly attempt: number;
      readonly cause: string;
      readonly retryAt: Instant;
      /** The rendering that failed; another one is tried at once. */
      readonly stampDigest?: Digest;
    }
  | { readonly kind: "destroying"; readonly attempt: number; readonly cause?: string; readonly retryAt?: Instant }
  | { readonly kind: "gone" };
export type StampPhase = StampState["kind"];

/** `cordoned` and `draining` take no new tenants; `empty` is drained of its last one. All of them serve whom they have. */
export const servingPhases = ["active", "cordoned", "draining", "empty"] as const;
export type ServingPhase = (typeof servingPhases)[number];
export type ServingState = { [K in ServingPhase]: { readonly kind: K; readonly setback?: Setback } }[ServingPhase];

/** Whether a stamp of this phase can be asked, and routers send its tenants there. Placement wants `active` alone. */
export function isServing(phase: StampPhase): phase is ServingPhase {
  return (servingPhases as readonly StampPhase[]).includes(phase);
}

/** The last failed attempt to mend or update a serving stamp: it keeps serving, and the next attempt backs off. */
export interface Setback {
  readonly attempt: number;
  readonly cause: string;
  readonly retryAt: Instant;
  /** The rendering that failed; another one is tried at once. */
  readonly stampDigest: Digest;
}

/** Where a stamp may go next. Nothing comes back from `gone`; its name may be used again by a new stamp. */
export const stampNext = {
  // Straight to `verifying` goes what was adopted: nothing of it is built.
  requested: ["provisioning", "verifying", "destroying"],
  provisioning: ["verifying", "failed", "destroying"],
  verifying: ["active", "cordoned", "draining", "failed", "destroying"],
  active: ["cordoned", "draining", "destroying"],
  cordoned: ["active", "draining", "destroying"],
  draining: ["active", "cordoned", "empty", "destroying"],
  empty: ["active", "cordoned", "draining", "destroying"],
  failed: ["provisioning", "destroying"],
  destroying: ["gone"],
  gone: [],
} as const satisfies Record<StampPhase, readonly StampPhase[]>;

/** `cordoned` = no new tenants; `drained` = its tenants leave, too; `absent` = then it is destroyed. */
export type StampGoal = "present" | "cordoned" | "drained" | "absent";

/** Who wants a goal, why, and until when. */
export interface GoalDetail {
  readonly reason?: string;
  readonly by?: string;
  readonly since?: Instant;
  /** When a drain should have ended. Nothing happens by itself then, but it is said. */
  readonly deadline?: Instant;
  /** For the people of the tenants that leave. */
  readonly message?: string;
  /** Destroy it with the tenants that it holds; audited (I31). */
  readonly force?: boolean;
  /** Destroy it also while a freeze stops that; the reason is in the audit. */
  readonly overridesFreeze?: boolean;
}

/** A stamp as the control plane keeps it. */
export interface Stamp {
  readonly name: string;
  readonly pool: string;
  readonly region: string;
  readonly state: StampState;
  /** What its operator wants of it. */
  readonly goal: StampGoal;
  readonly goalDetail?: GoalDetail;
  /** Built from a release by an engine, or running before we came, and only registered. */
  readonly origin: "built" | "adopted";
  /** What an adopted stamp said of itself, and what was found out. */
  readonly adoption?: Adoption;
  /** What showed that it serves tenants; absent before that. */
  readonly verification?: Verification;
  /** Key of the tenant that a dedicated stamp is kept for, from the moment it is asked for. */
  readonly reservedFor?: string;
  readonly releaseDigest: Digest;
  readonly parameters: Parameters;
  /** Those among them that were given to it alone: they stay when its pool's change. Absent of a stamp from before they were kept. */
  readonly own?: Parameters;
  /** Digest of the rendering it should run. */
  readonly stampDigest: Digest;
  readonly capacity: Capacity;
  /** Rules of routing that hold for its tenants, where those are not the fleet's. */
  readonly routing?: Digest;
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
  /** Writes, reads and removes a tenant of ours, as the template says, and keeps what came of it. */
  | { readonly kind: "verify" }
  | { readonly kind: "withdraw" };

export interface StampPlan {
  /**
   * The state once the actions have succeeded, recorded in the transaction of the last of them. A working phase is
   * entered by a plan without effects on the stamp, so that its intent is durable before the first one (I26).
   */
  readonly next: StampState;
  /** In order; the first failure ends the turn. Each may be repeated (I27). */
  readonly actions: readonly StampAction[];
  readonly waitingOn?: string;
}

/** Whose home a stamp is, also of those that are still preparing or leaving. */
export interface StampTenants {
  readonly count: number;
  /** The first keys in order, for people. */
  readonly some: readonly string[];
  /** The first moves that keep a place here for a tenant: on its way in, or for a way back. @default none */
  readonly keptBy?: readonly string[];
}

/** Attempts back off 2 s, 4 s, … up to a minute, so that a broken template does not burn the machine. */
export function retryDelayMs(attempt: number): number {
  return Math.min(60_000, 1_000 * 2 ** Math.min(attempt, 6));
}

/**
 * The state after an action failed, or ended without its effect: a later retry and the cause in words. A stamp that was
 * active stays active, because it may well be serving.
 */
export function afterFailure(stamp: Pick<Stamp, "state" | "stampDigest">, cause: string, now: Instant): StampState {
  const { state, stampDigest } = stamp;
  switch (state.kind) {
    case "provisioning":
    case "verifying":
      return {
        kind: "failed",
        attempt: state.attempt,
        cause,
        retryAt: now + retryDelayMs(state.attempt),
        stampDigest,
      };
    case "active":
    case "cordoned":
    case "draining":
    case "empty": {
      const before = state.setback?.stampDigest === stampDigest ? state.setback.attempt : 0;
      const attempt = before + 1;
      return { kind: state.kind, setback: { attempt, cause, retryAt: now + retryDelayMs(attempt), stampDigest } };
    }
    case "destroying":
      return {
        kind: "destroying",
        attempt: state.attempt + 1,
        cause,
        retryAt: now + retryDelayMs(state.attempt),
      };
    default:
      return state;
  }
}

/**
 * What keeps the stamp from being complete, or undefined. Silence is not health: no digest is a lack, and so is a
 * stamp of which no component is reported.
 */
export function whatIsLacking(stamp: Pick<Stamp, "stampDigest">, seen: StampObservation): string | undefined {
  if (seen.presence === "unknown") return "its engine cannot look";
  if (seen.presence === "absent") return "it does not exist yet";
  if (seen.host !== "up") return "its stamp host is down";
  if (seen.stampDigest !== stamp.stampDigest) return "it runs another digest than its release";
  const sick = seen.components.find((c) => c.status !== "healthy" && c.status !== "done");
  if (sick !== undefined) return `${sick.name} is ${sick.status}${sick.reason === undefined ? "" : `: ${sick.reason}`}`;
  if (seen.endpoints.length === 0) return "no endpoint of its ingress service is known";
  return undefined;
}

export type StateOf<K extends StampPhase> = { [P in K]: Extract<StampState, { kind: P }> }[K];
