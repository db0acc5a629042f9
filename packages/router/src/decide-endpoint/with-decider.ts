import { addCounts, noCounts } from "../metrics.ts";
import type { Servers } from "../servers.ts";
import type { Decider } from "./decider.ts";

/** Tells the decider everything that is told to those who serve, and counts with theirs what it counted. */
export function withDecider(servers: Servers, decider: Decider): Servers {
  return {
    ...servers,
    replaceDirectory(directory, position) {
      decider.replaceDirectory(directory);
      servers.replaceDirectory(directory, position);
    },
    directoryChanged(change, position) {
      decider.directoryChanged(change);
      servers.directoryChanged(change, position);
    },
    setKeys(stamp, keys) {
      decider.setKeys(stamp, keys);
      servers.setKeys(stamp, keys);
    },
    hold(hold) {
      decider.hold(hold);
      servers.hold(hold);
    },
    release(hold) {
      decider.release(hold);
      servers.release(hold);
    },
    async counts() {
      const total = noCounts();
      addCounts(total, await servers.counts());
      addCounts(total, decider.counts());
      return total;
    },
    async close(drainMs) {
      await decider.close();
      await servers.close(drainMs);
    },
  };
}
