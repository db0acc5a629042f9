import {
  type Campaign,
  type CampaignItem,
  campaignNext,
  type CampaignPhase,
  type CampaignState,
  endedCampaigns,
  isSame,
  type ItemCounts,
  type ItemState,
  StampyardError,
} from "@stampyard/domain";
import { campaignWorld, measuredMoves, undrainedStamps } from "./campaign-facts.ts";
import type { CampaignCommand, CampaignStore } from "./campaign-port.ts";
import { startCampaign } from "./campaign-start.ts";
import {
  campaignColumns,
  type CampaignRow,
  type ItemRow,
  lockCampaign,
  openList,
  putItems,
  tellCampaign,
  toCampaign,
  toItem,
  updateCampaign,
} from "./campaign-rows.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import {
  audit,
  numericCursor,
  pageLimit,
  pageOf,
  requireNormal,
  staleRevision,
  type StoreBase,
  write,
} from "./write.ts";

export function campaignStore(base: StoreBase): CampaignStore {
  const { db } = base;
  return {
    async read(id) {
      const { rows } = await db.query<CampaignRow>(`SELECT ${campaignColumns} FROM campaigns WHERE id = $1`, [id]);
      return rows[0] === undefined ? undefined : toCampaign(rows[0]);
    },
    async list(options = {}) {
      const limit = pageLimit(options.limit);
      const { kind, subject, phase, isOpen, cursor } = options;
      const { rows } = await db.query<CampaignRow>(
        `SELECT ${campaignColumns} FROM campaigns
         WHERE ($1::bigint IS NULL OR number < $1) AND ($2::text IS NULL OR kind = $2)
           AND ($3::text IS NULL OR subject = $3) AND ($4::text IS NULL OR phase = $4)
           AND ($5::boolean IS NULL OR $5 = (phase IN (${openList})))
         ORDER BY number DESC LIMIT $6`,
        [numericCursor(cursor) ?? null, kind ?? null, subject ?? null, phase ?? null, isOpen ?? null, limit + 1],
      );
      const { items, nextCursor } = pageOf<CampaignRow>(rows, limit, (row) => String(row.number));
      return { items: items.map(toCampaign), ...(nextCursor === undefined ? {} : { nextCursor }) };
    },
    async items(id, page = {}) {
      const limit = pageLimit(page.limit);
      const { rows } = await db.query<ItemRow>(
        `SELECT tenant, place, from_stamp, state FROM campaign_items WHERE campaign = $1 AND place > $2
         ORDER BY place LIMIT $3`,
        [id, numericCursor(page.cursor) ?? 0, limit + 1],
      );
      const { items, nextCursor } = pageOf<ItemRow>(rows, limit, (row) => String(row.place));
      return { items: items.map(toItem), ...(nextCursor === undefined ? {} : { nextCursor }) };
    },
    async allItems(id) {
      const { rows } = await db.query<ItemRow>(
        "SELECT tenant, place, from_stamp, state FROM campaign_items WHERE campaign = $1 ORDER BY place, tenant",
        [id],
      );
      return rows.map(toItem);
    },
    async counts(ids) {
      const { rows } = await db.query<{ campaign: string; phase: ItemState["kind"]; items: number }>(
        "SELECT campaign, phase, count(*) AS items FROM campaign_items WHERE campaign = ANY ($1) GROUP BY 1, 2",
        [[...ids]],
      );
      const counts = new Map<string, ItemCounts>();
      for (const { campaign, phase, items } of rows) {
        counts.set(campaign, { ...(counts.get(campaign) ?? noItems), [phase]: items });
      }
      return counts;
    },
    start: (input, ctx) => write(base, ctx, (w) => startCampaign(w, input)),
    begin: (input, ctx) => write(base, ctx, (w) => startCampaign(w, input, { keepsOpen: true })),
    write: (campaign, revision, items, ctx) => writeCampaign(base, campaign, revision, items, ctx),
    command: (id, command, options, ctx) => commandCampaign(base, id, command, options, ctx),
    async open() {
      const { rows } = await db.query<{ id: string }>(
        `SELECT id FROM campaigns WHERE phase IN (${openList}) ORDER BY number`,
      );
      return rows.map((row) => row.id);
    },
    undrained: () => undrainedStamps(db),
    world: (subject, tenants) => campaignWorld(base, subject, tenants),
    measured: (tenants) => measuredMoves(db, tenants),
  };
}

const noItems: ItemCounts = { planned: 0, blocked: 0, moving: 0, moved: 0, left: 0, kept: 0 };

function writeCampaign(
  base: StoreBase,
  wanted: Campaign,
  revision: number,
  items: readonly CampaignItem[],
  ctx: WriteContext,
): Promise<Revisioned<Campaign>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockCampaign(w, wanted.id);
    if (old.revision !== revision) throw staleRevision(`Campaign ${wanted.id}`, revision, old.revision);
    const { waitingOn: _, ...kept } = old.value;
    const waitingOn = wanted.waitingOn === undefined ? {} : { waitingOn: wanted.waitingOn };
    const campaign: Campaign = { ...kept, state: wanted.state, ...waitingOn };
    await putItems(w, wanted.id, items);
    if (isSame(campaign, old.value)) return old;
    const from = old.value.state.kind;
    const to = campaign.state.kind;
    const allowed: readonly CampaignPhase[] = campaignNext[from];
    if (from !== to) {
      if (!allowed.includes(to)) throw wrongPhase(campaign.id, from, `to become ${to}`);
      await audit(w, `campaign.${to}`, `campaign/${campaign.id}`, { ...campaign.state });
    }
    tellCampaign(w, campaign);
    return updateCampaign(w, campaign);
  });
}

function commandCampaign(
  base: StoreBase,
  id: string,
  command: CampaignCommand,
  { revision }: { readonly revision?: number },
  ctx: WriteContext,
): Promise<Revisioned<Campaign>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockCampaign(w, id);
    if (revision !== undefined && revision !== old.revision) {
      throw staleRevision(`Campaign ${id}`, revision, old.revision);
    }
    const { waitingOn: _, ...kept } = old.value;
    const from = kept.state.kind;
    const state = stateAfter(command, ctx);
    if (from === state.kind || (command === "cancel" && from === "cancelled")) return old;
    if (endedCampaigns.includes(from) || from === "cancelling") throw wrongPhase(id, from, `to be ${pastOf[command]}`);
    await audit(w, `campaign.${command}`, `campaign/${id}`);
    const campaign: Campaign = { ...kept, state };
    tellCampaign(w, campaign);
    return updateCampaign(w, campaign);
  });
}

const pastOf: Readonly<Record<CampaignCommand, string>> = {
  pause: "paused",
  resume: "resumed",
  cancel: "cancelled",
};

function stateAfter(command: CampaignCommand, { reason }: WriteContext): CampaignState {
  if (command === "pause") return { kind: "paused" };
  if (command === "resume") return { kind: "running" };
  return {
    kind: "cancelling",
    why: reason === undefined ? "a person cancelled the campaign" : `a person cancelled the campaign: ${reason}`,
  };
}

function wrongPhase(id: string, phase: CampaignPhase, what: string): StampyardError {
  return new StampyardError("WRONG_PHASE", `Campaign ${id} is ${phase}, and too far on ${what}`, {
    mend: "The same drain or rebalancing again is another campaign.",
  });
}
