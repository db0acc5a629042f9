import type { CapacityView, PoolCapacityView, UnitUseView } from "@stampyard/api";
import { command } from "../../define.ts";
import { amount, bar, fullness, money, percent } from "../../output/bar.ts";
import { type Style, widthOf } from "../../output/style.ts";

interface Options {
  readonly pool?: string;
  readonly all?: boolean;
}

/** Stamps shown per pool without --all. */
const shown = 8;

export const capacityShow = command<Options>({
  usage: "show",
  summary: "Show how full every pool and stamp is, in every unit, the fullest first",
  about:
    "A stamp is full when any unit is: 30% of one and 95% of another is full. Used is the larger of what tenants have reserved and what was measured; `reserved` beside a stamp says that nothing was measured lately.",
  options: (c) =>
    c.option("--pool <name>", "only this pool").option("--all", `every stamp, and not the ${shown} fullest`),
  examples: [
    ["capacity show", "every pool, and its fullest stamps"],
    ["capacity show --pool shared --all", "every stamp of one pool"],
    ["capacity show -o json", "limit, reserved, observed, used and free of every unit, for a script"],
  ],
  run: async (run) => {
    const client = await run.client();
    const { pool, all } = run.options;
    const capacity = await client.capacityGet({
      ...(pool === undefined ? {} : { query: { pool } }),
      signal: run.io.signal,
    });
    const most = all === true ? Number.POSITIVE_INFINITY : shown;
    run.emit(capacity, () => capacityText(capacity, run.io.out.columns, run.style, most));
  },
});

export function capacityText(capacity: CapacityView, columns: number, style: Style, most: number): string {
  if (capacity.pools.length === 0) return "No pools: apply a fleet first (stampyard apply)\n";
  const pools = [...capacity.pools].sort((a, b) => (b.tightest?.share ?? -1) - (a.tightest?.share ?? -1));
  return pools.map((pool) => poolText(pool, columns, style, most)).join("\n");
}

function poolText(pool: PoolCapacityView, columns: number, style: Style, most: number): string {
  const lines = [style.bold(headOf(pool)), ...nextOf(pool).map((line) => `  ${line}`)];
  const widths = widthsOf(pool, columns);
  for (const unit of pool.units) lines.push(`  ${unitLine("", unit, pool, widths, style)}`);
  for (const row of pool.stamps.slice(0, most)) {
    const trouble = row.takesTenants ? "" : `, ${row.phase === "active" ? "takes no tenants" : row.phase}`;
    const over = row.over ? style.bad(", over its limits") : "";
    lines.push(`  ${style.bold(row.stamp)} in ${row.region}${trouble}, ${row.basis}${over}`);
    for (const unit of row.units) lines.push(`    ${unitLine("  ", unit, pool, widths, style)}`);
  }
  const rest = pool.stamps.slice(most);
  if (rest.length > 0) {
    const fullest = rest[0]?.tightest?.share ?? 0;
    lines.push(style.dim(`  and ${rest.length} more, none above ${percent(fullest)}; --all shows them`));
  }
  return `${lines.join("\n")}\n`;
}

function headOf(pool: PoolCapacityView): string {
  const { tightest, stamps } = pool;
  const taking = stamps.filter((row) => row.takesTenants).length;
  const count = `${taking} of ${stamps.length} ${stamps.length === 1 ? "stamp takes" : "stamps take"} tenants`;
  const fullest = tightest === undefined ? "" : `, ${percent(tightest.share)} of ${tightest.unit} used`;
  return `Pool ${pool.pool} (${pool.tenancy}): ${count}${fullest}`;
}

/** What one more stamp would hold and cost; regions beyond the third are left to JSON. */
function nextOf({ newStamp, stampCost, rules, stamps }: PoolCapacityView): string[] {
  const units = Object.entries(newStamp).sort(([a], [b]) =>
    a === "tenants" ? -1 : b === "tenants" ? 1 : a < b ? -1 : 1,
  );
  const holds = units.map(([unit, limit]) => `${amount(limit)} ${limit === 1 && unit === "tenants" ? "tenant" : unit}`);
  const left = Math.max(0, rules.stamps.max - stamps.length);
  const lines = [`The next stamp holds ${holds.join(", ") || "nothing known"}; ${left} more allowed`];
  if (stampCost === undefined) return lines;
  const costs = Object.entries(stampCost.regions).map(
    ([region, cost]) => `${money(cost, stampCost.currency)} in ${region}`,
  );
  return [...lines, `A month of it costs ${costs.slice(0, 3).join(", ")}${costs.length > 3 ? ", …" : ""}`];
}

interface Widths {
  readonly unit: number;
  readonly bar: number;
  readonly of: number;
}

function widthsOf(pool: PoolCapacityView, columns: number): Widths {
  const all = [...pool.units, ...pool.stamps.flatMap((row) => row.units)];
  const unit = Math.max(7, ...all.map((row) => row.unit.length));
  const of = Math.max(10, ...all.map((row) => widthOf(ofLimit(row))));
  // Indent, percentage and what is free take the rest of a line.
  return { unit, of, bar: Math.max(6, Math.min(30, columns - unit - of - 30)) };
}

function unitLine(indent: string, unit: UnitUseView, pool: PoolCapacityView, widths: Widths, style: Style): string {
  const paint = fullness(unit.share, pool.rules, style);
  const room = Math.max(4, widths.bar - indent.length);
  const free = unit.used > unit.limit ? `${amount(unit.used - unit.limit)} over` : `${amount(unit.free)} free`;
  return [
    unit.unit.padEnd(widths.unit),
    paint(bar(unit.share, room)),
    percent(unit.share).padStart(5),
    ofLimit(unit).padStart(widths.of),
    free,
  ].join("  ");
}

function ofLimit(unit: UnitUseView): string {
  return `${amount(unit.used)} of ${amount(unit.limit)}`;
}
