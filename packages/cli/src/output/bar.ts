import type { Style } from "./style.ts";

/** How full something is: `██████░░░░`. More than full is full; a little is never nothing. */
export function bar(share: number, width: number): string {
  const inside = Math.min(1, Math.max(0, share));
  const filled = inside > 0 ? Math.max(1, Math.round(inside * width)) : 0;
  return "█".repeat(filled) + "░".repeat(width - filled);
}

/** Red from the high mark on, yellow from the low one. */
export function fullness(share: number, marks: { readonly low: number; readonly high: number }, style: Style) {
  if (share >= marks.high) return style.bad;
  return share >= marks.low ? style.warn : style.good;
}

/** `7%`, `0.4%`, `105%`. */
export function percent(share: number): string {
  const value = share * 100;
  if (value !== 0 && Math.abs(value) < 9.95) return `${Number(value.toFixed(value < 0.1 ? 3 : 1))}%`;
  return `${Math.round(value)}%`;
}

/** `1,234` or `12.5`: whole where that is enough. */
export function amount(value: number): string {
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : 1;
  return group(value.toFixed(digits));
}

/** `EUR 1,234.50`. */
export function money(value: number, currency: string): string {
  return `${value < 0 ? "-" : ""}${currency} ${group(Math.abs(value).toFixed(2))}`;
}

/** The same in whole units, for tables. */
export function wholeMoney(value: number, currency: string): string {
  return `${value < 0 ? "-" : ""}${currency} ${group(Math.abs(value).toFixed(0))}`;
}

function group(digits: string): string {
  return digits.replace(/\B(?=(?:\d{3})+(?!\d))(?<!\.\d*)/g, ",");
}
