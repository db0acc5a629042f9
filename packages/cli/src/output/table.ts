import { widthOf } from "./style.ts";

export type Cell = string | number | boolean | undefined;

/** Columns without borders, so that grep, awk and cut work; absent values are a dash. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = [head.map((title) => title.toUpperCase()), ...rows.map((row) => row.map(cellText))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => widthOf(row[column] ?? ""))));
  const lines = cells.map((row) =>
    row
      .map((text, column) => text + " ".repeat(Math.max(0, (widths[column] ?? 0) - widthOf(text))))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

/** `label: value` pairs, aligned; pairs without a value are left out. */
export function fields(pairs: readonly (readonly [string, Cell])[]): string {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== "");
  const width = Math.max(0, ...shown.map(([label]) => label.length));
  return shown.map(([label, value]) => `${`${label}:`.padEnd(width + 2)}${cellText(value)}\n`).join("");
}

function cellText(value: Cell): string {
  if (value === undefined || value === "") return "-";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value).replace(/\s*\n\s*/g, " ");
}

/** Age for a table: 42s, 17m, 5h, 3d. */
export function age(fromMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - fromMs) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)}h`;
  return `${Math.round(seconds / 86_400)}d`;
}
