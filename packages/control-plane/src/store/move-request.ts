import {
  defaultMaxPauseMs,
  defaultRestMs,
  maxPauseBounds,
  type Move,
  requireName,
  StampyardError,
  type Stamp,
  type Tenant,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { phaseByGoal } from "./fleet-sight.ts";
import type { MoveInput } from "./move-port.ts";
import { takeMovePlace } from "./move-places.ts";
import { endedList, insertMove, moveColumns, type MoveRow, newMoveId, tellMove, toMove } from "./move-rows.ts";
import { chooseTarget, type MoveTarget } from "./move-target.ts";
import { closePlaces, lostPlaces } from "./place-guard.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import { eventOf, tellOf } from "./tenant-create.ts";
import {
  insertEvents,
  lockTenant,
  tenantColumns,
  tenantNotFound,
  type TenantRow,
  toTenant,
  updateTenant,
} from "./tenant-rows.ts";
import { audit, requireNormal, type StoreBase, type Write, write } from "./write.ts";

/** By a sight that may be behind; what it refuses, and what it loses, is asked again with places closed. */
const attemptsMost = 6;
const openAttempts = 2;
/** A month. */
const longestRestMs = 31 * 86_400_000;

export async function requestMove(base: StoreBase, input: MoveInput, ctx: WriteContext): Promise<Revisioned<Move>> {
  requireInput(input);
  let isClosed = false;
  for (let attempt = 1; attempt <= attemptsMost; attempt++) {
    const made = await tryRequest(base, input, ctx, isClosed || attempt > openAttempts);
    if (typeof made === "object") return made;
    isClosed ||= made === "refused";
  }
  throw new StampyardError("TIMEOUT", `Stamps change too quickly to find a place for tenant ${input.tenant}`);
}

/** `refused` = by a sight that may be behind; `lost` = the place went to another writer. */
async function tryRequest(
  base: StoreBase,
  input: MoveInput,
  ctx: WriteContext,
  isClosed: boolean,
): Promise<Revisioned<Move> | "refused" | "lost"> {
  const open = isClosed ? undefined : await base.view.look(base.db);
  let booked: string | undefined;
  let isBehind = false;
  let isLost = false;
  try {
    const made = await write(base, ctx, async (w) => {
      requireNormal(w);
      isLost = false;
      isBehind = false;
      if (isClosed) await closePlaces(w);
      const sight = open ?? (await base.view.look(w, { exact: true }));
      const { value: tenant } = await lockTenant(w, input.tenant);
      const from = await requireMovable(w, tenant);
      await requireSource(w, from);
      isBehind = open !== undefined;
      const target = chooseTarget(tenant, input, sight);
      isBehind = false;
      booked = target.stamp;
      base.view.book(target.stamp, { key: tenant.key, weight: tenant.weight, isBig: target.isBig });
      const move = await register(w, moveOf(input, tenant, from, target.stamp), tenant, target);
      // Last, so that the stamp's counters are held for as short a time as can be.
      const place = { key: tenant.key, stamp: target.stamp, weight: tenant.weight, isNamed: false };
      isLost = (await lostPlaces(w, [place], sight)).length > 0;
      if (isLost) throw new StampyardError("LOCKED", `The place of tenant ${tenant.key} was lost to another writer`);
      return move;
    });
    base.view.touch([made.value.from, made.value.to]);
    return made;
  } catch (error) {
    if (booked !== undefined) base.view.touch([booked]);
    if (isLost) return "lost";
    if (isBehind && error instanceof StampyardError) return "refused";
    throw error;
  }
}

/** The move, its place, the tenant's phase, its history and the audit, of a tenant whose row is locked. */
async function register(w: Write, move: Move, tenant: Tenant, target: MoveTarget): Promise<Revisioned<Move>> {
  const written = await insertMove(w, move);
  await takeMovePlace(w, {
    move: move.id,
    stamp: target.stamp,
    weight: tenant.weight,
    isBig: target.isBig,
    isClaimed: target.isUnclaimed,
  });
  await beginMoving(w, written.value, tenant, "move.request");
  return written;
}

/** Also of a way back. */
export async function beginMoving(w: Write, move: Move, tenant: Tenant, action: string): Promise<void> {
  const { waitingOn: _, ...kept } = tenant;
  const moving: Tenant = { ...kept, state: { kind: "moving", move: move.id } };
  const { from, to, epoch, mode, verify, maxPauseMs, restMs, returns, campaign } = move;
  await audit(w, action, `move/${move.id}`, {
    tenant: tenant.key,
    from,
    to,
    epoch,
    mode,
    verify,
    maxPauseMs,
    restMs,
    ...(returns === undefined ? {} : { returns }),
    ...(campaign === undefined ? {} : { campaign }),
  });
  await insertEvents(w, w.ctx.actor, [eventOf(moving, "move-requested", `${move.id} to ${to}`)]);
  await updateTenant(w, moving);
  tellOf(w, moving);
  tellMove(w, move);
}

function moveOf(input: MoveInput, tenant: Tenant, from: string, to: string): Move {
  return {
    id: newMoveId(),
    tenant: tenant.key,
    from,
    to,
    epoch: tenant.epoch,
    mode: input.mode ?? "capture",
    verify: input.verify ?? "incremental",
    goal: "finish",
    state: { kind: "requested" },
    maxPauseMs: input.maxPauseMs ?? defaultMaxPauseMs,
    restMs: input.restMs ?? defaultRestMs,
    ...(input.campaign === undefined ? {} : { campaign: input.campaign }),
    report: {},
  };
}

export async function proposeMove(base: StoreBase, input: MoveInput) {
  requireInput(input);
  const { rows } = await base.db.query<TenantRow>(`SELECT ${tenantColumns} FROM tenants WHERE key = $1`, [
    input.tenant,
  ]);
  if (rows[0] === undefined) throw tenantNotFound(input.tenant);
  const tenant = toTenant(rows[0]).value;
  const from = await requireMovable(base.db, tenant);
  await requireSource(base.db, from);
  const { stamp } = chooseTarget(tenant, input, await base.view.look(base.db, { exact: true }));
  return { from, to: stamp, epoch: tenant.epoch };
}

/** @returns its home. @throws StampyardError WRONG_PHASE */
export async function requireMovable(tx: Queryable, tenant: Tenant): Promise<string> {
  const { key, state, goal, stamp } = tenant;
  if (state.kind === "moving") {
    throw new StampyardError("WRONG_PHASE", `Tenant ${key} moves already, by ${state.move}`, {
      mend: `Wait for its end: stampyard move watch ${state.move}`,
    });
  }
  if (goal !== "present") {
    throw new StampyardError("WRONG_PHASE", `Tenant ${key} is to be ${goal === "absent" ? "deleted" : "suspended"}`);
  }
  if (state.kind !== "active" || stamp === undefined) {
    throw new StampyardError("WRONG_PHASE", `Tenant ${key} is ${state.kind}, and only an active one can move`, {
      mend: `See what it waits for: stampyard tenant show ${key}`,
    });
  }
  const { rows } = await tx.query<MoveRow>(
    `SELECT ${moveColumns} FROM moves WHERE tenant = $1 AND phase NOT IN (${endedList}) ORDER BY number DESC LIMIT 1`,
    [key],
  );
  if (rows[0] !== undefined) throw notEndedYet(toMove(rows[0]).value);
  return stamp;
}

/** Its copy on the stamp that it came from is still there, and in the way of another. */
function notEndedYet({ id, tenant, from, state }: Move): StampyardError {
  const isWaiting = state.kind === "resting" || state.kind === "disputed";
  const accept = state.kind === "disputed" ? " --accept" : "";
  return new StampyardError(
    "WRONG_PHASE",
    `Move ${id} of tenant ${tenant} is ${state.kind}: stamp ${from} still has its copy`,
    {
      mend: isWaiting
        ? `End its way back first: stampyard move finish ${id}${accept}`
        : `Wait for its end: stampyard move watch ${id}`,
    },
  );
}

/** Held until the transaction ends, so that nobody removes it meanwhile. @throws StampyardError WRONG_PHASE */
async function requireSource(tx: Queryable, name: string): Promise<void> {
  const { rows } = await tx.query<{ goal: Stamp["goal"]; phase: Stamp["state"]["kind"] }>(
    "SELECT goal, phase FROM stamps WHERE name = $1 FOR SHARE",
    [name],
  );
  const [row] = rows;
  const phase = row === undefined ? "gone" : phaseByGoal(row.goal, row.phase);
  if (phase !== "destroying" && phase !== "gone") return;
  throw new StampyardError("WRONG_PHASE", `Stamp ${name} is ${phase}, and its tenants with it`);
}

/** @throws StampyardError INVALID_REQUEST, INVALID_NAME */
function requireInput({ to, toPool, mode, verify, maxPauseMs, restMs }: MoveInput): void {
  if (to !== undefined) requireName("stamp", to);
  if (toPool !== undefined) requireName("pool", toPool);
  if (to !== undefined && toPool !== undefined) {
    throw new StampyardError("INVALID_REQUEST", "A move goes to a stamp or to a pool, not to both", {
      mend: "Name one.",
    });
  }
  if (mode !== undefined && mode !== "capture") {
    throw new StampyardError("INVALID_REQUEST", `Move mode ${String(mode)} is not built`, { mend: "Use capture." });
  }
  if (verify !== undefined && !["incremental", "before", "after"].includes(verify)) {
    throw new StampyardError("INVALID_REQUEST", `There is no verify policy ${String(verify)}`, {
      mend: "Use incremental, before or after.",
    });
  }
  requireTimes({ maxPauseMs, restMs });
}

/** @throws StampyardError INVALID_REQUEST */
export function requireTimes({
  maxPauseMs,
  restMs,
}: {
  maxPauseMs?: number | undefined;
  restMs?: number | undefined;
}): void {
  const { least, most } = maxPauseBounds;
  if (maxPauseMs !== undefined && !isWhole(maxPauseMs, least, most)) {
    throw new StampyardError("INVALID_REQUEST", `A write pause of ${maxPauseMs} ms is not possible`, {
      mend: `Name ${least} to ${most} ms.`,
    });
  }
  if (restMs !== undefined && !isWhole(restMs, 0, longestRestMs)) {
    throw new StampyardError("INVALID_REQUEST", `A way back of ${restMs} ms is not possible`, {
      mend: "Name 0 ms to 31 days.",
    });
  }
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
