import { randomBytes } from "node:crypto";
import { type Campaign, type CampaignItem, quote, StampyardError } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { Revisioned } from "./records.ts";
import type { Write } from "./write.ts";

export interface CampaignRow extends Record<string, unknown> {
  id: string;
  number: number;
  kind: Campaign["kind"];
  subject: string;
  state: Campaign["state"];
  settings: Campaign["settings"];
  deadline: number | null;
  waiting_on: string | null;
  revision: number;
  created_at: number;
  updated_at: number;
}

export interface ItemRow extends Record<string, unknown> {
  tenant: string;
  place: number;
  from_stamp: string;
  state: CampaignItem["state"];
}

export const campaignColumns =
  "id, number, kind, subject, state, settings, deadline, waiting_on, revision, created_at, updated_at";
/** For SQL. */
export const openList = "'running', 'paused', 'cancelling'";

export function toCampaign(row: CampaignRow): Revisioned<Campaign> {
  return {
    value: {
      id: row.id,
      kind: row.kind,
      subject: row.subject,
      state: row.state,
      settings: row.settings,
      ...(row.deadline === null ? {} : { deadline: row.deadline }),
      ...(row.waiting_on === null ? {} : { waitingOn: row.waiting_on }),
    },
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function toItem({ tenant, from_stamp, state }: ItemRow): CampaignItem {
  return { tenant, from: from_stamp, state };
}

/** Reads a campaign and keeps it as it is until the transaction ends. @throws StampyardError NOT_FOUND */
export async function lockCampaign(tx: Queryable, id: string): Promise<Revisioned<Campaign>> {
  const { rows } = await tx.query<CampaignRow>(`SELECT ${campaignColumns} FROM campaigns WHERE id = $1 FOR UPDATE`, [
    id,
  ]);
  if (rows[0] === undefined) throw campaignNotFound(id);
  return toCampaign(rows[0]);
}

export async function insertCampaign(tx: Queryable, campaign: Campaign): Promise<Revisioned<Campaign>> {
  const { rows } = await tx.query<CampaignRow>(
    `INSERT INTO campaigns (id, kind, subject, state, settings, deadline)
     VALUES ($1, $2, $3, $4, $5, to_timestamp($6::float8 / 1000)) RETURNING ${campaignColumns}`,
    [
      campaign.id,
      campaign.kind,
      campaign.subject,
      JSON.stringify(campaign.state),
      JSON.stringify(campaign.settings),
      campaign.deadline ?? null,
    ],
  );
  if (rows[0] === undefined) throw campaignNotFound(campaign.id);
  return toCampaign(rows[0]);
}

/** Its row is locked by the caller. */
export async function updateCampaign(tx: Queryable, campaign: Campaign): Promise<Revisioned<Campaign>> {
  const { rows } = await tx.query<CampaignRow>(
    `UPDATE campaigns SET state = $2, settings = $3, deadline = to_timestamp($4::float8 / 1000), waiting_on = $5,
       revision = revision + 1, updated_at = clock_timestamp()
     WHERE id = $1 RETURNING ${campaignColumns}`,
    [
      campaign.id,
      JSON.stringify(campaign.state),
      JSON.stringify(campaign.settings),
      campaign.deadline ?? null,
      campaign.waitingOn ?? null,
    ],
  );
  if (rows[0] === undefined) throw campaignNotFound(campaign.id);
  return toCampaign(rows[0]);
}

/** Those that are new follow those that are there, in the order given. */
export async function putItems(tx: Queryable, campaign: string, items: readonly CampaignItem[]): Promise<void> {
  if (items.length === 0) return;
  await tx.query(
    `INSERT INTO campaign_items (campaign, tenant, place, from_stamp, state)
     SELECT $1, t.tenant, t.n + coalesce((SELECT max(place) FROM campaign_items WHERE campaign = $1), 0), t.from_stamp,
       t.state::jsonb
     FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS t (tenant, from_stamp, state, n) ORDER BY t.n
     ON CONFLICT (campaign, tenant) DO UPDATE SET state = excluded.state, from_stamp = excluded.from_stamp`,
    [
      campaign,
      items.map((item) => item.tenant),
      items.map((item) => item.from),
      items.map((item) => JSON.stringify(item.state)),
    ],
  );
}

export function tellCampaign(w: Write, { id, state, waitingOn }: Campaign): void {
  w.tell({
    kind: "campaign",
    campaign: id,
    phase: state.kind,
    ...(waitingOn === undefined ? {} : { waitingOn }),
  });
}

export function campaignNotFound(id: string): StampyardError {
  return new StampyardError("NOT_FOUND", `There is no campaign ${quote(id)}`, {
    mend: "See stampyard campaign list.",
  });
}

/** `cp-` and 10 hexadecimal digits. */
export function newCampaignId(): string {
  return `cp-${randomBytes(5).toString("hex")}`;
}
