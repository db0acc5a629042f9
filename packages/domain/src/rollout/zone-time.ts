import type { Instant } from "../ports.ts";

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** What a clock on the wall of a time zone shows, as minutes since 1970-01-01T00:00 of that clock. */
export type WallMinute = number;

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    calendar: "gregory",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
  });
  formats.set(zone, made);
  return made;
}

/** Whether the runtime knows the clock of a zone by this IANA name; an offset such as `+01:00` is no zone. */
export function isZone(zone: string): boolean {
  if (!/^[A-Za-z]/.test(zone)) return false;
  try {
    formatOf(zone);
    return true;
  } catch {
    return false;
  }
}

/** @throws RangeError for a zone that is none */
export function wallMinute(at: Instant, zone: string): WallMinute {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(at)) parts[type] = Number(value);
  const days = daysSince1970(parts["year"] ?? 0, parts["month"] ?? 0, parts["day"] ?? 0);
  return days * 1_440 + (parts["hour"] ?? 0) * 60 + (parts["minute"] ?? 0);
}

/**
 * The first instant at which the wall shows this minute or a later one. An hour that a change of the clocks leaves out
 * is the end of that hour; one that comes twice is its first time.
 */
export function instantOfWall(wall: WallMinute, zone: string): Instant {
  // No clock on earth differs more than a day from UTC, and none is set by more than a few hours at once.
  let before = wall * minuteMs - dayMs;
  let after = wall * minuteMs + dayMs;
  while (after - before > minuteMs) {
    const middle = Math.floor((before + after) / 2 / minuteMs) * minuteMs;
    if (wallMinute(middle, zone) >= wall) after = middle;
    else before = middle;
  }
  return earlierOfTwo(after, wall, zone);
}

/** Halving may find the second time that an hour comes; the first is never more than three hours before it. */
function earlierOfTwo(found: Instant, wall: WallMinute, zone: string): Instant {
  for (const hours of [3, 2, 1, 0.5]) {
    const earlier = found - hours * 60 * minuteMs;
    if (wallMinute(earlier, zone) === wall) return earlier;
  }
  return found;
}

/** `2026-12-20T00:00` as the minute of a wall clock; undefined when no calendar has that day. */
export function parseWall(text: string): WallMinute | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})$/.exec(text);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = match.slice(1).map(Number);
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  if (days === undefined || day < 1 || day > days) return undefined;
  if (hour > 23 || minute > 59) return undefined;
  return daysSince1970(year, month, day) * 1_440 + hour * 60 + minute;
}

/** 0 = Sunday. */
export function weekdayOf(wall: WallMinute): number {
  // 1970-01-01 was a Thursday.
  return (((Math.floor(wall / 1_440) + 4) % 7) + 7) % 7;
}

/** Of the Gregorian calendar, counted in years that begin in March, so that a leap day is the last of its year. */
function daysSince1970(year: number, month: number, day: number): number {
  const shifted = month > 2 ? year : year - 1;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
