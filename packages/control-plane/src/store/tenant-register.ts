import { type Json, StampyardError, type Tenant } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { endedList } from "./move-rows.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import { hostnameTaken } from "./tenant-rows.ts";

/** A tenant that is to be written; its epoch continues above what the store remembers of its key. */
export interface Registration {
  readonly tenant: Omit<Tenant, "epoch">;
  /** Big for its stamp. */
  readonly isBig: boolean;
  readonly ctx: WriteContext;
}

export interface Registered {
  readonly tenants: ReadonlyMap<string, Revisioned<Tenant>>;
  /** Why others could not be written. When there is any, the transaction must be rolled back. */
  readonly faults: ReadonlyMap<string, StampyardError>;
}

interface AddedRow extends Record<string, unknown> {
  key: string;
  epoch: number;
  revision: number;
  created_at: number;
  updated_at: number;
  /** Of its hostnames, those that it got. */
  named: string[] | null;
}

/** One statement's text and rows stay small beside the memory of both sides. */
const rowsPerStatement = 1_000;

/**
 * Writes tenants with hostnames, history and, if `audited`, one audit row each. Keys must differ from each other. Rows
 * are written in the order of their keys, so that two imports never wait in a circle.
 */
export async function registerTenants(
  tx: Queryable,
  registrations: readonly Registration[],
  options: { readonly audited: boolean },
): Promise<Registered> {
  const tenants = new Map<string, Revisioned<Tenant>>();
  const faults = new Map<string, StampyardError>();
  const sorted = [...registrations].sort((a, b) => (a.tenant.key < b.tenant.key ? -1 : 1));
  for (let from = 0; from < sorted.length; from += rowsPerStatement) {
    const part = await registerPart(tx, sorted.slice(from, from + rowsPerStatement), options);
    for (const [key, tenant] of part.tenants) tenants.set(key, tenant);
    for (const [key, fault] of part.faults) faults.set(key, fault);
  }
  return { tenants, faults };
}

/** All in one statement, because under load every round trip is paid by everybody who waits for the same stamp. */
async function registerPart(
  tx: Queryable,
  registrations: readonly Registration[],
  options: { readonly audited: boolean },
): Promise<Registered> {
  const { rows } = await tx.query<AddedRow>(
    registerSql,
    [JSON.stringify(registrations.map((registration) => rowOf(registration, options.audited)))],
    { prepared: true },
  );
  const added = new Map(rows.map((row) => [row.key, row]));
  const faults = new Map<string, StampyardError>();
  const tenants = new Map<string, Revisioned<Tenant>>();
  for (const { tenant } of registrations) {
    const row = added.get(tenant.key);
    if (row === undefined) {
      faults.set(tenant.key, await whyNot(tx, tenant.key));
      continue;
    }
    const { epoch, revision, created_at: createdAt, updated_at: updatedAt } = row;
    tenants.set(tenant.key, { value: { ...tenant, epoch }, revision, createdAt, updatedAt });
    const named = new Set(row.named);
    const refused = tenant.hostnames.find((hostname) => !named.has(hostname));
    if (refused !== undefined) faults.set(tenant.key, hostnameTaken(refused, await holderOf(tx, refused)));
  }
  return { tenants, faults };
}

async function whyNot(tx: Queryable, key: string): Promise<StampyardError> {
  const { rows } = await tx.query<{ id: string; from_stamp: string }>(
    `SELECT id, from_stamp FROM moves WHERE tenant = $1 AND phase NOT IN (${endedList})
       AND NOT EXISTS (SELECT FROM tenants WHERE key = $1) LIMIT 1`,
    [key],
  );
  const [move] = rows;
  if (move === undefined) return new StampyardError("ALREADY_EXISTS", `Tenant ${key} exists already`);
  return new StampyardError(
    "ALREADY_EXISTS",
    `Stamp ${move.from_stamp} still has a copy of an earlier tenant ${key}, by move ${move.id}`,
    { mend: `Wait until it is erased: stampyard move watch ${move.id}` },
  );
}

