import type { CampaignDetailView, CampaignItemView, CampaignPlanView, CampaignView } from "@stampyard/api";
import { percent } from "../../output/bar.ts";
import { counted, durationText } from "../../output/quantity.ts";
import { age, fields, table } from "../../output/table.ts";

export function campaignTable(campaigns: readonly CampaignView[], nowMs: number): string {
  if (campaigns.length === 0) return "No campaigns\n";
  return table(
    ["campaign", "kind", "of", "phase", "moved", "under way", "to go", "age", "waiting on"],
    campaigns.map((campaign) => [
      campaign.id,
      campaign.kind,
      campaign.subject,
      campaign.phase,
      doneOf(campaign),
      campaign.tenants.moving,
      campaign.tenants.planned + campaign.tenants.blocked,
      age(Date.parse(campaign.createdAt), nowMs),
      campaign.why ?? campaign.waitingOn,
    ]),
  );
}

/** Those that are where they should be, by whatever way. */
export function doneOf({ tenants }: Pick<CampaignView, "tenants">): number {
  return tenants.moved + tenants.left;
}

export function allOf({ tenants }: Pick<CampaignView, "tenants">): number {
  return Object.values(tenants).reduce((sum, count) => sum + count, 0);
}

/** `3 of 5 moved, 2 under way, 1 that cannot go now`. */
export function progressText(campaign: Pick<CampaignView, "tenants">): string {
  const { moving, blocked, kept } = campaign.tenants;
  const parts = [
    `${doneOf(campaign)} of ${allOf(campaign)} moved`,
    ...(moving > 0 ? [`${moving} under way`] : []),
    ...(blocked > 0 ? [`${blocked} that cannot go now`] : []),
    ...(kept > 0 ? [`${kept} kept where they are`] : []),
  ];
  return parts.join(", ");
}

export function campaignText(campaign: CampaignDetailView, items: readonly CampaignItemView[]): string {
  const { settings, waysBack, left } = campaign;
  const head = fields([
    ["Campaign", campaign.id],
    ["Kind", campaign.kind],
    [campaign.kind === "drain" ? "Stamp" : "Pool", campaign.subject],
    ["Phase", campaign.phase],
    ["Why", campaign.why],
    ["Waiting on", campaign.waitingOn],
    ["Progress", progressText(campaign)],
    ["Left about", left === undefined ? undefined : `${durationText(left.ms)} (by ${left.basis})`],
    [
      "Deadline",
      campaign.deadline === undefined ? undefined : `${campaign.deadline}${campaign.late ? ", which has passed" : ""}`,
    ],
    ["Settings", settingsText(settings)],
    ["Ways back", waysBack.count === 0 ? undefined : `${counted(waysBack.count, "move")} until ${waysBack.until}`],
    ["Begun", campaign.createdAt],
    ["Changed", campaign.updatedAt],
  ]);
  return `${head}${items.length === 0 ? "" : `\n${itemTable(items)}`}`;
}

function settingsText({ concurrency, maxPauseMs, wayBackMs, budget }: CampaignView["settings"]): string {
  const wayBack = wayBackMs === 0 ? "no way back" : `way back ${durationText(wayBackMs)}`;
  const perDay = `of a tenant a day ${counted(budget.tries, "move")} and ${durationText(budget.pauseMs)} of pauses`;
  return `${counted(concurrency, "move")} at a time, pause at most ${durationText(maxPauseMs)}, ${wayBack}, ${perDay}`;
}

export function itemTable(items: readonly CampaignItemView[]): string {
  const rows = items.map((item) => [item.tenant, item.from, item.to, item.phase, item.move, item.why]);
  return table(["tenant", "from", "to", "phase", "move", "why"], rows);
}

/** Who goes where, what does not fit and why, and how long it takes. */
export function planText(plan: CampaignPlanView): string {
  const { items, shares, unmet, barred, estimate, settings, open } = plan;
  const going = items.filter(({ to, phase }) => phase === "planned" && to !== undefined);
  const head = fields([
    [plan.kind === "drain" ? "Stamp" : "Pool", plan.subject],
    [
      "Tenants",
      `${going.length} to move${items.length > going.length ? `, ${items.length - going.length} that cannot go now` : ""}`,
    ],
    [
      "Takes about",
      estimate === undefined
        ? "unknown: no move of this fleet was measured yet"
        : `${durationText(estimate.ms)} (by ${estimate.basis})`,
    ],
    ["Settings", settingsText(settings)],
    ["Goes on", open],
    ["Refused", barred],
  ]);
  const rows =
    items.length === 0
      ? ""
      : `\n${table(
          ["tenant", "from", "to", "why not"],
          items.map((item) => [item.tenant, item.from, item.phase === "planned" ? item.to : undefined, item.why]),
        )}`;
  const changed = shares.filter(({ before, after }) => before !== after);
  const even =
    changed.length === 0
      ? ""
      : `\n${table(
          ["stamp", "full now", "full then"],
          changed.map(({ stamp, before, after }) => [stamp, percent(before), percent(after)]),
        )}`;
  const rest = unmet.map(({ stamp, why }) => `\nstamp ${stamp}: ${why}\n`).join("");
  return `${head}${rows}${even}${rest}`;
}
