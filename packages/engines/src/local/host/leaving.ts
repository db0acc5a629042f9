import type { Goal } from "../goal.ts";
import { freePort } from "../ledger.ts";
import { lingerMs, portKey } from "./bring-up.ts";
import { clearStore } from "./clear-store.ts";
import { graceOf, stopInstance } from "./converge.ts";
import { inTurn } from "./lanes.ts";
import { type Host, type InstanceRecord, saveState } from "./state.ts";

/**
 * What the goal does not name any more: whole components, and replicas beyond their number. Routers hear of it first, and
 * what old processes may still use goes after them, so that no request is lost on the way.
 */
export function markLeaving(leftovers: readonly InstanceRecord[]): void {
  for (const record of leftovers) {
    if (record.leaving !== undefined) continue;
    record.wanted = false;
    record.leaving = Date.now() + (record.current?.port === undefined ? 0 : lingerMs);
    delete record.servedPort;
  }
}

/** Ends those whose time is over. Called often; each is ended once. */
export async function endLeaving(host: Host, goal: Goal | undefined): Promise<void> {
  const leaving = Object.entries(host.state.instances).filter(([, record]) => record.leaving !== undefined);
  // Services go before the stores they may still talk to.
  leaving.sort(([, a], [, b]) => Number(b.kind === "service") - Number(a.kind === "service"));
  for (const [key, record] of leaving) {
    if (!isDue(host, record)) continue;
    await inTurn(host, key, async () => {
      // It may have been taken back, or ended, while its turn came.
      if (host.state.instances[key] !== record || !isDue(host, record)) return;
      const { current } = record;
      await stopInstance(host, record, graceOf(goal, record));
      if (current?.port !== undefined) {
        await freePort(host.ledger, host.place.stateDir, host.place.stamp, portKey(record, current.generation));
      }
      clearStore(host, record);
      delete host.state.instances[key];
      saveState(host);
    });
  }
}

function isDue(host: Host, record: InstanceRecord): boolean {
  if (record.leaving === undefined || Date.now() < record.leaving) return false;
  const { endpoints, instances } = host.state;
  if (record.kind === "service") return !endpoints.some(({ port }) => port === record.current?.port);
  return !Object.values(instances).some(
    (other) => other.kind === "service" && (other.retiring.length > 0 || other.leaving !== undefined),
  );
}
