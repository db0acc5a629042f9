import { type Campaign, estimateCampaign, quote, StampyardError } from "@stampyard/domain";
import type { CampaignCommand, Revisioned } from "../../store/port.ts";
import type { Call, Handlers } from "../call.ts";
import { campaignItemView, campaignView } from "../campaign-view.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { mapPage, storePage } from "../paging.ts";
import { type AskedSettings, planCampaignNow, settingsOf } from "../plan-campaign-now.ts";
import { time } from "../views.ts";
import { revisionOf } from "./tenants.ts";

type Names = Extract<keyof Handlers, `campaign${string}`>;
type Commands = "campaignPause" | "campaignResume" | "campaignCancel";

/** More would be no different for a reader. */
const mostResting = 1_000;

export function campaignHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store, clock } = deps;
  const viewOf = async (row: Revisioned<Campaign>) => {
    const counts = await store.campaigns.counts([row.value.id]);
    return campaignView(row, counts.get(row.value.id), clock.now());
  };
  const commanded = async (call: Call<Commands>, command: CampaignCommand) => {
    const ctx = writeContext(deps, call, call.body.reason);
    return viewOf(await store.campaigns.command(call.params.id, command, revisionOf(call.ifMatch), ctx));
  };
  const planned = async (kind: Campaign["kind"], subject: string, asked: AskedSettings) => {
    const { view } = await planCampaignNow(store, { kind, subject }, settingsOf(asked), clock.now());
    return view;
  };

  return {
    campaignPlanDrain: ({ params, query }) => planned("drain", params.name, query),
    campaignPlanRebalance: ({ params, query }) => planned("rebalance", params.name, query),
    async campaignRebalance(call) {
      const { reason, ...asked } = call.body;
      return viewOf(await startRebalance(deps, call, call.params.name, asked, reason));
    },
    async campaignList({ query }) {
      const { kind, subject, phase, open } = query;
      const page = await store.campaigns.list({
        ...storePage(query),
        ...(kind === undefined ? {} : { kind }),
        ...(subject === undefined ? {} : { subject }),
        ...(phase === undefined ? {} : { phase }),
        ...(open ? { isOpen: true } : {}),
      });
      const counts = await store.campaigns.counts(page.items.map(({ value }) => value.id));
      return mapPage(page, (row) => campaignView(row, counts.get(row.value.id), clock.now()));
    },
    async campaignGet({ params }) {
      const row = await requireCampaign(deps, params.id);
      const { items } = await store.moves.list({ campaign: params.id, phase: "resting", limit: mostResting });
      const until = items.map(({ value }) => (value.state.kind === "resting" ? value.state.until : 0));
      const left = await leftOf(deps, row.value);
      return {
        ...(await viewOf(row)),
        waysBack: { count: items.length, ...(until.length === 0 ? {} : { until: time(Math.max(...until)) }) },
        ...(left === undefined ? {} : { left }),
      };
    },
    async campaignItems({ params, query }) {
      await requireCampaign(deps, params.id);
      return mapPage(await store.campaigns.items(params.id, storePage(query)), campaignItemView);
    },
    campaignPause: (call) => commanded(call, "pause"),
    campaignResume: (call) => commanded(call, "resume"),
    campaignCancel: (call) => commanded(call, "cancel"),
  };
}

/** @throws StampyardError POOL_NOT_FOUND; WRONG_PHASE when nothing can be moved, or nothing would be better */
export async function startRebalance(
  deps: ServerDeps,
  call: Parameters<typeof writeContext>[1],
  pool: string,
  asked: Parameters<typeof settingsOf>[0],
  reason: string | undefined,
): Promise<Revisioned<Campaign>> {
  const settings = settingsOf(asked);
  const ctx = writeContext(deps, call, reason);
  const { items, view } = await planCampaignNow(
    deps.store,
    { kind: "rebalance", subject: pool },
    settings,
    deps.clock.now(),
  );
  if (view.barred !== undefined) throw cannotMove(view.barred);
  if (items.length === 0 && view.open === undefined) {
    const [unmet] = view.unmet;
    throw new StampyardError("WRONG_PHASE", `Pool ${pool} is as even as moves can make it`, {
      mend:
        unmet === undefined
          ? "There is nothing to do."
          : `Stamp ${unmet.stamp}: ${unmet.why}. Add a stamp, or raise the pool's capacity.`,
    });
  }
  return deps.store.campaigns.start({ kind: "rebalance", subject: pool, settings, items }, ctx);
}

export function cannotMove(barred: string): StampyardError {
  return new StampyardError("WRONG_PHASE", `Tenants of this fleet cannot be moved: ${barred}`, {
    mend: "Declare tenancy by rows and fence: enforce in the template, and apply it.",
  });
}

async function requireCampaign({ store }: ServerDeps, id: string): Promise<Revisioned<Campaign>> {
  const row = await store.campaigns.read(id);
  if (row !== undefined) return row;
  throw new StampyardError("NOT_FOUND", `No campaign ${quote(id)}`, { mend: "See stampyard campaign list." });
}

/** How long the rest takes; undefined while nothing was measured, and when it has ended. */
async function leftOf({ store }: ServerDeps, { id, state, settings }: Campaign) {
  if (state.kind !== "running" && state.kind !== "paused") return undefined;
  const items = await store.campaigns.allItems(id);
  const left = items
    .filter((item) => item.state.kind === "planned" || item.state.kind === "moving")
    .map(({ tenant }) => tenant);
  const { past, bytes } = await store.campaigns.measured(left);
  const sizes = left.map((tenant) => {
    const size = bytes.get(tenant);
    return size === undefined ? {} : { bytes: size };
  });
  return estimateCampaign(sizes, past, settings.concurrency);
}
