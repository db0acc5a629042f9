import { isServing, type Stamp, StampyardError } from "@stampyard/domain";
import { causeOf } from "../reconcilers/failure.ts";
import type { Turn } from "../reconcilers/turn.ts";
import type { RecoveryDeps } from "./collect-homes.ts";

/**
 * Closes what a stamp still calls its own although the store has given it to another stamp under a higher epoch: the
 * losers of a recovery, whom nothing else would tell (I25: no tenant has two live owners). Asked at the start of each
 * leader and after each recovery, because a crash may have come between the decision and this. False = one of them is
 * fenced by a move that is no more: it opens by itself before it can be closed, so ask again.
 */
export async function closeStrays(deps: RecoveryDeps, turn: Turn): Promise<boolean> {
  const rows = await deps.store.stamps.all();
  const serving = rows.map((row) => row.value).filter((stamp) => isServing(stamp.state.kind));
  let areClosed = true;
  for (const stamp of serving) {
    if (turn.signal.aborted) return areClosed;
    try {
      areClosed = (await closeStraysOf(deps, stamp, turn)) && areClosed;
    } catch (caught) {
      const error = StampyardError.from(caught);
      if (turn.signal.aborted || error.code === "STALE_LEADER") throw caught;
      deps.log.warn({ stamp: stamp.name, why: causeOf(error) }, "a stamp could not be asked for strays");
    }
  }
  return areClosed;
}

async function closeStraysOf(deps: RecoveryDeps, stamp: Stamp, turn: Turn): Promise<boolean> {
  const spec = await deps.specOf(stamp);
  const homes = await deps.homes.list(spec, turn.signal);
  const claimed = homes.filter((row) => ["active", "suspended", "fenced"].includes(row.state));
  if (claimed.length === 0) return true;
  // Read after the claims: whoever is placed here now is found here.
  const own = await keysOn(deps, stamp.name);
  let areClosed = true;
  for (const { tenant, epoch, state } of claimed.filter((row) => !own.has(row.tenant))) {
    const found = (await deps.store.tenants.read(tenant))?.value;
    if (found?.stamp === undefined || found.stamp === stamp.name || found.epoch <= epoch) continue;
    if (state === "fenced") {
      areClosed = false;
      continue;
    }
    await deps.homes.close(spec, tenant, epoch, turn.signal);
    deps.log.warn({ stamp: stamp.name, tenant, epoch, home: found.stamp }, "closed a tenant that lives elsewhere");
  }
  return areClosed;
}

async function keysOn({ store }: Pick<RecoveryDeps, "store">, stamp: string): Promise<ReadonlySet<string>> {
  const keys = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await store.tenants.list({ stamp, limit: 1_000, ...(cursor === undefined ? {} : { cursor }) });
    for (const { value } of page.items) keys.add(value.key);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return keys;
}
