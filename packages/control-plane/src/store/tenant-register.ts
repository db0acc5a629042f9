import { StampyardError, type Tenant } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
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
}

/** The planner of a statement thinks lists are short, and compares each row with each. */
const rowsPerStatement = 500;

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
  const claims = registrations.flatMap(({ tenant }) =>
    tenant.hostnames.map((hostname) => ({ hostname, tenant: tenant.key })),
  );
  const { rows } = await tx.query<AddedRow & { named: string[] | null }>(
    registerSql,
    [
      ...columnsOf(registrations, options.audited),
      claims.map((claim) => claim.hostname),
      claims.map((claim) => claim.tenant),
    ],
    { prepared: true },
  );
  const added = new Map(rows.map((row) => [row.key, row]));
  const named = new Set(rows[0]?.named ?? []);
  const faults = new Map<string, StampyardError>();
  const tenants = new Map<string, Revisioned<Tenant>>();
  for (const { tenant } of registrations) {
    const row = added.get(tenant.key);
    if (row === undefined) {
      faults.set(tenant.key, new StampyardError("ALREADY_EXISTS", `Tenant ${tenant.key} exists already`));
    } else {
      const { epoch, revision, created_at: createdAt, updated_at: updatedAt } = row;
      tenants.set(tenant.key, { value: { ...tenant, epoch }, revision, createdAt, updatedAt });
    }
  }
  const refused = claims.filter(
    (claim) => tenants.has(claim.tenant) && !named.has(`${claim.tenant} ${claim.hostname}`),
  );
  for (const claim of refused)
    faults.set(claim.tenant, hostnameTaken(claim.hostname, await holderOf(tx, claim.hostname)));
  return { tenants, faults };
}

async function holderOf(tx: Queryable, hostname: string): Promise<string> {
  const { rows } = await tx.query<{ tenant: string }>("SELECT tenant FROM tenant_hostnames WHERE hostname = $1", [
    hostname,
  ]);
  return rows[0]?.tenant ?? "another one";
}

function columnsOf(registrations: readonly Registration[], audited: boolean): unknown[] {
  const of = (value: (registration: Registration) => unknown) => registrations.map(value);
  return [
    of(({ tenant }) => tenant.key),
    of(({ tenant }) => tenant.pool),
    of(({ tenant }) => tenant.tier),
    of(({ tenant }) => JSON.stringify(tenant.residency)),
    of(({ tenant }) => JSON.stringify(tenant.weight)),
    of(({ tenant }) => JSON.stringify(tenant.state)),
    of(({ tenant }) => tenant.stamp ?? null),
    of(({ tenant }) => tenant.waitingOn ?? null),
    of(({ tenant }) => tenant.tenancy ?? null),
    of(({ tenant }) => tenant.channel ?? null),
    of(({ isBig }) => isBig),
    of(({ ctx }) => ctx.actor),
    of(({ ctx }) => ctx.reason ?? null),
    of(({ ctx }) => ctx.requestId ?? null),
    of(({ tenant }) => (audited ? JSON.stringify(detailOf(tenant)) : null)),
  ];
}

function detailOf({ pool, tier, residency, weight, hostnames, stamp }: Registration["tenant"]) {
  return { pool, tier, residency, weight, hostnames, ...(stamp === undefined ? {} : { stamp }) };
}

const registerSql = `
WITH input AS MATERIALIZED (
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::boolean[], $12::text[], $13::text[], $14::text[], $15::text[]) WITH ORDINALITY
    AS t (key, pool, tier, residency, weight, state, stamp, waiting_on, tenancy, channel, big, actor, reason, request_id,
      detail, n)
), added AS (
  INSERT INTO tenants (key, pool, tier, residency, weight, goal, state, stamp, epoch, waiting_on, tenancy, channel, big)
  SELECT key, pool, tier, ARRAY(SELECT jsonb_array_elements_text(residency::jsonb)), weight::jsonb, 'present',
    state::jsonb, stamp,
    -- A new home is a new epoch, above those of earlier tenants of this key.
    coalesce((SELECT e.epoch FROM tenant_epochs e WHERE e.key = input.key), 0) + (stamp IS NOT NULL)::int,
    waiting_on, tenancy, channel, big
  FROM input ORDER BY key ON CONFLICT (key) DO NOTHING
  RETURNING key, epoch, revision, created_at, updated_at
), named AS (
  INSERT INTO tenant_hostnames (hostname, tenant)
  SELECT h.hostname, h.tenant FROM unnest($16::text[], $17::text[]) AS h (hostname, tenant)
  JOIN added ON added.key = h.tenant ORDER BY h.hostname ON CONFLICT (hostname) DO NOTHING
  RETURNING tenant || ' ' || hostname AS claim
), audited AS (
  INSERT INTO audit (actor, action, subject, reason, request_id, detail)
  SELECT actor, 'tenant.create', 'tenant/' || key, reason, request_id,
    detail::jsonb || jsonb_build_object('epoch', added.epoch)
  FROM input JOIN added USING (key) WHERE detail IS NOT NULL ORDER BY n
), told AS (
  INSERT INTO tenant_events (tenant, event, phase, stamp, epoch, actor)
  SELECT key, e.event, input.state::jsonb ->> 'kind', CASE e.event WHEN 'placed' THEN stamp END, added.epoch, actor
  FROM input JOIN added USING (key), (VALUES (1, 'created'), (2, 'placed')) AS e (step, event)
  WHERE e.event = 'created' OR stamp IS NOT NULL ORDER BY n, e.step
)
SELECT key, epoch, revision, created_at, updated_at, (SELECT array_agg(claim) FROM named) AS named FROM added`;
