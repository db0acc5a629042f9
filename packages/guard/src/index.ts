export {
  createGuard,
  type Guard,
  type GuardOptions,
  type HeaderSource,
  type HookName,
  type HookPassage,
  hookNames,
  type Passage,
  type Refusal,
  type RefusalReason,
  type Verdict,
  verifyHook,
} from "./guard.ts";
export { type GuardHttpOptions, guardHttp, sendRefusal } from "./guard-http.ts";
export { hookHeader, refusalHeader, reservedPrefix, routeHeader } from "./names.ts";
export { highestSeenOwnership, type Ownership, type OwnershipQuestion, type TenantHome } from "./ownership.ts";
export {
  createPostgresOwnership,
  type OwnershipClient,
  type OwnershipPool,
  type PostgresOwnership,
  type PostgresOwnershipOptions,
} from "./postgres-ownership.ts";
export {
  minuteOf,
  type RouteClaim,
  type RouteHeaderRefusal,
  type RouteHeaderVerdict,
  routeHeaderLifeMinutes,
  signRoute,
  verifyRoute,
} from "./route-header.ts";
export {
  formatRouteKeys,
  isRouteKeyText,
  makeRouteKey,
  parseRouteKeys,
  type RouteKey,
  type RouteKeyText,
} from "./route-key.ts";
