import {
  endedMoves,
  isSame,
  type Move,
  moveNext,
  type MovePhase,
  StampyardError,
  type Tenant,
} from "@stampyard/domain";
import { giveMovePlace, passMovePlace, releaseStamp } from "./move-places.ts";
import {
  endedList,
  lockMove,
  moveColumns,
  moveNotFound,
  type MoveRow,
  movingList,
  readMove,
  tellMove,
  toMove,
  updateMove,
} from "./move-rows.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import { eventOf, tellOf } from "./tenant-create.ts";
import { insertEvents, tenantColumns, type TenantRow, toTenant, updateTenant } from "./tenant-rows.ts";
import { audit, requireNormal, staleRevision, type StoreBase, type Write, write } from "./write.ts";

/** Ten minutes. */
const anotherTryMs = 600_000;

export async function writeMove(
  base: StoreBase,
  wanted: Move,
  revision: number,
  ctx: WriteContext,
): Promise<Revisioned<Move>> {
  const touched = new Set<string>();
  const written = await write(base, ctx, async (w) => {
    requireNormal(w);
    // Tenants before moves, everywhere; most writes do not touch theirs.
    const { kind } = wanted.state;
    const tenant = kind === "verifying" || kind === "aborted" ? await lockTenantIfThere(w, wanted.tenant) : undefined;
    const old = await lockMove(w, wanted.id);
    if (old.revision !== revision) throw staleRevision(`Move ${wanted.id}`, revision, old.revision);
    const { setback: _s, waitingOn: _w, ...kept } = old.value;
    const { state, setback, waitingOn, report } = wanted;
    const move: Move = {
      ...kept,
      state,
      report,
      ...(setback === undefined ? {} : { setback }),
      ...(waitingOn === undefined ? {} : { waitingOn }),
    };
    if (isSame(old.value, move)) return old;
    if (!isSame(old.value.state, state)) await takeStep(w, old.value, move, tenant, { touched, now: base.now() });
    tellMove(w, move);
    return updateMove(w, move);
  });
  base.view.touch(touched);
  return written;
}

/** A new state, and what comes with it in the same transaction. */
async function takeStep(
  w: Write,
  old: Move,
  move: Move,
  tenant: Tenant | undefined,
  { touched, now }: { readonly touched: Set<string>; readonly now: number },
): Promise<void> {
  const from = old.state.kind;
  const to = move.state.kind;
  const allowed: readonly MovePhase[] = moveNext[from];
  if (from !== to && !allowed.includes(to)) {
    throw new StampyardError("WRONG_PHASE", `Move ${move.id} is ${from} and cannot become ${to}`);
  }
  const cause = "cause" in move.state ? { cause: move.state.cause } : {};
  await audit(w, from === to ? "move.update" : `move.${to}`, `move/${move.id}`, {
    tenant: move.tenant,
    before: old.state,
    after: move.state,
    ...cause,
  });
  if (from === to) return;
  if (to === "verifying") await settleTenant(w, move, tenant, move.to, "move-landed");
  if (to === "erasing") await requireNoReturn(w, move);
  if (to === "aborted") {
    await settleTenant(w, move, tenant, move.from, "move-aborted");
    await giveBack(w, move, touched, now);
  }
  if (to === "done" || to === "returned") {
    await giveBack(w, move, touched, now);
    if (to === "done") await releaseStamp(w, move.from, move.tenant);
    touched.add(move.from);
  }
}

/** The tenant is served by one stamp again. One that is not moved by this move has found another way (D9). */
async function settleTenant(
  w: Write,
  move: Move,
  tenant: Tenant | undefined,
  home: string,
  event: string,
): Promise<void> {
  if (tenant?.state.kind !== "moving" || tenant.state.move !== move.id) return;
  if (tenant.stamp !== home) {
    throw new StampyardError(
      "WRONG_PHASE",
      `Tenant ${tenant.key} is still on stamp ${tenant.stamp ?? "none"}, not on ${home}`,
      {
        mend: "The directory follows a move before its tenant is at rest again.",
      },
    );
  }
  const { waitingOn: _, ...kept } = tenant;
  const active: Tenant = { ...kept, state: { kind: "active" } };
  await insertEvents(w, w.ctx.actor, [eventOf(active, event, move.id)]);
  await updateTenant(w, active);
  tellOf(w, active);
}

