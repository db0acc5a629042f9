import { createGuard, createPostgresOwnership } from "@stampyard/guard";
import { openCache } from "./cache.ts";
import { readEnvironment } from "./environment.ts";
import { createApi } from "./http/server.ts";
import { openLog, reasonOf } from "./log.ts";
import { openObjects } from "./objects.ts";
import { openPool } from "./pool.ts";
import { openSearch } from "./search-index.ts";
import { onStopSignal, prepareClose } from "./stop.ts";
import { countUploads } from "./uploads.ts";
import { openWakeUps } from "./wake-ups.ts";

const log = openLog("api");

try {
  const env = readEnvironment(process.env, [
    "databaseUrl",
    "cacheUrl",
    "queueUrl",
    "stamp",
    "region",
    "release",
    "routeKeys",
    "port",
  ]);
  const { stamp, region, release } = env;
  const pool = openPool(env.databaseUrl, 8, log);
  const ownership = createPostgresOwnership(pool);
  const guard = createGuard({ stamp, keys: env.routeKeys, ownership });
  const cache = openCache(env.cacheUrl, log);
  const wakeUps = openWakeUps(env.queueUrl, log);
  const objects = openObjects(env.queueUrl);
  const search = openSearch(env.cacheUrl, log);
  const uploads = countUploads();
  const services = { identity: { stamp, region, release }, pool, cache, wakeUps, objects, search, uploads };
  const server = createApi(services, guard, log);

  const close = prepareClose(server);

  onStopSignal(async (signal) => {
    log("stopping", { signal });
    await close(5_000);
    await wakeUps.close();
    await objects.close();
    cache.close();
    search.close();
    await ownership.close();
    await pool.end();
    log("stopped");
  });
  server.on("error", (error) => {
    log("failed", { reason: reasonOf(error) });
    process.exit(1);
  });
  server.listen(env.port, "127.0.0.1", () => {
    const address = server.address();
    log("listening", {
      port: typeof address === "object" && address !== null ? address.port : env.port,
      stamp,
      release,
    });
  });
} catch (caught) {
  log("failed", { reason: reasonOf(caught) });
  process.exit(1);
}
