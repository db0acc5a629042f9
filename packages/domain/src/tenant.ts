import type { Instant } from "./ports.ts";
import { isServing, type Stamp } from "./stamp.ts";

interface Attempts {
  readonly attempt: number;
  readonly retryAt: Instant;
  readonly cause?: string;
}

/** Phases of decision D5. */
export type TenantState =
  | { readonly kind: "requested" }
  | { readonly kind: "placing" }
  | ({ readonly kind: "preparing" } & Attempts)
  | { readonly kind: "active" }
  /** Served by its present stamp, while a move takes it to another; the move begins and ends this phase. */
  | { readonly kind: "moving"; readonly move: string }
  /** Routers are told already; its stamp is being told. */
  | ({ readonly kind: "suspending" } & Attempts)
  | { readonly kind: "suspended" }
  /** Its stamp is being told; routers hear of it last. */
  | ({ readonly kind: "resuming" } & Attempts)
  | ({ readonly kind: "deleting" } & Attempts)
  | { readonly kind: "gone" };
export type TenantPhase = TenantState["kind"];

/**
 * Where a tenant may go next. A tenant without a home is deleted at once; one with a home leaves its stamp first. One
 * that lost its stamp before it was ever published is placed again. One that was published is suspended and resumed
 * where it is: its place, its data and its epoch stay.
 */
export const tenantNext = {
  requested: ["placing", "preparing", "deleting", "gone"],
  placing: ["preparing", "deleting", "gone"],
  preparing: ["active", "placing", "deleting"],
  active: ["moving", "suspending", "deleting"],
  moving: ["active"],
  suspending: ["suspended", "resuming", "deleting"],
  suspended: ["resuming", "deleting"],
  resuming: ["active", "suspending", "deleting"],
  deleting: ["gone"],
  gone: [],
} as const satisfies Record<TenantPhase, readonly TenantPhase[]>;

/** Phases in which an operator may suspend and resume a tenant: those in which routers know it and it stays. */
export const suspendable: readonly TenantPhase[] = ["active", "moving", "suspending", "suspended", "resuming"];

/** Who stopped a tenant, why, and when. */
export interface Suspension {
  readonly by: string;
  readonly reason: string;
  readonly at: Instant;
}

export interface Tenant {
  readonly key: string;
  readonly pool: string;
  readonly tier: string;
  /** Allowed regions; empty = any. */
  readonly residency: readonly string[];
  /** Places it takes in a stamp, and other units. */
  readonly weight: Readonly<Record<string, number>>;
  readonly hostnames: readonly string[];
  readonly state: TenantState;
  /** What its operator wants of it. */
  readonly goal: "present" | "suspended" | "absent";
  /** There while the goal is `suspended`. */
  readonly suspension?: Suspension;
  /** `dedicated` = a stamp of its own. Absent: what its pool is. */
  readonly tenancy?: "shared" | "dedicated";
  /** Lives only where stamps run this release channel. Absent: anywhere. */
  readonly channel?: string;
  /** Home stamp; its place is reserved from the moment this is set. */
  readonly stamp?: string;
  /** Rises with every change of owner, and never falls (I2). */
  readonly epoch: number;
  readonly waitingOn?: string;
}

export type TenantAction =
  /** Reserves a place and moves on to `preparing` in one transaction, or says what it waits for. */
  | { readonly kind: "place" }
  /** Gives the place back and raises the epoch: the stamp that is going may have been told the present one. */
  | { readonly kind: "vacate" }
  | { readonly kind: "prepare"; readonly stamp: string; readonly epoch: number }
  | { readonly kind: "publish"; readonly stamp: string; readonly epoch: number }
  /** Routers refuse it from now on and still know it; in the transaction of the new state. */
  | { readonly kind: "hide" }
  /** Its stamp refuses it too, once the routers have had time to stop. */
  | { readonly kind: "suspend"; readonly stamp: string; readonly epoch: number }
  | { readonly kind: "resume"; readonly stamp: string; readonly epoch: number }
  | { readonly kind: "withdraw" }
  | { readonly kind: "forget"; readonly stamp: string; readonly epoch: number };

export interface TenantPlan {
  /**
   * The state once the actions have succeeded, recorded in the transaction of the last of them. A working phase is
   * entered by a plan without effects outside the store, so that its intent is durable before the first one (I26).
   */
  readonly next: TenantState;
  /** In order; the first failure ends the turn, and the next turn starts over (every action is idempotent). */
  readonly actions: readonly TenantAction[];
  readonly waitingOn?: string;
}

/** Whether the tenant's home can be asked. `gone` = it is being destroyed, or is no more, and its data with it. */
export type HomeReadiness = "ready" | "not-ready" | "gone";

/** What a tenant may expect of its home stamp; undefined = the control plane knows no such stamp. */
export function homeReadiness(stamp: Pick<Stamp, "state" | "goal"> | undefined): HomeReadiness {
  if (stamp === undefined || stamp.goal === "absent") return "gone";
  if (stamp.state.kind === "destroying" || stamp.state.kind === "gone") return "gone";
  return isServing(stamp.state.kind) ? "ready" : "not-ready";
}

