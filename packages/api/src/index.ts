export { type ClientOptions, createClient } from "./client.ts";
export type { CallAnswer, CallInput, Client, ItemOf, PagedName } from "./client-types.ts";
export type { BodyKind, Endpoint, Method } from "./endpoint.ts";
export { type EndpointName, endpointNames, endpoints } from "./endpoints.ts";
export { openApi } from "./openapi.ts";
/** So that a client can refuse a key in the server's words, and check a digest, without a call. */
export { certificateDigest, requireTenantKey } from "@stampyard/domain";
/** Planning needs no server: a client reckons with the same functions. */
export {
  type Advice,
  type AdviceInput,
  adviceQuestions,
  advise,
  type FleetSimulation,
  simulateFleet,
  type SimulatedPool,
  type SimulationInput,
  type SizeDistribution,
  stampCost,
} from "@stampyard/domain";
export { errorOf, problemOf } from "./problem.ts";
export { mayCall, type Role, roles } from "./roles.ts";
export type {
  AuditView,
  EventView,
  RecoveryView,
  StatusView,
  TokenCreatedView,
  TokenView,
} from "./schemas/admin.ts";
export type {
  CampaignAskedView,
  CampaignDetailView,
  CampaignItemView,
  CampaignPlanView,
  CampaignView,
} from "./schemas/campaigns.ts";
export type { FreezeListView, FreezeView, FreezeWindowView } from "./schemas/freezes.ts";
export type { PinView } from "./schemas/pins.ts";
export type { ReleaseDiffView, ReleaseMatrixView } from "./schemas/releases.ts";
export type { StrategyView } from "./schemas/rollout-strategy.ts";
export type {
  GateReportView,
  RolloutDetailView,
  RolloutMemberView,
  RolloutPreviewView,
  RolloutStartBody,
  RolloutView,
} from "./schemas/rollouts.ts";
export type { WebhookAddedView, WebhookMessageView, WebhookView } from "./schemas/webhooks.ts";
export type { FenceView } from "./schemas/fence.ts";
export type {
  CapacityForecastView,
  CapacitySizesView,
  CapacityView,
  PoolCapacityView,
  UnitUseView,
} from "./schemas/capacity.ts";
export type { FleetCheckView, TenantResidencyView } from "./schemas/check.ts";
export type { RouterView } from "./schemas/directory.ts";
export type { AppliedView, FleetView, PlanView, PoolView, ReleaseView } from "./schemas/fleet.ts";
export type { MoveCreatedView, MoveProgressView, MoveProposalView, MoveView } from "./schemas/moves.ts";
export type { PoolDetailView, PoolProposalAppliedView } from "./schemas/pools.ts";
export type { OverrideView, PlacementView } from "./schemas/placement.ts";
export { type ProblemView, problemSchema } from "./schemas/problem.ts";
export type { KeyRotationView, StampDiffView, StampView } from "./schemas/stamps.ts";
export type {
  TenantCertificateView,
  TenantEventView,
  TenantImportedView,
  TenantView,
  TenantWhereView,
} from "./schemas/tenants.ts";
