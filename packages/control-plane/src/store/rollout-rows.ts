import { randomBytes } from "node:crypto";
import {
  endedRollouts,
  quote,
  type Rollout,
  type RolloutMember,
  runningRollouts,
  StampyardError,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { Revisioned } from "./records.ts";
import type { Write } from "./write.ts";

export interface RolloutRow extends Record<string, unknown> {
  id: string;
  number: number;
  release_digest: Rollout["release"];
  components: string[];
  strategy: Rollout["strategy"];
  waves: Rollout["waves"];
  state: Rollout["state"];
  hotfix: boolean;
  undoes: string | null;
  overrides_freeze: string | null;
  reason: string | null;
  started_by: string;
  fleet_revision: number | null;
  spent: Rollout["spent"];
  looks: number;
  hooks_done: string[];
  gate: NonNullable<Rollout["gate"]> | null;
  waiting_on: string | null;
  revision: number;
  created_at: number;
  updated_at: number;
}

export interface MemberRow extends Record<string, unknown> {
  stamp: string;
  wave: number;
  place: number;
  from_aim: RolloutMember["from"];
  to_aim: RolloutMember["to"];
  state: RolloutMember["state"];
}

export const rolloutColumns = `id, number, release_digest, components, strategy, waves, state, hotfix, undoes,
  overrides_freeze, reason, started_by, fleet_revision, spent, looks, hooks_done, gate, waiting_on, revision, created_at,
  updated_at`;
export const memberColumns = "stamp, wave, place, from_aim, to_aim, state";
/** For SQL. */
export const endedRolloutList = listOf(endedRollouts);
export const runningRolloutList = listOf(runningRollouts);

function listOf(phases: readonly string[]): string {
  return phases.map((phase) => `'${phase}'`).join(", ");
}

export function toRollout(row: RolloutRow): Revisioned<Rollout> {
  return {
    value: {
      id: row.id,
      release: row.release_digest,
      components: row.components,
      strategy: row.strategy,
      waves: row.waves,
      state: row.state,
      hotfix: row.hotfix,
      ...(row.undoes === null ? {} : { undoes: row.undoes }),
      ...(row.overrides_freeze === null ? {} : { overridesFreeze: row.overrides_freeze }),
      ...(row.reason === null ? {} : { reason: row.reason }),
      by: row.started_by,
      ...(row.fleet_revision === null ? {} : { fleetRevision: row.fleet_revision }),
      spent: row.spent,
      looks: row.looks,
      hooksDone: row.hooks_done,
      ...(row.gate === null ? {} : { gate: row.gate }),
      ...(row.waiting_on === null ? {} : { waitingOn: row.waiting_on }),
    },
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function toMember({ stamp, wave, place, from_aim, to_aim, state }: MemberRow): RolloutMember {
  return { stamp, wave, place, from: from_aim, to: to_aim, state };
}

/**
 * Every change of a rollout waits here for the one before it, whichever rollout that is of: whether one may begin is
 * then asked when nothing else can begin (I34). Taken before any row, so that no two writers wait in a circle.
 */
export async function lockRollouts(w: Queryable): Promise<void> {
  await w.query("SELECT pg_advisory_xact_lock(hashtextextended('rollouts', 6205))");
}

/** Reads a rollout and keeps it as it is until the transaction ends. @throws StampyardError NOT_FOUND */
export async function lockRollout(tx: Queryable, id: string): Promise<Revisioned<Rollout>> {
  const { rows } = await tx.query<RolloutRow>(`SELECT ${rolloutColumns} FROM rollouts WHERE id = $1 FOR UPDATE`, [id]);
  if (rows[0] === undefined) throw rolloutNotFound(id);
  return toRollout(rows[0]);
}

export async function insertRollout(tx: Queryable, rollout: Rollout): Promise<Revisioned<Rollout>> {
  const { rows } = await tx.query<RolloutRow>(
    `INSERT INTO rollouts (id, release_digest, components, strategy, waves, state, hotfix, undoes, overrides_freeze,
       reason, started_by, fleet_revision)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING ${rolloutColumns}`,
    [
      rollout.id,
      rollout.release,
      [...rollout.components],
      JSON.stringify(rollout.strategy),
      JSON.stringify(rollout.waves),
      JSON.stringify(rollout.state),
      rollout.hotfix,
      rollout.undoes ?? null,
      rollout.overridesFreeze ?? null,
      rollout.reason ?? null,
      rollout.by,
      rollout.fleetRevision ?? null,
    ],
  );
  if (rows[0] === undefined) throw rolloutNotFound(rollout.id);
  return toRollout(rows[0]);
}

/** What changes of a rollout; all else stays as it was started. Its row is locked by the caller. */
export async function updateRollout(tx: Queryable, rollout: Rollout): Promise<Revisioned<Rollout>> {
  const { rows } = await tx.query<RolloutRow>(
    `UPDATE rollouts SET state = $2, waves = $3, spent = $4, looks = $5, hooks_done = $6, gate = $7, waiting_on = $8,
       revision = revision + 1, updated_at = clock_timestamp()
     WHERE id = $1 RETURNING ${rolloutColumns}`,
    [
      rollout.id,
      JSON.stringify(rollout.state),
      JSON.stringify(rollout.waves),
      JSON.stringify(rollout.spent),
      rollout.looks,
      [...rollout.hooksDone],
      rollout.gate === undefined ? null : JSON.stringify(rollout.gate),
      rollout.waitingOn ?? null,
    ],
  );
  if (rows[0] === undefined) throw rolloutNotFound(rollout.id);
  return toRollout(rows[0]);
}

/** All, or those of these stamps; by wave and place. */
export async function readMembers(
  tx: Queryable,
  rollout: string,
  stamps?: readonly string[],
): Promise<readonly RolloutMember[]> {
  const { rows } = await tx.query<MemberRow>(
    `SELECT ${memberColumns} FROM rollout_members
     WHERE rollout = $1 AND ($2::text[] IS NULL OR stamp = ANY ($2)) ORDER BY wave, place, stamp`,
    [rollout, stamps === undefined ? null : [...stamps]],
  );
  return rows.map(toMember);
}

export async function putMembers(tx: Queryable, rollout: string, members: readonly RolloutMember[]): Promise<void> {
  if (members.length === 0) return;
  await tx.query(
    `INSERT INTO rollout_members (rollout, stamp, wave, place, from_aim, to_aim, state)
     SELECT $1, stamp, wave, place, from_aim::jsonb, to_aim::jsonb, state::jsonb
     FROM unnest($2::text[], $3::int[], $4::int[], $5::text[], $6::text[], $7::text[])
       AS t (stamp, wave, place, from_aim, to_aim, state)
     ON CONFLICT (rollout, stamp) DO UPDATE SET wave = excluded.wave, place = excluded.place,
       from_aim = excluded.from_aim, to_aim = excluded.to_aim, state = excluded.state`,
    [
      rollout,
      members.map((member) => member.stamp),
      members.map((member) => member.wave),
      members.map((member) => member.place),
      members.map((member) => JSON.stringify(member.from)),
      members.map((member) => JSON.stringify(member.to)),
      members.map((member) => JSON.stringify(member.state)),
    ],
  );
}

export function tellRollout(w: Write, { id, state, waitingOn }: Rollout): void {
  const waits = waitingOn === undefined ? {} : { waitingOn };
  w.tell({ kind: "rollout", rollout: id, phase: state.kind, ...waits });
}

export function rolloutNotFound(id: string): StampyardError {
  return new StampyardError("NOT_FOUND", `There is no rollout ${quote(id)}`, {
    mend: "See stampyard rollout list.",
  });
}

/** `ro-` and 10 hexadecimal digits. */
export function newRolloutId(): string {
  return `ro-${randomBytes(5).toString("hex")}`;
}
