import { type Endpoint, json } from "../endpoint.ts";
import * as capacity from "../schemas/capacity.ts";

export const capacityEndpoints = {
  capacityGet: {
    ...json,
    method: "GET",
    path: "/v1/capacity",
    role: "viewer",
    summary: "What every pool and stamp holds, by unit: limit, reserved, observed, used and free",
    query: capacity.capacityQuery,
    response: capacity.capacitySchema,
  },
  capacityForecast: {
    ...json,
    method: "GET",
    path: "/v1/capacity/forecast",
    role: "viewer",
    summary: "When each pool is full, by unit, and when the next stamp must be ordered",
    query: capacity.capacityQuery,
    response: capacity.capacityForecastSchema,
  },
  capacitySizes: {
    ...json,
    method: "GET",
    path: "/v1/capacity/sizes",
    role: "viewer",
    summary: "How big tenants are, per pool and unit: what a simulation draws from",
    query: capacity.capacityQuery,
    response: capacity.capacitySizesSchema,
  },
} as const satisfies Record<string, Endpoint>;
