export { canonicalJson, digestOf, type Json, toHex, utf8 } from "./canonical.ts";
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
  IsolationFact,
  LogLine,
  LogOptions,
  Progress,
  ProgressEvent,
  StampEngine,
  StampObservation,
  StampSpec,
} from "./engine.ts";
export { type ErrorCode, errorStatus, type Problem, StampyardError } from "./errors.ts";
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
export { isHostname, isName, isTenantKey, quote, requireHostname, requireName, requireTenantKey } from "./names.ts";
export {
  choosePlacement,
  hasRoom,
  type Placement,
  type PlacementCandidate,
  type PlacementRequest,
  placementTrouble,
} from "./placement.ts";
export type { Clock, Digest, FencingToken, Instant, Random, Sha256 } from "./ports.ts";
export { componentsOf, findComponent, type Parameters, type RenderedStamp, type StampIdentity } from "./rendered.ts";
export {
  type CatchAll,
  catchAllEnd,
  directoryNames,
  type Geography,
  hostMeaning,
  isAlias,
  publishedRouting,
  requireAlias,
  type Routing,
  type RoutingLimits,
  type RoutingRule,
  routingRules,
  type TenantLimits,
  tenantLabel,
} from "./routing.ts";
export { makeSecret, secretNames } from "./secrets.ts";
export {
  afterFailure,
  planStamp,
  retryDelayMs,
  type Setback,
  type Stamp,
  type StampAction,
  type StampPhase,
  type StampPlan,
  type StampState,
  stampNext,
  whatIsLacking,
} from "./stamp.ts";
export { stampSchemaSql, stampSchemaVersion } from "./stamp-schema.ts";
export { cyclesOf, type Dependencies, dependenciesOf, type StartNode, startNeeds, startOrder } from "./start-order.ts";
export type * from "./template.ts";
export {
  afterTenantFailure,
  type HomeReadiness,
  homeReadiness,
  planTenant,
  type Tenant,
  type TenantAction,
  type TenantPhase,
  type TenantPlan,
  type TenantState,
  tenantNext,
} from "./tenant.ts";
