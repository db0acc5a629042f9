import { type Stamp, StampyardError } from "@stampyard/domain";
import { causeOf, isTurnOver } from "./failure.ts";
import type { ReconcileDeps, Turn } from "./turn.ts";

/** How often an active stamp is compared part by part: a digest does not tell of route keys, nor of edited files. */
const compareEveryMs = 60_000;

/**
 * Compares an active stamp with its spec, at intervals and whenever its route keys changed (decision D7: the stamp must
 * accept the next key before a router signs with it), and applies the difference.
 * @returns why the difference is still there, or undefined
 */
export async function checkDrift(
  deps: Pick<ReconcileDeps, "store" | "engine" | "specOf" | "clock" | "drift" | "log">,
  stamp: Stamp,
  turn: Turn,
  apply: (why: string) => Promise<void>,
): Promise<string | undefined> {
  const { name } = stamp;
  const keys = (await deps.store.stamps.routeKeys(name)).map((key) => key.kid).join();
  const last = deps.drift.get(name);
  const now = deps.clock.now();
  if (last !== undefined && last.keys === keys && now < last.at + compareEveryMs) return last.cause;

  try {
    const changes = await deps.engine.plan(await deps.specOf(stamp), turn.signal);
    const first = changes[0];
    if (first !== undefined) {
      const rest = changes.length > 1 ? ` and ${changes.length - 1} more` : "";
      await apply(`${first.component}: ${first.why}${rest}`);
    }
    deps.drift.set(name, { keys, at: deps.clock.now() });
    return undefined;
  } catch (caught) {
    if (isTurnOver(caught, turn)) throw caught;
    const error = StampyardError.from(caught);
    // A changed goal is no failure: the next turn compares with what is wanted then.
    if (error.code === "CANCELLED") return undefined;
    deps.log.warn({ stamp: name, code: error.code, err: error }, "comparison of a stamp with its spec failed");
    const cause = `a difference from its spec: ${causeOf(error)}`;
    deps.drift.set(name, { keys, at: deps.clock.now(), cause });
    return cause;
  }
}
