import { createPostgresOwnership } from "@stampyard/guard";
import { openCache } from "./cache.ts";
import { readEnvironment } from "./environment.ts";
import { startJobLoop } from "./job-loop.ts";
import { openLog, reasonOf } from "./log.ts";
import { openObjects } from "./objects.ts";
import { openPool } from "./pool.ts";
import { openSearch } from "./search-index.ts";
import { onStopSignal } from "./stop.ts";
import { sweepGone } from "./sweep.ts";
import { openWakeUps } from "./wake-ups.ts";

const log = openLog("worker");
/** What is left of tenants that are gone takes room, and nothing else. */
const sweepEveryMs = 5 * 60_000;

try {
  const env = readEnvironment(process.env, ["databaseUrl", "cacheUrl", "queueUrl", "stamp", "release"]);
  const pool = openPool(env.databaseUrl, 3, log);
  const ownership = createPostgresOwnership(pool);
  const cache = openCache(env.cacheUrl, log);
  const wakeUps = openWakeUps(env.queueUrl, log);
  const search = openSearch(env.cacheUrl, log);
  const loop = startJobLoop({ pool, ownership, cache, search, log });
  wakeUps.onWake(() => loop.wake());

  const objects = openObjects(env.queueUrl);
  const stores = [objects, search].map((store) => ({ store, missing: new Set<string>() as ReadonlySet<string> }));
  const sweep = async () => {
    for (const each of stores) {
      each.missing = await sweepGone(pool, each.store, each.missing).catch(() => new Set<string>());
    }
  };
  const sweeping = setInterval(() => void sweep(), sweepEveryMs);

  onStopSignal(async (signal) => {
    log("stopping", { signal });
    clearInterval(sweeping);
    await objects.close();
    await loop.stop();
    await wakeUps.close();
    cache.close();
    search.close();
    await ownership.close();
    await pool.end();
    log("stopped");
  });
  log("working", { stamp: env.stamp, release: env.release });
} catch (caught) {
  log("failed", { reason: reasonOf(caught) });
  process.exit(1);
}
