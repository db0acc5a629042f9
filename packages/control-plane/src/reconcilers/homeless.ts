import { planTenant, StampyardError } from "@stampyard/domain";
import { type ReconcileDeps, type Turn, writeContext } from "./turn.ts";

/**
 * Lets the tenants of a stamp that is gone say what they wait for. Active tenants have no turns of their own, so nobody
 * else would. One transaction each, however many there are (I44).
 */
export async function tellHomeless(
  deps: Pick<ReconcileDeps, "store" | "clock">,
  stamp: string,
  turn: Turn,
): Promise<void> {
  let cursor: string | undefined;
  do {
    const page = await deps.store.tenants.list({
      stamp,
      phase: "active",
      limit: 500,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const { value, revision } of page.items) {
      turn.signal.throwIfAborted();
      const { waitingOn } = planTenant(value, "gone", deps.clock.now());
      if (waitingOn === undefined || waitingOn === value.waitingOn) continue;
      try {
        await deps.store.tenants.write({ ...value, waitingOn }, revision, {}, writeContext(turn));
      } catch (caught) {
        // Somebody deletes or changes it at this moment: it has a turn of its own then.
        const { code } = StampyardError.from(caught);
        if (code !== "STALE_REVISION" && code !== "TENANT_NOT_FOUND") throw caught;
      }
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}
