import { rmSync } from "node:fs";
import { join } from "node:path";
import { configPathOf } from "./process-plan.ts";
import type { Host, InstanceRecord } from "./state.ts";
import { socketDirOf } from "./values.ts";

/**
 * Clears a removed store's configuration and sockets. Its data stays until the stamp is destroyed: a component that
 * vanished from a file by mistake must not take its tenants' rows along.
 */
export function clearStore(host: Host, record: InstanceRecord): void {
  if (record.kind === "service") return;
  rmSync(configPathOf(host, record.component), { force: true });
  rmSync(join(socketDirOf(host.place, record.component)), { recursive: true, force: true });
}
