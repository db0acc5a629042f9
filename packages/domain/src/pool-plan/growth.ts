import { highMark } from "../fleet.ts";
import type { UnitVector } from "../capacity.ts";
import type { Instant } from "../ports.ts";
import type { GrowthSample, PoolForecast } from "./pool-state.ts";
import type { Room } from "./room.ts";

export const dayMs = 86_400_000;
/** Older growth says little of tomorrow's. */
const windowMs = 14 * dayMs;
/** An hour of sign-ups on the first day is no trend yet. */
const shortestMs = 3_600_000;
/** While nothing was measured and nothing is declared. */
const defaultBuildTimeMs = 5 * 60_000;
/** The next stamp is ordered this much earlier than it must be: builds take longer on a bad day. */
const buildSlack = 1.5;

export interface Growth {
  readonly perDay: UnitVector;
  readonly basedOnMs: number;
}

/** Growth per day of every unit that grows: the slope of the line nearest to all samples. */
export function growthOf(history: readonly GrowthSample[], now: Instant): Growth {
  const samples = history.filter(({ at }) => at <= now && at > now - windowMs);
  const times = samples.map(({ at }) => at);
  const basedOnMs = samples.length < 2 ? 0 : Math.max(...times) - Math.min(...times);
  if (basedOnMs < shortestMs) return { perDay: {}, basedOnMs };
  const perDay: Record<string, number> = {};
  for (const unit of new Set(samples.flatMap(({ used }) => Object.keys(used)))) {
    const slope = slopeOf(samples.map(({ at, used }) => ({ x: (at - now) / dayMs, y: used[unit] ?? 0 })));
    if (slope > 1e-9) perDay[unit] = slope;
  }
  return { perDay, basedOnMs };
}

function slopeOf(points: readonly { readonly x: number; readonly y: number }[]): number {
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / points.length;
  let above = 0;
  let below = 0;
  for (const { x, y } of points) {
    above += (x - meanX) * (y - meanY);
    below += (x - meanX) ** 2;
  }
  return below > 0 ? above / below : 0;
}

/** When the room is used up at this rate, and when the next stamp must be ordered so that it is ready by then. */
export function forecastOf(room: Room, growth: Growth, buildTimeMs: number | undefined): PoolForecast {
  const { unit, share } = room.tightest();
  const build = buildTimeMs ?? defaultBuildTimeMs;
  let fullInMs: number | undefined;
  for (const [grown, perDay] of Object.entries(growth.perDay)) {
    const limit = room.limit(grown);
    if (limit === undefined) continue;
    const left = Math.max(0, limit * highMark(room.pool) - room.used(grown));
    const inMs = Math.round((left / perDay) * dayMs);
    if (fullInMs === undefined || inMs < fullInMs) fullInMs = inMs;
  }
  return {
    unit,
    share,
    perDay: growth.perDay,
    basedOnMs: growth.basedOnMs,
    buildTimeMs: build,
    ...(fullInMs === undefined ? {} : { fullInMs, orderInMs: Math.max(0, fullInMs - Math.round(build * buildSlack)) }),
  };
}
