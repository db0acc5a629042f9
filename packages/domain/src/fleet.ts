import type { UnitVector } from "./capacity.ts";
import type { Parameters } from "./rendered.ts";
import type { FreezeWindow } from "./rollout/freeze.ts";
import type { RolloutStrategy } from "./rollout/strategy.ts";
import type { CatchAll, Routing } from "./routing.ts";
import type { Capacity } from "./template.ts";

/** What `fleet.yaml` says: pools, routing and policies, never single stamps (decision D1). */
export interface Fleet {
  readonly name: string;
  /** Path of the stamp template, relative to the fleet file. */
  readonly template: string;
  readonly pools: readonly Pool[];
  readonly routing: Routing;
  /** What a tenant of a tier weighs unless it says otherwise. */
  readonly tiers?: Readonly<Record<string, Tier>>;
  /** Where data may live, whoever asks; enforced at creation, placement, move and adoption. */
  readonly residency?: readonly ResidencyRule[];
  readonly prices?: PriceList;
  /** How releases go over the fleet unless a rollout says otherwise. */
  readonly rollout?: RolloutStrategy;
  /** When nothing of what they name may change. */
  readonly freezes?: readonly FreezeWindow[];
}

export interface Tier {
  /** Units taken in a stamp; `tenants` is 1 unless it is named. */
  readonly weight: UnitVector;
}

/** All tenants of these tiers live in these regions only. */
export interface ResidencyRule {
  /** Named in refusals and reports. */
  readonly name: string;
  /** Absent = every tier. */
  readonly tiers?: readonly string[];
  /** A tenant whose own residency names any of these is under the rule too. Absent = tiers alone decide. */
  readonly when?: readonly string[];
  readonly regions: readonly string[];
}

/** What a stamp costs, for plans and simulations: an estimate that its operator writes down. */
export interface PriceList {
  /** ISO 4217, e.g. `EUR`. */
  readonly currency: string;
  /** Component name or kind to its price per month; a name wins over its kind. */
  readonly components: Readonly<Record<string, number>>;
  /** Factor per region. @default 1 */
  readonly regions: Readonly<Record<string, number>>;
}

export interface Pool {
  readonly name: string;
  readonly tenancy: "shared" | "dedicated";
  /** New stamps take these in turn. */
  readonly regions: readonly string[];
  /** `spare` empty active stamps are kept ready. @default 0 */
  readonly stamps: { readonly min: number; readonly max: number; readonly spare?: number };
  /** Tiers that may live here; absent = any. */
  readonly tiers?: readonly string[];
  /** Release channel of its stamps; a tenant that names another is not placed here. */
  readonly channel?: string;
  /** Label by which a rollout's waves can name its stamps. */
  readonly ring?: string;
  readonly placement?: PlacementPolicy;
  readonly growth?: GrowthPolicy;
  /** What the platform does by itself here. What it may not do, it proposes. */
  readonly automation?: PoolAutomation;
  /** Lowers what the template declares; absent = the template's. */
  readonly capacity?: Partial<Capacity>;
  readonly parameters: Parameters;
  /** Stamp zero may take what no tenant claims, until a date (decision D18). */
  readonly catchAll?: CatchAll;
}

export interface PlacementPolicy {
  /** `spread` fills stamps evenly, `pack` fills one before the next. @default "spread" */
  readonly strategy?: "spread" | "pack";
  /** A tenant is big from this share of a stamp in any unit. @default 0.1 */
  readonly bigFrom?: number;
  /** Most of the pool's big tenants that one stamp should hold, as a share. @default 0.5 */
  readonly bigShare?: number;
}

/** Shares of capacity, each of the unit that is closest to its limit. */
export interface GrowthPolicy {
  /** From here on, the next stamp is built. @default 0.8 */
  readonly low?: number;
  /** From here on, a stamp is full (decision D19). @default 1 */
  readonly high?: number;
  /** Share of the pool's capacity that stays free, e.g. to take in the tenants of a lost stamp. @default 0 */
  readonly headroom?: number;
  /** How long the next stamp takes to build, in milliseconds; a forecast that fills the pool sooner builds it now. @default measured */
  readonly buildTimeMs?: number;
}

/** Share of every limit from which a stamp of the pool is full. A dedicated one is full with its one tenant. */
export function highMark(pool: Pick<Pool, "tenancy" | "growth">): number {
  return pool.tenancy === "dedicated" ? 1 : (pool.growth?.high ?? 1);
}

export interface PoolAutomation {
  /** @default "act" */
  readonly scaleUp?: "act" | "propose";
  /** @default "propose" */
  readonly scaleDown?: "act" | "propose";
  /** @default "propose" */
  readonly rebalance?: "act" | "propose";
  /** What to do when a stamp does not run what its release says. @default "report" */
  readonly drift?: "report" | "heal";
}
