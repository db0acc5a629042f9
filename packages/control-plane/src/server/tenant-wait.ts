import type { ServerDeps } from "./deps.ts";

/** Looks again at least so often: an acknowledgement is told to nobody. */
const lookMs = 50;

/** Whether what is waited for has come about. */
type Settled = (store: ServerDeps["store"], key: string) => Promise<boolean>;

/**
 * Resolves when the tenant is active and every live router has acknowledged the directory version that carries it, when
 * `waitMs` have passed, or when the client is gone; the caller reads the tenant again to see which.
 */
export async function waitForTenant(
  { store, clock }: Pick<ServerDeps, "store" | "clock">,
  key: string,
  waitMs: number,
  signal: AbortSignal,
  settled: Settled = isServed,
): Promise<void> {
  const deadline = clock.now() + waitMs;
  while (!signal.aborted && !(await settled(store, key))) {
    const left = deadline - clock.now();
    if (left <= 0) return;
    await clock.sleep(Math.min(lookMs, left), signal).catch(() => {});
  }
}

/** Whether a request for the tenant would be served wherever it arrives; a tenant that is gone is not waited for. */
async function isServed(store: ServerDeps["store"], key: string): Promise<boolean> {
  const row = await store.tenants.read(key);
  if (row === undefined || row.value.goal !== "present") return true;
  if (row.value.state.kind !== "active") return false;
  const entry = await store.directory.tenantVersion(key);
  return entry !== undefined && !entry.pending && (await store.routers.allLiveAcked(entry.version));
}

/** Whether no router and no stamp serves the tenant any more, as far as they can be told. */
export async function isSuspended(store: ServerDeps["store"], key: string): Promise<boolean> {
  const row = await store.tenants.read(key);
  return row === undefined || row.value.goal !== "suspended" || row.value.state.kind === "suspended";
}
