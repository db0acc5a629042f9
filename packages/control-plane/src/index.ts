export { type ControlPlaneConfig, readControlPlaneConfig } from "./config.ts";
export { type ControlPlaneParts, type RunningControlPlane, startControlPlane } from "./start.ts";
