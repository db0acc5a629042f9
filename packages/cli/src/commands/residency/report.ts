import type { TenantResidencyView } from "@stampyard/api";
import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { table } from "../../output/table.ts";

interface Options {
  readonly violations?: boolean;
  readonly csv?: boolean;
}

export const residencyReport = command<Options>({
  usage: "report",
  summary: "Show where every tenant's data lives, by which rule, and who lives where it may not",
  about: "Exit code 1 if any tenant lives where its residency, or a rule of the fleet, does not allow.",
  exits: [exitCode.ok, exitCode.error, exitCode.interrupted],
  options: (c) =>
    c
      .option("--violations", "only tenants that live where they may not")
      .option("--csv", "one line per tenant, for a spreadsheet"),
  examples: [
    ["residency report", "counts by region, and every violation"],
    ["residency report --csv > residency.csv", "every tenant, for an auditor"],
    ["residency report --violations -o json", "for a script; exit code 1 if there is one"],
  ],
  run: async (run) => {
    const { violations = false, csv = false } = run.options;
    const client = await run.client();
    const items = await client.all("residencyList", { query: { limit: 500, violations }, signal: run.io.signal });
    run.emit({ items }, () => (csv ? csvOf(items) : reportText(items)));
    return items.some((row) => row.violation !== undefined) ? exitCode.error : exitCode.ok;
  },
});

const columns = ["tenant", "tier", "phase", "stamp", "region", "residency", "allowed", "rule", "violation"] as const;

/** RFC 4180; a cell that a spreadsheet would run as a formula is text. */
export function csvOf(rows: readonly TenantResidencyView[]): string {
  const lines = rows.map((row) =>
    columns.map((column) => {
      const value = row[column];
      return cell(typeof value === "object" ? value.join(" ") : (value ?? ""));
    }),
  );
  return [columns.join(","), ...lines.map((line) => line.join(","))].map((line) => `${line}\r\n`).join("");
}

function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function reportText(rows: readonly TenantResidencyView[]): string {
  if (rows.length === 0) return "No tenants\n";
  const groups = new Map<string, { region: string; rule: string; tenants: number; violations: number }>();
  for (const row of rows) {
    const region = row.region ?? (row.stamp === undefined ? "no home yet" : "home is gone");
    const rule = row.rule ?? (row.residency.length > 0 ? "its own wish" : "none");
    const key = `${region}\n${rule}`;
    const group = groups.get(key) ?? { region, rule, tenants: 0, violations: 0 };
    group.tenants += 1;
    if (row.violation !== undefined) group.violations += 1;
    groups.set(key, group);
  }
  const sorted = [...groups.values()].sort((a, b) => (a.region + a.rule < b.region + b.rule ? -1 : 1));
  const summary = table(
    ["region", "rule", "tenants", "violations"],
    sorted.map((group) => [group.region, group.rule, group.tenants, group.violations]),
  );
  const wrong = rows.filter((row) => row.violation !== undefined);
  if (wrong.length === 0) return summary;
  const list = table(
    ["tenant", "stamp", "region", "violation"],
    wrong.map((row) => [row.tenant, row.stamp, row.region, `it ${row.violation}`]),
  );
  return `${summary}\n${list}`;
}
