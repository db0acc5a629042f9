import type { DirectoryChange } from "@stampyard/directory";
import {
  type GoalDetail,
  isSame,
  type Json,
  type MovePhase,
  type Stamp,
  stampNext,
  StampyardError,
} from "@stampyard/domain";
import { lockFleetRow } from "./fleet-goals.ts";
import { endedList } from "./move-rows.ts";
import type { StampCreate } from "./port.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import { publishRouting } from "./routing-rules.ts";
import { insertStamp, lockStamp, stampColumns, stampNotFound, type StampRow, toStamp } from "./stamp-rows.ts";
import { type Sealer, sealNewStamp } from "./stamp-secrets.ts";
import { audit, leaveChanges, requireNormal, staleRevision, type Write, write } from "./write.ts";

export function createStamp(base: Sealer, input: StampCreate, ctx: WriteContext): Promise<Revisioned<Stamp>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    if (input.most !== undefined) await requirePoolRoom(w, input.stamp.pool, input.most);
    const created = await insertStamp(w, input.stamp);
    await sealNewStamp(w, base.masters, input.stamp.name, input.secrets);
    const { name, pool, region, releaseDigest, stampDigest } = input.stamp;
    await audit(w, "stamp.create", `stamp/${name}`, { pool, region, releaseDigest, stampDigest });
    w.tell({ kind: "stamp", stamp: name, phase: input.stamp.state.kind });
    return created;
  });
}

/** First half of the lock's key: any number, but ours. */
const poolLock = 620_512;

/** A person and the pool's own plan may ask at the same time, and only one of them may have the last place. */
async function requirePoolRoom(w: Write, pool: string, most: number): Promise<void> {
  await w.query("SELECT pg_advisory_xact_lock($1, hashtext($2))", [poolLock, pool]);
  const { rows } = await w.query<{ present: number }>(
    "SELECT count(*)::int AS present FROM stamps WHERE pool = $1 AND goal <> 'absent' AND origin = 'built'",
    [pool],
  );
  const present = rows[0]?.present ?? 0;
  if (present < most) return;
  throw new StampyardError("POOL_FULL", `Pool ${pool} has ${present} stamps and may have ${most}`, {
    mend: "Raise max in the fleet file and apply it.",
  });
}

export interface StampWriteOptions {
  readonly changes?: readonly DirectoryChange[];
  readonly action?: string;
}

export function writeStamp(
  base: Sealer,
  stamp: Stamp,
  revision: number,
  options: StampWriteOptions,
  ctx: WriteContext,
): Promise<Revisioned<Stamp>> {
  return write(base, ctx, async (w) => {
    // Its rules may have to be published without it; nobody else publishes meanwhile.
    if (stamp.state.kind === "gone") await lockFleetRow(w);
    const old = await lockStamp(w, stamp.name);
    if (old.revision !== revision) throw staleRevision(`Stamp ${stamp.name}`, revision, old.revision);
    requireStep(old.value, stamp);
    const before = factsOf(old.value);
    const after = factsOf(stamp);
    const changes = options.changes ?? [];
    const isShown = !isSame(old.value.verification ?? null, stamp.verification ?? null);
    if (isSame(before, after) && !isShown && changes.length === 0) {
      if (isSame(notesOf(old.value), notesOf(stamp))) return old;
      return saveStamp(w, stamp);
    }
    const auditId = await audit(w, options.action ?? actionOf(old.value, stamp), `stamp/${stamp.name}`, {
      before,
      after,
      ...(isShown ? { verification: stamp.verification } : {}),
      ...(changes.length === 0 ? {} : { changes: changes.map((change) => change.kind) }),
    });
    const written = stamp.state.kind === "gone" ? await forget(w, old, stamp) : await saveStamp(w, stamp);
    const withdrawal: DirectoryChange[] =
      stamp.state.kind === "gone" && w.mode === "normal" ? [{ kind: "stamp-remove", stamp: stamp.name }] : [];
    // Repeating a withdrawal is free: the sequencer numbers no change that changes nothing.
    await leaveChanges(w, auditId, [...changes, ...withdrawal]);
    // Another stamp may get its name, and is to begin with the fleet's rules.
    if (withdrawal.length > 0 && old.value.routing !== undefined) await publishRouting(w, auditId);
    return written;
  });
}

