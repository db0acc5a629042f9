import { type FencingToken, isServing, type Random, StampyardError } from "@stampyard/domain";
import { reconcileStamp } from "./reconcile-stamp.ts";
import { reconcileTenant } from "./reconcile-tenant.ts";
import type { ReconcileDeps, TurnEnd } from "./turn.ts";
import { createTurns } from "./turns.ts";

/** An active stamp is looked at this often; one with work to do, at once. */
const lookEveryMs = 2_000;
const resyncMs = 1_000;
/** Looking is one local request, so many at a time; the heavy work has its own gate. */
const stampsAtATime = 64;
const tenantsAtATime = 16;

/** Runs both reconcilers while this process leads. Ends with the signal, or throws STALE_LEADER. */
export async function runReconcilers(
  deps: ReconcileDeps & { readonly random: Random },
  token: FencingToken,
  signal: AbortSignal,
): Promise<void> {
  const lost = new AbortController();
  const ending = AbortSignal.any([signal, lost.signal]);
  const turn = { token, signal: ending };

  const turnsOf = (what: string, concurrency: number, reconcile: (id: string) => Promise<TurnEnd>) =>
    createTurns({
      turn: reconcile,
      concurrency,
      clock: deps.clock,
      random: deps.random,
      signal: ending,
      onError: (id, caught) => {
        const error = StampyardError.from(caught);
        if (error.code === "STALE_LEADER") lost.abort(error);
        deps.log.error({ [what]: id, code: error.code, err: error }, `a turn of a ${what} failed`);
      },
    });
  const stamps = turnsOf("stamp", stampsAtATime, (name) => reconcileStamp(deps, name, turn));
  const tenants = turnsOf("tenant", tenantsAtATime, (key) => reconcileTenant(deps, key, turn));

  const resync = async () => {
    const now = deps.clock.now();
    for (const name of await deps.store.stamps.due(now - lookEveryMs)) stamps.wake(name);
    for (const key of await deps.store.tenants.due(now)) tenants.wake(key);
  };
  const resyncSafely = () =>
    resync().catch((caught: unknown) => {
      if (!ending.aborted) deps.log.warn({ err: caught }, "resync failed");
    });

  const unwatch = deps.store.watch((event) => {
    if (event.kind === "tenant") tenants.wake(event.tenant);
    if (event.kind === "keys") stamps.wake(event.stamp);
    if (event.kind !== "stamp") {
      if (event.kind === "fleet" || event.kind === "mode") void resyncSafely();
      return;
    }
    stamps.wake(event.stamp);
    // Its tenants wait for exactly this.
    if (isServing(event.phase) || event.phase === "gone" || event.phase === "destroying") void resyncSafely();
  });
  try {
    while (!ending.aborted) {
      await resyncSafely();
      await deps.clock.sleep(resyncMs, ending).catch(() => {});
    }
  } finally {
    unwatch();
    await Promise.all([stamps.idle(), tenants.idle()]);
  }
  if (lost.signal.aborted) throw lost.signal.reason;
}
