import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { HistoryFleet } from "./history-fleet.ts";

/** Watches who says of itself that it owns a tenant, by reading one database after the other. */
export interface OwnerWatch {
  readonly looks: number;
  readonly problems: readonly string[];
  stop(): Promise<void>;
}

/**
 * An active row of a lower epoch, read after one of a higher epoch had been read elsewhere, means that both owned the tenant
 * between the two reads (I1, I16).
 */
export function watchOwners(fleet: HistoryFleet, stamps: readonly string[], tenants: readonly string[]): OwnerWatch {
  const problems: string[] = [];
  const highest = new Map<string, { epoch: number; stamp: string }>();
  const stopping = new AbortController();
  let looks = 0;
  const connections = new Map<string, pg.Client>();
  const look = async (stamp: string) => {
    const db = connections.get(stamp) ?? (await fleet.connect(stamp, "stampyard_mover"));
    connections.set(stamp, db);
    const { rows } = await db.query<{ tenant: string; epoch: string }>(
      "select tenant, epoch from stampyard.tenant_home where state = 'active' and tenant = any ($1)",
      [tenants],
    );
    looks += 1;
    for (const { tenant, epoch } of rows) {
      const known = highest.get(tenant);
      if (
        known !== undefined &&
        (Number(epoch) < known.epoch || (Number(epoch) === known.epoch && stamp !== known.stamp))
      ) {
        problems.push(
          `${tenant} is active in ${stamp} at epoch ${epoch} after ${known.stamp} had it at ${known.epoch}`,
        );
      }
      if (known === undefined || Number(epoch) > known.epoch) highest.set(tenant, { epoch: Number(epoch), stamp });
    }
  };
  const run = async () => {
    while (!stopping.signal.aborted) {
      for (const stamp of stamps) {
        try {
          await look(stamp);
        } catch {
          // Killed or stopped just now: the next look has a connection of its own.
          await connections
            .get(stamp)
            ?.end()
            .catch(() => {});
          connections.delete(stamp);
        }
        await delay(10);
      }
    }
    await Promise.all([...connections.values()].map((db) => db.end().catch(() => {})));
  };
  const running = run();
  return {
    get looks() {
      return looks;
    },
    problems,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
