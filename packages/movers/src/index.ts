export { captureRound, type Round, type RoundOptions } from "./postgres-rows/capture.ts";
export {
  classifyTables,
  type MoveTable,
  type RowsPlan,
  type TableProblem,
} from "./postgres-rows/classify.ts";
export type { ComparedTable } from "./postgres-rows/canonical.ts";
export type { ComparedTable } from "./postgres-rows/canonical.ts";
export { compareTenant, type TableComparison } from "./postgres-rows/compare.ts";
export { connectMover, type MoverDb } from "./postgres-rows/connect.ts";
export { type CopyOptions, type CopyPosition, type CopyProgress, copyTenant } from "./postgres-rows/copy.ts";
export {
  abortMove,
  armMove,
  closeFence,
  type FenceOptions,
  flip,
  forgetCaptured,
  type MoveKey,
  type OldWriter,
  oldWriters,
  unwatch,
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
export { openRowsMover } from "./postgres-rows/mover.ts";
export type { SqlClient, TableName } from "./postgres-rows/sql.ts";
export { readTables, type TableFacts } from "./postgres-rows/tables.ts";
export { admitTenant, forgetImport, forgetNotes, forgetRows, openTenant } from "./postgres-rows/target.ts";
export type { ViaStep } from "./postgres-rows/via.ts";
