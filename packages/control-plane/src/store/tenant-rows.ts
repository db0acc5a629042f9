import {
  requireAlias,
  requireName,
  requireTenantKey,
  StampyardError,
  type Tenant,
  type TenantPhase,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { Revisioned, TenantInput } from "./records.ts";

export interface TenantRow extends Record<string, unknown> {
  key: string;
  pool: string;
  tier: string;
  residency: string[];
  weight: Record<string, number>;
  hostnames: string[];
  goal: Tenant["goal"];
  suspension: NonNullable<Tenant["suspension"]> | null;
  tenancy: NonNullable<Tenant["tenancy"]> | null;
  channel: string | null;
  state: Tenant["state"];
  stamp: string | null;
  epoch: number;
  waiting_on: string | null;
  revision: number;
  created_at: number;
  updated_at: number;
}

/** For queries whose FROM names the table `tenants`. */
export const tenantColumns = `key, pool, tier, residency, weight, goal, suspension, tenancy, channel, state, stamp, epoch,
  waiting_on, revision, created_at, updated_at,
  ARRAY(SELECT hostname FROM tenant_hostnames h WHERE h.tenant = tenants.key ORDER BY hostname) AS hostnames`;

export function toTenant(row: TenantRow): Revisioned<Tenant> {
  return {
    value: {
      key: row.key,
      pool: row.pool,
      tier: row.tier,
      residency: row.residency,
      weight: row.weight,
      hostnames: row.hostnames,
      state: row.state,
      goal: row.goal,
      ...(row.suspension === null ? {} : { suspension: row.suspension }),
      ...(row.tenancy === null ? {} : { tenancy: row.tenancy }),
      ...(row.channel === null ? {} : { channel: row.channel }),
      ...(row.stamp === null ? {} : { stamp: row.stamp }),
      epoch: row.epoch,
      ...(row.waiting_on === null ? {} : { waitingOn: row.waiting_on }),
    },
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Reads a tenant and keeps it as it is until the transaction ends. @throws StampyardError TENANT_NOT_FOUND */
export async function lockTenant(tx: Queryable, key: string): Promise<Revisioned<Tenant>> {
  const locked = await tx.query("SELECT 1 FROM tenants WHERE key = $1 FOR UPDATE", [key]);
  if (locked.rowCount === 0) throw tenantNotFound(key);
  // A second statement, so that hostnames are read as of now and not as of before the wait for the lock.
  const { rows } = await tx.query<TenantRow>(`SELECT ${tenantColumns} FROM tenants WHERE key = $1`, [key]);
  const [row] = rows;
  if (row === undefined) throw tenantNotFound(key);
  return toTenant(row);
}

/** Writes what may change of a tenant, and raises its revision. Its row is locked by the caller. */
export async function updateTenant(tx: Queryable, tenant: Tenant): Promise<Revisioned<Tenant>> {
  const { rows } = await tx.query<TenantRow>(
    `UPDATE tenants SET goal = $2, state = $3, stamp = $4, epoch = $5, waiting_on = $6, suspension = $7,
       revision = revision + 1, updated_at = clock_timestamp()
     WHERE key = $1 RETURNING ${tenantColumns}`,
    [
      tenant.key,
      tenant.goal,
      JSON.stringify(tenant.state),
      tenant.stamp ?? null,
      tenant.epoch,
      tenant.waitingOn ?? null,
      tenant.suspension === undefined ? null : JSON.stringify(tenant.suspension),
    ],
  );
  const [row] = rows;
  if (row === undefined) throw tenantNotFound(tenant.key);
  return toTenant(row);
}

/** New tenants, many at once; a key that exists is left alone. @returns the keys inserted */
export async function insertTenants(tx: Queryable, tenants: readonly Tenant[]): Promise<ReadonlySet<string>> {
  const { rows } = await tx.query<{ key: string }>(
    `INSERT INTO tenants (key, pool, tier, residency, weight, goal, state, stamp, epoch, waiting_on,
       suspension, tenancy, channel)
     SELECT key, pool, tier, ARRAY(SELECT jsonb_array_elements_text(residency::jsonb)), weight::jsonb, goal, state::jsonb,
       stamp, epoch, waiting_on, suspension::jsonb, tenancy, channel
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
       $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[])
       AS t (key, pool, tier, residency, weight, goal, state, stamp, epoch, waiting_on, suspension, tenancy, channel)
     ORDER BY key ON CONFLICT (key) DO NOTHING RETURNING key`,
    [
      tenants.map((t) => t.key),
      tenants.map((t) => t.pool),
      tenants.map((t) => t.tier),
      tenants.map((t) => JSON.stringify(t.residency)),
      tenants.map((t) => JSON.stringify(t.weight)),
      tenants.map((t) => t.goal),
      tenants.map((t) => JSON.stringify(t.state)),
      tenants.map((t) => t.stamp ?? null),
      tenants.map((t) => t.epoch),
      tenants.map((t) => t.waitingOn ?? null),
      tenants.map((t) => (t.suspension === undefined ? null : JSON.stringify(t.suspension))),
      tenants.map((t) => t.tenancy ?? null),
      tenants.map((t) => t.channel ?? null),
    ],
  );
  return new Set(rows.map((row) => row.key));
}

/** @throws StampyardError HOSTNAME_TAKEN, which names the holder */
export async function insertHostnames(
  tx: Queryable,
  claims: readonly { readonly hostname: string; readonly tenant: string }[],
): Promise<void> {
  if (claims.length === 0) return;
  const { rows } = await tx.query<{ hostname: string }>(
    `INSERT INTO tenant_hostnames (hostname, tenant) SELECT * FROM unnest($1::text[], $2::text[]) AS t (hostname, tenant)
     ORDER BY hostname ON CONFLICT (hostname) DO NOTHING RETURNING hostname`,
    [claims.map((claim) => claim.hostname), claims.map((claim) => claim.tenant)],
  );
  const inserted = new Set(rows.map((row) => row.hostname));
  const refused = claims.find((claim) => !inserted.has(claim.hostname));
  if (refused === undefined) return;
  const holders = await tx.query<{ tenant: string }>("SELECT tenant FROM tenant_hostnames WHERE hostname = $1", [
    refused.hostname,
  ]);
  throw hostnameTaken(refused.hostname, holders.rows[0]?.tenant ?? "another one");
}

export function hostnameTaken(hostname: string, holder: string): StampyardError {
  return new StampyardError("HOSTNAME_TAKEN", `Hostname ${hostname} belongs to tenant ${holder}`, {
    mend: `Remove it there first: stampyard tenant hostname remove ${holder} ${hostname}`,
  });
}

export function tenantNotFound(key: string): StampyardError {
  return new StampyardError("TENANT_NOT_FOUND", `There is no tenant ${JSON.stringify(key.slice(0, 80))}`);
}

export interface EventInput {
  readonly tenant: string;
  readonly event: string;
  readonly phase: TenantPhase;
  readonly stamp?: string | undefined;
  readonly epoch: number;
  readonly detail?: string;
}

/** History of tenants; it outlives them. */
export async function insertEvents(tx: Queryable, actor: string, events: readonly EventInput[]): Promise<void> {
  if (events.length === 0) return;
  await tx.query(
    `INSERT INTO tenant_events (tenant, event, phase, stamp, epoch, detail, actor)
     SELECT tenant, event, phase, stamp, epoch, detail, $7
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[]) WITH ORDINALITY
       AS t (tenant, event, phase, stamp, epoch, detail, n)
     ORDER BY n`,
    [
      events.map((e) => e.tenant),
      events.map((e) => e.event),
      events.map((e) => e.phase),
      events.map((e) => e.stamp ?? null),
      events.map((e) => e.epoch),
      events.map((e) => e.detail ?? null),
      actor,
    ],
  );
}

/** An input with the defaults that no fleet decides: its pool and what its tier weighs are still open. */
export interface TenantDraft {
  readonly key: string;
  readonly pool: string | undefined;
  readonly tier: string;
  readonly residency: readonly string[];
  readonly weight: Readonly<Record<string, number>>;
  readonly hostnames: readonly string[];
  readonly stamp: string | undefined;
  readonly tenancy: Tenant["tenancy"];
  readonly channel: string | undefined;
}

/** Checks every name before it reaches SQL or a path. @throws StampyardError INVALID_NAME, INVALID_REQUEST */
export function draftOf(input: TenantInput): TenantDraft {
  requireTenantKey(input.key);
  if (input.pool !== undefined) requireName("pool", input.pool);
  if (input.stamp !== undefined) requireName("stamp", input.stamp);
  if (input.channel !== undefined) requireName("channel", input.channel);
  const hostnames = [...new Set(input.hostnames ?? [])].sort();
  for (const hostname of hostnames) requireAlias(hostname);
  const weight = { ...input.weight };
  for (const [unit, value] of Object.entries(weight)) {
    if (!Number.isFinite(value) || value < 0) {
      throw new StampyardError("INVALID_REQUEST", `Weight of ${unit} of tenant ${input.key} is not a number from 0 up`);
    }
  }
  return {
    key: input.key,
    pool: input.pool,
    tier: input.tier ?? "standard",
    residency: [...new Set(input.residency ?? [])].sort(),
    weight,
    hostnames,
    stamp: input.stamp,
    tenancy: input.tenancy,
    channel: input.channel,
  };
}
