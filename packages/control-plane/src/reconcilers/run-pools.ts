import { type FencingToken, StampyardError } from "@stampyard/domain";
import { type PoolDeps, reconcilePool } from "./reconcile-pool.ts";
import type { ReconcileDeps } from "./turn.ts";
import { createTurns } from "./turns.ts";

/** At most one look a second, however many tenants come. */
const everyMs = 1_000;
/** A pool of thousands of stamps is a long read: looking takes at most this share of the time. */
const lookingShare = 0.05;
const longestPauseMs = 10_000;

/** Keeps every pool of the fleet as large as it should be while this process leads. */
export async function runPools(
  deps: ReconcileDeps & Omit<PoolDeps, "poolMemory">,
  token: FencingToken,
  signal: AbortSignal,
): Promise<void> {
  const lost = new AbortController();
  const ending = AbortSignal.any([signal, lost.signal]);
  const poolDeps: PoolDeps = { ...deps, poolMemory: { said: new Map() } };
  let spentMs = 0;
  const pools = createTurns({
    async turn(name) {
      const began = deps.clock.now();
      try {
        return await reconcilePool(poolDeps, name, { token, signal: ending });
      } finally {
        spentMs += Math.max(0, deps.clock.now() - began);
      }
    },
    concurrency: 1,
    clock: deps.clock,
    random: deps.random,
    signal: ending,
    onError: (pool, caught) => {
      const error = StampyardError.from(caught);
      if (error.code === "STALE_LEADER") lost.abort(error);
      // Quiet until the recovery has ended: then everything is looked at again.
      if (error.code === "RECOVERING") return;
      deps.log.error({ pool, code: error.code, err: error }, "a turn of a pool failed");
    },
  });

  let changed = true;
  const unwatch = deps.store.watch(({ kind }) => {
    if (kind === "tenant" || kind === "stamp" || kind === "fleet" || kind === "mode" || kind === "freeze")
      changed = true;
  });
  try {
    while (!ending.aborted) {
      if (changed) {
        changed = false;
        await wakeAll(deps, pools.wake).catch((caught: unknown) => {
          changed = true;
          if (!ending.aborted) deps.log.warn({ err: caught }, "pools cannot be read");
        });
      }
      const pauseMs = Math.min(longestPauseMs, Math.max(everyMs, spentMs / lookingShare));
      spentMs = 0;
      await deps.clock.sleep(pauseMs, ending).catch(() => {});
    }
  } finally {
    unwatch();
    await pools.idle();
  }
  if (lost.signal.aborted) throw lost.signal.reason;
}

async function wakeAll({ store }: Pick<ReconcileDeps, "store">, wake: (pool: string) => void): Promise<void> {
  const { mode } = await store.meta();
  if (mode !== "normal") return;
  const fleet = await store.fleet.read();
  for (const { name } of fleet?.value.fleet.pools ?? []) wake(name);
}
