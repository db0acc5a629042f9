import {
  type Campaign,
  campaignBounds,
  type CampaignSettings,
  isSame,
  maxPauseBounds,
  StampyardError,
  worstPauseMs,
} from "@stampyard/domain";
import type { CampaignInput } from "./campaign-port.ts";
import {
  insertCampaign,
  lockCampaign,
  newCampaignId,
  openList,
  putItems,
  tellCampaign,
  updateCampaign,
} from "./campaign-rows.ts";
import type { Revisioned } from "./records.ts";
import { audit, requireNormal, type Write } from "./write.ts";

/**
 * Begins a campaign, or changes the one of its subject that goes on.
 * @param options `keepsOpen`: one that goes on stays as it is; whoever began it knew better
 */
export async function startCampaign(
  w: Write,
  { kind, subject, settings, deadline, items }: CampaignInput,
  { keepsOpen = false }: { readonly keepsOpen?: boolean } = {},
): Promise<Revisioned<Campaign>> {
  requireSettings(settings);
  requireNormal(w);
  // Nobody starts another one of this subject meanwhile.
  await w.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 6205))", [`campaign ${kind} ${subject}`]);
  const { rows } = await w.query<{ id: string }>(
    `SELECT id FROM campaigns WHERE kind = $1 AND subject = $2 AND phase IN (${openList})`,
    [kind, subject],
  );
  const until = deadline === undefined ? {} : { deadline };
  const detail = { kind, subject, ...settings, ...until };
  const [open] = rows;
  if (open === undefined) {
    const campaign: Campaign = { id: newCampaignId(), kind, subject, state: { kind: "running" }, settings, ...until };
    const written = await insertCampaign(w, campaign);
    await putItems(w, campaign.id, items);
    await audit(w, "campaign.start", `campaign/${campaign.id}`, { ...detail, tenants: items.length });
    tellCampaign(w, campaign);
    return written;
  }
  const old = await lockCampaign(w, open.id);
  if (keepsOpen) return old;
  if (old.value.state.kind === "cancelling") {
    throw new StampyardError("WRONG_PHASE", `Campaign ${open.id} of ${subject} is being cancelled`, {
      mend: "Ask again when its moves have ended.",
    });
  }
  const { deadline: _, ...kept } = old.value;
  const changed: Campaign = { ...kept, settings, state: { kind: "running" }, ...until };
  if (isSame(changed, old.value)) return old;
  await audit(w, "campaign.change", `campaign/${open.id}`, detail);
  tellCampaign(w, changed);
  return updateCampaign(w, changed);
}

/** @throws StampyardError INVALID_REQUEST */
export function requireSettings({ maxPauseMs, wayBackMs, concurrency, perStamp, budget }: CampaignSettings): void {
  requireIn("The write pause", maxPauseMs, maxPauseBounds, " ms");
  requireIn("The way back", wayBackMs, campaignBounds.wayBackMs, " ms");
  requireIn("The number of moves at a time", concurrency, campaignBounds.concurrency);
  requireIn("The number of moves at a stamp", perStamp, campaignBounds.perStamp);
  requireIn("The budget of moves a day", budget.tries, campaignBounds.tries);
  const worst = worstPauseMs(maxPauseMs);
  if (Number.isInteger(budget.pauseMs) && budget.pauseMs >= worst) return;
  throw new StampyardError("INVALID_REQUEST", `A budget of ${budget.pauseMs} ms a day is not enough for one move`, {
    mend: `A move may try its switch several times, ${worst} ms in all at this pause: raise the budget, or lower the pause.`,
  });
}

function requireIn(what: string, value: number, { least, most }: { least: number; most: number }, unit = ""): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new StampyardError("INVALID_REQUEST", `${what} is ${value}${unit}`, {
    mend: `Give a whole number from ${least} to ${most}.`,
  });
}
