export {
  abortMove,
  armMove,
  closeFence,
  type FenceOptions,
  flip,
  type MoveKey,
  type OldWriter,
  oldWriters,
  waitForOldWriters,
} from "./postgres-rows/decision.ts";
export {
  type FenceMode,
  mostMovesAtOnce,
  notWritableState,
  tablesHeldState,
  type TenantTable,
  tenantImmutableState,
} from "./postgres-rows/fence-sql.ts";
export {
  type Blocker,
  fenceStatus,
  type FenceStatus,
  installFence,
  type InstallOptions,
  removeFence,
} from "./postgres-rows/install-fence.ts";
export type { SqlClient, TableName } from "./postgres-rows/sql.ts";
