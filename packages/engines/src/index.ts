export { type LocalEngine, type LocalEngineOptions, openLocalEngine } from "./local/engine.ts";
export type { PortRange } from "./local/ledger.ts";
export { type Lock, tryLock } from "./local/lock.ts";
export { isolationFacts as isolation } from "./local/limits.ts";
export { contentRootOf, isReachable } from "./local/places.ts";
export { type Binary, type BinaryKind, type ResolveOptions, resolveBinaries } from "./local/resolver/binaries.ts";
export { destroyStore, ensureStore, stopStore, type StoreOptions } from "./local/store.ts";
