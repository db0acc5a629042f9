import { endedMoves, type Move, StampyardError, type Tenant, wayBackOf } from "@stampyard/domain";
import { keepWayBack, passMovePlace } from "./move-places.ts";
import { insertMove, lockMove, longestMoveId, readMove, tellMove, updateMove } from "./move-rows.ts";
import { beginMoving, requireTimes } from "./move-request.ts";
import { lockBoth } from "./move-write.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import { rankOfTenants } from "./sequence.ts";
import { stampNotFound } from "./stamp-rows.ts";
import { eventOf, tellOf } from "./tenant-create.ts";
import { insertEvents, updateTenant } from "./tenant-rows.ts";
import { entryOf } from "./tenant-write.ts";
import { audit, leaveChanges, requireNormal, type StoreBase, type Write, write } from "./write.ts";

export async function landMove(base: StoreBase, id: string, ctx: WriteContext): Promise<{ readonly version?: number }> {
  const landed = await write(base, ctx, async (w) => {
    requireNormal(w);
    const { tenant, move } = await lockBoth(w, id);
    if (hasLanded(move.value, tenant)) return { move: move.value, isNew: false };
    await landIn(w, requireLanding(move.value, tenant), move.value);
    return { move: move.value, isNew: true };
  });
  const { from, to, tenant, epoch } = landed.move;
  if (landed.isNew) {
    base.view.touch([from, to]);
    return {};
  }
  const { rows } = await base.db.query<{ version: number }>(
    `SELECT version FROM directory_entries WHERE rank = $1 AND name = $2
       AND change ->> 'kind' = 'tenant-put' AND (change ->> 'epoch')::bigint > $3`,
    [rankOfTenants, tenant, epoch],
  );
  return rows[0] === undefined ? {} : { version: rows[0].version };
}

/** Also where a later move has taken it from there. */
function hasLanded(move: Move, tenant: Tenant | undefined): boolean {
  return tenant !== undefined && tenant.epoch > move.epoch && (tenant.stamp === move.to || isPast(move));
}

function isPast({ state }: Move): boolean {
  return !["requested", "checking", "copying", "switching", "opening", "aborting"].includes(state.kind);
}

function requireLanding(move: Move, tenant: Tenant | undefined): Tenant {
  const { id, state, from, epoch } = move;
  if (state.kind !== "opening") {
    throw new StampyardError("WRONG_PHASE", `Move ${id} is ${state.kind}: its source has not decided yet`);
  }
  const isMoved = tenant?.state.kind === "moving" && tenant.state.move === id;
  if (isMoved && tenant.stamp === from && tenant.epoch === epoch) return tenant;
  const where =
    tenant === undefined
      ? "is gone"
      : `is ${tenant.state.kind} on ${tenant.stamp ?? "no stamp"}, epoch ${tenant.epoch}`;
  throw new StampyardError("WRONG_PHASE", `Move ${id} cannot land: tenant ${move.tenant} ${where}`);
}

/** The tenant's home, its history, the directory and both places. Its row and the move's are locked. */
async function landIn(w: Write, tenant: Tenant, move: Move): Promise<void> {
  const { id, from, to, epoch } = move;
  const { rows } = await w.query<{ pool: string }>("SELECT pool FROM stamps WHERE name = $1 FOR SHARE", [to]);
  const [target] = rows;
  if (target === undefined) throw stampNotFound(to);
  const landed: Tenant = { ...tenant, stamp: to, pool: target.pool, epoch: epoch + 1 };
  const auditId = await audit(w, "move.land", `move/${id}`, { tenant: tenant.key, from, to, epoch: landed.epoch });
  // In one statement, which takes the counters of both stamps in their order.
  const before = await w.query<{ big: boolean }>(
    `UPDATE tenants t SET pool = $2, stamp = $3, big = coalesce((SELECT big FROM move_places WHERE move_id = $4), false)
     FROM (SELECT key, big FROM tenants WHERE key = $1) AS old WHERE t.key = old.key RETURNING old.big`,
    [tenant.key, target.pool, to, id],
  );
  await updateTenant(w, landed);
  await keepWayBack(w, { move: id, stamp: from, weight: tenant.weight, isBig: before.rows[0]?.big === true });
  await insertEvents(w, w.ctx.actor, [eventOf(landed, "moved", `${id} from ${from}`)]);
  await leaveChanges(w, auditId, [entryOf(landed)]);
  tellOf(w, landed);
}

