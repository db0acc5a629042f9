import type { DirectoryChange } from "@stampyard/directory";
import { StampyardError } from "@stampyard/domain";
import type { Database, Queryable } from "./database.ts";
import type { FleetView } from "./fleet-view.ts";
import type { Page, StoreEvent, StoreMode, WriteContext } from "./records.ts";

/** What all parts of the store hold in common. */
export interface StoreBase {
  readonly db: Database;
  /** Tells this process's watchers, after the commit. */
  readonly tell: (event: StoreEvent) => void;
  /** ms since 1970. */
  readonly now: () => number;
  /** For placements of this process. */
  readonly view: FleetView;
}

/** A transaction under the lease. */
export interface Write extends Queryable {
  readonly ctx: WriteContext;
  readonly mode: StoreMode;
  readonly incarnation: number;
  /** Told after the commit, and not at all without one. */
  tell(event: StoreEvent): void;
}

/**
 * Runs `work` in one transaction that holds the lease: a new token waits for it, a renewal does not (decision D10).
 * Also holds the mode, so that recovering begins after the last write that did not know of it.
 * @throws StampyardError STALE_LEADER
 */
export async function write<T>(base: StoreBase, ctx: WriteContext, work: (w: Write) => Promise<T>): Promise<T> {
  requireContext(ctx);
  let told: StoreEvent[] = [];
  const result = await base.db.transaction(async (tx) => {
    told = [];
    const { rows } = await tx.query<{ mode: StoreMode; incarnation: number }>(
      `SELECT m.mode, m.incarnation FROM lease l, meta m
       WHERE l.name = 'leader' AND l.token = $1 FOR KEY SHARE OF l FOR SHARE OF m`,
      [ctx.token],
      { prepared: true },
    );
    const [row] = rows;
    if (row === undefined) throw staleLeader(ctx.token);
    return work({ query: tx.query, ctx, mode: row.mode, incarnation: row.incarnation, tell: (e) => told.push(e) });
  });
  for (const event of told) base.tell(event);
  return result;
}

export function staleLeader(token: number): StampyardError {
  return new StampyardError("STALE_LEADER", `Fencing token ${token} is not the present one`, {
    mend: "Another control plane leads; send the request to it.",
  });
}

export function staleRevision(what: string, expected: number, present: number): StampyardError {
  return new StampyardError("STALE_REVISION", `${what} has revision ${present}, not ${expected}`, {
    mend: "Read it again, and repeat the change on what it says now.",
  });
}

/** @throws StampyardError RECOVERING */
export function requireNormal(w: Pick<Write, "mode">): void {
  if (w.mode === "normal") return;
  throw new StampyardError("RECOVERING", "The control plane is recovering: directory and placement are read-only", {
    mend: "Finish the recovery first.",
  });
}

/** Writes the audit row of a transaction: exactly one (I39). Returns its id, which groups the directory changes. */
export async function audit(
  w: Write,
  action: string,
  subject: string,
  detail: Readonly<Record<string, unknown>> = {},
): Promise<number> {
  const { actor, reason, requestId } = w.ctx;
  const { rows } = await w.query<{ id: number }>(
    `INSERT INTO audit (actor, action, subject, reason, request_id, detail) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
    [actor, action, subject, reason ?? null, requestId ?? null, JSON.stringify(detail)],
  );
  w.tell({ kind: "pending" });
  return rows[0]?.id ?? 0;
}

/**
 * Leaves directory changes for the sequencer. Call it after the object's row is locked: then the ids of two changes of
 * one entry rise in the order of their transactions, which is the order the sequencer keeps.
 */
export async function leaveChanges(
  w: Write,
  auditId: number,
  changes: readonly DirectoryChange[],
  confirmedBy?: string,
): Promise<void> {
  if (changes.length === 0) return;
  requireNormal(w);
  await insertChanges(w, auditId, changes, confirmedBy);
}

/** The same without asking for the mode: the end of a recovery brings the directory in line. */
export async function insertChanges(
  w: Write,
  auditId: number,
  changes: readonly DirectoryChange[],
  confirmedBy?: string,
): Promise<void> {
  await w.query(
    `INSERT INTO directory_pending (entry, change, audit_id, confirmed_by)
     SELECT entry, change::jsonb, $3, $4 FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t (entry, change, n)
     ORDER BY n`,
    [changes.map(entryOf), changes.map((change) => JSON.stringify(change)), auditId, confirmedBy ?? null],
  );
  w.tell({ kind: "pending" });
}

/** What a change is about: two changes of one entry must be numbered in their order. */
export function entryOf(change: DirectoryChange): string {
  switch (change.kind) {
    case "stamp-put":
    case "stamp-remove":
      return `stamp/${change.stamp}`;
    case "tenant-put":
    case "tenant-remove":
      return `tenant/${change.tenant}`;
    case "routing-put":
      return "routing/";
  }
}

/** Rows per page: 1 to 1,000. @throws StampyardError INVALID_REQUEST */
export function pageLimit(limit: number | undefined): number {
  if (limit === undefined) return 100;
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1_000) return limit;
  throw new StampyardError("INVALID_REQUEST", `A page of ${limit} is not possible`, { mend: "Ask for 1 to 1,000." });
}

/** Cuts the row beyond the page that the query asked for, and names where the next page starts. */
export function pageOf<T>(rows: readonly T[], limit: number, cursorOf: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return rows.length > limit && last !== undefined ? { items, nextCursor: cursorOf(last) } : { items };
}

/** A cursor that is a row number. @throws StampyardError INVALID_REQUEST */
export function numericCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  if (/^[0-9]{1,15}$/.test(cursor)) return Number(cursor);
  throw new StampyardError("INVALID_REQUEST", "The cursor is not one of ours", { mend: "Start again without it." });
}

export function requireContext(ctx: WriteContext): void {
  if (ctx.actor.length === 0 || ctx.actor.length > 200) {
    throw new StampyardError("INVALID_REQUEST", "The actor of a change needs 1 to 200 characters");
  }
  if ((ctx.reason?.length ?? 0) > 1_000) {
    throw new StampyardError("INVALID_REQUEST", "The reason is longer than 1,000 characters", { mend: "Shorten it." });
  }
}
