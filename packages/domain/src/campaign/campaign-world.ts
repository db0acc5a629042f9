import type { PlacementCandidate, PlacementRequest, PlacementSettings } from "../placement/candidate.ts";
import type { Instant } from "../ports.ts";
import type { MovePhase } from "../move/move.ts";
import type { StampGoal } from "../stamp.ts";
import type { TenantPhase } from "../tenant.ts";

/** All that a turn of a campaign is decided by. */
export interface CampaignWorld {
  /** The stamp that is drained; absent for a pool, and for a stamp that is gone. */
  readonly stamp?: { readonly goal: StampGoal; readonly deadline?: Instant };
  /** Of a drain all that live on the stamp, of a rebalancing those that its items name. */
  readonly tenants: readonly CampaignTenant[];
  /** Every stamp as placement sees it: what is on its way in and what may come back is in `used` (decision D19). */
  readonly candidates: readonly PlacementCandidate[];
  readonly settingsOf: (pool: string) => PlacementSettings;
  /** Of these tenants: all that have not ended, and those of the last 24 hours. */
  readonly moves: readonly CampaignMove[];
  /** Moves under way by stamp, as source or target, whoever asked for them. */
  readonly atWork: ReadonlyMap<string, number>;
  /** Why no tenant can move at all now. */
  readonly barred?: string;
}

export interface CampaignTenant {
  readonly key: string;
  readonly stamp: string;
  readonly phase: TenantPhase;
  readonly goal: "present" | "suspended" | "absent";
  /** What it asks of its next home. */
  readonly request: PlacementRequest;
  /** Why it may live nowhere. */
  readonly barred?: string;
}

export interface CampaignMove {
  readonly id: string;
  readonly tenant: string;
  readonly from: string;
  readonly to: string;
  readonly phase: MovePhase;
  readonly campaign?: string;
  /** When its way back ends. */
  readonly restsUntil?: Instant;
  readonly startedAt: Instant;
  /** When it was written last; of an ended move, its end. */
  readonly changedAt: Instant;
  /** Write pauses of the last 24 hours that it made, in milliseconds. */
  readonly pausedMs: number;
  /** Of an aborted one. */
  readonly cause?: string;
}
