import type { UnitVector } from "@stampyard/domain";
import type { Queryable } from "./database.ts";

export interface MovePlace {
  readonly move: string;
  readonly stamp: string;
  readonly weight: UnitVector;
  readonly isBig: boolean;
  /** The stamp was kept for nobody before. */
  readonly isClaimed: boolean;
}

/** Triggers count it from now on; whoever calls this guards the stamp's room afterwards (`lostPlaces`). */
export async function takeMovePlace(tx: Queryable, place: MovePlace): Promise<void> {
  await tx.query(
    `INSERT INTO move_places (move_id, stamp, kind, weight, big, claimed) VALUES ($1, $2, 'incoming', $3, $4, $5)`,
    [place.move, place.stamp, JSON.stringify(place.weight), place.isBig, place.isClaimed],
  );
}

/** Gives back what the move still holds, and a dedicated stamp that was claimed for it. @returns the stamp, if any */
export async function giveMovePlace(tx: Queryable, move: string): Promise<string | undefined> {
  const { rows } = await tx.query<{ stamp: string; claimed: boolean; tenant: string }>(
    `DELETE FROM move_places p USING moves m WHERE p.move_id = $1 AND m.id = p.move_id
     RETURNING p.stamp, p.claimed, m.tenant`,
    [move],
  );
  const [place] = rows;
  if (place?.claimed === true) await releaseStamp(tx, place.stamp, place.tenant);
  return place?.stamp;
}

/** A dedicated stamp follows its tenant: the one that it has left for good is nobody's again. */
export async function releaseStamp(tx: Queryable, stamp: string, tenant: string): Promise<void> {
  await tx.query(
    `UPDATE stamps SET reserved_for = NULL WHERE name = $1 AND reserved_for = $2
       AND NOT EXISTS (SELECT FROM tenants WHERE key = $2 AND stamp = $1)`,
    [stamp, tenant],
  );
}

/** Whether the tenant is big for the stamp that it is on its way to. */
export async function isBigThere(tx: Queryable, move: string): Promise<boolean> {
  const { rows } = await tx.query<{ big: boolean }>("SELECT big FROM move_places WHERE move_id = $1", [move]);
  return rows[0]?.big === true;
}

/** What was reserved is the tenant's own now, whose row is written already; the place that it left is kept instead. */
export async function keepWayBack(tx: Queryable, place: Omit<MovePlace, "isClaimed">): Promise<void> {
  await tx.query(
    `INSERT INTO move_places (move_id, stamp, kind, weight, big) VALUES ($1, $2, 'way-back', $3, $4)
     ON CONFLICT (move_id) DO UPDATE
       SET stamp = excluded.stamp, kind = excluded.kind, weight = excluded.weight, big = excluded.big, claimed = false`,
    [place.move, place.stamp, JSON.stringify(place.weight), place.isBig],
  );
}

/** Between a move and the one that takes it back: the place itself stays. False = there was none. */
export async function passMovePlace(
  tx: Queryable,
  from: string,
  to: string,
  kind: "incoming" | "way-back",
): Promise<boolean> {
  const { rowCount } = await tx.query("UPDATE move_places SET move_id = $2, kind = $3 WHERE move_id = $1", [
    from,
    to,
    kind,
  ]);
  return rowCount === 1;
}
