import {
  type Capacity,
  type Stamp,
  type StampPhase,
  unitsOf,
  type UnitVector,
  unitWithoutRoom,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { phaseByGoal } from "./fleet-sight.ts";
import type { FleetSight } from "./fleet-view.ts";

/** A place that a transaction has taken, by writing its tenant's row. */
export interface TakenPlace {
  readonly key: string;
  readonly stamp: string;
  readonly weight: UnitVector;
  /** Its caller named the stamp, which then need not be active, or have room if it was adopted. */
  readonly isNamed: boolean;
}

interface GuardRow extends Record<string, unknown> {
  name: string;
  goal: Stamp["goal"];
  phase: StampPhase;
  origin: Stamp["origin"];
  reserved_for: string | null;
  capacity: Capacity;
  reserved: Record<string, number> | null;
}

/**
 * Holds the stamps of these places until the transaction ends, and says which of them cannot give them (I32): the
 * sight they were chosen by was behind. The tenants' rows are written, so the counters hold these places too, and
 * nobody else can change them meanwhile: checked after the fact, the sum is exact. Any stamp named here = roll back.
 */
export async function lostPlaces(
  tx: Queryable,
  places: readonly TakenPlace[],
  sight: FleetSight,
): Promise<readonly string[]> {
  if (places.length === 0) return [];
  const claimed = await claimDedicated(tx, places, sight);
  const { rows } = await tx.query<GuardRow>(
    `SELECT name, goal, phase, origin, reserved_for, capacity,
       (SELECT jsonb_object_agg(unit, reserved) FROM stamp_use u WHERE u.stamp = name) AS reserved
     FROM stamps WHERE name = ANY ($1) ORDER BY name FOR SHARE`,
    [[...new Set(places.map((place) => place.stamp))]],
    { prepared: true },
  );
  const held = new Map(rows.map((row) => [row.name, row]));
  const lost = new Set<string>(claimed);
  for (const place of places) {
    const row = held.get(place.stamp);
    if (row === undefined || !canGive(row, place, sight)) lost.add(place.stamp);
  }
  return [...lost];
}

function canGive(row: GuardRow, { key, weight, isNamed }: TakenPlace, sight: FleetSight): boolean {
  const phase = phaseByGoal(row.goal, row.phase);
  if (phase === "destroying" || phase === "gone") return false;
  const isAdopted = row.origin === "adopted";
  const isOpen = isNamed ? isAdopted || row.goal === "present" : phase === "active";
  if (!isOpen) return false;
  if (row.reserved_for !== null && row.reserved_for !== key) return false;
  if (isNamed && isAdopted) return true;
  const seen = sight.candidate(row.name);
  const limits = { ...unitsOf(row.capacity) };
  if (seen?.tenancy === "dedicated") limits["tenants"] = Math.min(1, row.capacity.tenants);
  // Units that this tenant takes nothing of are no business of its placement.
  const taken = { tenants: 1, ...weight };
  const concerned = Object.fromEntries(Object.entries(limits).filter(([unit]) => (taken[unit as "tenants"] ?? 0) > 0));
  return unitWithoutRoom(row.reserved ?? {}, nothing(concerned), concerned, seen?.high ?? 1) === undefined;
}

/** The counters have these places already. */
function nothing(limits: UnitVector): UnitVector {
  return Object.fromEntries(Object.keys(limits).map((unit) => [unit, 0]));
}

/** A dedicated stamp is its tenant's from now on: nobody else is ever placed there. @returns stamps that are others' */
async function claimDedicated(
  tx: Queryable,
  places: readonly TakenPlace[],
  sight: FleetSight,
): Promise<readonly string[]> {
  const lost: string[] = [];
  const dedicated = places.filter((place) => sight.candidate(place.stamp)?.tenancy === "dedicated");
  for (const { stamp, key } of dedicated.sort((a, b) => (a.stamp < b.stamp ? -1 : 1))) {
    const claimed = await tx.query(
      `UPDATE stamps SET reserved_for = $2 WHERE name = $1 AND (reserved_for IS NULL OR reserved_for = $2)`,
      [stamp, key],
    );
    if (claimed.rowCount === 0) lost.push(stamp);
  }
  return lost;
}

/**
 * No place is given or taken by anybody else until this transaction ends: who finds no room now may say so. Take it
 * before writing any row.
 */
export async function closePlaces(tx: Queryable): Promise<void> {
  await tx.query("LOCK TABLE stamp_use IN SHARE ROW EXCLUSIVE MODE");
}
