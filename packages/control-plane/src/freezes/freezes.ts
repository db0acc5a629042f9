import {
  type Clock,
  type Freezes,
  type FreezeTarget,
  type FrozenThing,
  type FrozenWhy,
  type Instant,
  StampyardError,
  whyFrozen,
} from "@stampyard/domain";
import type { Store } from "../store/port.ts";

/**
 * The one place that says whether something may be changed now: what people said, and the windows of the fleet file. Read
 * anew each time, so a freeze holds from its commit on. Routing, mending, aborts and rollbacks never ask.
 */

export interface FreezeDeps {
  readonly store: Pick<Store, "freezes" | "fleet">;
  readonly clock: Pick<Clock, "now">;
}

/** For whoever asks about many things at a time. */
export async function readFreezes(store: FreezeDeps["store"]): Promise<Freezes> {
  const [freezes, fleet] = await Promise.all([store.freezes.list(), store.fleet.read()]);
  // They are in force from their commit on, which the database's clock may put into our future.
  return { freezes: freezes.map((freeze) => ({ ...freeze, since: 0 })), windows: fleet?.value.fleet.freezes ?? [] };
}

/** @returns undefined when nothing stops it */
export async function frozenNow(
  { store, clock }: FreezeDeps,
  thing: FrozenThing,
  target: FreezeTarget,
): Promise<FrozenWhy | undefined> {
  return whyFrozen(await readFreezes(store), thing, target, clock.now());
}

/** What waits for it says so with this. */
export function endOfFreeze({ why, until }: FrozenWhy): string {
  return `the end of a freeze (${why}${until === undefined ? "" : `, until ${textOf(until)}`})`;
}

/**
 * For what a person asks for now and cannot wait.
 * @throws StampyardError FROZEN, unless the reason to do it nevertheless is given
 */
export async function requireThawed(
  deps: FreezeDeps,
  thing: FrozenThing,
  target: FreezeTarget,
  override: string | undefined,
): Promise<void> {
  if (override !== undefined) return;
  const frozen = await frozenNow(deps, thing, target);
  if (frozen === undefined) return;
  const until = frozen.until === undefined ? "it is taken back" : textOf(frozen.until);
  throw new StampyardError("FROZEN", `${words[thing]} stopped until ${until}: ${frozen.why}`, {
    mend: "Wait for its end, take it back (stampyard unfreeze), or give a reason to do it nevertheless (--override-freeze).",
  });
}

const words: Readonly<Record<FrozenThing, string>> = {
  rollouts: "Rollouts are",
  moves: "Moves are",
  scaling: "Scaling is",
  destroys: "The removal of stamps is",
};

function textOf(at: Instant): string {
  return new Date(at).toISOString();
}
