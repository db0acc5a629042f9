import {
  addUnits,
  type Instant,
  type PlacementCandidate,
  type PlacementExplanation,
  type PlacementOverride,
  type PlacementRequest,
  quote,
  requireName,
  requireTenantKey,
  StampyardError,
  type UnitVector,
} from "@stampyard/domain";
import type { FleetSight } from "./fleet-view.ts";
import type { Page, PageOptions, TenantInput, WriteContext } from "./records.ts";
import { stampNotFound } from "./stamp-rows.ts";
import { draftOf, tenantColumns, tenantNotFound, type TenantRow, toTenant } from "./tenant-rows.ts";
import { explain, wishOf, wishOfTenant } from "./tenant-wish.ts";
import { type CounterDifference, counterDifferences, recountUse } from "./used-places.ts";
import { audit, pageLimit, pageOf, type StoreBase, write } from "./write.ts";

/** A decision that was not carried out, with a verdict for every stamp of the pool. */
export interface PlacementAnswer extends PlacementExplanation {
  readonly request: PlacementRequest;
  /** Where the tenant lives now. */
  readonly home?: string;
}

export interface OverrideRecord {
  readonly tenant: string;
  readonly override: PlacementOverride;
  readonly reason?: string;
  readonly setBy: string;
  readonly setAt: Instant;
}

/** Where tenants would go and why, what operators said of it, and whether the counters are right. */
export interface PlacementStore {
  /** Where a new tenant would go now. Changes nothing. @throws StampyardError as `tenants.create`, but POOL_FULL */
  preview(input: TenantInput): Promise<PlacementAnswer>;
  /** Where a tenant would go if it were placed now, its own place not counted. @throws StampyardError TENANT_NOT_FOUND */
  explain(key: string): Promise<PlacementAnswer>;
  /** All stamps as placement sees them, with what is used of them by decision D19. */
  candidates(): Promise<readonly PlacementCandidate[]>;
  /** In force, by tenant. */
  overrides(page?: PageOptions): Promise<Page<OverrideRecord>>;
  override(tenant: string): Promise<OverrideRecord | undefined>;
  /**
   * Counts from the next placement on; moves nobody. The tenant may not exist yet. Replaces an earlier one.
   * @throws StampyardError STAMP_NOT_FOUND, INVALID_REQUEST for an expiry that has passed
   */
  setOverride(tenant: string, override: PlacementOverride, ctx: WriteContext): Promise<OverrideRecord>;
  /** @throws StampyardError NOT_FOUND when none (of this kind) is in force */
  removeOverride(tenant: string, kind: PlacementOverride["kind"] | undefined, ctx: WriteContext): Promise<void>;
  /** Recounts all tenants. Empty = the counters are right; a million tenants take seconds. */
  counterDifferences(): Promise<readonly CounterDifference[]>;
  /** Writes what a recount says. Placements wait meanwhile. */
  recount(ctx: WriteContext): Promise<void>;
}

interface OverrideRow extends Record<string, unknown> {
  tenant: string;
  kind: PlacementOverride["kind"];
  stamp: string | null;
  until: number | null;
  reason: string | null;
  set_by: string;
  set_at: number;
}

const inForce = "(until IS NULL OR until > clock_timestamp())";

export function placementStore(base: StoreBase): PlacementStore {
  const { db, view } = base;
  const one = async (tenant: string) => {
    const { rows } = await db.query<OverrideRow>(`SELECT * FROM placement_overrides WHERE tenant = $1 AND ${inForce}`, [
      tenant,
    ]);
    return rows[0] === undefined ? undefined : toRecord(rows[0]);
  };
  return {
    async preview(input) {
      const draft = draftOf(input);
      const sight = await view.look(db, { exact: true });
      const wish = wishOf(draft, sight);
      return { request: wish.request, ...explain(wish, sight) };
    },
    explain: (key) => explainTenant(base, key),
    async candidates() {
      const sight = await view.look(db);
      return sight.pools.flatMap((pool) => sight.candidates(pool));
    },
    async overrides(page = {}) {
      const limit = pageLimit(page.limit);
      const { rows } = await db.query<OverrideRow>(
        `SELECT * FROM placement_overrides WHERE tenant > $1 AND ${inForce} ORDER BY tenant LIMIT $2`,
        [page.cursor ?? "", limit + 1],
      );
      return pageOf(rows.map(toRecord), limit, (record) => record.tenant);
    },
    override: one,
    setOverride: (tenant, override, ctx) => setOverride(base, tenant, override, ctx),
    async removeOverride(tenant, wanted, ctx) {
      await write(base, ctx, async (w) => {
        const { rows } = await w.query<OverrideRow>(
          `DELETE FROM placement_overrides WHERE tenant = $1 AND ($2::text IS NULL OR kind = $2) AND ${inForce} RETURNING *`,
          [tenant, wanted ?? null],
        );
        const [row] = rows;
        if (row === undefined) {
          throw new StampyardError("NOT_FOUND", `Tenant ${quote(tenant)} is not ${wordOf(wanted)}`, {
            mend: "See stampyard tenant overrides.",
          });
        }
        const { kind, stamp } = row;
        await audit(w, `tenant.un${kind}`, `tenant/${tenant}`, stamp === null ? {} : { stamp });
      });
      view.touchFleet();
    },
    counterDifferences: () => counterDifferences(db),
    async recount(ctx) {
      await write(base, ctx, async (w) => {
        const differences = await counterDifferences(w);
        await recountUse(w);
        await audit(w, "placement.recount", "placement", { differences: differences.length });
      });
      view.touchFleet();
    },
  };
}

