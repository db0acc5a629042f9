import type { PlanView } from "@stampyard/api";
import { command } from "../define.ts";
import { exitCode } from "../exit-codes.ts";
import { readManifestsChecked } from "../manifest-files.ts";
import { money } from "../output/bar.ts";

export const planCommand = command({
  usage: "plan",
  summary: "Show what an apply of the files would change",
  exits: [exitCode.ok, exitCode.error, exitCode.changes, exitCode.interrupted],
  examples: [
    ["plan -f fleet.yaml", "exit code 0: nothing to change, 2: changes, 1: error"],
    ["plan -o json", "the changes for a script, with the revision they were planned against"],
  ],
  run: async (run) => {
    const { texts } = await readManifestsChecked(run.io.cwd, run.options.file);
    const client = await run.client();
    const plan = await client.plan({ body: texts, signal: run.io.signal });
    run.emit(plan, () => planText(plan));
    return plan.changes.length === 0 ? exitCode.ok : exitCode.changes;
  },
});

export function planText(plan: PlanView): string {
  const lines = plan.changes.map((change) => `  ${changeText(change)}`);
  const notes = plan.notes.map((note) => `  note: ${note}`);
  const head =
    plan.changes.length === 0
      ? `Fleet ${plan.fleet} is what the files say`
      : `Fleet ${plan.fleet}: ${plan.changes.length} ${plan.changes.length === 1 ? "change" : "changes"}`;
  return `${[head, ...lines, ...affectedLines(plan), ...costLines(plan.cost), ...notes].join("\n")}\n`;
}

/** Changes of more stamps than these are one line: the sum says it. */
const stampsPriced = 12;

function costLines(cost: PlanView["cost"]): string[] {
  if (cost === undefined) return [];
  const { currency, before, after, changes, unpriced } = cost;
  const signed = (value: number) => `${value < 0 ? "-" : "+"}${money(Math.abs(value), currency)}`;
  const each = changes.slice(0, stampsPriced).map((row) => `  ${signed(row.monthly)} a month for stamp ${row.stamp}`);
  const rest = changes.slice(stampsPriced);
  const restSum = rest.reduce((sum, row) => sum + row.monthly, 0);
  const more = rest.length === 0 ? [] : [`  ${signed(restSum)} a month for ${rest.length} more stamps`];
  const sum = changes.length === 0 ? "as now" : `${signed(after - before)}, from ${money(before, currency)}`;
  const missing = unpriced.length === 0 ? [] : [`  note: no price for ${unpriced.join(", ")}: it costs more than this`];
  return [...each, ...more, `  cost: ${money(after, currency)} a month, ${sum}`, ...missing];
}

/** Whom it reaches, where it reaches anybody. */
function affectedLines({ changes, affected }: PlanView): string[] {
  if (changes.length === 0 || affected === undefined || affected.tenants === 0) return [];
  const { tenants, total, stamps } = affected;
  const where = stamps.length === 0 ? "" : `, on ${stamps.length} ${stamps.length === 1 ? "stamp" : "stamps"}`;
  return [`  reaches: ${tenants} of ${total} ${total === 1 ? "tenant" : "tenants"}${where}`];
}

function changeText(change: PlanView["changes"][number]): string {
  const tenants = "tenants" in change ? change.tenants : undefined;
  return tenants === undefined
    ? bareText(change)
    : `${bareText(change)} (${tenants} ${tenants === 1 ? "tenant" : "tenants"})`;
}

function bareText(change: PlanView["changes"][number]): string {
  switch (change.kind) {
    case "release-create":
      return `+ release ${change.version} (${short(change.digest)})`;
    case "routing-update":
      return change.rules === undefined || change.rules.length === 0
        ? "~ routing rules"
        : `~ routing: ${change.rules.join(", ")}`;
    case "policy-update":
      return `~ fleet: ${change.fields.join(", ")}`;
    case "pool-create":
      return `+ pool ${change.pool}`;
    case "pool-update":
      return `~ pool ${change.pool}: ${change.fields.join(", ")}`;
    case "stamp-create":
      return `+ stamp ${change.stamp} in ${change.region}, pool ${change.pool}`;
    case "stamp-update":
      return `~ stamp ${change.stamp} from ${short(change.from)} to ${short(change.to)}`;
  }
}

function short(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, 12);
}
