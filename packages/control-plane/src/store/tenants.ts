import type { TenantPhase } from "@stampyard/domain";
import type { TenantStore } from "./port.ts";
import type { Page, PageOptions, TenantEvent, TenantWhere } from "./records.ts";
import { createCreationLane } from "./creation-lane.ts";
import { placeTenant, vacateTenant } from "./tenant-create.ts";
import { importTenants, planImport } from "./tenant-import.ts";
import { tenantColumns, tenantNotFound, type TenantRow, toTenant } from "./tenant-rows.ts";
import { readCertificate } from "./tenant-certificate.ts";
import { resumeTenant, suspendTenant } from "./tenant-suspend.ts";
import { addHostname, removeHostname, removeTenant, writeTenant } from "./tenant-write.ts";
import { numericCursor, pageLimit, pageOf, type StoreBase } from "./write.ts";

interface EventRow extends Record<string, unknown> {
  id: number;
  at: number;
  event: string;
  phase: TenantPhase;
  stamp: string | null;
  epoch: number;
  actor: string;
  detail: string | null;
}

export function tenantStore(base: StoreBase): TenantStore {
  const { db } = base;
  return {
    async read(key) {
      const { rows } = await db.query<TenantRow>(`SELECT ${tenantColumns} FROM tenants WHERE key = $1`, [key]);
      return rows[0] === undefined ? undefined : toTenant(rows[0]);
    },
    async list(options = {}) {
      const limit = pageLimit(options.limit);
      const { rows } = await db.query<TenantRow>(
        `SELECT ${tenantColumns} FROM tenants
         WHERE key > $1 AND ($2::text IS NULL OR pool = $2) AND ($3::text IS NULL OR stamp = $3)
           AND ($4::text IS NULL OR phase = $4)
         ORDER BY key LIMIT $5`,
        [options.cursor ?? "", options.pool ?? null, options.stamp ?? null, options.phase ?? null, limit + 1],
      );
      return pageOf(rows.map(toTenant), limit, (tenant) => tenant.value.key);
    },
    create: createCreationLane(base),
    place: (key, ctx) => placeTenant(base, key, ctx),
    vacate: (key, revision, ctx) => vacateTenant(base, key, revision, ctx),
    write: (tenant, revision, options, ctx) => writeTenant(base, tenant, revision, options, ctx),
    remove: (key, options, ctx) => removeTenant(base, key, options, ctx),
    suspend: (key, options, ctx) => suspendTenant(base, key, options, ctx),
    resume: (key, options, ctx) => resumeTenant(base, key, options, ctx),
    addHostname: (key, hostname, options, ctx) => addHostname(base, key, hostname, options, ctx),
    removeHostname: (key, hostname, options, ctx) => removeHostname(base, key, hostname, options, ctx),
    planImport: (inputs) => planImport(base, inputs),
    import: (inputs, ctx) => importTenants(base, inputs, ctx),
    certificate: (key) => readCertificate(base, key),
    history: (key, page) => history(base, key, page),
    where: (key, at) => where(base, key, at),
    async due(now, limit = 1_000) {
      const { rows } = await db.query<{ key: string }>(
        `SELECT key FROM tenants
         WHERE phase <> 'moving'
           AND NOT ((phase = 'active' AND goal = 'present') OR (phase = 'suspended' AND goal = 'suspended'))
           AND retry_at_ms <= $1
         ORDER BY retry_at_ms, key LIMIT $2`,
        [now, limit],
      );
      return rows.map((row) => row.key);
    },
    async countHomes() {
      const { rows } = await db.query<{ pool: string; stamp: string | null; tenants: number }>(
        "SELECT pool, stamp, count(*) AS tenants FROM tenants GROUP BY pool, stamp ORDER BY pool, stamp",
      );
      return rows.map(({ pool, stamp, tenants }) => ({ pool, ...(stamp === null ? {} : { stamp }), tenants }));
    },
    async counts() {
      const { rows } = await db.query<{ phase: string; count: number }>(
        "SELECT phase, count(*) AS count FROM tenants GROUP BY phase",
      );
      return Object.fromEntries(rows.map((row) => [row.phase, row.count]));
    },
  };
}

async function history({ db }: StoreBase, key: string, page: PageOptions = {}): Promise<Page<TenantEvent>> {
  const limit = pageLimit(page.limit);
  const { rows } = await db.query<EventRow>(
    `SELECT id, at, event, phase, stamp, epoch, actor, detail FROM tenant_events
     WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3`,
    [key, numericCursor(page.cursor) ?? 0, limit + 1],
  );
  const { items, nextCursor } = pageOf<EventRow>(rows, limit, (row) => String(row.id));
  return { items: items.map(toEvent), ...(nextCursor === undefined ? {} : { nextCursor }) };
}

/** Served = published, or leaving: until the stamp forgot it, its data was there. */
async function where({ db }: StoreBase, key: string, at: number): Promise<TenantWhere> {
  const known = await db.query("SELECT 1 FROM tenant_events WHERE tenant = $1 LIMIT 1", [key]);
  if (known.rowCount === 0) throw tenantNotFound(key);
  const { rows } = await db.query<{ served: boolean; stamp: string; epoch: number; since: number }>(
    `WITH past AS (
       SELECT id, at, stamp, epoch, stamp IS NOT NULL
         AND phase IN ('active', 'moving', 'suspending', 'suspended', 'resuming', 'deleting') AS served
       FROM tenant_events WHERE tenant = $1 AND at <= to_timestamp($2::float8 / 1000)
     ), last AS (SELECT * FROM past ORDER BY id DESC LIMIT 1)
     SELECT last.served, last.stamp, last.epoch, (
       SELECT min(past.at) FROM past WHERE past.id > coalesce((
         SELECT max(other.id) FROM past other
         WHERE NOT other.served OR (other.stamp, other.epoch) IS DISTINCT FROM (last.stamp, last.epoch)), 0)
     ) AS since FROM last`,
    [key, at],
  );
  const [row] = rows;
  return row?.served === true ? { stamp: row.stamp, epoch: row.epoch, since: row.since } : {};
}

function toEvent(row: EventRow): TenantEvent {
  return {
    at: row.at,
    event: row.event,
    phase: row.phase,
    ...(row.stamp === null ? {} : { stamp: row.stamp }),
    epoch: row.epoch,
    actor: row.actor,
    ...(row.detail === null ? {} : { detail: row.detail }),
  };
}
