import { StampyardError } from "../errors.ts";

/** What `advise` asks. Only `tenants` must be known; for the rest there is an assumption, and the answer names it. */
export interface AdviceInput {
  readonly tenants: number;
  /** Share of all load that the biggest tenant makes. */
  readonly biggestShare?: number;
  /** Peak load of the one system, as a share of what it can carry today. */
  readonly load?: number;
  /** How many times as much it could carry on the biggest machines one can get. */
  readonly canGrow?: number;
  /** Share by which load grows per month. */
  readonly growthPerMonth?: number;
  /** Share of the load that only reads. */
  readonly readShare?: number;
  /** Of the one system, per month. */
  readonly monthlyCost?: number;
  readonly currency?: string;
  /** Of one stamp, per month, when it is known. */
  readonly stampCost?: number;
  /** How many stamps to compare with. */
  readonly stamps?: number;
  /** Engineers who build and run it. */
  readonly team?: number;
  readonly hourCost?: number;
  readonly releasesPerWeek?: number;
  /** Outages and bad releases that hit everybody. */
  readonly incidentsPerYear?: number;
  readonly incidentHours?: number;
  /** Share of these that a release caused. */
  readonly releaseIncidentShare?: number;
  /** What one hour of an outage for everybody costs. */
  readonly outageHourCost?: number;
  /** Regions that customers demand and the one system is not in. */
  readonly residencyRegions?: number;
  /** Customers who demand a system of their own. */
  readonly dedicatedDemands?: number;
  /** Whether every row names its tenant already. */
  readonly tenantKey?: boolean;
}

interface Question {
  readonly key: Exclude<keyof AdviceInput, "currency" | "tenantKey">;
  readonly ask: string;
  /** What is assumed without an answer; `none` = the figures that need it are left out. */
  readonly otherwise: number | "none";
  readonly min: number;
  readonly max: number;
  readonly isWhole?: true;
  /** Shown as a percentage, and may be given as one. */
  readonly isShare?: true;
}

/** Every question, in the order in which a person would answer it. CLI, file and defaults come from this one table. */
export const adviceQuestions: readonly Question[] = [
  { key: "tenants", ask: "Tenants today", otherwise: "none", min: 1, max: 1e9, isWhole: true },
  {
    key: "biggestShare",
    ask: "Share of all load that the biggest tenant makes",
    otherwise: 0.1,
    min: 0,
    max: 1,
    isShare: true,
  },
  {
    key: "load",
    ask: "Peak load as a share of what the one system can carry today",
    otherwise: 0.4,
    min: 0.001,
    max: 5,
    isShare: true,
  },
  {
    key: "canGrow",
    ask: "How many times as much it could carry on the biggest machines to be had",
    otherwise: 4,
    min: 1,
    max: 1_000,
  },
  { key: "growthPerMonth", ask: "Growth of the load per month", otherwise: 0.03, min: 0, max: 1, isShare: true },
  { key: "readShare", ask: "Share of the load that only reads", otherwise: 0.7, min: 0, max: 1, isShare: true },
  { key: "monthlyCost", ask: "What the one system costs per month", otherwise: 2_000, min: 0, max: 1e12 },
  { key: "stampCost", ask: "What one stamp would cost per month, if known", otherwise: "none", min: 0, max: 1e12 },
  { key: "stamps", ask: "Stamps to compare with, if decided", otherwise: "none", min: 2, max: 10_000, isWhole: true },
  { key: "team", ask: "Engineers who build and run it", otherwise: 6, min: 0.5, max: 100_000 },
  { key: "hourCost", ask: "What an engineer's hour costs", otherwise: 80, min: 0, max: 100_000 },
  { key: "releasesPerWeek", ask: "Releases per week", otherwise: 3, min: 0, max: 10_000 },
  {
    key: "incidentsPerYear",
    ask: "Outages and bad releases per year that hit everybody",
    otherwise: 6,
    min: 0,
    max: 10_000,
  },
  { key: "incidentHours", ask: "Hours that such an incident lasts", otherwise: 1.5, min: 0, max: 1_000 },
  {
    key: "releaseIncidentShare",
    ask: "Share of these that a release caused",
    otherwise: 0.5,
    min: 0,
    max: 1,
    isShare: true,
  },
  {
    key: "outageHourCost",
    ask: "What one hour of an outage for everybody costs",
    otherwise: "none",
    min: 0,
    max: 1e12,
  },
  {
    key: "residencyRegions",
    ask: "Regions that customers demand and the one system is not in",
    otherwise: 0,
    min: 0,
    max: 1_000,
    isWhole: true,
  },
  {
    key: "dedicatedDemands",
    ask: "Customers who demand a system of their own",
    otherwise: 0,
    min: 0,
    max: 1e6,
    isWhole: true,
  },
];

export type AdviceKey = Question["key"];

/** An answer, and where it is from. */
export interface Known {
  readonly value: number;
  readonly from: "given" | "assumed";
}

export type Answers = Readonly<Partial<Record<AdviceKey, Known>>>;

/** Given answers, checked, and assumptions where there are none. @throws StampyardError INVALID_REQUEST with every fault */
export function answersOf(input: AdviceInput): Answers {
  const problems: string[] = [];
  const answers: Partial<Record<AdviceKey, Known>> = {};
  for (const { key, ask, otherwise, min, max, isWhole } of adviceQuestions) {
    const value = input[key];
    if (value === undefined) {
      if (otherwise !== "none") answers[key] = { value: otherwise, from: "assumed" };
      else if (key === "tenants") problems.push("How many tenants there are is not said");
      continue;
    }
    const fits =
      Number.isFinite(value) && value >= min && value <= max && (isWhole !== true || Number.isInteger(value));
    if (!fits) {
      problems.push(`${ask}: ${value} is no ${isWhole === true ? "whole number" : "number"} from ${min} to ${max}`);
    }
    answers[key] = { value, from: "given" };
  }
  if (problems.length === 0) return answers;
  throw new StampyardError("INVALID_REQUEST", problems[0] ?? "", {
    problems: problems.map((message) => ({ message })),
    mend: "Answer with numbers in these ranges; only tenants must be known.",
  });
}
