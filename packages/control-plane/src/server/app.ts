import { randomUUID } from "node:crypto";
import type { Hono } from "hono";
import { createAccessLog } from "./access-log.ts";
import type { ServerDeps } from "./deps.ts";
import { campaignHandlers } from "./handlers/campaigns.ts";
import { capacityHandlers } from "./handlers/capacity.ts";
import { checkHandlers } from "./handlers/check.ts";
import { directoryHandlers } from "./handlers/directory.ts";
import { evidenceHandlers } from "./handlers/evidence.ts";
import { fenceHandlers } from "./handlers/fence.ts";
import { fleetHandlers } from "./handlers/fleet.ts";
import { holdHandlers } from "./handlers/holds.ts";
import { stampLifeHandlers } from "./handlers/stamp-life.ts";
import { moveHandlers } from "./handlers/moves.ts";
import { poolHandlers } from "./handlers/pools.ts";
import { placementHandlers } from "./handlers/placement.ts";
import { stampHandlers } from "./handlers/stamps.ts";
import { systemHandlers } from "./handlers/system.ts";
import { tenantLifeHandlers } from "./handlers/tenant-life.ts";
import { tenantHandlers } from "./handlers/tenants.ts";
import { freezeHandlers } from "./handlers/freezes.ts";
import { pinHandlers } from "./handlers/pins.ts";
import { releaseHandlers } from "./handlers/releases.ts";
import { rolloutHandlers } from "./handlers/rollouts.ts";
import { webhookHandlers } from "./handlers/webhooks.ts";
import { createShell, type Env } from "./shell.ts";

/** The control plane's API. Reads work on a standby too; what changes something needs the lease (NOT_LEADER). */
export function createApp(deps: ServerDeps): Hono<Env> {
  return createShell({
    handlers: {
      ...systemHandlers(deps),
      ...fleetHandlers(deps),
      ...poolHandlers(deps),
      ...stampHandlers(deps),
      ...stampLifeHandlers(deps),
      ...fenceHandlers(deps),
      ...tenantHandlers(deps),
      ...tenantLifeHandlers(deps),
      ...holdHandlers(deps),
      ...moveHandlers(deps),
      ...campaignHandlers(deps),
      ...freezeHandlers(deps),
      ...pinHandlers(deps),
      ...releaseHandlers(deps),
      ...rolloutHandlers(deps),
      ...webhookHandlers(deps),
      ...placementHandlers(deps),
      ...capacityHandlers(deps),
      ...checkHandlers(deps),
      ...directoryHandlers(deps),
      ...evidenceHandlers(deps),
    },
    authenticate: (token) => deps.store.tokens.verify(token),
    idempotency: deps.store.idempotency,
    newRequestId: () => randomUUID(),
    log: createAccessLog(deps.log, () => deps.clock.now()),
  });
}
