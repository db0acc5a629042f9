import { requireName, type Stamp, StampyardError } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { endedList } from "./move-rows.ts";
import type { Revisioned } from "./records.ts";

export interface StampRow extends Record<string, unknown> {
  name: string;
  pool: string;
  region: string;
  goal: Stamp["goal"];
  goal_detail: NonNullable<Stamp["goalDetail"]> | null;
  origin: Stamp["origin"];
  reserved_for: string | null;
  adoption: NonNullable<Stamp["adoption"]> | null;
  verification: NonNullable<Stamp["verification"]> | null;
  state: Stamp["state"];
  release_digest: Stamp["releaseDigest"];
  parameters: Stamp["parameters"];
  own_parameters: NonNullable<Stamp["own"]> | null;
  stamp_digest: Stamp["stampDigest"];
  capacity: Stamp["capacity"];
  routing_digest: NonNullable<Stamp["routing"]> | null;
  endpoints: Stamp["endpoints"];
  endpoint_revision: number;
  waiting_on: string | null;
  revision: number;
  created_at: number;
  updated_at: number;
}

export const stampColumns = `name, pool, region, goal, goal_detail, origin, reserved_for, adoption, verification, state, release_digest, parameters, own_parameters, stamp_digest, capacity,
  routing_digest, endpoints, endpoint_revision, waiting_on, revision, created_at, updated_at`;

export function toStamp(row: StampRow): Revisioned<Stamp> {
  return {
    value: {
      name: row.name,
      pool: row.pool,
      region: row.region,
      state: row.state,
      goal: row.goal,
      ...(row.goal_detail === null ? {} : { goalDetail: row.goal_detail }),
      origin: row.origin,
      ...(row.reserved_for === null ? {} : { reservedFor: row.reserved_for }),
      ...(row.adoption === null ? {} : { adoption: row.adoption }),
      ...(row.verification === null ? {} : { verification: row.verification }),
      releaseDigest: row.release_digest,
      parameters: row.parameters,
      ...(row.own_parameters === null ? {} : { own: row.own_parameters }),
      stampDigest: row.stamp_digest,
      capacity: row.capacity,
      ...(row.routing_digest === null ? {} : { routing: row.routing_digest }),
      endpoints: row.endpoints,
      endpointRevision: row.endpoint_revision,
      ...(row.waiting_on === null ? {} : { waitingOn: row.waiting_on }),
    },
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Reads a stamp and keeps it as it is until the transaction ends. @throws StampyardError STAMP_NOT_FOUND */
export async function lockStamp(tx: Queryable, name: string): Promise<Revisioned<Stamp>> {
  const { rows } = await tx.query<StampRow>(`SELECT ${stampColumns} FROM stamps WHERE name = $1 FOR UPDATE`, [name]);
  const [row] = rows;
  if (row === undefined) throw stampNotFound(name);
  return toStamp(row);
}

/** @throws StampyardError ALREADY_EXISTS, INVALID_NAME */
export async function insertStamp(tx: Queryable, stamp: Stamp): Promise<Revisioned<Stamp>> {
  requireName("stamp", stamp.name);
  requireName("pool", stamp.pool);
  const orphans = await tx.query<{ count: number }>("SELECT count(*) AS count FROM tenants WHERE stamp = $1", [
    stamp.name,
  ]);
  const count = orphans.rows[0]?.count ?? 0;
  if (count > 0) {
    // An empty stamp under this name would be taken for their home, with their data lost in silence.
    throw new StampyardError("ALREADY_EXISTS", `${count} tenants still have a destroyed stamp ${stamp.name} as home`, {
      mend: "Delete these tenants first, or choose another name.",
    });
  }
  const moves = await tx.query<{ id: string }>(
    `SELECT id FROM moves WHERE (from_stamp = $1 OR to_stamp = $1) AND phase NOT IN (${endedList}) ORDER BY number LIMIT 1`,
    [stamp.name],
  );
  if (moves.rows[0] !== undefined) {
    throw new StampyardError("ALREADY_EXISTS", `Move ${moves.rows[0].id} still names a destroyed stamp ${stamp.name}`, {
      mend: `See what it waits for (stampyard move show ${moves.rows[0].id}), or choose another name.`,
    });
  }
  const { rows } = await tx.query<StampRow>(
    `INSERT INTO stamps (name, pool, region, goal, state, release_digest, parameters, stamp_digest, capacity,
       endpoints, endpoint_revision, waiting_on, goal_detail, origin, reserved_for, adoption, own_parameters)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) ON CONFLICT DO NOTHING RETURNING ${stampColumns}`,
    [
      stamp.name,
      stamp.pool,
      stamp.region,
      stamp.goal,
      JSON.stringify(stamp.state),
      stamp.releaseDigest,
      JSON.stringify(stamp.parameters),
      stamp.stampDigest,
      JSON.stringify(stamp.capacity),
      JSON.stringify(stamp.endpoints),
      stamp.endpointRevision,
      stamp.waitingOn ?? null,
      stamp.goalDetail === undefined ? null : JSON.stringify(stamp.goalDetail),
      stamp.origin,
      stamp.reservedFor ?? null,
      stamp.adoption === undefined ? null : JSON.stringify(stamp.adoption),
      stamp.own === undefined ? null : JSON.stringify(stamp.own),
    ],
  );
  const [row] = rows;
  if (row === undefined) throw new StampyardError("ALREADY_EXISTS", `Stamp ${stamp.name} exists already`);
  return toStamp(row);
}

export function stampNotFound(name: string): StampyardError {
  return new StampyardError("STAMP_NOT_FOUND", `There is no stamp ${JSON.stringify(name.slice(0, 80))}`);
}
