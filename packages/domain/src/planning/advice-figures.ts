import type { AdviceInput, AdviceKey, Answers } from "./advice-input.ts";

/** One number of an advice, and how it came about. */
export interface Figure {
  readonly key: string;
  readonly what: string;
  /** Absent when it never comes about. */
  readonly value?: number;
  readonly unit: "share" | "months" | "hours" | "money" | "stamps" | "tenants" | "tenant-hours" | "times";
  /** The formula with its numbers. */
  readonly how: string;
}

/** What an advice takes for granted beside the answers: rules of thumb, written down so that they can be argued with. */
export const adviceAssumptions = {
  /** Of a system's cost, the share that a second copy has again however little it carries. */
  fixedCostShare: 0.25,
  /** Share of incidents that reach every stamp all the same: router, network, provider, a person. */
  everywhereShare: 0.2,
  /** A stamp is planned to be filled to this share. */
  fill: 0.7,
  /** Engineer-hours per month: for having a fleet at all, and per stamp. */
  fleetHours: 6,
  stampHours: 1.5,
  /** Engineer-hours of watching per release in waves. */
  releaseHours: 0.25,
  /** Engineer-hours, once: when every row names its tenant, and when that has to be built first. */
  readyHours: 160,
  unreadyHours: 520,
  /** Hours per engineer and month. */
  monthHours: 130,
  /** Months over which work done once is spread. */
  spreadMonths: 24,
} as const;

/** The figures that a verdict is made from. `undefined`: an answer is missing, and no number is made up. */
export interface AdviceNumbers {
  readonly stamps: number;
  readonly costNow: number;
  readonly costStamps: number;
  readonly affected: number;
  readonly worstStampLoad: number;
  readonly tenantHoursNow: number;
  readonly tenantHoursStamps: number;
  readonly hoursPerMonth: number;
  readonly hoursOnce: number;
  readonly teamShare: number;
  readonly runway: number;
  readonly runwayBiggest: number;
  readonly saved: number | undefined;
  readonly net: number | undefined;
}

export interface ReckonedAdvice {
  readonly numbers: AdviceNumbers;
  readonly figures: readonly Figure[];
}

export function reckonAdvice(input: AdviceInput, answers: Answers): ReckonedAdvice {
  const a = adviceAssumptions;
  const of = (key: AdviceKey) => answers[key]?.value ?? 0;
  const figures: Figure[] = [];
  const say = (key: string, what: string, value: number, unit: Figure["unit"], how: string) => {
    figures.push({ key, what, ...(Number.isFinite(value) ? { value } : {}), unit, how });
    return value;
  };
  const growth = of("growthPerMonth");
  const runway = monthsUntil(1 / of("load"), growth);
  say("runway", "Until the one system is full", runway, "months", `ln(1 / ${of("load")}) / ln(1 + ${growth})`);
  const runwayBiggest = monthsUntil(of("canGrow") / of("load"), growth);
  const biggestHow = `ln(${of("canGrow")} / ${of("load")}) / ln(1 + ${growth})`;
  say("runwayBiggest", "Until the biggest machine is full", runwayBiggest, "months", biggestHow);

  const stamps = stampsFor(of, answers.stamps?.value, say);
  const cost = costs(of, stamps, answers.stampCost?.value, say);
  const affectedHow = `${a.everywhereShare} + (1 - ${a.everywhereShare}) / ${stamps}`;
  const affected = a.everywhereShare + (1 - a.everywhereShare) / stamps;
  say("affected", "Tenants that an incident hits, on average; now it is all", affected, "share", affectedHow);
  const worst = Math.max(of("biggestShare"), 1 / stamps);
  say(
    "worstStampLoad",
    "Load on the fullest stamp, at least",
    worst,
    "share",
    `max(${of("biggestShare")}, 1 / ${stamps})`,
  );
  const outageHours = of("incidentsPerYear") * of("incidentHours");
  const tenantHoursNow = outageHours * of("tenants");
  const outageHow = `${of("incidentsPerYear")} x ${of("incidentHours")} h x ${of("tenants")} tenants`;
  say("tenantHoursNow", "Outage per year now", tenantHoursNow, "tenant-hours", outageHow);
  const tenantHoursStamps = tenantHoursNow * affected;
  const lessHow = `${round(tenantHoursNow)} x ${round(affected, 3)}`;
  say("tenantHoursStamps", `Outage per year with ${stamps} stamps`, tenantHoursStamps, "tenant-hours", lessHow);

  const work = workOf(of, stamps, input.tenantKey === true, say);
  const rate = of("hourCost");
  const outageHourCost = answers.outageHourCost?.value;
  const saved = outageHourCost === undefined ? undefined : (outageHours * outageHourCost * (1 - affected)) / 12;
  let net: number | undefined;
  if (saved !== undefined) {
    const savedHow = `${of("incidentsPerYear")} x ${of("incidentHours")} h x ${outageHourCost} x (1 - ${round(affected, 3)}) / 12`;
    say("saved", "Outage cost avoided per month", saved, "money", savedHow);
    const hours = work.hoursPerMonth + work.hoursOnce / a.spreadMonths;
    net = saved - (cost.costStamps - cost.costNow) - hours * rate;
    const netHow = `${round(saved)} - (${round(cost.costStamps)} - ${round(cost.costNow)}) - ${round(hours, 1)} h x ${rate}`;
    say("net", "What stamps bring per month, after their cost", net, "money", netHow);
  }
  const numbers = { stamps, ...cost, affected, worstStampLoad: worst, tenantHoursNow, tenantHoursStamps, ...work };
  return { numbers: { ...numbers, runway, runwayBiggest, saved, net }, figures };
}

