import { createPostgresOwnership } from "@stampyard/guard";
import { openCache } from "./cache.ts";
import { readEnvironment } from "./environment.ts";
import { startJobLoop } from "./job-loop.ts";
import { openLog, reasonOf } from "./log.ts";
import { openPool } from "./pool.ts";
import { onStopSignal } from "./stop.ts";
import { openWakeUps } from "./wake-ups.ts";

const log = openLog("worker");

try {
  const env = readEnvironment(process.env, ["databaseUrl", "cacheUrl", "queueUrl", "stamp", "release"]);
  const pool = openPool(env.databaseUrl, 3, log);
  const ownership = createPostgresOwnership(pool);
  const cache = openCache(env.cacheUrl, log);
  const wakeUps = openWakeUps(env.queueUrl, log);
  const loop = startJobLoop({ pool, ownership, cache, log });
  wakeUps.onWake(() => loop.wake());

  onStopSignal(async (signal) => {
    log("stopping", { signal });
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