/** A way back that was given up leaves the place with the move that it would have taken back. */
async function giveBack(w: Write, move: Move, touched: Set<string>, now: number): Promise<void> {
  if (move.state.kind === "aborted" && move.returns !== undefined) {
    const first = (await readMove(w, move.returns))?.value;
    if (first !== undefined && !endedMoves.includes(first.state.kind)) {
      await passMovePlace(w, move.id, first.id, "way-back");
      await leaveTimeForAnother(w, first, now);
      touched.add(move.to);
      return;
    }
  }
  const stamp = await giveMovePlace(w, move.id);
  if (stamp !== undefined) touched.add(stamp);
}

/** Whoever wanted it back may want to try again, also where its way back would have ended meanwhile. */
async function leaveTimeForAnother(w: Write, first: Move, now: number): Promise<void> {
  const until = now + Math.min(first.restMs, anotherTryMs);
  if (first.state.kind !== "resting" || first.state.until >= until) return;
  await updateMove(w, { ...first, state: { kind: "resting", until } });
}

/** Its copy on the source is the target of the move that takes it back. */
async function requireNoReturn(w: Write, move: Move): Promise<void> {
  const { rows } = await w.query<{ id: string }>(
    "SELECT id FROM moves WHERE returns = $1 AND phase <> 'aborted' LIMIT 1",
    [move.id],
  );
  if (rows[0] === undefined) return;
  throw new StampyardError("WRONG_PHASE", `Move ${rows[0].id} takes tenant ${move.tenant} back: nothing is erased`);
}

export function abortMove(
  base: StoreBase,
  id: string,
  options: { readonly revision?: number },
  ctx: WriteContext,
): Promise<Revisioned<Move>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockMove(w, id);
    requireRevision(old, options.revision);
    const { state, goal } = old.value;
    if (state.kind === "aborted" || state.kind === "aborting" || goal === "abort") return old;
    if (!["requested", "checking", "copying", "switching"].includes(state.kind)) {
      const canReturn =
        state.kind === "resting" || state.kind === "disputed" || state.kind === "verifying" || state.kind === "opening";
      throw new StampyardError(
        "WRONG_PHASE",
        `Move ${id} is ${state.kind}: its tenant lives on stamp ${old.value.to} now`,
        {
          mend: canReturn
            ? `Take it back with its new writes: stampyard move rollback ${id}`
            : `Move it again: stampyard tenant move ${old.value.tenant} --to ${old.value.from}`,
        },
      );
    }
    const { setback: _, ...kept } = old.value;
    // What waits for a retry waits no longer.
    return changeWish(w, { ...kept, goal: "abort" }, "move.abort", {});
  });
}

export function finishMove(
  base: StoreBase,
  id: string,
  options: { readonly accept?: boolean; readonly revision?: number },
  ctx: WriteContext,
): Promise<Revisioned<Move>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockMove(w, id);
    requireRevision(old, options.revision);
    const move = old.value;
    const accept = options.accept === true;
    if (move.state.kind === "erasing" || move.state.kind === "done") return old;
    requireFinishable(move, accept);
    await requireNoReturn(w, move);
    const { setback: _, waitingOn: __, ...kept } = move;
    const accepted = accept ? ({ isAccepted: true } as const) : {};
    if (move.state.kind === "resting") {
      const until = Math.min(move.state.until, base.now());
      if (until === move.state.until && !accept) return old;
      return changeWish(w, { ...kept, ...accepted, state: { kind: "resting", until } }, "move.finish", accepted);
    }
    // No way back from then on: what is accepted goes on to be erased.
    if (move.isAccepted === true && move.restMs === 0) return old;
    return changeWish(w, { ...kept, ...accepted, restMs: 0 }, "move.finish", accepted);
  });
}

/**
 * Who is deleted takes every copy along: what was kept for a way back is erased, equal or not. Its tenant's row is locked.
 * @returns ids of these moves
 */