export async function rollBackMove(
  base: StoreBase,
  id: string,
  options: { readonly maxPauseMs?: number; readonly restMs?: number },
  ctx: WriteContext,
): Promise<Revisioned<Move>> {
  requireTimes(options);
  const move = await write(base, ctx, async (w) => {
    requireNormal(w);
    const { tenant, move: first } = await lockBoth(w, id);
    const present = await readMove(w, wayBackOf(id));
    if (present !== undefined && present.value.state.kind !== "aborted") return present;
    const home = requireReturnable(first.value, tenant);
    await requireTarget(w, first.value);
    const wish = returnOf(first.value, home, options);
    const written = present === undefined ? await insertMove(w, wish) : await beginAgain(w, wish);
    const isPassed = await passMovePlace(w, id, wish.id, "incoming");
    if (!isPassed) throw new StampyardError("INTERNAL", `Move ${id} has lost the place that it keeps`);
    // Whoever was about to erase its copy finds a newer revision.
    await updateMove(w, first.value);
    tellMove(w, first.value);
    await beginMoving(w, written.value, home, "move.rollback");
    return written;
  });
  base.view.touch([move.value.from, move.value.to]);
  return move;
}

function requireReturnable(first: Move, tenant: Tenant | undefined): Tenant {
  const { id, state, restMs, to, epoch } = first;
  const isWaiting = state.kind === "resting" || state.kind === "disputed";
  if (!isWaiting || restMs === 0) {
    const why = isWaiting ? "keeps no way back" : `is ${state.kind}`;
    const again = endedMoves.includes(state.kind) || restMs === 0;
    throw new StampyardError("WRONG_PHASE", `Move ${id} ${why}: there is nothing to take back`, {
      mend: again
        ? `Move the tenant again: stampyard tenant move ${first.tenant} --to ${first.from}`
        : `Wait until it rests (stampyard move watch ${id}), or abort it before its switch.`,
    });
  }
  if (wayBackOf(wayBackOf(id)).length > longestMoveId) {
    throw new StampyardError("WRONG_PHASE", `Tenant ${first.tenant} has gone back and forth too often`, {
      mend: `End this way back (stampyard move finish ${id}), and move it by a new move.`,
    });
  }
  const isHome = tenant?.state.kind === "active" && tenant.goal === "present";
  if (isHome && tenant.stamp === to && tenant.epoch === epoch + 1) return tenant;
  const is = tenant === undefined ? "gone" : tenant.goal === "present" ? tenant.state.kind : `to be ${tenant.goal}`;
  throw new StampyardError("WRONG_PHASE", `Tenant ${first.tenant} is ${is}, and only an active one can move`);
}

/** The stamp that it came from may have been destroyed by force. */
async function requireTarget(w: Write, { from }: Move): Promise<void> {
  const { rows } = await w.query<{ goal: string }>("SELECT goal FROM stamps WHERE name = $1 FOR SHARE", [from]);
  if (rows[0] !== undefined && rows[0].goal !== "absent") return;
  throw new StampyardError("WRONG_PHASE", `Stamp ${from} is being destroyed, and the copy there with it`);
}

function returnOf(
  first: Move,
  tenant: Tenant,
  { maxPauseMs = first.maxPauseMs, restMs = first.restMs }: { readonly maxPauseMs?: number; readonly restMs?: number },
): Move {
  const { id, from, to, mode, verify } = first;
  return {
    id: wayBackOf(id),
    tenant: tenant.key,
    from: to,
    to: from,
    epoch: tenant.epoch,
    mode,
    verify,
    goal: "finish",
    state: { kind: "requested" },
    maxPauseMs,
    restMs,
    returns: id,
    report: {},
  };
}

async function beginAgain(w: Write, wish: Move): Promise<Revisioned<Move>> {
  await lockMove(w, wish.id);
  return updateMove(w, wish);
}
