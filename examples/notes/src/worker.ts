import { createPostgresOwnership } from "@stampyard/guard";
import { openCache } from "./cache.ts";
import { readEnvironment } from "./environment.ts";
import { startJobLoop } from "./job-loop.ts";
import { openLog, reasonOf } from "./log.ts";
import { openObjects } from "./objects.ts";
import { openPool } from "./pool.ts";
import { onStopSignal } from "./stop.ts";
import { sweepObjects } from "./sweep.ts";
import { openWakeUps } from "./wake-ups.ts";

const log = openLog("worker");
/** Objects of tenants that are gone take room, and nothing else. */
const sweepEveryMs = 5 * 60_000;

try {
  const env = readEnvironment(process.env, ["databaseUrl", "cacheUrl", "queueUrl", "stamp", "release"]);
  const pool = openPool(env.databaseUrl, 3, log);
  const ownership = createPostgresOwnership(pool);
  const cache = openCache(env.cacheUrl, log);
  const wakeUps = openWakeUps(env.queueUrl, log);
  const loop = startJobLoop({ pool, ownership, cache, log });
  wakeUps.onWake(() => loop.wake());

  const objects = openObjects(env.queueUrl);
  let missing: ReadonlySet<string> = new Set();
  const sweep = async () => {
    missing = await sweepObjects(pool, objects, missing).catch(() => new Set<string>());
  };
  const sweeping = setInterval(() => void sweep(), sweepEveryMs);

  onStopSignal(async (signal) => {
    log("stopping", { signal });
    clearInterval(sweeping);
    await objects.close();
    await loop.stop();
    await wakeUps.close();
    cache.close();
    await ownership.close();
    await pool.end();
    log("stopped");
  });
  log("working", { stamp: env.stamp, release: env.release });
} catch (caught) {
  log("failed", { reason: reasonOf(caught) });
  process.exit(1);
}
