import { campaignEndpoints } from "./table/campaign.ts";
import { capacityEndpoints } from "./table/capacity.ts";
import { checkEndpoints } from "./table/check.ts";
import { directoryEndpoints } from "./table/directory.ts";
import { fenceEndpoints } from "./table/fence.ts";
import { fleetEndpoints } from "./table/fleet.ts";
import { holdEndpoints } from "./table/hold.ts";
import { moveEndpoints } from "./table/move.ts";
import { poolEndpoints } from "./table/pool.ts";
import { placementEndpoints } from "./table/placement.ts";
import { stampEndpoints } from "./table/stamp.ts";
import { systemEndpoints } from "./table/system.ts";
import { tenantEndpoints } from "./table/tenant.ts";

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
  ...placementEndpoints,
  ...capacityEndpoints,
  ...checkEndpoints,
  ...directoryEndpoints,
} as const;

export type EndpointName = keyof typeof endpoints;
export const endpointNames = Object.keys(endpoints) as readonly EndpointName[];
