import { resolve } from "node:path";
import type { AdviceInput, CapacitySizesView, CapacityView, Client } from "@stampyard/api";
import type { Command } from "commander";
import { command, type Run } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { readManifest } from "../../manifest-files.ts";
import { isMissing } from "../capacity/from-fleet.ts";
import { linesOf, questionsText, readAnswers } from "./answers.ts";
import { adviceText } from "./text.ts";

type Options = { readonly [name: string]: string | boolean | undefined } & {
  readonly answers?: string;
  readonly questions?: boolean;
  readonly long?: boolean;
  readonly alone?: boolean;
};

/** Of the options, those that are answers; help is shown before any package is loaded, so they are named here too. */
const asked: readonly (readonly [name: string, value: string, about: string])[] = [
  ["tenants", "count", "tenants today"],
  ["biggest-share", "share", "share of all load that the biggest tenant makes, such as 30%"],
  ["load", "share", "peak load of what the one system can carry today, such as 60%"],
  ["can-grow", "times", "how many times as much it could carry on the biggest machines to be had"],
  ["growth-per-month", "share", "growth of the load per month, such as 4%"],
  ["read-share", "share", "share of the load that only reads"],
  ["monthly-cost", "amount", "what the one system costs per month"],
  ["stamp-cost", "amount", "what one stamp would cost per month"],
  ["stamps", "count", "stamps to compare with"],
  ["team", "count", "engineers who build and run it"],
  ["hour-cost", "amount", "what an engineer's hour costs"],
  ["releases-per-week", "count", "releases per week"],
  ["incidents-per-year", "count", "outages and bad releases per year that hit everybody"],
  ["incident-hours", "hours", "how long such an incident lasts"],
  ["release-incident-share", "share", "share of these that a release caused"],
  ["outage-hour-cost", "amount", "what one hour of an outage for everybody costs"],
  ["residency-regions", "count", "regions that customers demand and the one system is not in"],
  ["dedicated-demands", "count", "customers who demand a system of their own"],
  ["tenant-key", "yes|no", "whether every row names its tenant already"],
  ["currency", "code", "of all amounts"],
];

export const adviseCommand = command<Options>({
  usage: "advise",
  summary: "Say in numbers whether stamps pay for you yet, and what to do instead if not",
  about:
    "Only the count of tenants must be known. What is not answered is assumed, and the answer says what and how much hangs on it. A fleet that runs answers for its tenants by itself; none is needed.",
  options: (c: Command) => {
    c.option("--answers <path>", "file of answers, one `name: value` per line (- reads stdin)")
      .option("--questions", "print such a file with every question, to fill in")
      .option("--long", "every number with its formula, and every assumption")
      .option("--alone", "do not ask a running fleet");
    c.optionsGroup("Answers:");
    for (const [name, value, about] of asked) c.option(`--${name} <${value}>`, about);
    return c;
  },
  examples: [
    ["advise --tenants 400 --load 60% --growth-per-month 5% --team 5 --monthly-cost 3000", "a first answer"],
    ["advise --questions > answers.txt", "every question, to fill in"],
    ["advise --answers answers.txt --long", "with every number and its formula"],
    ["advise --answers answers.txt --outage-hour-cost 5000 -o json", "options win over the file"],
  ],
  run: async (run) => {
    const { adviceQuestions, advise } = await import("@stampyard/api");
    if (run.options.questions === true) {
      run.emit({ questions: adviceQuestions }, () => questionsText(adviceQuestions));
      return;
    }
    const given = new Map(run.options.answers === undefined ? [] : linesOf(await readText(run), run.options.answers));
    for (const [name] of asked) {
      const value = run.options[camel(name)];
      if (typeof value === "string") given.set(name, { text: value, where: `--${name}` });
    }
    const answers = readAnswers(adviceQuestions, given);
    const fleet = run.options.alone === true ? {} : await fromFleet(run);
    const fromFleetKeys = Object.keys(fleet).filter((key) => answers[key as keyof AdviceInput] === undefined);
    const input = { ...fleet, ...answers };
    if (input.tenants === undefined) {
      throw new CommandFailure("INVALID_REQUEST", "How many tenants there are is not said", {
        mend: "Give --tenants; `stampyard advise --questions` prints everything that may be answered.",
      });
    }
    const advice = advise({ ...input, tenants: input.tenants });
    const { columns } = run.io.out;
    const isLong = run.options.long === true;
    run.emit({ ...advice, fromFleet: fromFleetKeys }, () =>
      adviceText(advice, {
        columns,
        style: run.style,
        currency: input.currency,
        fromFleet: fromFleetKeys,
        isLong,
      }),
    );
  },
});

function camel(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

async function readText(run: Run<Options>): Promise<string> {
  const file = run.options.answers ?? "";
  const { text } = await import("node:stream/consumers");
  if (file === "-") return text(process.stdin);
  return readManifest(resolve(run.io.cwd, file), "file of answers", "Make one with `stampyard advise --questions`.");
}

/** What a running fleet knows by itself; nothing where none runs, unless one was named. */
async function fromFleet(run: Run<Options>): Promise<Partial<AdviceInput>> {
  try {
    return await answersOf(await run.client(), run.io.signal);
  } catch (error) {
    if (run.options.server !== undefined || !isMissing(error)) throw error;
    return {};
  }
}

async function answersOf(client: Client, signal: AbortSignal): Promise<Partial<AdviceInput>> {
  const [sizes, capacity] = await Promise.all([client.capacitySizes({ signal }), client.capacityGet({ signal })]);
  const tenants = sizes.pools.reduce((sum, pool) => sum + pool.tenants, 0);
  if (tenants === 0) return {};
  const stamps = capacity.pools.reduce((sum, pool) => sum + pool.stamps.length, 0);
  const costs = capacity.pools.flatMap((pool) => Object.values(pool.stampCost?.regions ?? {}));
  const currency = capacity.pools.find((pool) => pool.stampCost !== undefined)?.stampCost?.currency;
  return {
    tenants,
    biggestShare: biggestShare(sizes, capacity),
    ...(stamps >= 2 ? { stamps } : {}),
    ...(costs.length === 0 ? {} : { stampCost: costs.reduce((sum, cost) => sum + cost, 0) / costs.length }),
    ...(currency === undefined ? {} : { currency }),
  };
}

/** Of all load in any unit, over the pools: what the biggest tenant of a pool takes there, as a share of everything. */
function biggestShare(sizes: CapacitySizesView, capacity: CapacityView): number {
  const reserved = (pool: string, unit: string) =>
    (capacity.pools.find((row) => row.pool === pool)?.stamps ?? [])
      .flatMap((stamp) => stamp.units.filter((row) => row.unit === unit))
      .reduce((sum, row) => sum + row.reserved, 0);
  const units = new Set(sizes.pools.flatMap((pool) => pool.units.map((row) => row.unit)));
  let biggest = 0;
  for (const unit of units) {
    const all = sizes.pools.reduce((sum, pool) => sum + reserved(pool.pool, unit), 0);
    for (const pool of sizes.pools) {
      const row = pool.units.find((one) => one.unit === unit);
      if (row !== undefined && all > 0)
        biggest = Math.max(biggest, (row.biggestShare * reserved(pool.pool, unit)) / all);
    }
  }
  return Math.min(1, biggest);
}