export async function endWaysBack(w: Write, tenant: string, now: number): Promise<readonly string[]> {
  const { rows } = await w.query<MoveRow>(
    `UPDATE moves SET setback = NULL, waiting_on = NULL, revision = revision + 1, updated_at = clock_timestamp(),
       state = CASE phase WHEN 'resting' THEN state || jsonb_build_object('until', least((state ->> 'until')::bigint, $2))
         ELSE state END,
       accepted = accepted OR phase <> 'resting', rest_ms = CASE phase WHEN 'resting' THEN rest_ms ELSE 0 END
     WHERE tenant = $1 AND phase IN ('verifying', 'resting', 'disputed') RETURNING ${moveColumns}`,
    [tenant, now],
  );
  for (const row of rows) tellMove(w, toMove(row).value);
  return rows.map((row) => row.id);
}

/**
 * A tenant is gone when every copy of it is. What a stamp had that was destroyed by force went with it.
 * @throws StampyardError NOT_ERASED
 */
export async function requireNoCopy(w: Write, tenant: string): Promise<void> {
  const { rows } = await w.query<{ id: string; stamp: string }>(
    `SELECT id, stamp FROM (
       SELECT id, number, CASE WHEN phase IN (${movingList}) THEN to_stamp ELSE from_stamp END AS stamp
       FROM moves WHERE tenant = $1 AND phase NOT IN (${endedList})
     ) AS copies JOIN stamps s ON s.name = copies.stamp WHERE s.goal <> 'absent' ORDER BY number LIMIT 1`,
    [tenant],
  );
  const [copy] = rows;
  if (copy === undefined) return;
  throw new StampyardError(
    "NOT_ERASED",
    `Stamp ${copy.stamp} still has a copy of tenant ${tenant}, by move ${copy.id}`,
    {
      mend: `It goes with that move: stampyard move watch ${copy.id}`,
    },
  );
}

function requireFinishable({ id, state, from }: Move, accept: boolean): void {
  if (state.kind === "resting" || (accept && (state.kind === "disputed" || state.kind === "verifying"))) return;
  if (state.kind === "disputed" || state.kind === "verifying") {
    const is = state.kind === "disputed" ? `disputed: ${state.cause}` : "verifying: its copies are being compared";
    throw new StampyardError("WRONG_PHASE", `Move ${id} is ${is}`, {
      mend: `Accept the copy that is served, and erase the one on stamp ${from}: stampyard move finish ${id} --accept`,
    });
  }
  throw new StampyardError("WRONG_PHASE", `Move ${id} is ${state.kind}, and has no way back to end`, {
    mend: `See what it waits for: stampyard move show ${id}`,
  });
}

async function changeWish(
  w: Write,
  move: Move,
  action: string,
  detail: Readonly<Record<string, unknown>>,
): Promise<Revisioned<Move>> {
  await audit(w, action, `move/${move.id}`, { tenant: move.tenant, phase: move.state.kind, ...detail });
  tellMove(w, move);
  return updateMove(w, move);
}

export function requireRevision({ value, revision }: Revisioned<Move>, expected: number | undefined): void {
  if (expected !== undefined && expected !== revision) throw staleRevision(`Move ${value.id}`, expected, revision);
}

/** It may be gone by then: a deletion does not wait for the way back of a move. */
export async function lockTenantIfThere(w: Write, key: string): Promise<Tenant | undefined> {
  const locked = await w.query("SELECT 1 FROM tenants WHERE key = $1 FOR UPDATE", [key]);
  if (locked.rowCount === 0) return undefined;
  const { rows } = await w.query<TenantRow>(`SELECT ${tenantColumns} FROM tenants WHERE key = $1`, [key]);
  return rows[0] === undefined ? undefined : toTenant(rows[0]).value;
}

/** The tenant first, then the move, so that no two writers wait in a circle. @throws StampyardError NOT_FOUND */
export async function lockBoth(
  w: Write,
  id: string,
): Promise<{ readonly tenant: Tenant | undefined; readonly move: Revisioned<Move> }> {
  const seen = await readMove(w, id);
  if (seen === undefined) throw moveNotFound(id);
  const tenant = await lockTenantIfThere(w, seen.value.tenant);
  return { tenant, move: await lockMove(w, id) };
}
