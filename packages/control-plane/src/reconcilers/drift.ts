import { type Stamp, StampyardError } from "@stampyard/domain";
import { causeOf, isTurnOver } from "./failure.ts";
import type { DriftMemory, ReconcileDeps, Turn } from "./turn.ts";

/** How often an active stamp is compared part by part: a digest does not tell of an edited file or a killed replica. */
const compareEveryMs = 60_000;

type DriftDeps = Pick<ReconcileDeps, "store" | "engine" | "specOf" | "clock" | "drift" | "log">;

/**
 * Brings an active stamp of the right digest in line with what the digest does not cover. At the first look of a new
 * leader and whenever its route keys changed it is applied again, which changes nothing where nothing differs: the
 * stamp must accept the next key before a router signs with it (decision D7), whoever died in between. Later it is
 * compared at intervals.
 * @returns why a difference is still there, or undefined
 */
export async function checkDrift(
  deps: DriftDeps,
  stamp: Stamp,
  turn: Turn,
  apply: (why: string) => Promise<void>,
): Promise<string | undefined> {
  const { name } = stamp;
  const keys = (await deps.store.stamps.routeKeys(name))
    .map((key) => key.kid)
    .sort()
    .join();
  const last = deps.drift.get(name);
  if (last !== undefined && last.keys === keys && deps.clock.now() < last.at + compareEveryMs) return last.cause;

  try {
    const why = await whyApply(deps, stamp, last === undefined ? undefined : last.keys === keys, turn);
    if (why !== undefined) await apply(why);
    else deps.drift.set(name, { keys, at: deps.clock.now() });
    return undefined;
  } catch (caught) {
    if (isTurnOver(caught, turn)) throw caught;
    const error = StampyardError.from(caught);
    // A changed goal is no failure: the next turn compares with what is wanted then.
    if (error.code === "CANCELLED") return undefined;
    deps.log.warn({ stamp: name, code: error.code, err: error }, "an active stamp could not be brought in line");
    const cause = `what differs from its release: ${causeOf(error)}`;
    deps.drift.set(name, { keys, at: deps.clock.now(), cause });
    return cause;
  }
}

/** Keys that the stamp was last brought in line with; none while that failed, or before this leader has looked. */
export function acceptedKids(memory: DriftMemory, stamp: string): ReadonlySet<string> {
  const last = memory.get(stamp);
  return new Set(last === undefined || last.cause !== undefined ? [] : last.keys.split(","));
}

/** The names in a value of `${route.keys}`, as the memory keeps them: never a secret. */
export function kidsOf(routeKeys: string): string {
  return routeKeys
    .split(",")
    .map((entry) => entry.slice(0, Math.max(0, entry.indexOf(":"))))
    .join();
}

async function whyApply(
  deps: DriftDeps,
  stamp: Stamp,
  hasSameKeys: boolean | undefined,
  turn: Turn,
): Promise<string | undefined> {
  if (hasSameKeys === undefined) return "first look of this leader";
  if (!hasSameKeys) return "its route keys changed";
  const [first, ...others] = await deps.engine.plan(await deps.specOf(stamp), turn.signal);
  if (first === undefined) return undefined;
  return `${first.component}: ${first.why}${others.length > 0 ? `, and ${others.length} more` : ""}`;
}
