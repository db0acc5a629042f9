import { campaignEndpoints } from "./table/campaign.ts";
import { capacityEndpoints } from "./table/capacity.ts";
import { checkEndpoints } from "./table/check.ts";
import { directoryEndpoints } from "./table/directory.ts";
import { evidenceEndpoints } from "./table/evidence.ts";
import { fenceEndpoints } from "./table/fence.ts";
import { fleetEndpoints } from "./table/fleet.ts";
import { freezeEndpoints } from "./table/freeze.ts";
import { holdEndpoints } from "./table/hold.ts";
import { moveEndpoints } from "./table/move.ts";
import { pinEndpoints } from "./table/pin.ts";
import { poolEndpoints } from "./table/pool.ts";
import { placementEndpoints } from "./table/placement.ts";
import { releaseEndpoints } from "./table/release.ts";
import { rolloutEndpoints } from "./table/rollout.ts";
import { stampEndpoints } from "./table/stamp.ts";
import { systemEndpoints } from "./table/system.ts";
import { tenantEndpoints } from "./table/tenant.ts";
import { webhookEndpoints } from "./table/webhook.ts";

/** The whole HTTP contract. What is not in here does not exist. */
export const endpoints = {
  ...systemEndpoints,
  ...fleetEndpoints,
  ...poolEndpoints,
  ...stampEndpoints,
  ...fenceEndpoints,
  ...tenantEndpoints,
  ...holdEndpoints,
  ...moveEndpoints,
  ...campaignEndpoints,
  ...releaseEndpoints,
  ...rolloutEndpoints,
  ...freezeEndpoints,
  ...pinEndpoints,
  ...webhookEndpoints,
  ...placementEndpoints,
  ...capacityEndpoints,
  ...checkEndpoints,
  ...directoryEndpoints,
  ...evidenceEndpoints,
} as const;

export type EndpointName = keyof typeof endpoints;
export const endpointNames = Object.keys(endpoints) as readonly EndpointName[];
