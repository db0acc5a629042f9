import type { Clock } from "@stampyard/domain";
import type { Store, StoreEvent, WriteContext } from "../store/port.ts";

export interface HoldWish {
  readonly tenant: string;
  /** Whose hold it is: only a release of the same id ends it early. `[A-Za-z0-9_-]{1,64}` */
  readonly moveId: string;
  /** Milliseconds after which routers answer 503 instead; at most 30,000. */
  readonly ttlMs: number;
  /** Milliseconds to wait for routers. The hold stands whatever comes of it. */
  readonly waitMs: number;
}

export interface HoldOutcome {
  /** Every live router held the tenant with none of its requests on its way before the wait was over. */
  readonly quiet: boolean;
  readonly routers: readonly { readonly router: string; readonly inFlight?: number }[];
}

type Ports = { readonly store: Pick<Store, "holds" | "routers" | "watch">; readonly clock: Clock };

/**
 * Lets a tenant's requests wait in all routers, and waits until none is on its way, or `waitMs` is over. An optimisation
 * and never safety (decision D13): a router that does not answer, or was not connected, changes nothing but time, because
 * the fence in the source decides. Repeating it extends the hold.
 * @throws StampyardError TENANT_NOT_FOUND, RECOVERING, STALE_LEADER
 */
export async function holdTenant({ store, clock }: Ports, wish: HoldWish, ctx: WriteContext): Promise<HoldOutcome> {
  const { tenant, moveId, ttlMs, waitMs } = wish;
  const counts = new Map<string, number>();
  let wake = () => {};
  const unwatch = store.watch((event: StoreEvent) => {
    if (event.kind !== "hold-acknowledged" || event.tenant !== tenant || event.moveId !== moveId) return;
    counts.set(event.router, event.inFlight);
    wake();
  });
  try {
    const routers = (await store.routers.list()).filter(({ live }) => live).map(({ name }) => name);
    const isQuiet = () => routers.every((router) => counts.get(router) === 0);
    await store.holds.hold({ tenant, moveId, ttlMs }, ctx);
    const until = clock.now() + waitMs;
    while (!isQuiet() && clock.now() < until) {
      const sleeping = new AbortController();
      wake = () => sleeping.abort();
      await clock.sleep(until - clock.now(), sleeping.signal).catch(() => {});
    }
    return {
      quiet: isQuiet(),
      routers: routers.map((router) => {
        const inFlight = counts.get(router);
        return { router, ...(inFlight === undefined ? {} : { inFlight }) };
      }),
    };
  } finally {
    unwatch();
  }
}

/**
 * Lets requests that wait go on, each to the home that its router knows then. After a move it is not needed: the higher
 * epoch ends a hold by itself. A release of another move's hold changes nothing.
 * @throws StampyardError STALE_LEADER
 */
export async function releaseTenant(
  { store }: Pick<Ports, "store">,
  { tenant, moveId }: Pick<HoldWish, "tenant" | "moveId">,
  ctx: WriteContext,
): Promise<void> {
  await store.holds.release(tenant, moveId, ctx);
}