type Of = (key: AdviceKey) => number;
type Say = (key: string, what: string, value: number, unit: Figure["unit"], how: string) => number;

function stampsFor(of: Of, given: number | undefined, say: Say): number {
  if (given !== undefined) return say("stamps", "Stamps compared with", given, "stamps", "given");
  const { fill } = adviceAssumptions;
  const inAYear = of("load") * (1 + of("growthPerMonth")) ** 12;
  const stamps = Math.max(2, 1 + of("residencyRegions"), Math.ceil(inAYear / fill));
  const how = `max(2, 1 + ${of("residencyRegions")} regions, ${of("load")} x (1 + ${of("growthPerMonth")})^12 / ${fill})`;
  return say("stamps", "Stamps compared with", stamps, "stamps", how);
}

function costs(of: Of, stamps: number, each: number | undefined, say: Say): { costNow: number; costStamps: number } {
  const costNow = of("monthlyCost");
  const { fixedCostShare: fixed } = adviceAssumptions;
  const costStamps = each === undefined ? costNow * (1 - fixed + fixed * stamps) : each * stamps;
  const how = each === undefined ? `${costNow} x (1 - ${fixed} + ${fixed} x ${stamps})` : `${stamps} x ${each}`;
  say("costNow", "The one system, per month", costNow, "money", "monthly cost");
  say("costStamps", `${stamps} stamps, per month`, costStamps, "money", how);
  return { costNow, costStamps };
}

function workOf(of: Of, stamps: number, hasKey: boolean, say: Say) {
  const a = adviceAssumptions;
  const releases = of("releasesPerWeek");
  const hoursPerMonth = a.fleetHours + a.stampHours * stamps + releases * 4.33 * a.releaseHours;
  const perMonthHow = `${a.fleetHours} + ${a.stampHours} x ${stamps} stamps + ${releases} x 4.33 x ${a.releaseHours}`;
  say("hoursPerMonth", "Work with a fleet, per month", hoursPerMonth, "hours", perMonthHow);
  const hoursOnce = hasKey ? a.readyHours : a.unreadyHours;
  const onceHow = hasKey ? "every row names its tenant already" : "rows have to be given their tenant first";
  say("hoursOnce", "Work to get there, once", hoursOnce, "hours", onceHow);
  const teamHours = of("team") * a.monthHours;
  const teamShare = hoursPerMonth / teamHours;
  const shareHow = `${round(hoursPerMonth, 1)} h / (${of("team")} x ${a.monthHours} h)`;
  say("teamShare", "Of the team's time", teamShare, "share", shareHow);
  return { hoursPerMonth, hoursOnce, teamShare };
}

/** Months until load has grown by this factor; 0 when it is there, infinite when it does not grow. */
function monthsUntil(factor: number, growth: number): number {
  if (factor <= 1) return 0;
  return growth <= 0 ? Number.POSITIVE_INFINITY : Math.log(factor) / Math.log(1 + growth);
}

export function round(value: number, digits = 0): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}
