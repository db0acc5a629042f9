export { type Env, type ListenAddress, type RouterConfig, readRouterConfig } from "./config.ts";
export {
  type Decision,
  type DecisionRefusal,
  decide,
  type RequestFacts,
  type Rule,
} from "./decide.ts";
export {
  type ExportFile,
  type ExportFormat,
  exportJson,
  exportKeys,
  exportLines,
} from "./decide-endpoint/export-directory.ts";
export { loadDirectory } from "./directory-files.ts";
export { type Explanation, explain, type Known, type Question } from "./explain.ts";
export { formatHost, type HostAndPort, parseHost } from "./host.ts";
export { loadKeys } from "./key-file.ts";
export type { Log, LogLevel } from "./log.ts";
export type { StampStats } from "./metrics.ts";
export { type RefusalReason, refusals } from "./refusals.ts";
export { type RouterPorts, type RunningRouter, startRouter } from "./router.ts";
