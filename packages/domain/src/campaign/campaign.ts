import { defaultMaxPauseMs, defaultRestMs, mostSwitches } from "../move/move.ts";
import type { Instant } from "../ports.ts";

/** Moves of many tenants with one aim: to empty a stamp, or to even out a pool. Planned first, then a few at a time. */
export interface Campaign {
  /** `cp-…`. */
  readonly id: string;
  readonly kind: CampaignKind;
  /** The stamp to be emptied, or the pool to be evened out. */
  readonly subject: string;
  readonly state: CampaignState;
  readonly settings: CampaignSettings;
  /** When it should have ended. Nothing happens by itself then, but it is said. */
  readonly deadline?: Instant;
  readonly waitingOn?: string;
}

export type CampaignKind = "drain" | "rebalance";

export type CampaignState =
  | { readonly kind: "running" }
  /** No move begins; those that are under way end as they would have. */
  | { readonly kind: "paused" }
  /** Moves that can be taken back are; the others end. */
  | { readonly kind: "cancelling"; readonly why: string }
  | { readonly kind: "cancelled"; readonly why: string }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly cause: string };
export type CampaignPhase = CampaignState["kind"];

/** Where a campaign may go next. Nothing comes back from its end: the same wish again is another campaign. */
export const campaignNext = {
  running: ["paused", "cancelling", "done", "failed"],
  paused: ["running", "cancelling", "done", "failed"],
  cancelling: ["cancelled", "done", "failed"],
  cancelled: [],
  done: [],
  failed: [],
} as const satisfies Record<CampaignPhase, readonly CampaignPhase[]>;

export const endedCampaigns: readonly CampaignPhase[] = ["cancelled", "done", "failed"];

export interface CampaignSettings {
  /** Longest write pause of one try to switch, in milliseconds. */
  readonly maxPauseMs: number;
  /** How long a tenant's old copy is kept as a way back, in milliseconds; 0 = not at all. */
  readonly wayBackMs: number;
  /** Moves of this campaign at a time. */
  readonly concurrency: number;
  /** Moves at a time that touch one stamp, other campaigns' included; the stamp that is drained does not count. */
  readonly perStamp: number;
  readonly budget: PauseBudget;
  /** Ways back that stand in the way are ended, instead of waited for. */
  readonly finishWaysBack: boolean;
}

/** What one tenant is put through within any 24 hours, whoever moves it. */
export interface PauseBudget {
  /** Sum of its write pauses in milliseconds, also of tries that were given up. */
  readonly pauseMs: number;
  /** Moves begun. */
  readonly tries: number;
}

export const campaignBounds = {
  concurrency: { least: 1, most: 64 },
  perStamp: { least: 1, most: 64 },
  tries: { least: 1, most: 100 },
  /** 30 days. */
  wayBackMs: { least: 0, most: 2_592_000_000 },
} as const;

/** A move may pause its tenant so often, and so long each time, before it gives up. */
export function worstPauseMs(maxPauseMs: number): number {
  return maxPauseMs * mostSwitches;
}

/** What was not asked for. Two moves of the worst kind fit into the budget of a day, whatever pause is allowed. */
export function campaignSettings(
  asked: Partial<Omit<CampaignSettings, "budget">> & { readonly budget?: Partial<PauseBudget> },
): CampaignSettings {
  const { maxPauseMs = defaultMaxPauseMs, concurrency = 2 } = asked;
  return {
    maxPauseMs,
    wayBackMs: asked.wayBackMs ?? defaultRestMs,
    concurrency,
    perStamp: asked.perStamp ?? Math.max(2, concurrency),
    budget: { pauseMs: asked.budget?.pauseMs ?? 2 * worstPauseMs(maxPauseMs), tries: asked.budget?.tries ?? 3 },
    finishWaysBack: asked.finishWaysBack ?? false,
  };
}

/** One tenant of a campaign. */
export interface CampaignItem {
  readonly tenant: string;
  readonly from: string;
  readonly state: ItemState;
}

export type ItemState =
  | { readonly kind: "planned"; readonly to: string; readonly refusals?: number }
  /** It cannot go now, and why; looked at again every turn. */
  | {
      readonly kind: "blocked";
      readonly why: string;
      readonly to?: string;
      readonly until?: Instant;
      /** How often its move was refused when it was to begin. */
      readonly refusals?: number;
    }
  | { readonly kind: "moving"; readonly to: string; readonly move: string }
  | { readonly kind: "moved"; readonly to: string; readonly move: string }
  /** It lives there no more, by no move of this campaign: deleted, or moved by somebody. */
  | { readonly kind: "left" }
  /** It stays where it is. */
  | { readonly kind: "kept"; readonly why: string };
export type ItemPhase = ItemState["kind"];

export const endedItems: readonly ItemPhase[] = ["moved", "left", "kept"];

export type ItemCounts = Readonly<Record<ItemPhase, number>>;

export function countItems(items: Iterable<Pick<CampaignItem, "state">>): ItemCounts {
  const counts = { planned: 0, blocked: 0, moving: 0, moved: 0, left: 0, kept: 0 };
  for (const { state } of items) counts[state.kind] += 1;
  return counts;
}
