import { CommandFailure } from "../../failure.ts";
import { parseCsv } from "./csv.ts";

/** A tenant as a file says it. The control plane judges the fields; a key there must be. */
export interface ImportRow {
  readonly key: string;
  readonly [field: string]: unknown;
}

/** What a column of a CSV file becomes. Lists are separated by spaces or semicolons. */
const columns: Readonly<Record<string, (cell: string, where: string) => unknown>> = {
  key: (cell) => cell,
  pool: (cell) => cell,
  tier: (cell) => cell,
  tenancy: (cell) => cell,
  channel: (cell) => cell,
  stamp: (cell) => cell,
  residency: listOf,
  hostnames: listOf,
  weight: (cell, where) => Object.fromEntries(listOf(cell).map((pair) => weightOf(pair, where))),
};

/**
 * Reads a JSON list, `{"tenants": […]}`, one JSON object per line, or CSV with a first row of field names.
 * @throws CommandFailure INVALID_REQUEST with the line that is wrong
 */
export function readRows(text: string, file: string): ImportRow[] {
  const rows = isJson(text) ? jsonRows(text, file) : csvRows(text, file);
  const lines = new Map<string, string>();
  for (const { where, row } of rows) {
    const before = lines.get(row.key);
    // Across the parts of a long file nobody else would see it.
    if (before !== undefined)
      throw invalid(`${where} names tenant ${row.key} again, after ${before}`, "Name each tenant once.");
    lines.set(row.key, where);
  }
  return rows.map(({ row }) => row);
}

interface Found {
  readonly where: string;
  readonly row: ImportRow;
}

function isJson(text: string): boolean {
  return /^\uFEFF?\s*[[{]/.test(text) || text.trim() === "";
}

function jsonRows(text: string, file: string): Found[] {
  const whole = tryJson(text.replace(/^\uFEFF/, ""));
  const list = Array.isArray(whole)
    ? whole
    : isObject(whole) && Array.isArray(whole["tenants"])
      ? whole["tenants"]
      : undefined;
  if (list !== undefined) return list.map((row, index) => found(row, `${file} entry ${index + 1}`));
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    return [found(tryJson(line), `${file}:${index + 1}`)];
  });
}

function found(value: unknown, where: string): Found {
  if (isObject(value) && typeof value["key"] === "string") return { where, row: value as ImportRow };
  throw invalid(`${where} is no tenant`, 'Write an object with at least a key: {"key":"acme"}.');
}

function csvRows(text: string, file: string): Found[] {
  const [head, ...rows] = readCsv(text, file);
  const names = head?.cells.map((cell) => cell.trim()) ?? [];
  const unknown = names.find((name) => columns[name] === undefined);
  if (!names.includes("key") || unknown !== undefined) {
    const what = unknown === undefined ? "has no column key" : `has a column ${JSON.stringify(unknown.slice(0, 40))}`;
    throw invalid(`${file} ${what}`, `Name the columns in the first row, of ${Object.keys(columns).join(", ")}.`);
  }
  return rows.map(({ line, cells }) => {
    const where = `${file}:${line}`;
    if (cells.length !== names.length) {
      throw invalid(
        `${where} has ${cells.length} cells, and the first row ${names.length}`,
        "Quote cells that hold a comma.",
      );
    }
    const fields = names.flatMap((name, index) => {
      const cell = (cells[index] ?? "").trim();
      return cell === "" ? [] : [[name, columns[name]?.(cell, where)] as const];
    });
    return found(Object.fromEntries(fields), where);
  });
}

function readCsv(text: string, file: string) {
  try {
    return parseCsv(text);
  } catch (error) {
    throw invalid(
      `${file}: ${(error as Error).message}`,
      "Write it as RFC 4180 says: quotes inside quotes are doubled.",
    );
  }
}

function listOf(cell: string): string[] {
  return cell.split(/[\s;]+/).filter((word) => word !== "");
}

function weightOf(pair: string, where: string): readonly [string, number] {
  const [, unit, number] = /^([a-z][a-z0-9-]*)=([0-9]+(?:\.[0-9]+)?)$/.exec(pair) ?? [];
  if (unit !== undefined && number !== undefined) return [unit, Number(number)];
  throw invalid(
    `${where} has the weight ${JSON.stringify(pair.slice(0, 40))}`,
    "Write unit=number, e.g. tenants=1 or rps=50.",
  );
}

function invalid(message: string, mend: string): CommandFailure {
  return new CommandFailure("INVALID_REQUEST", message, { mend });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
