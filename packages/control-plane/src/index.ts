export { loadMasterKeys } from "./store/master-key.ts";
export { backupStore, readStoreUse, type StoreUse } from "./store/present-store.ts";
export { type Restored, type RestoreOptions, restoreStore } from "./store/restore.ts";
export { readSeenHead, type SeenHead } from "./store/seen-head.ts";
export { type ControlPlaneConfig, readControlPlaneConfig } from "./config.ts";
export { type ControlPlaneParts, type RunningControlPlane, startControlPlane } from "./start.ts";
