import { randomBytes } from "node:crypto";
import { endedMoves, type Move, movingPhases, StampyardError, quote } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { Revisioned } from "./records.ts";
import type { Write } from "./write.ts";

export interface MoveRow extends Record<string, unknown> {
  id: string;
  number: number;
  tenant: string;
  from_stamp: string;
  to_stamp: string;
  epoch: number;
  mode: Move["mode"];
  verify: Move["verify"];
  goal: Move["goal"];
  state: Move["state"];
  max_pause_ms: number;
  rest_ms: number;
  returns: string | null;
  campaign: string | null;
  accepted: boolean;
  setback: NonNullable<Move["setback"]> | null;
  waiting_on: string | null;
  report: Move["report"];
  revision: number;
  created_at: number;
  updated_at: number;
}

export const moveColumns = `id, number, tenant, from_stamp, to_stamp, epoch, mode, verify, goal, state, max_pause_ms, rest_ms,
  returns, campaign, accepted, setback, waiting_on, report, revision, created_at, updated_at`;

/** For SQL. */
export const endedList = listOf(endedMoves);
export const movingList = listOf(movingPhases);

function listOf(phases: readonly string[]): string {
  return phases.map((phase) => `'${phase}'`).join(", ");
}

export function toMove(row: MoveRow): Revisioned<Move> {
  return {
    value: {
      id: row.id,
      tenant: row.tenant,
      from: row.from_stamp,
      to: row.to_stamp,
      epoch: row.epoch,
      mode: row.mode,
      verify: row.verify,
      goal: row.goal,
      state: row.state,
      maxPauseMs: row.max_pause_ms,
      restMs: row.rest_ms,
      ...(row.returns === null ? {} : { returns: row.returns }),
      ...(row.campaign === null ? {} : { campaign: row.campaign }),
      ...(row.accepted ? { isAccepted: true } : {}),
      ...(row.setback === null ? {} : { setback: row.setback }),
      ...(row.waiting_on === null ? {} : { waitingOn: row.waiting_on }),
      report: row.report,
    },
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export async function readMove(tx: Queryable, id: string): Promise<Revisioned<Move> | undefined> {
  const { rows } = await tx.query<MoveRow>(`SELECT ${moveColumns} FROM moves WHERE id = $1`, [id]);
  return rows[0] === undefined ? undefined : toMove(rows[0]);
}

/** Reads a move and keeps it as it is until the transaction ends. @throws StampyardError NOT_FOUND */
export async function lockMove(tx: Queryable, id: string): Promise<Revisioned<Move>> {
  const { rows } = await tx.query<MoveRow>(`SELECT ${moveColumns} FROM moves WHERE id = $1 FOR UPDATE`, [id]);
  if (rows[0] === undefined) throw moveNotFound(id);
  return toMove(rows[0]);
}

export async function insertMove(tx: Queryable, move: Move): Promise<Revisioned<Move>> {
  const { rows } = await tx.query<MoveRow>(
    `INSERT INTO moves (id, tenant, from_stamp, to_stamp, epoch, mode, verify, goal, state, max_pause_ms, rest_ms,
       returns, campaign)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING ${moveColumns}`,
    [
      move.id,
      move.tenant,
      move.from,
      move.to,
      move.epoch,
      move.mode,
      move.verify,
      move.goal,
      JSON.stringify(move.state),
      move.maxPauseMs,
      move.restMs,
      move.returns ?? null,
      move.campaign ?? null,
    ],
  );
  const [row] = rows;
  if (row === undefined) throw moveNotFound(move.id);
  return toMove(row);
}

/** Writes what may change of a move, and raises its revision. Its row is locked by the caller. */
export async function updateMove(tx: Queryable, move: Move): Promise<Revisioned<Move>> {
  const { rows } = await tx.query<MoveRow>(
    `UPDATE moves SET goal = $2, state = $3, rest_ms = $4, accepted = $5, setback = $6, waiting_on = $7, report = $8,
       epoch = $9, max_pause_ms = $10, revision = revision + 1, updated_at = clock_timestamp()
     WHERE id = $1 RETURNING ${moveColumns}`,
    [
      move.id,
      move.goal,
      JSON.stringify(move.state),
      move.restMs,
      move.isAccepted === true,
      move.setback === undefined ? null : JSON.stringify(move.setback),
      move.waitingOn ?? null,
      JSON.stringify(move.report),
      move.epoch,
      move.maxPauseMs,
    ],
  );
  const [row] = rows;
  if (row === undefined) throw moveNotFound(move.id);
  return toMove(row);
}

export function tellMove(w: Write, { id, tenant, state, waitingOn }: Move): void {
  w.tell({
    kind: "move",
    move: id,
    tenant,
    phase: state.kind,
    ...(waitingOn === undefined ? {} : { waitingOn }),
  });
}

export function moveNotFound(id: string): StampyardError {
  return new StampyardError("NOT_FOUND", `There is no move ${quote(id)}`, { mend: "See stampyard move list." });
}

/** The longest name that everything a move makes can have. */
export const longestMoveId = 64;

const letters = "abcdefghijklmnopqrstuvwxyz0123456789";

/** `mv-` and 12 letters: 62 random bits. */
export function newMoveId(): string {
  let id = "";
  while (id.length < 12) {
    for (const byte of randomBytes(16)) {
      // Above it some letters would come more often than others.
      if (byte < 252 && id.length < 12) id += letters[byte % 36];
    }
  }
  return `mv-${id}`;
}