/** Decides one turn of a tenant. Reads nothing, changes nothing: same inputs, same plan. */
export function planTenant(tenant: Tenant, home: HomeReadiness, now: Instant): TenantPlan {
  const { state } = tenant;
  if (state.kind === "gone") return { next: state, actions: [] };
  if (state.kind === "deleting") return planDeletion(tenant, state, home, now);
  // Whatever is wanted of it: the move hears of it, and gives it back.
  if (state.kind === "moving") return { next: state, actions: [], waitingOn: `the end of move ${state.move}` };
  if (tenant.goal === "absent") {
    // Nothing knows it yet: neither a stamp nor a router.
    const isUnknown = tenant.stamp === undefined && (state.kind === "requested" || state.kind === "placing");
    if (isUnknown) return { next: { kind: "gone" }, actions: [] };
    return { next: { kind: "deleting", attempt: 0, retryAt: now }, actions: [] };
  }
  const turned = planTurn(tenant, now);
  if (turned !== undefined) return turned;
  switch (state.kind) {
    case "requested":
      if (tenant.stamp === undefined) return { next: { kind: "placing" }, actions: [] };
      return { next: { kind: "preparing", attempt: 0, retryAt: now }, actions: [] };
    case "placing":
      return { next: state, actions: [{ kind: "place" }], waitingOn: `a free place in pool ${tenant.pool}` };
    case "preparing":
      return planPreparing(tenant, state, home, now);
    case "active":
      return planActive(tenant, state, home);
    case "suspending":
      return planSuspending(tenant, state, home, now);
    case "suspended":
      return { next: state, actions: [] };
    case "resuming":
      return planResuming(tenant, state, home, now);
  }
}

/** Into suspension and out of it again, whatever of the other way was done. Routers are told of a suspension at once. */
function planTurn({ goal, state }: Tenant, now: Instant): TenantPlan | undefined {
  if (goal === "suspended" && (state.kind === "active" || state.kind === "resuming")) {
    return { next: { kind: "suspending", attempt: 0, retryAt: now }, actions: [{ kind: "hide" }] };
  }
  if (goal === "present" && (state.kind === "suspending" || state.kind === "suspended")) {
    return { next: { kind: "resuming", attempt: 0, retryAt: now }, actions: [] };
  }
  return undefined;
}

type Of<K extends TenantPhase> = Extract<TenantState, { kind: K }>;

/** The stamp knows the tenant before the directory publishes it (I45). */
function planPreparing(tenant: Tenant, state: Of<"preparing">, home: HomeReadiness, now: Instant): TenantPlan {
  if (tenant.stamp === undefined) return { next: { kind: "placing" }, actions: [] };
  if (home === "gone") return { next: { kind: "placing" }, actions: [{ kind: "vacate" }] };
  if (home === "not-ready") return { next: state, actions: [], waitingOn: `stamp ${tenant.stamp} to be active` };
  if (now < state.retryAt) return { next: state, actions: [], waitingOn: `retry of: ${state.cause ?? "preparation"}` };
  const { stamp, epoch } = tenant;
  return {
    next: { kind: "active" },
    actions: [
      { kind: "prepare", stamp, epoch },
      { kind: "publish", stamp, epoch },
    ],
  };
}

/** An active tenant never gets another home by itself: its data was in the one that is gone. */
function planActive(tenant: Tenant, state: Of<"active">, home: HomeReadiness): TenantPlan {
  if (home !== "gone") return { next: state, actions: [] };
  return { next: state, actions: [], waitingOn: lostHome(tenant) };
}

function lostHome({ stamp }: Tenant): string {
  return `its home ${stamp ?? "stamp"} to come back: it was destroyed with the data of this tenant`;
}

/** A stamp that is gone serves nobody, and has nobody to tell. */
function planSuspending(tenant: Tenant, state: Of<"suspending">, home: HomeReadiness, now: Instant): TenantPlan {
  if (tenant.stamp === undefined || home === "gone") return { next: { kind: "suspended" }, actions: [] };
  if (home === "not-ready") return { next: state, actions: [], waitingOn: `stamp ${tenant.stamp} to be active` };
  if (now < state.retryAt) return { next: state, actions: [], waitingOn: `retry of: ${state.cause ?? "suspension"}` };
  const { stamp, epoch } = tenant;
  return { next: { kind: "suspended" }, actions: [{ kind: "suspend", stamp, epoch }] };
}

/** The mirror: the stamp knows it again before the directory says so (I45). */
function planResuming(tenant: Tenant, state: Of<"resuming">, home: HomeReadiness, now: Instant): TenantPlan {
  if (tenant.stamp === undefined || home === "gone") return { next: state, actions: [], waitingOn: lostHome(tenant) };
  if (home === "not-ready") return { next: state, actions: [], waitingOn: `stamp ${tenant.stamp} to be active` };
  if (now < state.retryAt) return { next: state, actions: [], waitingOn: `retry of: ${state.cause ?? "resumption"}` };
  const { stamp, epoch } = tenant;
  return {
    next: { kind: "active" },
    actions: [
      { kind: "resume", stamp, epoch },
      { kind: "publish", stamp, epoch },
    ],
  };
}

/** The mirror of preparing: routers stop sending first, then the stamp forgets. */
function planDeletion(tenant: Tenant, state: Of<"deleting">, home: HomeReadiness, now: Instant): TenantPlan {
  if (tenant.stamp === undefined || home === "gone") {
    return { next: { kind: "gone" }, actions: [{ kind: "withdraw" }] };
  }
  if (now < state.retryAt) return { next: state, actions: [], waitingOn: `retry of: ${state.cause ?? "deletion"}` };
  if (home === "not-ready") {
    return { next: state, actions: [{ kind: "withdraw" }], waitingOn: `stamp ${tenant.stamp} to be active` };
  }
  const { stamp, epoch } = tenant;
  return { next: { kind: "gone" }, actions: [{ kind: "withdraw" }, { kind: "forget", stamp, epoch }] };
}

/** The state after an action failed: the same phase, a later retry, and the cause for `tenant show`. */
export function afterTenantFailure(state: TenantState, cause: string, now: Instant): TenantState {
  if (!("retryAt" in state)) return state;
  const attempt = state.attempt + 1;
  return { kind: state.kind, attempt, cause, retryAt: now + Math.min(30_000, 250 * 2 ** Math.min(attempt, 7)) };
}
