import type { Instant } from "../ports.ts";
import type { Freeze, FreezeScope, FreezeWindow, FrozenThing } from "./freeze.ts";
import { instantOfWall, parseWall, type WallMinute, wallMinute, weekdayOf } from "./zone-time.ts";

export interface Freezes {
  readonly freezes: readonly Freeze[];
  readonly windows: readonly FreezeWindow[];
}

/** What is to be changed. A field that is absent is none: only a scope that does not name it can hold it. */
export interface FreezeTarget {
  readonly pool?: string;
  readonly region?: string;
  readonly stamp?: string;
}

export interface FrozenWhy {
  /** In words: who said it and why, or which window. */
  readonly why: string;
  /** Absent = until somebody takes it back. */
  readonly until?: Instant;
}

/**
 * Why a thing may not be done to a target now; undefined = nothing stops it. Of several that hold it, the one that lasts
 * longest is named, and `until` is when the last of them lets go. For a hotfix, which windows do not hold, leave them out.
 */
export function whyFrozen(
  { freezes, windows }: Freezes,
  thing: FrozenThing,
  target: FreezeTarget,
  now: Instant,
): FrozenWhy | undefined {
  const said = freezes.filter(({ stops, scope }) => stops.includes(thing) && isInScope(scope, target));
  const timed = windows.filter(({ stops, scope }) => stops.includes(thing) && isInScope(scope, target));
  const first = longest(said, timed, now);
  if (first?.until === undefined) return first;
  // Another one may begin where this one ends. A chain of them is followed for a while, not for ever.
  let last = first;
  for (let link = 0; link < 16; link++) {
    const next = longest(said, timed, last.until ?? now);
    if (next === undefined) break;
    last = next;
    if (next.until === undefined) break;
  }
  return { why: first.why, ...(last.until === undefined ? {} : { until: last.until }) };
}

function longest(said: readonly Freeze[], timed: readonly FreezeWindow[], now: Instant): FrozenWhy | undefined {
  let best: FrozenWhy | undefined;
  const take = (found: FrozenWhy) => {
    if (best === undefined || (best.until ?? Infinity) < (found.until ?? Infinity)) best = found;
  };
  for (const { since, until, by, reason } of said) {
    if (now < since || (until !== undefined && now >= until)) continue;
    take({ why: `frozen by ${by}: ${reason}`, ...(until === undefined ? {} : { until }) });
  }
  for (const window of timed) {
    const until = endOfWindow(window, now);
    if (until !== undefined) take({ why: `freeze window ${window.name}`, until });
  }
  return best;
}

function isInScope({ pools, regions, stamps }: FreezeScope, { pool, region, stamp }: FreezeTarget): boolean {
  const holds = (names: readonly string[] | undefined, name: string | undefined) =>
    names === undefined || (name !== undefined && names.includes(name));
  return holds(pools, pool) && holds(regions, region) && holds(stamps, stamp);
}

const weekMinutes = 7 * 1_440;

/** When the window that is open now closes; undefined when it is not open. */
export function endOfWindow(window: FreezeWindow, now: Instant): Instant | undefined {
  const wall = wallMinute(now, window.zone);
  if (window.kind === "weekly") {
    const from = window.from.day * 1_440 + window.from.minute;
    const length = (window.to.day * 1_440 + window.to.minute - from + weekMinutes) % weekMinutes || weekMinutes;
    const since = (minuteOfWeek(wall) - from + weekMinutes) % weekMinutes;
    return since < length ? endAt(wall - since + length, window.zone, now) : undefined;
  }
  const from = parseWall(window.from);
  const to = parseWall(window.to);
  if (from === undefined || to === undefined || wall < from || wall >= to) return undefined;
  return endAt(to, window.zone, now);
}

/** Inside an hour that the clocks show twice, the end is its second time. */
function endAt(wall: WallMinute, zone: string, now: Instant): Instant {
  const end = instantOfWall(wall, zone);
  return end > now ? end : end + 3_600_000;
}

function minuteOfWeek(wall: WallMinute): number {
  return weekdayOf(wall) * 1_440 + (((wall % 1_440) + 1_440) % 1_440);
}
