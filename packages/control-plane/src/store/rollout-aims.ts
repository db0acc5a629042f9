import {
  type Aim,
  type Digest,
  type Fleet,
  type Rollout,
  type RolloutMember,
  rulesDigest,
  type Stamp,
  StampyardError,
} from "@stampyard/domain";
import { sha256 } from "./sequence.ts";
import { stampColumns, stampNotFound, type StampRow } from "./stamp-rows.ts";
import type { Write } from "./write.ts";

/** A member whose stamp gets another aim in this transaction. */
export interface AimChange {
  readonly before: RolloutMember | undefined;
  readonly after: RolloutMember;
}

/** Members that go on to be updated, or back. */
export function aimChanges(changes: readonly AimChange[]): readonly AimChange[] {
  return changes.filter(({ before, after }) => {
    const { kind } = after.state;
    return (kind === "updating" || kind === "returning") && kind !== before?.state.kind;
  });
}

/**
 * Points the stamps of these members at `to` or `from`. What a stamp was aimed at just now becomes `from` of a member
 * that is touched for the first time: it is what the stamp goes back to, whatever ran between the start of the rollout
 * and its turn. The rules of routing that are to hold for its tenants are written with it; they are not published yet.
 * @param fleet whose rules hold for stamps that have none of their own; its row is kept by the caller
 * @returns the members with that `from`, and whether rules hold otherwise than before
 * @throws StampyardError STAMP_NOT_FOUND; WRONG_PHASE for a part of a stamp whose other parts have changed meanwhile
 */
export async function aimStamps(
  w: Write,
  rollout: Rollout,
  changes: readonly AimChange[],
  fleet: Fleet | undefined,
  now: number,
): Promise<{ readonly members: readonly RolloutMember[]; readonly isRouted: boolean }> {
  if (changes.length === 0) return { members: [], isRouted: false };
  const base = fleet === undefined ? undefined : rulesDigest(fleet.routing, sha256);
  const names = changes.map(({ after }) => after.stamp);
  const { rows } = await w.query<StampRow>(
    `SELECT ${stampColumns} FROM stamps WHERE name = ANY ($1) ORDER BY name FOR UPDATE`,
    [names],
  );
  const present = new Map(rows.map((row) => [row.name, row]));
  const members: RolloutMember[] = [];
  let isRouted = false;
  const aims: NewAim[] = [];
  for (const { before, after } of changes) {
    const row = present.get(after.stamp);
    if (row === undefined) throw stampNotFound(after.stamp);
    const isBack = after.state.kind === "returning";
    const isFirst = !isBack && (before === undefined || before.state.kind === "waiting");
    const member = isFirst ? { ...after, from: aimOf(row, base) } : after;
    if (isFirst) requireSameRest(rollout, after, row);
    const aim = isBack ? member.from : member.to;
    if (isFirst) members.push(member);
    const routing = aim.routing === undefined ? row.routing_digest : aim.routing === base ? null : aim.routing;
    if (routing !== row.routing_digest) isRouted = true;
    aims.push({ name: row.name, aim, routing, state: triedNow(row.state, aim, now) });
  }
  await setAims(w, aims);
  for (const { name, state } of aims) w.tell({ kind: "stamp", stamp: name, phase: state.kind });
  return { members, isRouted };
}

interface NewAim {
  readonly name: string;
  readonly aim: Aim;
  /** null = the fleet's. */
  readonly routing: Digest | null;
  readonly state: Stamp["state"];
}

function aimOf(row: StampRow, base: Digest | undefined): Aim {
  const { release_digest: release, stamp_digest: stampDigest, parameters, capacity } = row;
  const routing = row.routing_digest ?? base;
  return { release, stampDigest, parameters, capacity, ...(routing === undefined ? {} : { routing }) };
}

/** `to` of a rollout of some parts was composed with what the stamp ran when it was; all else would be taken back. */
function requireSameRest({ id, components }: Rollout, { stamp, from, to }: RolloutMember, row: StampRow): void {
  if (components.length === 0 || row.release_digest === from.release || row.stamp_digest === to.stampDigest) return;
  throw new StampyardError("WRONG_PHASE", `Stamp ${stamp} has had another release since rollout ${id} began`, {
    mend: "Compose its release anew of what it runs now, or abort the rollout and start it again.",
  });
}

/** An attempt that is asked for by name does not wait for the back-off of the one that failed. */
function triedNow(state: Stamp["state"], { stampDigest }: Aim, now: number): Stamp["state"] {
  if (!("setback" in state) || state.setback === undefined || state.setback.stampDigest !== stampDigest) return state;
  return { ...state, setback: { ...state.setback, retryAt: Math.min(state.setback.retryAt, now) } };
}

async function setAims(w: Write, aims: readonly NewAim[]): Promise<void> {
  await w.query(
    `UPDATE stamps SET release_digest = t.release, stamp_digest = t.digest, parameters = t.parameters::jsonb,
       capacity = t.capacity::jsonb, routing_digest = t.routing, state = t.state::jsonb, revision = revision + 1, updated_at = clock_timestamp()
     FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
       AS t (name, release, digest, parameters, capacity, routing, state)
     WHERE stamps.name = t.name`,
    [
      aims.map(({ name }) => name),
      aims.map(({ aim }) => aim.release),
      aims.map(({ aim }) => aim.stampDigest),
      aims.map(({ aim }) => JSON.stringify(aim.parameters)),
      aims.map(({ aim }) => JSON.stringify(aim.capacity)),
      aims.map(({ routing }) => routing),
      aims.map(({ state }) => JSON.stringify(state)),
    ],
  );
}
