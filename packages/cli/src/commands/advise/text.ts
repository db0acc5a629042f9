import type { Advice } from "@stampyard/api";
import { wrapWords } from "../../demo/live-lines.ts";
import { amount, percent, wholeMoney } from "../../output/bar.ts";
import type { Style } from "../../output/style.ts";
import { table } from "../../output/table.ts";
import { optionOf } from "./answers.ts";

const verdicts = {
  yes: "Yes, stamps pay",
  "for-some": "For some: a stamp for those who need one, and not for all",
  prepare: "Not yet, but prepare",
  "not-yet": "Not yet: stamps do not pay",
} as const;

export interface AdviceTextOptions {
  readonly columns: number;
  readonly style: Style;
  readonly currency: string | undefined;
  /** Names of answers that the fleet gave. */
  readonly fromFleet: readonly string[];
  /** Every number with its formula, and every assumption. */
  readonly isLong: boolean;
}

export function adviceText(advice: Advice, options: AdviceTextOptions): string {
  const { style, columns } = options;
  const head = `${style.bold(verdicts[advice.verdict])}\n${wrapped(`Because ${advice.because}.`, "", columns)}`;
  const parts = [
    head,
    listOf("For stamps", advice.reasonsFor, columns, style),
    listOf("Against", advice.reasonsAgainst, columns, style),
    listOf(
      advice.verdict === "yes" ? "Worth doing beside" : "What to do instead, the most effective first",
      advice.instead.map(({ what, why }) => `${what}: ${why}`),
      columns,
      style,
    ),
    options.isLong ? figuresOf(advice, options) : "",
    assumedOf(advice, options),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function listOf(title: string, lines: readonly string[], columns: number, style: Style): string {
  if (lines.length === 0) return "";
  return `${style.bold(title)}\n${lines.map((line) => wrapped(`- ${line}`, "  ", columns)).join("")}`;
}

function wrapped(text: string, indent: string, columns: number): string {
  return wrapWords(text, Math.max(20, columns - indent.length))
    .map((line, n) => `${n === 0 ? "" : indent}${line}\n`)
    .join("");
}

function figuresOf(advice: Advice, { style, currency, fromFleet }: AdviceTextOptions): string {
  const width = Math.max(...advice.figures.map((figure) => figure.what.length));
  const figures = advice.figures
    .map(
      (figure) => `${figure.what.padEnd(width)}  ${shownOf(figure, currency)}\n${style.dim(`    = ${figure.how}`)}\n`,
    )
    .join("");
  const inputs = table(
    ["answer", "value", "from"],
    advice.inputs.map(({ key, value, from }) => [
      optionOf(key),
      `${value}`,
      fromFleet.includes(key) ? "the fleet" : from,
    ]),
  );
  return `${style.bold("Numbers")}\n${figures}\n${style.bold("Made from")}\n${inputs}`;
}

function shownOf(figure: Advice["figures"][number], currency: string | undefined): string {
  const { value, unit } = figure;
  if (value === undefined) return "never";
  switch (unit) {
    case "share":
      return percent(value);
    case "money":
      return currency === undefined ? amount(Math.round(value)) : wholeMoney(value, currency);
    case "hours":
      return `${amount(value)} h`;
    case "months":
      return `${amount(value)} months`;
    default:
      return amount(value);
  }
}

function assumedOf(advice: Advice, { columns, style, isLong }: AdviceTextOptions): string {
  const assumed = advice.inputs.filter((row) => row.from === "assumed").length;
  if (assumed === 0) return isLong ? "" : style.dim("--long shows every number with its formula\n");
  const most = advice.missing.slice(0, 3).map((ask) => ask.charAt(0).toLowerCase() + ask.slice(1));
  const ask = most.length === 0 ? "" : ` What would say most: ${most.join("; ")}.`;
  const more = isLong ? "" : " --long shows them, and every formula.";
  const all = `${assumed} of ${advice.inputs.length} answers are assumed.${ask}${more}`;
  return style.dim(wrapped(all, "", columns));
}
