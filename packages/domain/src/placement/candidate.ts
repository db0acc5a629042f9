import type { UnitVector } from "../capacity.ts";
import type { StampObservation } from "../engine.ts";
import { highMark, type PlacementPolicy, type Pool } from "../fleet.ts";
import type { Instant } from "../ports.ts";
import type { StampPhase } from "../stamp.ts";

/** What placement may know of a stamp. */
export interface PlacementCandidate {
  readonly name: string;
  readonly pool: string;
  readonly region: string;
  readonly channel?: string;
  readonly phase: StampPhase;
  /** Why it can take nobody now although it is active, as it was last observed; undefined = nothing is known against it. */
  readonly trouble?: string;
  readonly limits: UnitVector;
  /** After decision D19: every reservation, what was measured, who is on the way in, and who may come back. */
  readonly used: UnitVector;
  readonly usedBasis: "observed" | "reserved";
  /** Share of every limit from which the stamp is full. */
  readonly high: number;
  /** Key of the one tenant that a dedicated stamp is kept for. */
  readonly reservedFor?: string;
  readonly tenancy: "shared" | "dedicated";
  /** How many of its tenants are big for it (see `isBig`). @default 0 */
  readonly bigTenants?: number;
  /** It holds quarantined tenants, and nobody else. */
  readonly quarantined?: boolean;
  readonly adopted?: boolean;
}

export interface PlacementRequest {
  readonly key: string;
  readonly pool: string;
  readonly tenancy: "shared" | "dedicated";
  readonly tier: string;
  /** Regions it may live in, residency rules applied; empty = any. */
  readonly residency: readonly string[];
  /** The residency rule that narrowed them. */
  readonly residencyRule?: string;
  /** Release channel it asks for; absent = that of any stamp. */
  readonly channel?: string;
  /** A unit that is not there is 0; `tenants` is 1. */
  readonly weight: UnitVector;
  /** Stamp it lived on before, if any. */
  readonly previous?: string;
  /** In force: the caller leaves out what has expired. */
  readonly override?: PlacementOverride;
}

/** An operator's word about one tenant, until it expires. */
export type PlacementOverride =
  | { readonly kind: "pin"; readonly stamp: string; readonly until?: Instant }
  /** It shares a stamp with other quarantined tenants only. */
  | { readonly kind: "quarantine"; readonly until?: Instant };

/** How a pool places, and whether it may still get more stamps. */
export interface PlacementSettings extends PlacementPolicy {
  /** Tiers that may live in the pool; absent = any. */
  readonly tiers?: readonly string[];
  /** So many empty stamps are kept for the day when the others are full. @default 0 */
  readonly spare?: number;
  /** Absent = the pool gets no more stamps. */
  readonly canGrow?: RoomToGrow;
}

export interface RoomToGrow {
  /** How many more stamps the pool may get. */
  readonly stampsLeft: number;
  readonly regions: readonly string[];
  /** What a new stamp would hold; absent = not known. */
  readonly limits?: UnitVector;
  /** Share of these limits from which it would be full. @default 1 */
  readonly high?: number;
}

export type Placement =
  | { readonly kind: "place"; readonly stamp: string }
  /** A stamp that will have room is still being built, or will be. */
  | { readonly kind: "wait"; readonly waitingOn: string }
  | { readonly kind: "full"; readonly why: string };

/** Settings of a pool as its fleet file has them. */
export function placementSettings(pool: Pool, canGrow?: RoomToGrow): PlacementSettings {
  return {
    ...pool.placement,
    ...(pool.tiers === undefined ? {} : { tiers: pool.tiers }),
    ...(pool.stamps.spare === undefined ? {} : { spare: pool.stamps.spare }),
    ...(canGrow === undefined ? {} : { canGrow }),
  };
}

/** How much a pool may still grow, with so many stamps that are not on their way out. */
export function roomToGrow(pool: Pool, present: number, newLimits?: UnitVector): RoomToGrow {
  const stampsLeft = Math.max(0, pool.stamps.max - present);
  const { regions } = pool;
  return { stampsLeft, regions, high: highMark(pool), ...(newLimits === undefined ? {} : { limits: newLimits }) };
}

/** What its last observation has against placing tenants on an active stamp: they could not be prepared there. */
export function placementTrouble(seen: StampObservation | undefined): string | undefined {
  if (seen === undefined) return undefined;
  if (seen.presence === "absent") return "nothing of it is left on its engine";
  if (seen.presence === "unknown") return "its engine does not answer";
  const isDown = seen.host !== "up" && !seen.components.some((component) => component.status === "healthy");
  return isDown ? "its stamp host is down with all of its components" : undefined;
}
