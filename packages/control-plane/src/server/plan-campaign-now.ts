import type { CampaignPlanView } from "@stampyard/api";
import {
  type Campaign,
  type CampaignItem,
  campaignSettings,
  type CampaignSettings,
  type CampaignWorld,
  estimateCampaign,
  planCampaign,
  planRebalance,
  quote,
  StampyardError,
} from "@stampyard/domain";
import type { Store } from "../store/port.ts";
import { campaignItemView } from "./campaign-view.ts";

export interface PlannedCampaign {
  readonly items: readonly CampaignItem[];
  readonly view: CampaignPlanView;
}

/** What a campaign of this subject would be if it began now. Changes nothing. @throws StampyardError STAMP_NOT_FOUND, POOL_NOT_FOUND */
export async function planCampaignNow(
  store: Store,
  { kind, subject }: Pick<Campaign, "kind" | "subject">,
  settings: CampaignSettings,
  now: number,
): Promise<PlannedCampaign> {
  if (kind === "rebalance") await requirePool(store, subject);
  const world = await store.campaigns.world({ kind, subject });
  const planned =
    kind === "drain" ? drainNow(subject, settings, world, now) : planRebalance(subject, world.tenants, world);
  const going = planned.items.filter(({ state }) => state.kind === "planned").map(({ tenant }) => tenant);
  const { past, bytes } = await store.campaigns.measured(going);
  const sizes = going.map((tenant) => {
    const size = bytes.get(tenant);
    return size === undefined ? {} : { bytes: size };
  });
  const estimate = estimateCampaign(sizes, past, settings.concurrency);
  const [open] = (await store.campaigns.list({ kind, subject, isOpen: true, limit: 1 })).items;
  return {
    items: planned.items,
    view: {
      kind,
      subject,
      items: planned.items.map(campaignItemView),
      shares: "shares" in planned ? planned.shares.map((share) => ({ ...share })) : [],
      unmet: "unmet" in planned ? planned.unmet.map((one) => ({ ...one })) : [],
      settings: { ...settings, budget: { ...settings.budget } },
      ...(world.barred === undefined ? {} : { barred: world.barred }),
      ...(estimate === undefined ? {} : { estimate }),
      ...(open === undefined ? {} : { open: open.value.id }),
    },
  };
}

/** As its first turn would plan it, with budgets and ways back; only the stamp is not drained yet. */
function drainNow(subject: string, settings: CampaignSettings, world: CampaignWorld, now: number) {
  const campaign: Campaign = { id: "cp-0", kind: "drain", subject, state: { kind: "running" }, settings };
  const candidates = world.candidates.map((candidate) => {
    return candidate.name === subject ? { ...candidate, phase: "draining" as const } : candidate;
  });
  return planCampaign(campaign, [], { ...world, candidates, stamp: { goal: "drained" } }, now);
}

async function requirePool(store: Store, pool: string): Promise<void> {
  const fleet = await store.fleet.read();
  const pools = (fleet?.value.fleet.pools ?? []).map(({ name }) => name);
  if (pools.includes(pool)) return;
  throw new StampyardError("POOL_NOT_FOUND", `No pool ${quote(pool)}`, {
    mend: pools.length === 0 ? "Apply a fleet first." : `Use one of: ${pools.join(", ")}.`,
  });
}

/** Settings as a request names them. */
export interface AskedSettings {
  readonly concurrency?: number | undefined;
  readonly perStamp?: number | undefined;
  readonly maxPauseMs?: number | undefined;
  readonly wayBackMs?: number | undefined;
  readonly pauseBudgetMs?: number | undefined;
  readonly triesPerDay?: number | undefined;
  readonly finishWaysBack?: boolean | undefined;
}

export function settingsOf(asked: AskedSettings): CampaignSettings {
  const { concurrency, perStamp, maxPauseMs, wayBackMs, pauseBudgetMs, triesPerDay, finishWaysBack } = asked;
  return campaignSettings({
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(perStamp === undefined ? {} : { perStamp }),
    ...(maxPauseMs === undefined ? {} : { maxPauseMs }),
    ...(wayBackMs === undefined ? {} : { wayBackMs }),
    ...(finishWaysBack === undefined ? {} : { finishWaysBack }),
    budget: {
      ...(pauseBudgetMs === undefined ? {} : { pauseMs: pauseBudgetMs }),
      ...(triesPerDay === undefined ? {} : { tries: triesPerDay }),
    },
  });
}
