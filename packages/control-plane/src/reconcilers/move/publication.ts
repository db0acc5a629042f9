import type { Move } from "@stampyard/domain";
import type { MoveDeps } from "./move-deps.ts";

type Ports = Pick<MoveDeps, "store" | "clock">;

/** Should an event be lost, or a router acknowledge at another control plane. */
const pollMs = 20;

/** Whether the directory names the target, and every live router has that version. */
export async function isPublished({ store }: Ports, { tenant, to, epoch }: Move): Promise<boolean> {
  const [row, entry] = await Promise.all([store.tenants.read(tenant), store.directory.tenantVersion(tenant)]);
  // Nobody asks for a tenant that is no more.
  if (row === undefined) return true;
  if (row.value.stamp !== to || row.value.epoch <= epoch) return false;
  if (entry === undefined || entry.pending) return false;
  return await store.routers.allLiveAcked(entry.version);
}

/**
 * Waits until it is, at most so long: a router that lives and does not acknowledge keeps the move open, and the caller
 * looks again. Held requests wait for exactly this, so it looks at every event that could be the one.
 */
export async function waitUntilPublished(
  deps: Ports,
  move: Move,
  withinMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  let isNews = false;
  let wake = () => {};
  const unwatch = deps.store.watch(({ kind }) => {
    if (kind !== "directory" && kind !== "acknowledged") return;
    isNews = true;
    wake();
  });
  try {
    const until = deps.clock.now() + withinMs;
    for (;;) {
      isNews = false;
      if (await isPublished(deps, move)) return true;
      if (deps.clock.now() >= until) return false;
      if (isNews) continue;
      const woken = new AbortController();
      wake = () => woken.abort();
      await deps.clock.sleep(pollMs, AbortSignal.any([signal, woken.signal])).catch(() => signal.throwIfAborted());
    }
  } finally {
    unwatch();
  }
}
