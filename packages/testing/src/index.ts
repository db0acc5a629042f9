export { createManualClock, type ManualClock } from "./manual-clock.ts";
export { createSeededRandom, forSeeds, type SeededRandom } from "./seeded-random.ts";
export {
  createSimulatedEngine,
  type EngineCall,
  type EngineStep,
  type SimulatedEngine,
  type SimulatedEngineOptions,
} from "./simulated-engine.ts";
export type { SimulatedComponent, SimulatedStamp } from "./simulated-stamp.ts";
export { describeStampEngine, type EngineUnderTest } from "./engine-contract.ts";
export { editSpec, jobFixture, serviceFixture, type SpecFixture, specFixture } from "./stamp-fixture.ts";
export { type DriveOptions, driveMove, type Fate, type Step } from "./drive-move.ts";
export { type BedStamp, describeMover, moveFixture, type MoverBed } from "./mover-contract.ts";
