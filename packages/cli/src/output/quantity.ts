import { CommandFailure } from "../failure.ts";
import { amount } from "./bar.ts";

/** `93 ms`, `1.2 s`, `45 s`, `12 min`, `3.5 h`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  const hours = ms / 3_600_000;
  return hours < 48 ? `${Number(hours.toFixed(1))} h` : `${Number((hours / 24).toFixed(1))} days`;
}

/** `512 B`, `3.4 kB`, `74 MB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 || value >= 9.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `1 row`, `1,234 rows`. */
export function counted(count: number, what: string): string {
  return `${amount(count)} ${what}${count === 1 ? "" : "s"}`;
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads an option such as `500ms`, `2s` or `1h`, in milliseconds; a bare `0` needs no unit. */
export function durationIn(name: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const [, count, unit = "ms"] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text) ?? /^(0)$/.exec(text) ?? [];
    const ms = Math.round(Number(count) * (unitMs[unit] ?? Number.NaN));
    if (ms >= least && ms <= most) return ms;
    throw new CommandFailure("INVALID_REQUEST", `--${name} is ${JSON.stringify(text)}`, {
      mend: `Give a time from ${durationText(least)} to ${durationText(most)}, such as 500ms, 2s, 30m or 1h.`,
    });
  };
}
