import { createHash } from "node:crypto";
import { describeStampEngine } from "./engine-contract.ts";
import { createManualClock } from "./manual-clock.ts";
import { createSeededRandom } from "./seeded-random.ts";
import { createSimulatedEngine } from "./simulated-engine.ts";
import { specFixture } from "./stamp-fixture.ts";

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest());

// A fake that passes the suite is a fake one may trust.
describeStampEngine("simulated", async () => ({
  engine: createSimulatedEngine({ clock: createManualClock() }),
  spec: (stamp, components) =>
    specFixture({ stamp, components, sourceDir: "/nowhere", random: createSeededRandom(1), sha256 }),
  async [Symbol.asyncDispose]() {},
}));
