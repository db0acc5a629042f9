export { createManualClock, type ManualClock } from "./manual-clock.ts";
export { createSeededRandom, forSeeds, type SeededRandom } from "./seeded-random.ts";
export {
  createSimulatedEngine,
  type EngineCall,
  type EngineStep,
  type SimulatedEngine,
  type SimulatedEngineOptions,
  type SimulatedStamp,
} from "./simulated-engine.ts";
export { describeStampEngine, type EngineUnderTest } from "./engine-contract.ts";
export { editSpec, jobFixture, serviceFixture, type SpecFixture, specFixture } from "./stamp-fixture.ts";
