import type {
  Campaign,
  CampaignItem,
  CampaignKind,
  CampaignPhase,
  CampaignSettings,
  CampaignWorld,
  Instant,
  ItemCounts,
  PastMove,
} from "@stampyard/domain";
import type { Page, PageOptions, Revisioned, WriteContext } from "./records.ts";

export interface CampaignInput {
  readonly kind: CampaignKind;
  /** A stamp, or a pool. */
  readonly subject: string;
  readonly settings: CampaignSettings;
  readonly deadline?: Instant;
  /** Its first plan, in the order in which they are to go. */
  readonly items: readonly CampaignItem[];
}

/** Without an id: as it would be if it began now. */
export type CampaignSubject = Pick<Campaign, "kind" | "subject"> & { readonly id?: string };

export interface CampaignFilter {
  readonly kind?: CampaignKind;
  readonly subject?: string;
  readonly phase?: CampaignPhase;
  /** Only those that have not ended. */
  readonly isOpen?: boolean;
}

export type CampaignCommand = "pause" | "resume" | "cancel";

/** Campaigns of moves; see `Store` for what every write has in common. */
export interface CampaignStore {
  read(id: string): Promise<Revisioned<Campaign> | undefined>;
  /** Newest first. */
  list(options?: PageOptions & CampaignFilter): Promise<Page<Revisioned<Campaign>>>;
  /** In the order in which they are to go. */
  items(id: string, page?: PageOptions): Promise<Page<CampaignItem>>;
  allItems(id: string): Promise<readonly CampaignItem[]>;
  counts(ids: readonly string[]): Promise<ReadonlyMap<string, ItemCounts>>;
  /**
   * Begins a campaign. Of an open one for the same subject it changes settings and deadline, and lets it go on if it was
   * paused; what it has planned stays.
   * @throws StampyardError INVALID_REQUEST for settings out of bounds; WRONG_PHASE for one that is being cancelled
   */
  start(input: CampaignInput, ctx: WriteContext): Promise<Revisioned<Campaign>>;
  /** As `start`, but an open one for the same subject stays as it is: somebody has begun it meanwhile, with settings. */
  begin(input: CampaignInput, ctx: WriteContext): Promise<Revisioned<Campaign>>;
  /**
   * Writes state, waitingOn and the items that differ. A new phase must follow `campaignNext` (WRONG_PHASE); when only
   * the rest differs, no audit row is written.
   */
  write(
    campaign: Campaign,
    revision: number,
    items: readonly CampaignItem[],
    ctx: WriteContext,
  ): Promise<Revisioned<Campaign>>;
  /** Idempotent. @throws StampyardError NOT_FOUND; WRONG_PHASE once it has ended, or for a `resume` while it is cancelled */
  command(
    id: string,
    command: CampaignCommand,
    options: { readonly revision?: number },
    ctx: WriteContext,
  ): Promise<Revisioned<Campaign>>;
  /** Ids of all that have not ended. */
  open(): Promise<readonly string[]>;
  /** Drained stamps with tenants for which no campaign was begun since somebody wanted that. */
  undrained(): Promise<readonly { readonly stamp: string; readonly deadline?: Instant; readonly reason?: string }[]>;
  /**
   * All that a turn is decided by. Of a rebalancing the tenants that are named; without names, those of the whole pool.
   * @throws StampyardError STAMP_NOT_FOUND for a drain only when neither stamp nor tenants are there
   */
  world(subject: CampaignSubject, tenants?: readonly string[]): Promise<CampaignWorld>;
  /** The last moves of this fleet, and what the last move of each of these tenants has counted, for estimates. */
  measured(tenants: readonly string[]): Promise<{
    readonly past: readonly PastMove[];
    readonly bytes: ReadonlyMap<string, number>;
  }>;
}
