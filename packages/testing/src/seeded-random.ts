import { randomInt } from "node:crypto";
import type { Random } from "@stampyard/domain";

export interface SeededRandom extends Random {
  readonly seed: number;
  /** In [0, 1). */
  next(): number;
  /** A whole number, both ends included. */
  int(min: number, max: number): number;
  chance(probability: number): boolean;
  /** @throws RangeError for an empty list */
  pick<T>(items: readonly T[]): T;
}

/** Repeatable randomness (splitmix32): one seed, one history. */
export function createSeededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const word = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  const next = () => word() / 2 ** 32;
  const int = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return {
    seed,
    next,
    int,
    chance: (probability) => next() < probability,
    pick(items) {
      if (items.length === 0) throw new RangeError("Cannot pick from nothing");
      return items[int(0, items.length - 1)] as (typeof items)[number];
    },
    bytes: (count) => Uint8Array.from({ length: count }, () => word() & 255),
  };
}

/**
 * Runs `history` for `count` seeds and names the seed of the one that failed. `STAMPYARD_SEED=n` runs that one alone.
 */
export async function forSeeds(count: number, history: (random: SeededRandom) => Promise<void> | void): Promise<void> {
  const asked = process.env["STAMPYARD_SEED"];
  const first = asked === undefined ? randomInt(2 ** 31) : Number(asked);
  for (let seed = first; seed < first + (asked === undefined ? count : 1); seed++) {
    try {
      await history(createSeededRandom(seed));
    } catch (caught) {
      const reason = caught instanceof Error ? caught.message : String(caught);
      throw new Error(`Failed with STAMPYARD_SEED=${seed}: ${reason}`, { cause: caught });
    }
  }
}
