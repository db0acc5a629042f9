import type { ReconcileDeps } from "./turn.ts";

const pollMs = 20;

/**
 * Waits until what is committed now is numbered and acknowledged by every live router, for a bounded time: a router
 * that is cut off must not stop the fleet, and the guard inside the stamp refuses what it still sends (I17).
 * @returns whether they all did
 */
export async function waitForRouters(
  deps: Pick<ReconcileDeps, "store" | "clock">,
  withinMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const until = deps.clock.now() + withinMs;
  let version: number | undefined;
  for (;;) {
    if (version === undefined) {
      const head = await deps.store.directory.head();
      if (head.pending === 0) version = head.version;
    }
    if (version !== undefined && (await deps.store.routers.allLiveAcked(version))) return true;
    if (deps.clock.now() >= until) return false;
    await deps.clock.sleep(pollMs, signal);
  }
}
