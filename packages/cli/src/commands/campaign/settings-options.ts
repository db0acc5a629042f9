import type { CampaignAskedView } from "@stampyard/api";
import type { Command } from "commander";
import { numberIn } from "../../define.ts";
import { durationIn } from "../../output/quantity.ts";
import { longestPauseMs, longestWayBackMs, shortestPauseMs } from "../move/limits.ts";

const dayMs = 86_400_000;

export interface SettingsOptions {
  readonly concurrency?: number;
  readonly maxPause?: number;
  readonly wayBack?: number;
  readonly pauseBudget?: number;
  readonly tries?: number;
  readonly finishWaysBack?: boolean;
}

export function addSettingsOptions(command: Command): Command {
  return command
    .option("--concurrency <moves>", "moves at a time (default 2)", wholeIn("concurrency", 1, 64))
    .option(
      "--max-pause <time>",
      "longest write pause of one try (default 2s)",
      durationIn("max-pause", shortestPauseMs, longestPauseMs),
    )
    .option(
      "--way-back <time>",
      "how long old copies are kept, for move rollback; 0 = not at all (default 1h)",
      durationIn("way-back", 0, longestWayBackMs),
    )
    .option(
      "--pause-budget <time>",
      "most write pauses of one tenant a day (default: two moves at their worst)",
      durationIn("pause-budget", shortestPauseMs, dayMs),
    )
    .option("--tries <moves>", "most moves of one tenant a day (default 3)", wholeIn("tries", 1, 100))
    .option("--finish-ways-back", "end ways back of earlier moves that stand in the way, instead of waiting for them");
}

function wholeIn(name: string, min: number, max: number): (text: string) => number {
  return (text) => Math.trunc(numberIn(name, min, max)(text));
}

export function settingsAsked(options: SettingsOptions): CampaignAskedView {
  const { concurrency, maxPause, wayBack, pauseBudget, tries, finishWaysBack } = options;
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(maxPause === undefined ? {} : { maxPauseMs: maxPause }),
    ...(wayBack === undefined ? {} : { wayBackMs: wayBack }),
    ...(pauseBudget === undefined ? {} : { pauseBudgetMs: pauseBudget }),
    ...(tries === undefined ? {} : { triesPerDay: tries }),
    ...(finishWaysBack === true ? { finishWaysBack } : {}),
  };
}
