import type { UnitVector } from "../capacity.ts";
import type { Pool, ResidencyRule } from "../fleet.ts";
import type { Instant } from "../ports.ts";
import type { StampGoal, StampPhase } from "../stamp.ts";

/** All that the plan of a pool is made from. */
export interface PoolState {
  readonly pool: Pool;
  /** Every stamp of the pool that is not gone. */
  readonly stamps: readonly PoolStamp[];
  /** Tenants without a home, oldest first. One that is pinned waits for its stamp, and is not among them. */
  readonly waiting: readonly WaitingTenant[];
  /**
   * Tenants of stamps that are drained, where each needs a new stamp of its own: the pool is dedicated, and they can be
   * moved. @default none
   */
  readonly leaving?: readonly WaitingTenant[];
  /** Samples of what the pool carried, in any order. Those from the future (a clock was set back) do not count. */
  readonly history: readonly GrowthSample[];
  /** What a new stamp will hold. */
  readonly newLimits: UnitVector;
  readonly residency?: readonly ResidencyRule[];
  /** How long the last stamps took to build, in milliseconds; `growth.buildTimeMs` of the pool wins over it. */
  readonly buildTimeMs?: number;
  /** Whether tenants can be moved without a person, so that a stamp that has some can be drained. @default false */
  readonly canMove?: boolean;
  /** Why nothing may be changed now. */
  readonly frozen?: string;
}

export interface PoolStamp {
  readonly name: string;
  readonly region: string;
  readonly phase: StampPhase;
  readonly goal: StampGoal;
  readonly limits: UnitVector;
  readonly used: UnitVector;
  /**
   * What those take that live there and have no place elsewhere yet, without ways back that are kept; known of drained
   * stamps. @default `used`
   */
  readonly residents?: UnitVector;
  readonly reservedFor?: string;
  readonly adopted?: boolean;
  /** It holds quarantined tenants only. */
  readonly quarantined?: boolean;
  /** Failed attempts to build it, one after the other. @default 0 */
  readonly attempts?: number;
  /** It is drained because the pool needs it no more, and not by an operator's word. */
  readonly scalingDown?: boolean;
}

export interface WaitingTenant {
  readonly key: string;
  /** Regions it may live in, residency rules applied; empty = any. */
  readonly regions: readonly string[];
  readonly weight: UnitVector;
  /** It shares a stamp with other quarantined tenants only. */
  readonly quarantined?: boolean;
  /** Why residency rules leave it no region at all: the rules have changed since it came. */
  readonly conflict?: string;
}

export interface GrowthSample {
  readonly at: Instant;
  readonly used: UnitVector;
}

export interface PoolPlan {
  /** Stamps to build now. */
  readonly create: readonly NextStamp[];
  /** What the pool lets the platform do by itself with stamps that it needs no more, or needs again. */
  readonly steps: readonly ScaleStep[];
  /** The pool evens itself out now, by moves. */
  readonly rebalance?: PoolRebalance;
  /** What it does not: a person decides. */
  readonly proposals: readonly PoolProposal[];
  readonly alerts: readonly PoolAlert[];
  /** Why the pool does not grow, or what it waits for. */
  readonly waitingOn?: string;
  readonly forecast: PoolForecast;
}

export interface NextStamp {
  readonly region: string;
  /** Key of the one tenant that it is built for. */
  readonly reservedFor?: string;
  readonly why: string;
}

export interface ScaleStep {
  /** `recall` takes back a drain that scaling down had begun. */
  readonly kind: "drain" | "destroy" | "recall";
  readonly stamp: string;
  readonly why: string;
}

/** `id` is the same as long as the pool proposes the same. */
export type PoolProposal =
  | ({ readonly id: string; readonly kind: "grow" } & NextStamp)
  | {
      readonly id: string;
      readonly kind: "scale-down";
      readonly stamp: string;
      readonly step: "drain" | "destroy";
      readonly why: string;
    }
  | PoolRebalance;

export interface PoolRebalance {
  readonly id: string;
  readonly kind: "rebalance";
  readonly from: string;
  readonly to: string;
  readonly unit: string;
  /** How much of the unit should go. */
  readonly amount: number;
  readonly why: string;
}

export interface PoolAlert {
  readonly kind: "at-max" | "too-big" | "no-region" | "stuck" | "over" | "late";
  readonly text: string;
}

export interface PoolForecast {
  /** The tightest unit of the pool, with those that wait. */
  readonly unit: string;
  readonly share: number;
  /** Growth by unit; only what grows. Empty while there is too little history. */
  readonly perDay: UnitVector;
  /** How long the history is, in milliseconds. */
  readonly basedOnMs: number;
  readonly buildTimeMs: number;
  /** When the pool is full at this rate, in milliseconds from now. */
  readonly fullInMs?: number;
  /** When the next stamp must be ordered, in milliseconds from now; 0 = now. */
  readonly orderInMs?: number;
}
