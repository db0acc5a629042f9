import {
  canonicalJson,
  type Digest,
  type Fleet,
  type Json,
  type Rollout,
  StampyardError,
  withRules,
} from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { FleetGoal } from "./port.ts";
import type { FleetRecord } from "./records.ts";
import { endedRolloutList } from "./rollout-rows.ts";
import { settleStamps } from "./routing-rules.ts";
import type { Write } from "./write.ts";

/**
 * What a fleet is to become. The fleet's row says what is in force; release, parameters, capacity and routing rules of a
 * goal come into it when the rollout that carries the goal is done.
 */

interface GoalRow extends Record<string, unknown> {
  revision: number;
  fleet: Fleet;
  release_digest: Digest;
}

interface PresentRow extends Record<string, unknown> {
  fleet: Fleet;
  release_digest: Digest;
  revision: number;
}

export async function readGoal(tx: Queryable, revision: number): Promise<FleetGoal | undefined> {
  const { rows } = await tx.query<GoalRow>(
    "SELECT revision, fleet, release_digest FROM fleet_goals WHERE revision = $1",
    [revision],
  );
  return rows[0] === undefined ? undefined : toGoal(rows[0]);
}

export async function openGoals(tx: Queryable): Promise<readonly FleetGoal[]> {
  const { rows } = await tx.query<GoalRow>(
    `SELECT revision, fleet, release_digest FROM fleet_goals g WHERE EXISTS (
       SELECT FROM rollouts WHERE fleet_revision = g.revision AND phase NOT IN (${endedRolloutList})
     ) ORDER BY revision DESC`,
  );
  return rows.map(toGoal);
}

function toGoal({ revision, fleet, release_digest: release }: GoalRow): FleetGoal {
  return { revision, fleet, release };
}

export async function insertGoal(tx: Queryable, { revision, fleet, release }: FleetGoal): Promise<void> {
  await tx.query("INSERT INTO fleet_goals (revision, fleet, release_digest) VALUES ($1, $2, $3)", [
    revision,
    JSON.stringify(fleet),
    release,
  ]);
}

/** The fleet's row, kept as it is until the transaction ends. Taken before stamps, everywhere. */
export async function lockFleetRow(tx: Queryable): Promise<PresentRow | undefined> {
  const { rows } = await tx.query<PresentRow>("SELECT fleet, release_digest, revision FROM fleet FOR UPDATE");
  return rows[0];
}

/**
 * A rollout is done: its release, and what its goal says of routing rules and of pools that there are, become the fleet's own. Everything
 * else of the fleet may have been changed by a later `apply`, and stays.
 */
export async function makeFleetTrue(w: Write, rollout: Rollout): Promise<void> {
  const present = await lockFleetRow(w);
  if (present === undefined) return;
  const goal = rollout.fleetRevision === undefined ? undefined : await readGoal(w, rollout.fleetRevision);
  // Some parts of a stamp are not a release that one could build a stamp from, and one that takes back what the fleet has
  // gone on from says nothing of the fleet.
  if (goal === undefined && (rollout.components.length > 0 || rollout.undoes !== undefined)) return;
  const fleet = goal === undefined ? present.fleet : fleetWhenDone(present.fleet, goal.fleet);
  const release = goal?.release ?? rollout.release;
  const before: FleetRecord = { fleet: present.fleet, release: present.release_digest };
  await w.query("UPDATE rollouts SET before = $2 WHERE id = $1", [rollout.id, JSON.stringify(before)]);
  if (release === before.release && text(fleet) === text(before.fleet)) return;
  await w.query(
    "UPDATE fleet SET fleet = $1, release_digest = $2, revision = revision + 1, updated_at = clock_timestamp()",
    [JSON.stringify(fleet), release],
  );
  await settleStamps(w, fleet, false);
  w.tell({ kind: "fleet" });
}

/**
 * Of a pool that there is, a rollout brings parameters and capacity; a pool that the goal does not name stays as it is. Of
 * routing it brings the rules.
 */
export function fleetWhenDone(present: Fleet, goal: Fleet): Fleet {
  const wanted = new Map(goal.pools.map((pool) => [pool.name, pool]));
  const pools = present.pools.map((pool) => {
    const want = wanted.get(pool.name);
    if (want === undefined) return pool;
    const { capacity: _, ...kept } = pool;
    return {
      ...kept,
      parameters: want.parameters,
      ...(want.capacity === undefined ? {} : { capacity: want.capacity }),
    };
  });
  return { ...present, template: goal.template, pools, routing: withRules(present.routing, goal.routing) };
}

interface UndoneRow extends Record<string, unknown> {
  phase: Rollout["state"]["kind"];
  release_digest: Digest;
  fleet_revision: number | null;
  before: FleetRecord | null;
}

/**
 * The goal of a rollout that takes back what another one did: the fleet as it was before that.
 * @returns its revision; undefined = that one changed nothing of the fleet, or something newer has since
 * @throws StampyardError NOT_FOUND; WRONG_PHASE unless it is done, or made way after some of its waves
 */
export async function goalOfUndoing(w: Write, undone: string): Promise<number | undefined> {
  const { rows } = await w.query<UndoneRow>(
    "SELECT phase, release_digest, fleet_revision, before FROM rollouts WHERE id = $1",
    [undone],
  );
  const [row] = rows;
  if (row === undefined) throw new StampyardError("NOT_FOUND", `There is no rollout ${undone} to take back`);
  if (row.phase !== "done" && row.phase !== "superseded") {
    throw new StampyardError("WRONG_PHASE", `Rollout ${undone} is ${row.phase}: there is nothing to take back`, {
      mend: row.phase === "aborted" ? "Its members run what they ran before." : "Abort it instead.",
    });
  }
  if (row.before === null) return undefined;
  const present = await lockFleetRow(w);
  if (present === undefined || !(await isStill(w, present, row))) return undefined;
  const revision = present.revision + 1;
  await w.query("UPDATE fleet SET revision = $1, updated_at = clock_timestamp()", [revision]);
  await insertGoal(w, { ...row.before, revision });
  w.tell({ kind: "fleet" });
  return revision;
}

/** Whether the fleet has what that rollout brought. */
async function isStill(w: Write, present: PresentRow, undone: UndoneRow): Promise<boolean> {
  const goal = undone.fleet_revision === null ? undefined : await readGoal(w, undone.fleet_revision);
  if (present.release_digest !== (goal?.release ?? undone.release_digest)) return false;
  return goal === undefined || text(fleetWhenDone(present.fleet, goal.fleet)) === text(present.fleet);
}

function text(value: unknown): string {
  return canonicalJson(value as Json);
}
