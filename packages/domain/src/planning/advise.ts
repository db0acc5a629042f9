import { type AdviceNumbers, type Figure, reckonAdvice, round } from "./advice-figures.ts";
import { type AdviceInput, type AdviceKey, type Answers, adviceQuestions, answersOf } from "./advice-input.ts";

/**
 * `yes`: stamps pay. `for-some`: only those who demand one get a stamp. `prepare`: not today, but the ceiling is in
 * sight. `not-yet`: something simpler does it.
 */
export type Verdict = "yes" | "for-some" | "prepare" | "not-yet";

export interface Advice {
  readonly verdict: Verdict;
  /** One sentence with the number that decided. */
  readonly because: string;
  readonly reasonsFor: readonly string[];
  readonly reasonsAgainst: readonly string[];
  /** What to do now, the most effective first; also beside stamps. */
  readonly instead: readonly { readonly what: string; readonly why: string }[];
  readonly figures: readonly Figure[];
  readonly inputs: readonly {
    readonly key: AdviceKey;
    readonly ask: string;
    readonly value: number;
    readonly from: "given" | "assumed";
  }[];
  /** Answers that would make it more certain. */
  readonly missing: readonly string[];
}

/** Below so many tenants a person keeps a list of them in mind, and a fleet has nothing to automate. */
const fewTenants = 10;
/** Getting ready for stamps takes half a year beside other work; with less time left it must begin now. */
const readyMonths = 9;
const sightMonths = 24;
const muchOfTeam = 0.2;

/** Says in numbers whether stamps pay yet, and what to do if not. Every number has its formula. @throws StampyardError INVALID_REQUEST */
export function advise(input: AdviceInput): Advice {
  const answers = answersOf(input);
  const { numbers, figures } = reckonAdvice(input, answers);
  const money: Money = (value) => (input.currency === undefined ? whole(value) : `${input.currency} ${whole(value)}`);
  const { verdict, because } = decide(answers, numbers, money);
  return {
    verdict,
    because,
    reasonsFor: reasonsFor(answers, numbers, money),
    reasonsAgainst: reasonsAgainst(answers, numbers, money),
    instead: insteadOf(input, answers, numbers),
    figures,
    inputs: adviceQuestions.flatMap(({ key, ask }) => {
      const known = answers[key];
      return known === undefined ? [] : [{ key, ask, ...known }];
    }),
    missing: missingOf(answers),
  };
}

type Money = (value: number) => string;

function decide(answers: Answers, n: AdviceNumbers, money: Money): { verdict: Verdict; because: string } {
  const of = (key: AdviceKey) => answers[key]?.value ?? 0;
  const regions = of("residencyRegions");
  const demands = of("dedicatedDemands");
  if (regions > 0)
    return {
      verdict: "yes",
      because: `customers demand ${regions} more ${plural(regions, "region")}, and one system is in one place`,
    };
  if (of("tenants") < fewTenants) {
    if (demands > 0) return { verdict: "for-some", because: dedicatedBecause(demands) };
    return {
      verdict: "not-yet",
      because: `${of("tenants")} ${plural(of("tenants"), "tenant")} can be looked after one by one`,
    };
  }
  if (n.runwayBiggest <= readyMonths) {
    return {
      verdict: "yes",
      because: `in ${months(n.runwayBiggest)} even the biggest machine is full, and getting ready takes about six`,
    };
  }
  const tooMuch = n.teamShare > muchOfTeam;
  if (n.net !== undefined && n.net > 0 && !tooMuch) {
    return { verdict: "yes", because: `they bring ${money(n.net)} per month more than they cost` };
  }
  if (demands > 0) return { verdict: "for-some", because: dedicatedBecause(demands) };
  if (n.runwayBiggest <= sightMonths) {
    return { verdict: "prepare", because: `in ${months(n.runwayBiggest)} even the biggest machine is full` };
  }
  if (tooMuch) return { verdict: "not-yet", because: `a fleet would take ${percent(n.teamShare)} of the team's time` };
  if (n.net === undefined) {
    const left = Number.isFinite(n.runwayBiggest) ? `${months(n.runwayBiggest)} of growth left` : "room for good";
    return {
      verdict: "not-yet",
      because: `one system has ${left}, and nothing given here says that outages cost more than stamps`,
    };
  }
  return { verdict: "not-yet", because: `they cost ${money(-n.net)} per month more than they bring` };
}

function dedicatedBecause(demands: number): string {
  return `${demands} ${plural(demands, "customer")} ${demands === 1 ? "demands" : "demand"} a system of their own; the others can stay together`;
}

