import type { SeededRandom } from "@stampyard/testing";
import { addUnits, type UnitVector } from "../capacity.ts";
import type { Pool } from "../fleet.ts";
import { planPool } from "./plan-pool.ts";
import type { GrowthSample, PoolPlan, PoolState } from "./pool-state.ts";
import { today } from "./test-pool.ts";
import { createPoolBook, type PoolBook, type WorldStamp, type WorldTenant } from "./test-pool-book.ts";

/** A pool in a small world: tenants come and go, builds fail, clocks jump, operators cordon, and the planner is asked. */

export interface Faults {
  readonly buildFails: number;
  readonly clockJumps: number;
}

const tickMs = 600_000;
const dayMs = 86_400_000;

export function createPoolWorld(random: SeededRandom, pool: Pool, limits: UnitVector) {
  const canMove = random.chance(0.7);
  const book = createPoolBook(pool, limits);
  const { stamps, tenants } = book;
  const history: GrowthSample[] = [];
  const state = (): PoolState => {
    return { pool, stamps: book.poolStamps(), waiting: book.waiting(), history, newLimits: limits, canMove };
  };
  let now = today;
  let names = 0;

  return {
    pool,
    limits,
    state,
    stamps: stamps as readonly Readonly<WorldStamp>[],
    tenants: tenants as ReadonlyMap<string, Readonly<WorldTenant>>,
    waiting: book.waiting,
    used: book.used,
    arrive(tenant: Omit<WorldTenant, "stamp">): "placed" | "waits" | "refused" {
      const home: WorldTenant = { ...tenant, stamp: undefined };
      const came = book.place(home);
      if (came !== "refused") tenants.set(home.key, home);
      return came;
    },
    leave(key: string): void {
      const tenant = tenants.get(key);
      if (tenant !== undefined) book.settle(tenant, undefined);
      tenants.delete(key);
    },
    /** An operator's word about some stamp. */
    want(goal: "present" | "cordoned" | "drained"): void {
      const stamp = stamps.length === 0 ? undefined : random.pick(stamps);
      if (stamp === undefined || stamp.goal === "absent") return;
      [stamp.goal, stamp.scalingDown] = [goal, false];
    },
    /** The end of all of them. */
    release(): void {
      for (const stamp of stamps) if (stamp.goal !== "absent" && !stamp.scalingDown) stamp.goal = "present";
    },
    turn(faults: Faults): PoolPlan {
      now += random.chance(faults.clockJumps) ? random.int(-3, 3) * dayMs : tickMs;
      for (const stamp of stamps) live(book, stamp, faults, random);
      for (let n = stamps.length - 1; n >= 0; n--) if (stamps[n]?.phase === "gone") stamps.splice(n, 1);
      for (const tenant of book.waiting()) book.place(tenant);
      history.push({ at: now, used: stamps.reduce<UnitVector>((sum, { name }) => addUnits(sum, book.used(name)), {}) });
      if (history.length > 100) history.shift();
      const plan = planPool(state(), now);
      for (const { region, reservedFor } of plan.create) {
        names += 1;
        const name = `${pool.name}-${String(names).padStart(3, "0")}`;
        const left = random.int(1, 4);
        stamps.push({ ...fresh, name, region, reservedFor, left });
      }
      take(book, plan);
      return plan;
    },
  };
}

export type PoolWorld = ReturnType<typeof createPoolWorld>;

const fresh = { phase: "requested", goal: "present", scalingDown: false, attempts: 0 } as const;

/** What a plan wants of stamps that are there. */
function take({ stamps, on }: PoolBook, plan: PoolPlan): void {
  for (const { kind, stamp: name } of plan.steps) {
    const stamp = stamps.find((each) => each.name === name);
    if (stamp === undefined) throw new Error(`${kind} of ${name}, which is not there`);
    if (kind === "destroy" && on(name).length > 0) throw new Error(`destroy of ${name}, which is not empty (I31)`);
    stamp.scalingDown = kind !== "recall";
    stamp.goal = kind === "recall" ? "present" : kind === "drain" ? "drained" : "absent";
  }
}

/** One step of a stamp's own life. */
function live(book: PoolBook, stamp: WorldStamp, faults: Faults, random: SeededRandom): void {
  if (stamp.goal === "absent" && stamp.phase !== "destroying") [stamp.phase, stamp.left] = ["destroying", 2];
  stamp.left -= 1;
  if (stamp.left > 0) return;
  if (stamp.phase === "destroying") stamp.phase = "gone";
  else if (stamp.phase === "requested" || stamp.phase === "failed") [stamp.phase, stamp.left] = ["provisioning", 2];
  else if (stamp.phase === "provisioning" && random.chance(faults.buildFails)) {
    [stamp.phase, stamp.left, stamp.attempts] = ["failed", 2, stamp.attempts + 1];
  } else serve(book, stamp);
}

function serve(book: PoolBook, stamp: WorldStamp): void {
  stamp.attempts = 0;
  const [tenant] = book.on(stamp.name);
  if (stamp.goal !== "drained") stamp.phase = stamp.goal === "cordoned" ? "cordoned" : "active";
  else stamp.phase = tenant === undefined ? "empty" : "draining";
  if (stamp.phase !== "draining" || tenant === undefined) return;
  // Moves: one tenant a turn, wherever placement says.
  const from = tenant.stamp;
  book.settle(tenant, undefined);
  if (book.place(tenant) !== "placed") book.settle(tenant, from);
}
