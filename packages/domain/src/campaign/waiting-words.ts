import type { Instant } from "../ports.ts";
import { type Campaign, type CampaignItem, countItems } from "./campaign.ts";
import type { CampaignWorld } from "./campaign-world.ts";

/** What a running campaign waits for, for people. */
export function waitingWords(
  { deadline }: Pick<Campaign, "deadline">,
  items: readonly CampaignItem[],
  { barred }: Pick<CampaignWorld, "barred">,
  now: Instant,
): { readonly waitingOn: string } {
  const counts = countItems(items);
  const parts: string[] = [];
  if (barred !== undefined) parts.push(barred);
  if (counts.moving > 0) parts.push(`${counts.moving} ${counts.moving === 1 ? "move" : "moves"} under way`);
  if (counts.planned > 0) parts.push(`${counts.planned} still to begin`);
  const blocked = items.filter(({ state }) => state.kind === "blocked");
  const [first] = blocked;
  if (first?.state.kind === "blocked") {
    const rest = blocked.length === 1 ? "" : `, and ${blocked.length - 1} more`;
    parts.push(`${blocked.length} that cannot go now: ${first.tenant}: ${first.state.why}${rest}`);
  }
  const isLate = deadline !== undefined && now > deadline;
  return { waitingOn: `${isLate ? "past its deadline, " : ""}${parts.join("; ")}` };
}
