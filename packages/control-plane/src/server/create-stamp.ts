import { type Clock, quote, type Random, type Sha256, type Stamp, StampyardError } from "@stampyard/domain";
import { requireThawed } from "../freezes/freezes.ts";
import type { Revisioned, StampCreate, Store, WriteContext } from "../store/port.ts";
import { requireFleet } from "./handlers/fleet.ts";
import { newStamp, oneMore } from "./stamp-goal.ts";

/** One more stamp of a pool, asked for by a person or by the pool's own plan. */

/** Two creations at once choose the same next name; the later one looks again. */
const nameAttempts = 5;

export interface CreateDeps {
  readonly store: Store;
  readonly sha256: Sha256;
  readonly random: Random;
  readonly clock: Pick<Clock, "now">;
}

export interface AskedStamp {
  readonly pool: string;
  readonly name?: string | undefined;
  readonly region?: string | undefined;
  readonly parameters?: Stamp["parameters"] | undefined;
  /** Key of the one tenant that it is built for. */
  readonly reservedFor?: string | undefined;
  /** The reason to build it also while a freeze stops that. */
  readonly overridesFreeze?: string | undefined;
}

/** @throws StampyardError POOL_NOT_FOUND, POOL_FULL, FROZEN, INVALID_REQUEST or INVALID_MANIFEST */
export async function createStamp(deps: CreateDeps, asked: AskedStamp, ctx: WriteContext): Promise<Revisioned<Stamp>> {
  const taken = new Set<string>();
  for (let attempt = 1; ; attempt++) {
    const create = await planOneMore(deps, asked, taken);
    try {
      return await deps.store.stamps.create(create, ctx);
    } catch (caught) {
      const { code } = StampyardError.from(caught);
      if (code !== "ALREADY_EXISTS" || asked.name !== undefined || attempt === nameAttempts) throw caught;
      // Taken meanwhile, or by a destroyed stamp that tenants still call home.
      taken.add(create.stamp.name);
    }
  }
}

async function planOneMore(deps: CreateDeps, asked: AskedStamp, notThese: ReadonlySet<string>): Promise<StampCreate> {
  const { store, sha256, random } = deps;
  const { value } = await requireFleet(store);
  const pool = value.fleet.pools.find((candidate) => candidate.name === asked.pool);
  if (pool === undefined) {
    const names = value.fleet.pools.map((candidate) => candidate.name).join(", ");
    throw new StampyardError("POOL_NOT_FOUND", `No pool ${quote(asked.pool)}`, { mend: `Use one of: ${names}.` });
  }
  if (asked.region !== undefined && !pool.regions.includes(asked.region)) {
    throw new StampyardError("INVALID_REQUEST", `Pool ${pool.name} has no region ${quote(asked.region)}`, {
      mend: `Use one of: ${pool.regions.join(", ")}, or add it to the fleet file.`,
    });
  }
  const stamps = (await store.stamps.all()).map((row) => row.value);
  const release = await store.fleet.release(value.release);
  if (release === undefined) throw new StampyardError("RELEASE_NOT_FOUND", `No release ${value.release}`);
  const taken = new Set([...stamps.map((stamp) => stamp.name), ...notThese]);
  const { name, region } = oneMore(pool, stamps, taken, asked);
  await requireThawed(deps, "scaling", { pool: pool.name, region, stamp: name }, asked.overridesFreeze);
  const identity = { name, pool: pool.name, region };
  const create = newStamp(release, { identity, pool, own: asked.parameters ?? {} }, sha256, random);
  const { reservedFor } = asked;
  const stamp = reservedFor === undefined ? create.stamp : { ...create.stamp, reservedFor };
  // Counted by the store, under a lock: a person and the pool's own plan may ask at the same time.
  return { ...create, stamp, most: pool.stamps.max };
}