async function setOverride(
  base: StoreBase,
  tenant: string,
  override: PlacementOverride,
  ctx: WriteContext,
): Promise<OverrideRecord> {
  const record = await write(base, ctx, async (w) => {
    requireTenantKey(tenant);
    const { kind, until } = override;
    const stamp = override.kind === "pin" ? requireName("stamp", override.stamp) : null;
    if (stamp !== null) {
      const found = await w.query("SELECT FROM stamps WHERE name = $1", [stamp]);
      if (found.rowCount === 0) throw stampNotFound(stamp);
    }
    const { rows } = await w.query<OverrideRow>(
      `INSERT INTO placement_overrides (tenant, kind, stamp, until, reason, set_by)
       SELECT $1, $2, $3, until, $5, $6 FROM (SELECT to_timestamp($4::float8 / 1000) AS until) AS t WHERE ${inForce}
       ON CONFLICT (tenant) DO UPDATE SET kind = excluded.kind, stamp = excluded.stamp, until = excluded.until,
         reason = excluded.reason, set_by = excluded.set_by, set_at = clock_timestamp()
       RETURNING *`,
      [tenant, kind, stamp, until ?? null, ctx.reason ?? null, ctx.actor],
    );
    const [row] = rows;
    if (row === undefined) {
      throw new StampyardError("INVALID_REQUEST", `The ${kind} of tenant ${tenant} would be over already`, {
        mend: "Name a time that is still to come.",
      });
    }
    await audit(w, `tenant.${kind}`, `tenant/${tenant}`, {
      ...(stamp === null ? {} : { stamp }),
      ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
    });
    return toRecord(row);
  });
  base.view.touchFleet();
  return record;
}

function wordOf(kind: PlacementOverride["kind"] | undefined): string {
  if (kind === undefined) return "pinned or quarantined";
  return kind === "pin" ? "pinned" : "quarantined";
}

async function explainTenant({ db, view }: StoreBase, key: string): Promise<PlacementAnswer> {
  const { rows } = await db.query<TenantRow>(`SELECT ${tenantColumns} FROM tenants WHERE key = $1`, [key]);
  const [row] = rows;
  if (row === undefined) throw tenantNotFound(key);
  const tenant = toTenant(row).value;
  const sight = await view.look(db, { exact: true });
  const { stamp } = tenant;
  if (stamp === undefined) {
    const wish = wishOfTenant(tenant, sight);
    return { request: wish.request, ...explain(wish, sight) };
  }
  const without = withoutTenant(sight, stamp, tenant.weight);
  const wish = wishOfTenant(tenant, without);
  const asked = { ...wish, request: { ...wish.request, previous: stamp } };
  return { request: asked.request, home: stamp, ...explain(asked, without) };
}

/** The sight as it would be if the tenant had left its home. */
function withoutTenant(sight: FleetSight, home: string, weight: UnitVector): FleetSight {
  const leave = (candidate: PlacementCandidate): PlacementCandidate => {
    if (candidate.name !== home) return candidate;
    const taken = Object.fromEntries(Object.entries({ tenants: 1, ...weight }).map(([unit, value]) => [unit, -value]));
    const left = Object.entries(addUnits(candidate.used, taken)).map(([unit, value]) => [unit, Math.max(0, value)]);
    return { ...candidate, used: Object.fromEntries(left) };
  };
  return {
    fleet: sight.fleet,
    pools: sight.pools,
    overrides: sight.overrides,
    pool: sight.pool,
    settings: sight.settings,
    candidates: (pool) => sight.candidates(pool).map(leave),
    candidate: (stamp) => {
      const found = sight.candidate(stamp);
      return found === undefined ? undefined : leave(found);
    },
  };
}

function toRecord({ tenant, stamp, until, reason, set_by, set_at }: OverrideRow): OverrideRecord {
  const expiry = until === null ? {} : { until };
  return {
    tenant,
    override: stamp === null ? { kind: "quarantine", ...expiry } : { kind: "pin", stamp, ...expiry },
    ...(reason === null ? {} : { reason }),
    setBy: set_by,
    setAt: set_at,
  };
}
