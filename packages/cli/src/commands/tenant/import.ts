import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { table } from "../../output/table.ts";

interface Row {
  readonly key: string;
  readonly [field: string]: unknown;
}

export const tenantImport = command<{ dryRun?: boolean }>({
  usage: "import <file>",
  summary: "Create many tenants from a file; a repeat changes nothing",
  about:
    'The file is a JSON list, {"tenants": […]}, or one JSON object per line: {"key":"acme","pool":"shared","stamp":"shared-1",…}. - reads stdin.',
  exits: [exitCode.ok, exitCode.error, exitCode.interrupted],
  completes: ["file"],
  options: (c) => c.option("--dry-run", "say what would happen and change nothing"),
  examples: [
    ["tenant import tenants.json --dry-run", "what would be created, and what is in conflict"],
    ["tenant import tenants.ndjson", "create them; exit code 1 if a row is in conflict"],
  ],
  run: async (run) => {
    const file = run.args[0] ?? "";
    const tenants = parseRows(readText(run.io.cwd, file), file);
    const client = await run.client();
    const dryRun = run.options.dryRun === true;
    const result = await client.tenantImport({ body: { tenants: tenants.slice(), dryRun }, signal: run.io.signal });
    run.emit(result, () => {
      const verb = result.applied ? "created" : "to create";
      const summary = `${result.create} ${verb}, ${result.unchanged} unchanged, ${result.conflict.length} in conflict\n`;
      if (result.conflict.length === 0) return summary;
      return (
        summary +
        table(
          ["tenant", "why"],
          result.conflict.map((row) => [row.key, row.why]),
        )
      );
    });
    return result.conflict.length === 0 ? exitCode.ok : exitCode.error;
  },
});

function readText(cwd: string, file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : resolve(cwd, file), "utf8");
  } catch (error) {
    throw new CommandFailure("NOT_FOUND", `Cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws CommandFailure INVALID_REQUEST with the line that is wrong */
export function parseRows(text: string, file: string): Row[] {
  const whole = tryJson(text);
  if (Array.isArray(whole)) return whole.map((row, index) => requireRow(row, `${file} entry ${index + 1}`));
  if (isObject(whole) && Array.isArray(whole["tenants"])) {
    return whole["tenants"].map((row, index) => requireRow(row, `${file} entry ${index + 1}`));
  }
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    return [requireRow(tryJson(line), `${file}:${index + 1}`)];
  });
}

function requireRow(value: unknown, where: string): Row {
  if (isObject(value) && typeof value["key"] === "string") return value as Row;
  throw new CommandFailure("INVALID_REQUEST", `${where} is no tenant`, {
    mend: 'Write an object with at least a key: {"key":"acme"}.',
  });
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
