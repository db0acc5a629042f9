import {
  type Campaign,
  campaignBounds,
  type CampaignItem,
  campaignNext,
  type CampaignPhase,
  type CampaignSettings,
  type CampaignState,
  canonicalJson,
  endedCampaigns,
  type ItemCounts,
  type ItemState,
  type Json,
  maxPauseBounds,
  StampyardError,
  worstPauseMs,
} from "@stampyard/domain";
import { campaignWorld, measuredMoves, undrainedStamps } from "./campaign-facts.ts";
import type { CampaignCommand, CampaignInput, CampaignStore } from "./campaign-port.ts";
import {
  campaignColumns,
  type CampaignRow,
  insertCampaign,
  type ItemRow,
  lockCampaign,
  newCampaignId,
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
    start: (input, ctx) => startCampaign(base, input, ctx),
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

async function startCampaign(base: StoreBase, input: CampaignInput, ctx: WriteContext): Promise<Revisioned<Campaign>> {
  const { kind, subject, settings, deadline, items } = input;
  requireSettings(settings);
  return write(base, ctx, async (w) => {
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
  });
}

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

function isSame(a: unknown, b: unknown): boolean {
  return canonicalJson(a as Json) === canonicalJson(b as Json);
}
