import {
  type Campaign,
  type CampaignMove,
  type CampaignTenant,
  type CampaignWorld,
  type Instant,
  type Move,
  type PastMove,
  type Stamp,
  type Template,
  whyTenantsStay,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { endedList, moveColumns, type MoveRow, movingList, toMove } from "./move-rows.ts";
import { stampNotFound } from "./stamp-rows.ts";
import { tenantColumns, type TenantRow, toTenant } from "./tenant-rows.ts";
import { wishOfTenant } from "./tenant-wish.ts";
import type { CampaignSubject } from "./campaign-port.ts";
import type { StoreBase } from "./write.ts";

const dayMs = 86_400_000;
/** More would not change an estimate. */
const pastMoves = 100;

export async function campaignWorld(
  { db, view, now }: StoreBase,
  { id, kind, subject }: CampaignSubject,
  names: readonly string[] | undefined,
): Promise<CampaignWorld> {
  const sight = await view.look(db, { exact: true });
  const stamp = kind === "drain" ? await readGoal(db, subject) : undefined;
  const tenants = (await readTenants(db, kind, subject, names)).map((row): CampaignTenant | undefined => {
    const { key, stamp: home, state, goal, ...rest } = toTenant(row).value;
    if (home === undefined) return undefined;
    const { request, barred } = wishOfTenant({ key, state, goal, ...rest }, sight);
    return { key, stamp: home, phase: state.kind, goal, request, ...(barred === undefined ? {} : { barred }) };
  });
  if (kind === "drain" && stamp === undefined && tenants.length === 0) throw stampNotFound(subject);
  const there = tenants.filter((tenant) => tenant !== undefined);
  const keys = names ?? there.map(({ key }) => key);
  const barred = await whyBarred(db);
  return {
    ...(stamp === undefined ? {} : { stamp }),
    tenants: there,
    candidates: sight.pools.flatMap((pool) => sight.candidates(pool)),
    settingsOf: (pool) => sight.settings(pool),
    moves: await readMoves(db, keys, id, now()),
    atWork: await countAtWork(db),
    ...(barred === undefined ? {} : { barred }),
  };
}

async function readGoal(db: Queryable, name: string): Promise<CampaignWorld["stamp"]> {
  const { rows } = await db.query<{ goal: Stamp["goal"]; detail: Stamp["goalDetail"] | null }>(
    "SELECT goal, goal_detail AS detail FROM stamps WHERE name = $1",
    [name],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const deadline = row.detail?.deadline;
  return { goal: row.goal, ...(deadline === undefined ? {} : { deadline }) };
}

async function readTenants(
  db: Queryable,
  kind: Campaign["kind"],
  subject: string,
  names: readonly string[] | undefined,
): Promise<readonly TenantRow[]> {
  const column = kind === "drain" ? "stamp" : "pool";
  const { rows } = await db.query<TenantRow>(
    `SELECT ${tenantColumns} FROM tenants WHERE ${column} = $1 AND stamp IS NOT NULL
       AND ($2::text[] IS NULL OR key = ANY ($2)) ORDER BY key`,
    [subject, kind === "drain" || names === undefined ? null : [...names]],
  );
  return rows;
}

/** Templates decide it: the one that the fleet runs. */
export async function whyBarred(db: Queryable): Promise<string | undefined> {
  const { rows } = await db.query<{ template: Pick<Template, "tenancy" | "stages"> }>(
    "SELECT r.template FROM fleet f JOIN releases r ON r.digest = f.release_digest",
  );
  const [row] = rows;
  return row === undefined ? "a fleet, which is not applied yet" : whyTenantsStay(row.template);
}

async function readMoves(
  db: Queryable,
  tenants: readonly string[],
  campaign: string | undefined,
  now: Instant,
): Promise<readonly CampaignMove[]> {
  const { rows } = await db.query<MoveRow>(
    `SELECT ${moveColumns} FROM moves WHERE (tenant = ANY ($1) OR campaign = $3)
       AND (phase NOT IN (${endedList}) OR updated_at > to_timestamp($2::float8 / 1000)) ORDER BY number`,
    [[...tenants], now - dayMs, campaign ?? null],
  );
  return rows.map((row) => {
    const { value, createdAt, updatedAt } = toMove(row);
    const { id, tenant, from, to, state, campaign } = value;
    return {
      id,
      tenant,
      from,
      to,
      phase: state.kind,
      startedAt: createdAt,
      changedAt: updatedAt,
      pausedMs: pausedSince(value, now - dayMs),
      ...(campaign === undefined ? {} : { campaign }),
      ...(state.kind === "resting" ? { restsUntil: state.until } : {}),
      ...("cause" in state ? { cause: state.cause } : {}),
    };
  });
}

/** A pause counts as long as its writers felt it, also when the tenant was given back. */
export function pausedSince({ report }: Pick<Move, "report">, since: Instant): number {
  return (report.switches ?? [])
    .filter(({ at }) => at > since)
    .reduce((sum, { pauseMs, fencedMs }) => sum + Math.max(pauseMs ?? 0, fencedMs), 0);
}

async function countAtWork(db: Queryable): Promise<ReadonlyMap<string, number>> {
  const { rows } = await db.query<{ stamp: string; moves: number }>(
    `SELECT stamp, count(*) AS moves FROM moves, unnest(ARRAY[from_stamp, to_stamp]) AS stamp
     WHERE phase IN (${movingList}) GROUP BY stamp`,
  );
  return new Map(rows.map((row) => [row.stamp, row.moves]));
}

export async function undrainedStamps(
  db: Queryable,
): Promise<readonly { readonly stamp: string; readonly deadline?: Instant; readonly reason?: string }[]> {
  if ((await whyBarred(db)) !== undefined) return [];
  const { rows } = await db.query<{ name: string; detail: Stamp["goalDetail"] | null }>(
    `SELECT name, goal_detail AS detail FROM stamps s
     WHERE goal = 'drained' AND EXISTS (SELECT FROM tenants t WHERE t.stamp = s.name)
       AND NOT EXISTS (
         SELECT FROM campaigns c WHERE c.kind = 'drain' AND c.subject = s.name
           AND (c.phase IN ('running', 'paused', 'cancelling')
             OR c.created_at >= to_timestamp(coalesce((s.goal_detail ->> 'since')::float8, 0) / 1000)))
     ORDER BY name`,
  );
  return rows.map(({ name, detail }) => ({
    stamp: name,
    ...(detail?.deadline === undefined ? {} : { deadline: detail.deadline }),
    ...(detail?.reason === undefined ? {} : { reason: detail.reason }),
  }));
}

export async function measuredMoves(
  db: Queryable,
  tenants: readonly string[],
): Promise<{ readonly past: readonly PastMove[]; readonly bytes: ReadonlyMap<string, number> }> {
  const last = await db.query<MoveRow>(
    `SELECT ${moveColumns} FROM moves WHERE phase IN ('verifying', 'resting', 'erasing', 'done', 'returned')
     ORDER BY number DESC LIMIT ${pastMoves}`,
  );
  const own = await db.query<{ tenant: string; bytes: number }>(
    `SELECT DISTINCT ON (tenant) tenant,
       coalesce((report -> 'copied' ->> 'bytes')::float8, (report -> 'expected' ->> 'bytes')::float8) AS bytes
     FROM moves WHERE tenant = ANY ($1) AND report ?| ARRAY['copied', 'expected'] ORDER BY tenant, number DESC`,
    [[...tenants]],
  );
  return {
    past: last.rows.flatMap((row) => pastOf(row)),
    bytes: new Map(own.rows.map((row) => [row.tenant, row.bytes])),
  };
}

/** One whose report does not say when its source decided tells nothing. */
function pastOf(row: MoveRow): readonly PastMove[] {
  const { value, createdAt } = toMove(row);
  const decided = value.report.switches?.findLast(({ outcome }) => outcome === "decided")?.at;
  if (decided === undefined || decided < createdAt) return [];
  const bytes = value.report.copied?.bytes;
  return [{ tookMs: decided - createdAt, ...(bytes === undefined ? {} : { bytes }) }];
}
