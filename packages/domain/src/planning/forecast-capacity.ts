import type { Instant } from "../ports.ts";

/** How much of a unit was used at the end of a day. */
export interface UsedOnDay {
  /** Whole days since 1970-01-01, UTC. */
  readonly day: number;
  readonly used: number;
}

export interface ForecastInput {
  readonly now: Instant;
  /** Oldest first; a day that is not there was like the one before it. */
  readonly history: readonly UsedOnDay[];
  readonly used: number;
  /** What the pool holds before it is full. */
  readonly limit: number;
  /** From ordering a stamp until it takes tenants. @default 0 */
  readonly buildTimeMs?: number;
}

/** When a pool is full in one unit, as far as its past tells. */
export type CapacityForecast =
  /** No room is left. */
  | { readonly kind: "full" }
  | { readonly kind: "unknown"; readonly why: string; readonly daysOfHistory: number }
  /** At this pace it is not full within ten years. */
  | { readonly kind: "steady"; readonly perDay: number; readonly daysOfHistory: number }
  | GrowingForecast;

export interface GrowingForecast {
  readonly kind: "growing";
  readonly perDay: number;
  /** Share by which use grows in 30 days. */
  readonly growthPerMonth: number;
  readonly fullAt: Instant;
  /** In nine of ten cases it is not full before; the pace of the last week counts here when it was higher. */
  readonly earliestAt: Instant;
  /** In nine of ten cases it is full by then; absent when it may as well never be. */
  readonly latestAt?: Instant;
  /** The next stamp must be ordered by then to be ready at the earliest date; it may be past. */
  readonly orderBy: Instant;
  readonly daysOfHistory: number;
  /** What makes it doubtful. */
  readonly note?: string;
}

const dayMs = 86_400_000;
/** With less than a week there is no telling a weekend from a trend. */
export const minHistoryDays = 7;
/** Older growth was another company's. */
export const historyDays = 56;
const horizonDays = 3_650;
/** Of the normal distribution: one in ten lies beyond, on each side. */
const oneInTen = 1.2816;

/**
 * A random walk with drift: use grows by the mean of its daily changes, and is as uncertain as these changes differ. The
 * range grows with the square root of time, and with how little history there is.
 */
export function forecastCapacity(input: ForecastInput): CapacityForecast {
  const { now, used, limit } = input;
  if (used >= limit) return { kind: "full" };
  const today = Math.floor(now / dayMs);
  const changes = dailyChanges(input.history, used, today);
  const days = changes.length;
  if (days < minHistoryDays) {
    const there = days === 0 ? "no history yet" : `${days} ${days === 1 ? "day" : "days"} of history`;
    const why = `${there}, and ${minHistoryDays} days are needed`;
    return { kind: "unknown", why, daysOfHistory: days };
  }
  const mean = changes.reduce((sum, change) => sum + change, 0) / days;
  const squares = changes.reduce((sum, change) => sum + (change - mean) ** 2, 0) / Math.max(1, days - 1);
  const spread = Math.sqrt(squares);
  const room = limit - used;
  const expected = mean > 0 ? room / mean : Number.POSITIVE_INFINITY;
  if (expected > horizonDays) return { kind: "steady", perDay: mean, daysOfHistory: days };

  const lastWeek = changes.slice(-7).reduce((sum, change) => sum + change, 0) / 7;
  const fast = Math.max(mean, lastWeek);
  const doubt = (t: number) => oneInTen * spread * Math.sqrt(t + (t * t) / days);
  const earliest = Math.min(expected, firstDay((t) => fast * t + doubt(t) >= room) ?? expected);
  const latest = firstDay((t) => mean * t - doubt(t) >= room);
  const earliestAt = now + Math.round(earliest * dayMs);
  const note = noteOf(changes);
  return {
    kind: "growing",
    perDay: mean,
    growthPerMonth: used > 0 ? (mean * 30) / used : 0,
    fullAt: now + Math.round(expected * dayMs),
    earliestAt,
    ...(latest === undefined ? {} : { latestAt: now + Math.round(latest * dayMs) }),
    orderBy: earliestAt - (input.buildTimeMs ?? 0),
    daysOfHistory: days,
    ...(note === undefined ? {} : { note }),
  };
}

/** Change of every day from the first known one to now, over at most `historyDays`. */
function dailyChanges(history: readonly UsedOnDay[], used: number, today: number): readonly number[] {
  const from = today - historyDays;
  const known = new Map(history.map((row) => [row.day, row.used]));
  const [first] = history;
  if (first === undefined || first.day >= today) return [];
  let before = history.findLast((row) => row.day <= from)?.used ?? first.used;
  const changes: number[] = [];
  for (let day = Math.max(first.day, from) + 1; day <= today; day++) {
    const at = day === today ? used : (known.get(day) ?? before);
    changes.push(at - before);
    before = at;
  }
  return changes;
}

/** The first time, in days, at which `isThere` holds; it holds from then on. */
function firstDay(isThere: (day: number) => boolean): number | undefined {
  if (!isThere(horizonDays)) return undefined;
  let low = 0;
  let high = horizonDays;
  for (let step = 0; step < 50; step++) {
    const middle = (low + high) / 2;
    if (isThere(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** One import is no trend. */
function noteOf(changes: readonly number[]): string | undefined {
  const sum = changes.reduce((total, change) => total + change, 0);
  const largest = Math.max(...changes);
  if (changes.length < 2 || sum <= 0 || largest <= sum / 2) return undefined;
  return `one day brought ${Math.min(100, Math.round((largest / sum) * 100))}% of the growth`;
}
