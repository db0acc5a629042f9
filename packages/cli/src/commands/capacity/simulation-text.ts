import type { FleetSimulation, SimulationInput } from "@stampyard/api";
import { wrapWords } from "../../demo/live-lines.ts";
import { amount, money, percent, wholeMoney } from "../../output/bar.ts";
import type { Style } from "../../output/style.ts";
import { table } from "../../output/table.ts";

/** The answer for people: how it grows, where it stands at the end, what the loss of a stamp would mean. */
export function simulationText(answer: FleetSimulation, input: SimulationInput, columns: number, style: Style): string {
  const last = answer.months.at(-1);
  if (last === undefined) return "";
  const sections = [
    `${style.bold(headOf(answer, input))}\n\n${monthTable(answer)}`,
    `${style.bold("At the end")}\n${poolTable(answer)}`,
    factsOf(answer)
      .flatMap((fact) => wrapWords(`- ${fact}`, columns).map((line, n) => (n === 0 ? line : `  ${line}`)))
      .map((line) => `${line}\n`)
      .join(""),
  ];
  return sections.join("\n");
}

function headOf(answer: FleetSimulation, input: SimulationInput): string {
  const growth = input.growthPerMonth ?? 0;
  const months = answer.months.length - 1;
  const grows = growth > 0 ? `, growing ${percent(growth)} a month for ${months} months` : "";
  return `${amount(input.tenants)} tenants${grows} (seed ${answer.seed})`;
}

/** Every month of a year; of a longer look, each quarter. */
function monthTable(answer: FleetSimulation): string {
  const step = answer.months.length > 14 ? Math.ceil((answer.months.length - 1) / 12) : 1;
  const last = answer.months.length - 1;
  const rows = answer.months.filter(({ month }) => month % step === 0 || month === last);
  const cost = answer.currency === undefined ? [] : ["cost a month"];
  return table(
    ["month", "tenants", "stamps", ...cost, "fullest", "one stamp's loss hits"],
    rows.map((row) => [
      row.month === 0 ? "now" : `+${row.month}`,
      amount(row.tenants),
      amount(row.stamps),
      ...(answer.currency === undefined ? [] : [wholeMoney(row.cost ?? 0, answer.currency)]),
      `${percent(row.fullest.share)} of ${row.fullest.unit}`,
      `${percent(row.blastRadius.worstTenants)} of tenants`,
    ]),
  );
}

function poolTable(answer: FleetSimulation): string {
  const last = answer.months.at(-1);
  const rows = (last?.pools ?? []).filter((row) => row.stamps > 0);
  const used = (row: (typeof rows)[number]) =>
    Object.entries(row.used)
      .filter(() => row.stamps > row.own)
      .map(([unit, share]) => `${unit} ${percent(share)}`)
      .join(", ");
  const cost = answer.currency === undefined ? [] : ["cost a month"];
  return table(
    ["pool", "region", "stamps", "alone", ...cost, "used"],
    rows.map((row) => [
      row.pool,
      row.region,
      amount(row.stamps),
      amount(row.own),
      ...(answer.currency === undefined ? [] : [wholeMoney(row.cost ?? 0, answer.currency)]),
      used(row),
    ]),
  );
}

function factsOf(answer: FleetSimulation): string[] {
  const facts: string[] = [];
  const last = answer.months.at(-1);
  if (last !== undefined) {
    const { worstTenants, worstLoad, averageTenants } = last.blastRadius;
    const load = worstLoad.unit === "tenants" ? "" : `, or ${percent(worstLoad.share)} of all ${worstLoad.unit}`;
    const average = `any one stamp hits ${percent(averageTenants)} on average`;
    facts.push(
      `Losing the worst stamp hits ${percent(worstTenants)} of tenants${load}; ${average}. One shared system: 100%`,
    );
  }
  facts.push(...failoverFacts(answer));
  if (answer.tooBig.tenants > 0) {
    const { unit, share } = answer.tooBig.biggest;
    facts.push(
      `${amount(answer.tooBig.tenants)} tenants are bigger than a stamp (the biggest by ${percent(share)} of ${unit}); each has one alone, over its limits. A bigger stamp, or partitioning inside the application`,
    );
  }
  for (const { pool, max, month, stamps } of answer.aboveMax) {
    const when = month === 0 ? "now" : `in month ${month}`;
    facts.push(`Pool ${pool} may have ${amount(max)} stamps and needs ${amount(stamps)} ${when}: raise stamps.max`);
  }
  if (answer.currency !== undefined && answer.totalCost !== undefined && answer.months.length > 1) {
    facts.push(`All months together cost ${money(answer.totalCost, answer.currency)}`);
  }
  if (answer.sampled !== undefined) {
    const { samples, tenantsPerSample, factor, error } = answer.sampled;
    facts.push(
      `Reckoned from ${samples} samples of ${amount(tenantsPerSample)} tenants, each standing for ${amount(factor)} of its kind: stamps within ${percent(error)}`,
    );
  }
  return [...facts, ...answer.assumptions];
}

function failoverFacts(answer: FleetSimulation): string[] {
  if (answer.failover.length === 0) return [];
  const counted = answer.failover.filter((row) => row.counts);
  if (counted.length === 0) {
    return ["No headroom for a lost stamp: without a tested restore its data cannot be taken in (--restore-tested)"];
  }
  return counted.map(({ pool, region, free, stamps }) =>
    stamps > 0
      ? `Pool ${pool} in ${region} has ${percent(free)} free, and may lose ${amount(stamps)} ${stamps === 1 ? "stamp" : "stamps"} with room for all its tenants`
      : `Pool ${pool} in ${region} has ${percent(free)} free, which is less than one stamp: a lost one does not fit (--failover)`,
  );
}