async function holderOf(tx: Queryable, hostname: string): Promise<string> {
  const { rows } = await tx.query<{ tenant: string }>("SELECT tenant FROM tenant_hostnames WHERE hostname = $1", [
    hostname,
  ]);
  return rows[0]?.tenant ?? "another one";
}

function rowOf({ tenant, isBig, ctx }: Registration, audited: boolean): Json {
  return {
    key: tenant.key,
    pool: tenant.pool,
    tier: tenant.tier,
    residency: [...tenant.residency],
    weight: { ...tenant.weight },
    hostnames: [...tenant.hostnames],
    state: tenant.state as Json,
    stamp: tenant.stamp ?? null,
    waiting_on: tenant.waitingOn ?? null,
    tenancy: tenant.tenancy ?? null,
    channel: tenant.channel ?? null,
    big: isBig,
    actor: ctx.actor,
    reason: ctx.reason ?? null,
    request_id: ctx.requestId ?? null,
    detail: audited ? (detailOf(tenant) as Json) : null,
  };
}

function detailOf({ pool, tier, residency, weight, hostnames, stamp }: Registration["tenant"]) {
  return { pool, tier, residency, weight, hostnames, ...(stamp === undefined ? {} : { stamp }) };
}

/** As records of one JSON text: the planner then expects many rows, and hashes what it joins. */
const registerSql = `
WITH input AS MATERIALIZED (
  SELECT * FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (key text, pool text, tier text, residency text[],
    weight jsonb, hostnames text[], state jsonb, stamp text, waiting_on text, tenancy text, channel text, big boolean,
    actor text, reason text, request_id text, detail jsonb)) WITH ORDINALITY
    AS t (key, pool, tier, residency, weight, hostnames, state, stamp, waiting_on, tenancy, channel, big, actor, reason,
      request_id, detail, n)
), added AS (
  INSERT INTO tenants (key, pool, tier, residency, weight, goal, state, stamp, epoch, waiting_on, tenancy, channel, big)
  SELECT key, pool, tier, residency, weight, 'present', state, stamp,
    -- A new home is a new epoch, above those of earlier tenants of this key.
    coalesce((SELECT e.epoch FROM tenant_epochs e WHERE e.key = input.key), 0) + (stamp IS NOT NULL)::int,
    waiting_on, tenancy, channel, big
  FROM input
  -- Of an earlier tenant of this key there may still be a copy, which would be taken for this one's.
  WHERE NOT EXISTS (SELECT FROM moves m WHERE m.tenant = input.key AND m.phase NOT IN (${endedList}))
  ORDER BY key ON CONFLICT (key) DO NOTHING
  RETURNING key, epoch, revision, created_at, updated_at
), named AS (
  INSERT INTO tenant_hostnames (hostname, tenant)
  SELECT hostname, key FROM input JOIN added USING (key), unnest(hostnames) AS hostname
  ORDER BY hostname ON CONFLICT (hostname) DO NOTHING
  RETURNING tenant, hostname
), audited AS (
  INSERT INTO audit (actor, action, subject, reason, request_id, detail)
  SELECT actor, 'tenant.create', 'tenant/' || key, reason, request_id,
    detail || jsonb_build_object('epoch', added.epoch)
  FROM input JOIN added USING (key) WHERE jsonb_typeof(detail) = 'object' ORDER BY n
), told AS (
  INSERT INTO tenant_events (tenant, event, phase, stamp, epoch, actor)
  SELECT key, e.event, input.state ->> 'kind', CASE e.event WHEN 'placed' THEN stamp END, added.epoch, actor
  FROM input JOIN added USING (key), (VALUES (1, 'created'), (2, 'placed')) AS e (step, event)
  WHERE e.event = 'created' OR stamp IS NOT NULL ORDER BY n, e.step
)
SELECT key, epoch, revision, created_at, updated_at, named.hostnames AS named
FROM added LEFT JOIN (SELECT tenant, array_agg(hostname) AS hostnames FROM named GROUP BY tenant) AS named
  ON named.tenant = added.key`;
