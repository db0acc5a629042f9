import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { TenantImportedView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import { command, numberIn, type Run } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { table } from "../../output/table.ts";
import { type ImportRow, readRows } from "./import-rows.ts";

interface Options {
  readonly plan?: boolean;
  readonly stamp?: string;
  readonly chunk: number;
}

/** A plan of so many rows is made in one request, so that every place is counted once. */
const planAtOnce = 20_000;

export const tenantImport = command<Options>({
  usage: "import <file>",
  summary: "Create many tenants from a file; a repeat changes nothing",
  about:
    'The file is CSV with field names in its first row, a JSON list, {"tenants": […]}, or one JSON object per line: {"key":"acme","pool":"shared","stamp":"shared-1",…}. - reads stdin.\nTenants are created in parts, each as a whole or not at all. An import that was interrupted, or stopped at a conflict, goes on where it was when it is run again.',
  exits: [exitCode.ok, exitCode.error, exitCode.interrupted],
  completes: ["file"],
  options: (c) =>
    c
      .option("--plan", "say what would happen and change nothing")
      .option("--stamp <name>", "home of the rows that name none, such as what you run already (stamp adopt)")
      .option("--chunk <rows>", "tenants of one part", numberIn("chunk", 1, 20_000), 1_000),
  examples: [
    ["tenant import tenants.csv --plan", "what would be created and where, and what is in conflict"],
    ["tenant import tenants.ndjson", "create them; exit code 1 if a row is in conflict"],
  ],
  run: async (run) => {
    const file = run.args[0] ?? "";
    const { stamp } = run.options;
    const rows = readRows(readText(run.io.cwd, file), file).map((row) =>
      stamp === undefined ? row : { stamp, ...row },
    );
    const client = await run.client();
    const dryRun = run.options.plan === true;
    const result = await importAll(run, client, rows, dryRun);
    run.emit(result, () => importText(result, dryRun));
    return result.conflict.length === 0 ? exitCode.ok : exitCode.error;
  },
});

type Total = TenantImportedView & {
  /** Rows that are done; fewer than the file has after a conflict. */
  readonly rows: number;
  readonly of: number;
};

/** Part after part. A plan goes on after a conflict, to name them all; an import stops there. */
async function importAll(
  run: Run<Options>,
  client: Client,
  rows: readonly ImportRow[],
  dryRun: boolean,
): Promise<Total> {
  const size = dryRun ? planAtOnce : run.options.chunk;
  const began = performance.now();
  let total: Total = {
    applied: !dryRun,
    create: 0,
    unchanged: 0,
    waiting: 0,
    placed: [],
    conflict: [],
    rows: 0,
    of: rows.length,
  };
  for (let from = 0; from < rows.length; from += size) {
    const part = rows.slice(from, from + size);
    const result = await client.tenantImport({ body: { tenants: part, dryRun }, signal: run.io.signal });
    // Of a part with a conflict nothing was created, and the parts behind it are not begun.
    if (result.conflict.length > 0 && !dryRun) return { ...total, applied: false, conflict: result.conflict };
    total = { ...sumOf(total, result), rows: from + part.length, of: rows.length };
    if (rows.length > size) run.say(progressText(total, performance.now() - began));
  }
  return total;
}

function sumOf(a: TenantImportedView, b: TenantImportedView): TenantImportedView {
  const placed = new Map(a.placed.map(({ stamp, tenants }) => [stamp, tenants]));
  for (const { stamp, tenants } of b.placed) placed.set(stamp, (placed.get(stamp) ?? 0) + tenants);
  return {
    applied: a.applied && b.applied,
    create: a.create + b.create,
    unchanged: a.unchanged + b.unchanged,
    waiting: a.waiting + b.waiting,
    placed: [...placed].map(([stamp, tenants]) => ({ stamp, tenants })).sort((x, y) => (x.stamp < y.stamp ? -1 : 1)),
    conflict: [...a.conflict, ...b.conflict],
  };
}

function progressText({ rows, of, create, unchanged }: Total, ms: number): string {
  const left = Math.round(((ms / Math.max(1, rows)) * (of - rows)) / 1_000);
  const more = rows < of ? `, about ${left} s left` : "";
  return `${rows} of ${of}: ${create} created, ${unchanged} unchanged${more}`;
}

export function importText(result: Total, dryRun: boolean): string {
  const { create, unchanged, waiting, placed, conflict } = result;
  const summary = `${create} ${dryRun ? "to create" : "created"}, ${unchanged} unchanged, ${conflict.length} in conflict\n`;
  const stopped =
    conflict.length > 0 && !dryRun
      ? "Stopped at a part with a conflict, of which nothing was created. Mend it and run the same command again: what is there is left as it is.\n"
      : "";
  const homes =
    dryRun && (placed.length > 0 || waiting > 0)
      ? `\n${table(["stamp", "new tenants"], [...placed.map((row) => [row.stamp, row.tenants]), ...(waiting > 0 ? [["(wait for a place)", waiting]] : [])])}`
      : "";
  const parts =
    dryRun && result.of > planAtOnce
      ? `\nThe plan was made in parts of ${planAtOnce}: places are counted within a part, so a full pool may show later.\n`
      : "";
  const whys =
    conflict.length === 0
      ? ""
      : `\n${table(
          ["tenant", "why"],
          conflict.map((row) => [row.key, row.why]),
        )}`;
  return `${summary}${stopped}${homes}${parts}${whys}`;
}

function readText(cwd: string, file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : resolve(cwd, file), "utf8");
  } catch (error) {
    throw new CommandFailure("NOT_FOUND", `Cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}
