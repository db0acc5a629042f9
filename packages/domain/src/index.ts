export {
  type Campaign,
  campaignBounds,
  type CampaignItem,
  type CampaignKind,
  campaignNext,
  type CampaignPhase,
  campaignSettings,
  type CampaignSettings,
  type CampaignState,
  countItems,
  endedCampaigns,
  endedItems,
  type ItemCounts,
  type ItemState,
  type PauseBudget,
  worstPauseMs,
} from "./campaign/campaign.ts";
export type { CampaignMove, CampaignTenant, CampaignWorld } from "./campaign/campaign-world.ts";
export { whyTenantsStay } from "./campaign/can-move.ts";
export { type CampaignEstimate, estimateCampaign, type PastMove } from "./campaign/estimate.ts";
export {
  afterRefusal,
  type CampaignAction,
  type CampaignPlan,
  planCampaign,
  sameState,
} from "./campaign/plan-campaign.ts";
export { planDrain } from "./campaign/plan-drain.ts";
export { planRebalance, type RebalancePlan } from "./campaign/plan-rebalance.ts";
export { canonicalJson, digestOf, isSame, type Json, toHex, utf8 } from "./canonical.ts";
export {
  addUnits,
  maxUnits,
  observationMaxAgeMs,
  type ObservedLoad,
  type StampLoad,
  tightestUnit,
  unitsOf,
  type UnitVector,
  unitWithoutRoom,
  usedCapacity,
  type UsedCapacity,
} from "./capacity.ts";
export type {
  CallOptions,
  ComponentObservation,
  ComponentStatus,
  Endpoint,
  EngineChange,
  EngineFact,
  IsolationFact,
  LogLine,
  LogOptions,
  Progress,
  ProgressEvent,
  StampEngine,
  StampObservation,
  StampSpec,
} from "./engine.ts";
export {
  certificateDigest,
  certifyErasure,
  type DatabaseCount,
  type ErasureBasis,
  type ErasureCertificate,
  type ErasureFacts,
  mostCounted,
  type TableCount,
  whatIsLeft,
} from "./erasure.ts";
export { type ErrorCode, errorStatus, type Problem, StampyardError } from "./errors.ts";
export { highMark } from "./fleet.ts";
export type {
  Fleet,
  GrowthPolicy,
  PlacementPolicy,
  Pool,
  PoolAutomation,
  PriceList,
  ResidencyRule,
  Tier,
} from "./fleet.ts";
export {
  type FleetChange,
  type FleetGoal,
  type FleetPlan,
  type FleetState,
  nextStamps,
  planFleet,
} from "./fleet-plan.ts";
export {
  defaultMaxPauseMs,
  defaultRestMs,
  endedMoves,
  type HomeSeen,
  maxPauseBounds,
  type Move,
  type MoveAction,
  type MoveMode,
  moveNext,
  type MovePhase,
  type MovePlan,
  type MoverSight,
  type MoveSeen,
  type MoveSetback,
  type MoveState,
  movingPhases,
  type VerifyPolicy,
  wayBackOf,
} from "./move/move.ts";
export type { Followed, Mover, MoverCall, MoverPolicy, MoverRequest, OpenMover } from "./move/mover.ts";
export type {
  CheckedTable,
  MoveCheck,
  MoveCompared,
  MoveProblem,
  MoveProgress,
  MoveReport,
  RebuildReport,
  SwitchReport,
} from "./move/report.ts";
export { estimateMove, type MoveEstimate } from "./move/estimate-move.ts";
export { afterMoveFailure, isDecided, planMove } from "./move/plan-move.ts";
export {
  isHostname,
  isName,
  isReservedTenantKey,
  isTenantKey,
  quote,
  requireHostname,
  requireName,
  requireTenantKey,
  suspendedHome,
} from "./names.ts";
export {
  type Placement,
  type PlacementCandidate,
  type PlacementOverride,
  type PlacementRequest,
  type PlacementSettings,
  placementSettings,
  placementTrouble,
  type RoomToGrow,
  roomToGrow,
} from "./placement/candidate.ts";
export { choosePlacement } from "./placement/choose.ts";
export { explainPlacement, type PlacementExplanation, type StampVerdict } from "./placement/explain.ts";
export { type FilterName, hasRoom, isBuilding } from "./placement/filters.ts";
export { isBig } from "./placement/scores.ts";
export { planPool } from "./pool-plan/plan-pool.ts";
export type {
  GrowthSample,
  NextStamp,
  PoolAlert,
  PoolForecast,
  PoolPlan,
  PoolProposal,
  PoolRebalance,
  PoolStamp,
  PoolState,
  ScaleStep,
  WaitingTenant,
} from "./pool-plan/pool-state.ts";
export { type Advice, advise, type Verdict } from "./planning/advise.ts";
export { adviceAssumptions, type Figure } from "./planning/advice-figures.ts";
export { type AdviceInput, type AdviceKey, adviceQuestions } from "./planning/advice-input.ts";
export type { BlastRadius, FailoverHeadroom, SimulatedMonth, SimulatedStamps } from "./planning/fleet-tally.ts";
export {
  type CapacityForecast,
  forecastCapacity,
  type ForecastInput,
  historyDays,
  minHistoryDays,
  type UsedOnDay,
} from "./planning/forecast-capacity.ts";
export { type FleetSimulation, simulateFleet } from "./planning/simulate-fleet.ts";
export {
  exactTenants,
  type SimulatedPool,
  type SimulatedTier,
  type SimulationInput,
} from "./planning/simulation-input.ts";
export type { SizeDistribution } from "./planning/size-distribution.ts";
export { type PlanCost, planCost, type StampCost, stampCost, type StampShift } from "./planning/stamp-cost.ts";
export type { Clock, Digest, FencingToken, Instant, Random, Sha256 } from "./ports.ts";
export { componentsOf, findComponent, type Parameters, type RenderedStamp, type StampIdentity } from "./rendered.ts";
export { type Residency, residencyBreach, residencyOf, type ResidencyWish } from "./residency.ts";
export {
  type CatchAll,
  catchAllEnd,
  directoryNames,
  type Geography,
  hostMeaning,
  isAlias,
  mostTrials,
  mostTrialStamps,
  publishedRouting,
  requireAlias,
  type Routing,
  type RoutingLimits,
  type RoutingRule,
  type RoutingRules,
  type RoutingTrial,
  routingRules,
  standardTier,
  type TenantLimits,
  tenantLabel,
  rulesDigest,
  rulesOf,
  withRules,
} from "./routing.ts";
export { routingDifference, rulesDifference, ruleText } from "./routing-words.ts";
export { makeSecret, secretNames } from "./secrets.ts";
export { afterPlan } from "./rollout/after-plan.ts";
export { type CommandContext, type CommandedRollout, commandRollout } from "./rollout/command-rollout.ts";
export type * from "./rollout/evidence.ts";
export { latencyBounds, sickGraceMs, signalsFreshMs } from "./rollout/evidence.ts";
export { type Freeze, type FreezeScope, type FreezeWindow, frozenThings, type FrozenThing } from "./rollout/freeze.ts";
export { endOfWindow, type Freezes, type FreezeTarget, type FrozenWhy, whyFrozen } from "./rollout/freeze-time.ts";
export { defaultGate, defaultStrategy } from "./rollout/gate/default-strategy.ts";
export { type ExpectedTraffic, type GatePower, gatePower, powerWords } from "./rollout/gate/gate-power.ts";
export { judgeGate } from "./rollout/gate/judge-gate.ts";
export {
  type Aim,
  endedRollouts,
  type MemberPhase,
  type MemberState,
  memberNext,
  type Rollout,
  type RolloutCommand,
  type RolloutMember,
  type RolloutPhase,
  type RolloutState,
  rolloutNext,
  runningRollouts,
  type Wave,
} from "./rollout/rollout.ts";
export { joinNewcomers } from "./rollout/join-newcomers.ts";
export { isLookDue } from "./rollout/plan-bake.ts";
export { planRollout } from "./rollout/plan-rollout.ts";
export { type PlannedWaves, planWaves, type WavesInput } from "./rollout/plan-waves.ts";
export type { ChosenCanary, RolloutCandidate } from "./rollout/rollout-candidate.ts";
export { behindWhom, covers, overlaps, whoTakesOver } from "./rollout/rollout-queue.ts";
export type { MemberSeen, RolloutAction, RolloutPlan, RolloutWorld } from "./rollout/rollout-world.ts";
export { type RolloutWords, rolloutWords } from "./rollout/rollout-words.ts";
export { bringsRules, keepingRules, sameAim } from "./rollout/same-aim.ts";
export {
  type CanaryRule,
  type MemberLabelRule,
  type RolloutHook,
  type RolloutHookPoint,
  rolloutHookPoints,
  type RolloutStrategy,
  strategyBounds,
  type WaveRule,
  type WaveSize,
} from "./rollout/strategy.ts";
export { hookKey } from "./rollout/wave-steps.ts";
export { instantOfWall, isZone, parseWall, wallMinute, weekdayOf } from "./rollout/zone-time.ts";
export type { Fingerprint, Relation, ResourceFact, SharedKind, StampFacts } from "./share-nothing/facts.ts";
export {
  findSharing,
  type SharingFinding,
  type SharingReport,
  type SharingVerdict,
} from "./share-nothing/find-sharing.ts";
export { addressFacts, factsOfRendering, type RenderedInput } from "./share-nothing/rendered-facts.ts";
export {
  afterFailure,
  type GoalDetail,
  isServing,
  retryDelayMs,
  servingPhases,
  type ServingPhase,
  type Setback,
  type Stamp,
  type StampAction,
  type StampGoal,
  type StampPhase,
  type StampPlan,
  type StampState,
  type StampTenants,
  stampNext,
  whatIsLacking,
} from "./stamp.ts";
export {
  type Adoption,
  adoptedDatabaseSecret,
  type Capabilities,
  type Capability,
  lackingCapabilities,
} from "./stamp-life/adoption.ts";
export { mayDestroy } from "./stamp-life/plan-serving.ts";
export { planStamp } from "./stamp-life/plan-stamp.ts";
export { type Verification, verifyTenantKey } from "./stamp-life/verification.ts";
export { moverGrantsSql, stampSchemaSql, stampSchemaUpgradeSql, stampSchemaVersion } from "./stamp-schema.ts";
export { cyclesOf, type Dependencies, dependenciesOf, type StartNode, startNeeds, startOrder } from "./start-order.ts";
export type * from "./template.ts";
export {
  afterTenantFailure,
  type HomeReadiness,
  homeReadiness,
  planTenant,
  suspendable,
  type Suspension,
  type Tenant,
  type TenantAction,
  type TenantPhase,
  type TenantPlan,
  type TenantState,
  tenantNext,
} from "./tenant.ts";
