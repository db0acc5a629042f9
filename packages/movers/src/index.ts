export { captureRound, type Round, type RoundOptions } from "./postgres-rows/capture.ts";
export {
  classifyTables,
  type MoveTable,
  type RowsPlan,
  type TableProblem,
} from "./postgres-rows/classify.ts";
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
} from "./postgres-rows/fence-words.ts";
export { type FencePlan, planFence, readReport, type ReportedWrites } from "./postgres-rows/fence-plan.ts";
export { type FencedTable, type FenceSeen, readFence } from "./postgres-rows/fence-seen.ts";
export type { FenceTable } from "./postgres-rows/fence-via-sql.ts";
export {
  type Blocker,
  bringFence,
  describeBlocker,
  type FenceChange,
  fenceStatus,
  type FenceStatus,
  holdersOf,
  installFence,
  type InstallOptions,
  removeFence,
} from "./postgres-rows/install-fence.ts";
export { openRowsMover } from "./postgres-rows/mover.ts";
export type { SqlClient, TableName } from "./postgres-rows/sql.ts";
export { tablesToFence, type ToFence } from "./postgres-rows/tables-to-fence.ts";
export { readTables, type TableFacts } from "./postgres-rows/tables.ts";
export { admitTenant, forgetImport, forgetNotes, forgetRows, openTenant } from "./postgres-rows/target.ts";
export type { ViaStep } from "./postgres-rows/via.ts";
export { verifyRows } from "./postgres-rows/verify-rows.ts";
