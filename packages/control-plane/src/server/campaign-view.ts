import type { CampaignItemView, CampaignView } from "@stampyard/api";
import type { Campaign, CampaignItem, ItemCounts } from "@stampyard/domain";
import type { Revisioned } from "../store/port.ts";
import { time } from "./views.ts";

const noItems: ItemCounts = { planned: 0, blocked: 0, moving: 0, moved: 0, left: 0, kept: 0 };

export function campaignView(row: Revisioned<Campaign>, counts: ItemCounts | undefined, now: number): CampaignView {
  const { id, kind, subject, state, settings, deadline, waitingOn } = row.value;
  const isOpen = state.kind === "running" || state.kind === "paused" || state.kind === "cancelling";
  const why = "why" in state ? state.why : "cause" in state ? state.cause : undefined;
  return {
    id,
    kind,
    subject,
    phase: state.kind,
    ...(why === undefined ? {} : { why }),
    ...(waitingOn === undefined ? {} : { waitingOn }),
    ...(deadline === undefined ? {} : { deadline: time(deadline) }),
    late: isOpen && deadline !== undefined && now > deadline,
    settings: { ...settings, budget: { ...settings.budget } },
    tenants: { ...(counts ?? noItems) },
    revision: row.revision,
    createdAt: time(row.createdAt),
    updatedAt: time(row.updatedAt),
  };
}

export function campaignItemView({ tenant, from, state }: CampaignItem): CampaignItemView {
  return {
    tenant,
    from,
    phase: state.kind,
    ...("to" in state && state.to !== undefined ? { to: state.to } : {}),
    ...("move" in state ? { move: state.move } : {}),
    ...("why" in state ? { why: state.why } : {}),
    ...("until" in state && state.until !== undefined ? { until: time(state.until) } : {}),
  };
}