/** @throws StampyardError STAMP_NOT_EMPTY */
export function removeStamp(
  base: Sealer,
  name: string,
  options: { readonly force: boolean; readonly overridesFreeze?: boolean; readonly revision?: number },
  ctx: WriteContext,
): Promise<Revisioned<Stamp>> {
  return write(base, ctx, async (w) => {
    // The lock waits for placements that have chosen this stamp, so the count below sees their tenants.
    const old = await lockStamp(w, name);
    if (options.revision !== undefined && options.revision !== old.revision) {
      throw staleRevision(`Stamp ${name}`, options.revision, old.revision);
    }
    // Forcing is a decision of its own, also where an unforced removal waits for tenants; and so is not to wait for a freeze.
    const { force, overridesFreeze } = old.value.goalDetail ?? {};
    const isMore = (options.force && force !== true) || (options.overridesFreeze === true && overridesFreeze !== true);
    if (old.value.goal === "absent" && !isMore) return old;
    const { rows } = await w.query<{ tenants: number }>("SELECT count(*) AS tenants FROM tenants WHERE stamp = $1", [
      name,
    ]);
    const tenants = rows[0]?.tenants ?? 0;
    if (tenants > 0 && !options.force) {
      throw new StampyardError("STAMP_NOT_EMPTY", `Stamp ${name} is the home of ${tenants} tenants`, {
        mend: "Delete or move its tenants first; --force destroys their data with it.",
      });
    }
    const moves = await movesOf(w, name);
    if (moves.length > 0 && !options.force) throw heldBy(name, moves);
    const overrides = options.overridesFreeze === true || overridesFreeze === true ? { overridesFreeze: true } : {};
    const counts = { tenants, moves: moves.length };
    await audit(w, "stamp.remove", `stamp/${name}`, { force: options.force, ...counts, ...overrides });
    const detail: GoalDetail = {
      by: ctx.actor,
      since: base.now(),
      ...(ctx.reason === undefined ? {} : { reason: ctx.reason }),
      ...(options.force || force === true ? { force: true } : {}),
      ...overrides,
    };
    return saveStamp(w, { ...old.value, goal: "absent", goalDetail: detail });
  });
}

interface HoldingMove extends Record<string, unknown> {
  readonly id: string;
  readonly phase: MovePhase;
}

/** Those that have not ended, and need what is on this stamp. */
async function movesOf(w: Write, name: string): Promise<readonly HoldingMove[]> {
  const { rows } = await w.query<HoldingMove>(
    `SELECT id, phase FROM moves WHERE (from_stamp = $1 OR to_stamp = $1) AND phase NOT IN (${endedList}) ORDER BY number`,
    [name],
  );
  return rows;
}

function heldBy(name: string, moves: readonly HoldingMove[]): StampyardError {
  const some = moves.slice(0, 3).map(({ id, phase }) => `${id} (${phase})`);
  const more = moves.length - some.length;
  const who = `${some.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  const [first] = moves;
  const verb = first?.phase === "resting" || first?.phase === "disputed" ? "finish" : "abort";
  return new StampyardError(
    "STAMP_NOT_EMPTY",
    `Stamp ${name} is held by ${moves.length === 1 ? "move" : "moves"} ${who}`,
    {
      mend: `End each of them first, e.g. stampyard move ${verb} ${first?.id}; --force destroys what they keep here.`,
    },
  );
}

export async function saveStamp(w: Write, stamp: Stamp): Promise<Revisioned<Stamp>> {
  const { rows } = await w.query<StampRow>(
    `UPDATE stamps SET state = $2, goal = $3, capacity = $10, endpoints = $4, endpoint_revision = $5, waiting_on = $6,
       goal_detail = $7, verification = $8, adoption = $9,
       revision = revision + 1, updated_at = clock_timestamp()
     WHERE name = $1 RETURNING ${stampColumns}`,
    [
      stamp.name,
      JSON.stringify(stamp.state),
      stamp.goal,
      JSON.stringify(stamp.endpoints),
      stamp.endpointRevision,
      stamp.waitingOn ?? null,
      stamp.goalDetail === undefined ? null : JSON.stringify(stamp.goalDetail),
      stamp.verification === undefined ? null : JSON.stringify(stamp.verification),
      stamp.adoption === undefined ? null : JSON.stringify(stamp.adoption),
      JSON.stringify(stamp.capacity),
    ],
  );
  const [row] = rows;
  if (row === undefined) throw stampNotFound(stamp.name);
  tellOf(w, stamp);
  return toStamp(row);
}

/** Its secrets, keys and observation go with the row. */
async function forget(w: Write, old: Revisioned<Stamp>, stamp: Stamp): Promise<Revisioned<Stamp>> {
  await w.query("DELETE FROM stamps WHERE name = $1", [stamp.name]);
  tellOf(w, stamp);
  return { ...old, value: stamp, revision: old.revision + 1 };
}

function tellOf(w: Write, stamp: Stamp): void {
  const cause = "cause" in stamp.state ? stamp.state.cause : undefined;
  w.tell({ kind: "stamp", stamp: stamp.name, phase: stamp.state.kind, ...(cause === undefined ? {} : { cause }) });
}

function requireStep(old: Stamp, next: Stamp): void {
  const from = old.state.kind;
  const to = next.state.kind;
  const allowed: readonly string[] = stampNext[from];
  if (from !== to && !allowed.includes(to)) {
    throw new StampyardError("WRONG_PHASE", `Stamp ${old.name} is ${from} and cannot become ${to}`);
  }
}

/** What an audit row must tell of: phase, goal and endpoints. Retries and waiting are notes. */
function factsOf(stamp: Stamp): Json {
  const { goal, endpoints, endpointRevision } = stamp;
  return { phase: stamp.state.kind, goal, endpoints, endpointRevision } as unknown as Json;
}

function notesOf(stamp: Stamp): Json {
  return { state: stamp.state, waitingOn: stamp.waitingOn } as unknown as Json;
}

function actionOf(old: Stamp, next: Stamp): string {
  if (old.state.kind !== next.state.kind) return `stamp.${next.state.kind}`;
  return old.goal === next.goal ? "stamp.update" : "stamp.goal";
}
