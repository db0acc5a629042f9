import { createHash, randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Clock, Random, Sha256 } from "@stampyard/domain";

/** Time, randomness and hashing of this machine, behind the ports of `domain`. */

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (caught) {
      throw signal?.aborted === true ? signal.reason : caught;
    }
  },
};

export const systemRandom: Random = { bytes: (count) => new Uint8Array(randomBytes(count)) };

export const systemSha256: Sha256 = (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest());