function reasonsFor(answers: Answers, n: AdviceNumbers, money: Money): string[] {
  const of = (key: AdviceKey) => answers[key]?.value ?? 0;
  const out: string[] = [];
  out.push(
    `An incident hits ${percent(n.affected)} of the tenants instead of all: ${whole(n.tenantHoursNow - n.tenantHoursStamps)} tenant-hours of outage less per year`,
  );
  if (of("residencyRegions") > 0)
    out.push(`${of("residencyRegions")} more ${plural(of("residencyRegions"), "region")} can be served`);
  if (of("dedicatedDemands") > 0)
    out.push(`${of("dedicatedDemands")} ${plural(of("dedicatedDemands"), "customer")} can have a stamp alone`);
  if (n.runwayBiggest <= sightMonths)
    out.push(`The ceiling of one system is ${months(n.runwayBiggest)} away, and a fleet has none`);
  if (n.saved !== undefined) out.push(`Outages cost ${money(n.saved)} less per month`);
  return out;
}

function reasonsAgainst(answers: Answers, n: AdviceNumbers, money: Money): string[] {
  const of = (key: AdviceKey) => answers[key]?.value ?? 0;
  const out: string[] = [];
  const extra = n.costStamps - n.costNow;
  if (extra > 0) out.push(`${n.stamps} stamps cost ${money(extra)} more per month than one system`);
  out.push(
    `They take ${round(n.hoursPerMonth)} hours per month (${percent(n.teamShare)} of the team) and ${n.hoursOnce} hours once`,
  );
  if (of("biggestShare") > 1 / n.stamps) {
    out.push(
      `The biggest tenant makes ${percent(of("biggestShare"))} of the load, and a stamp does not split a tenant`,
    );
  }
  if (n.runwayBiggest > sightMonths) {
    const left = Number.isFinite(n.runwayBiggest) ? `lasts ${months(n.runwayBiggest)}` : "is never full at this growth";
    out.push(`One system, made bigger, ${left}`);
  }
  if (of("tenants") < fewTenants) out.push(`${of("tenants")} tenants are few: no fleet has to be automated for them`);
  return out;
}

function insteadOf(input: AdviceInput, answers: Answers, n: AdviceNumbers): Advice["instead"] {
  const of = (key: AdviceKey) => answers[key]?.value ?? 0;
  const out: { what: string; why: string; weight: number }[] = [];
  const add = (weight: number, what: string, why: string) => out.push({ what, why, weight });
  const { load, growth } = { load: of("load"), growth: of("growthPerMonth") };
  if (of("canGrow") > 1 && Number.isFinite(n.runwayBiggest)) {
    const gained = n.runwayBiggest - n.runway;
    add(
      load * 2,
      "A bigger database machine",
      `it can carry ${of("canGrow")} times as much: ${months(gained)} more at ${percent(growth)} growth per month`,
    );
  }
  if (of("readShare") >= 0.5) {
    const left = load * (1 - of("readShare"));
    add(
      load * of("readShare") * 1.8,
      "Read replicas",
      `${percent(of("readShare"))} of the load only reads: ${percent(left)} of the ceiling would be left on the writer`,
    );
  }
  const releaseIncidents = of("incidentsPerYear") * of("releaseIncidentShare");
  if (releaseIncidents >= 1) {
    add(
      releaseIncidents / 6,
      "Releases to a few tenants first, by a flag per tenant",
      `releases cause ${round(releaseIncidents, 1)} of ${of("incidentsPerYear")} incidents per year`,
    );
  }
  if (of("biggestShare") >= 0.15) {
    add(
      of("biggestShare") * 2,
      "Limits per tenant, and a queue of its own for the biggest",
      `it makes ${percent(of("biggestShare"))} of the load, which all others feel`,
    );
  }
  if (input.tenantKey !== true) {
    add(
      0.4,
      "The tenant's key in every row",
      `every later way needs it, also stamps: it is most of the ${n.hoursOnce} hours`,
    );
  }
  if (load >= 0.3)
    add(
      load * 0.8,
      "Large tables partitioned by tenant",
      "old data and big tenants get out of each other's way, on the same machine",
    );
  if (n.runwayBiggest <= sightMonths || of("dedicatedDemands") > 0) {
    add(
      0.35,
      "Adopting what runs as stamp zero",
      "it changes nothing, and the second stamp is then a decision of a day",
    );
  }
  return out.sort((a, b) => b.weight - a.weight).map(({ what, why }) => ({ what, why }));
}

/** The answers that decide most, when they were not given. */
function missingOf(answers: Answers): string[] {
  const deciding: readonly AdviceKey[] = ["load", "growthPerMonth", "monthlyCost", "outageHourCost", "team"];
  return adviceQuestions
    .filter(({ key }) => deciding.includes(key) && answers[key]?.from !== "given")
    .map(({ ask }) => ask);
}

function months(count: number): string {
  if (count < 1) return "less than a month";
  if (count > 120) return "more than 10 years";
  const whole = Math.round(count);
  return `${whole} ${plural(whole, "month")}`;
}

/** 12,345: figures of companies are read in groups. */
function whole(value: number): string {
  return String(round(value)).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

function percent(share: number): string {
  const value = share * 100;
  return `${value < 10 ? round(value, 1) : round(value)}%`;
}

function plural(count: number, word: string): string {
  return count === 1 ? word : `${word}s`;
}
