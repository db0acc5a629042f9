import type { Instant } from "./ports.ts";

/** Phases of decision D5. `moving` and `suspended` join with their features. */
export type TenantState =
  | { readonly kind: "requested" }
  | { readonly kind: "placing" }
  | { readonly kind: "preparing"; readonly attempt: number; readonly retryAt: Instant; readonly cause?: string }
  | { readonly kind: "active" }
  | { readonly kind: "deleting"; readonly attempt: number; readonly retryAt: Instant; readonly cause?: string }
  | { readonly kind: "gone" };
export type TenantPhase = TenantState["kind"];

/** Where a tenant may go next. A tenant without a home is deleted at once; one with a home leaves its stamp first. */
export const tenantNext = {
  requested: ["placing", "preparing", "deleting"],
  placing: ["preparing", "deleting"],
  preparing: ["active", "deleting"],
  active: ["deleting"],
  deleting: ["gone"],
  gone: [],
} as const satisfies Record<TenantPhase, readonly TenantPhase[]>;

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
  readonly goal: "present" | "absent";
  /** Home stamp; its place is reserved from the moment this is set. */
  readonly stamp?: string;
  /** Rises with every change of owner, and never falls (I2). */
  readonly epoch: number;
  readonly waitingOn?: string;
}

export type TenantAction =
  | { readonly kind: "place" }
  | { readonly kind: "prepare"; readonly stamp: string; readonly epoch: number }
  | { readonly kind: "publish"; readonly stamp: string; readonly epoch: number }
  | { readonly kind: "withdraw" }
  | { readonly kind: "forget"; readonly stamp: string; readonly epoch: number };

export interface TenantPlan {
  readonly next: TenantState;
  /** In order; the first failure ends the turn, and the next turn starts over (every action is idempotent). */
  readonly actions: readonly TenantAction[];
  readonly waitingOn?: string;
}

/** Whether the tenant's home can be asked. */
export type HomeReadiness = "ready" | "not-ready";

export function planTenant(tenant: Tenant, home: HomeReadiness, now: Instant): TenantPlan {
  if (tenant.state.kind === "gone") return { next: tenant.state, actions: [] };
  if (tenant.goal === "absent") return planDeletion(tenant, home, now);
  switch (tenant.state.kind) {
    case "requested":
    case "placing":
      return {
        next: { kind: "placing" },
        actions: [{ kind: "place" }],
        waitingOn: `a free place in pool ${tenant.pool}`,
      };
    case "preparing":
      return planPreparing(tenant, tenant.state, home, now);
    case "active":
      return { next: tenant.state, actions: [] };
    case "deleting":
      return planDeletion(tenant, home, now);
  }
}

/** The stamp knows the tenant before the directory publishes it (I45). */
function planPreparing(
  tenant: Tenant,
  state: Extract<TenantState, { kind: "preparing" }>,
  home: HomeReadiness,
  now: Instant,
): TenantPlan {
  if (tenant.stamp === undefined) return { next: { kind: "placing" }, actions: [{ kind: "place" }] };
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

/** The mirror of preparing: routers stop sending first, then the stamp forgets. */
function planDeletion(tenant: Tenant, home: HomeReadiness, now: Instant): TenantPlan {
  if (tenant.stamp === undefined) return { next: { kind: "gone" }, actions: [{ kind: "withdraw" }] };
  const state =
    tenant.state.kind === "deleting" ? tenant.state : { kind: "deleting" as const, attempt: 0, retryAt: now };
  if (home === "not-ready") {
    return { next: state, actions: [{ kind: "withdraw" }], waitingOn: `stamp ${tenant.stamp} to be reachable` };
  }
  if (now < state.retryAt) return { next: state, actions: [], waitingOn: `retry of: ${state.cause ?? "deletion"}` };
  const { stamp, epoch } = tenant;
  return { next: { kind: "gone" }, actions: [{ kind: "withdraw" }, { kind: "forget", stamp, epoch }] };
}

/** The state after an action failed: the same phase, a later retry, and the cause for `tenant show`. */
export function afterTenantFailure(state: TenantState, cause: string, now: Instant): TenantState {
  if (state.kind !== "preparing" && state.kind !== "deleting") return state;
  const attempt = state.attempt + 1;
  return { kind: state.kind, attempt, cause, retryAt: now + Math.min(30_000, 250 * 2 ** Math.min(attempt, 7)) };
}
