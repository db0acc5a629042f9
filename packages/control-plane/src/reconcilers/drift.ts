import { type Stamp, StampyardError } from "@stampyard/domain";
import { causeOf, isTurnOver } from "./failure.ts";
import type { DriftMemory, ReconcileDeps, Turn } from "./turn.ts";

/** How often an active stamp is compared part by part: a digest does not tell of an edited file or a killed replica. */
const compareEveryMs = 60_000;

type DriftDeps = Pick<ReconcileDeps, "store" | "engine" | "specOf" | "clock" | "drift" | "log">;

/**
 * Brings a serving stamp of the right digest in line with what the digest does not cover. At the first look of a new
 * leader and whenever its route keys changed it is applied again, which changes nothing where nothing differs: the
 * stamp must accept the next key before a router signs with it (decision D7), whoever died in between. Later it is
 * compared at intervals. What somebody else changed about it is mended only where its pool says `drift: heal`.
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
  if (last !== undefined && last.keys === keys && deps.clock.now() < last.at + compareEveryMs) {
    return last.cause ?? last.report;
  }

  try {
    const found = await look(
      deps,
      stamp,
      { isFirst: last === undefined, hasSameKeys: last?.keys === keys, keys },
      turn,
    );
    if (found.kind === "apply") {
      await apply(found.why);
      return undefined;
    }
    const report = found.kind === "drift" ? { report: found.why } : {};
    deps.drift.set(name, { keys, at: deps.clock.now(), ...report });
    return report.report;
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

type Found =
  | { readonly kind: "same" }
  | { readonly kind: "apply"; readonly why: string }
  /** It differs, and stays so until a person says otherwise. */
  | { readonly kind: "drift"; readonly why: string };

async function look(
  deps: DriftDeps,
  stamp: Stamp,
  { isFirst, hasSameKeys, keys }: { readonly isFirst: boolean; readonly hasSameKeys: boolean; readonly keys: string },
  turn: Turn,
): Promise<Found> {
  const first = { kind: "apply", why: "first look of this leader" } as const;
  if (!isFirst && !hasSameKeys) return { kind: "apply", why: "its route keys changed" };
  const heals = (await driftPolicy(deps, stamp)) === "heal";
  // In the middle of a rotation a difference may be a key that routers sign with soon: that is not to wait.
  if (isFirst && (heals || keys.includes(","))) return first;
  const [change, ...others] = await deps.engine.plan(await deps.specOf(stamp), turn.signal);
  if (change === undefined) return isFirst ? first : { kind: "same" };
  const why = `${change.component}: ${change.why}${others.length > 0 ? `, and ${others.length} more` : ""}`;
  if (heals) return { kind: "apply", why };
  return { kind: "drift", why: `somebody's word on its drift (stampyard stamp diff ${stamp.name}): ${why}` };
}

/** What the stamp's pool says. @returns `report` where it says nothing */
export async function driftPolicy(deps: Pick<DriftDeps, "store">, { pool }: Stamp): Promise<"report" | "heal"> {
  const fleet = (await deps.store.fleet.read())?.value.fleet;
  return fleet?.pools.find((one) => one.name === pool)?.automation?.drift ?? "report";
}
