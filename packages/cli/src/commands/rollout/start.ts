import type { RolloutStartBody } from "@stampyard/api";
import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { durationIn } from "../../output/quantity.ts";
import { findRelease, releaseArgument } from "../release/find-release.ts";
import { previewText } from "./preview-text.ts";
import { addWatchOptions, followExits, type WatchOptions, watchToEnd } from "./watch-options.ts";

interface Options extends WatchOptions {
  readonly release?: string;
  readonly dryRun?: boolean;
  readonly canary?: string;
  readonly bake?: number;
  readonly maxUnavailable?: number;
  readonly components?: string;
  readonly hotfix?: boolean;
  readonly overrideFreeze?: boolean;
  readonly reason?: string;
  readonly detach?: boolean;
}

/** 14 days, as the API takes it. */
const longestBakeMs = 1_209_600_000;

export const rolloutStart = command<Options>({
  usage: "start",
  summary: "Bring a release to the stamps, wave by wave, watched against evidence; or show what that would be",
  about: `${releaseArgument} It follows the rollout to its end, as rollout watch does.`,
  streams: true,
  exits: followExits,
  options: (c) =>
    addWatchOptions(
      c
        .option("--release <release>", "which one (default: what was applied last)")
        .option("--dry-run", "show waves, canary, who is left out, and what the gate could see; change nothing")
        .option("--canary <stamp>", "this stamp goes first, whatever its traffic")
        .option(
          "--bake <time>",
          "how long waves are watched, e.g. 10m, but for those that the fleet file gives a time of their own",
          durationIn("bake", 0, longestBakeMs),
        )
        .option(
          "--max-unavailable <stamps>",
          "stamps of a wave that are updated at a time",
          numberIn("max-unavailable", 1, 100),
        )
        .option("--components <names>", "only these parts of a stamp, e.g. db,cache; the rest stays as it runs")
        .option("--hotfix", "before queued ones, without canary bake and freeze windows; wants a reason")
        .option("--override-freeze", "also while a freeze stops rollouts; wants a reason")
        .option("--reason <text>", "why, for the audit")
        .option("--detach", "return at once; it goes on by itself"),
    ),
  examples: [
    ["rollout start --dry-run", "who goes when, and whether the gate can see enough"],
    ["rollout start --release 2.1.0 --bake 10m", "and watch it to its end"],
    ["rollout start --components db --detach", "a newer database for every stamp, nothing else"],
    ['rollout start --hotfix --reason "CVE-2026-1234"', "a security mend"],
  ],
  run: async (run) => {
    const { signal } = run.io;
    const { dryRun, release, detach } = run.options;
    const body = bodyOf(run.options);
    const client = await run.client();
    const found = release === undefined ? undefined : await findRelease(client, release, signal);
    const answer = await client.rolloutStart({
      query: { dryRun: dryRun === true },
      body: { ...body, ...(found === undefined ? {} : { release: found.digest }) },
      signal,
    });
    if (answer.dryRun) {
      run.emit(answer.preview, () => `${previewText(answer.preview)}\nNothing was changed\n`);
      return exitCode.ok;
    }
    const { rollout } = answer;
    if (detach === true) {
      run.emit(rollout, () => `Rollout ${rollout.id} is ${rollout.phase}\n`);
      run.say(`See how it goes: stampyard rollout watch ${rollout.id}`);
      return exitCode.ok;
    }
    return watchToEnd(run, client, rollout.id);
  },
});

/** @throws CommandFailure INVALID_REQUEST for what wants a reason and has none */
function bodyOf(options: Options): RolloutStartBody {
  const { canary, bake, maxUnavailable, components, hotfix, overrideFreeze, reason } = options;
  if ((hotfix === true || overrideFreeze === true) && (reason ?? "").trim() === "") {
    throw new CommandFailure(
      "INVALID_REQUEST",
      `${hotfix === true ? "--hotfix" : "--override-freeze"} wants a reason`,
      {
        mend: "Say why with --reason; the audit keeps it.",
      },
    );
  }
  const strategy = {
    ...(canary === undefined ? {} : { canary: { stamp: canary } }),
    ...(bake === undefined ? {} : { bake: `${bake}ms` }),
    ...(maxUnavailable === undefined ? {} : { maxUnavailable: Math.trunc(maxUnavailable) }),
  };
  return {
    ...(components === undefined ? {} : { components: namesOf(components) }),
    ...(Object.keys(strategy).length === 0 ? {} : { strategy }),
    ...(hotfix === true ? { hotfix } : {}),
    ...(overrideFreeze === true ? { overrideFreeze } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
}

export function namesOf(list: string): string[] {
  return list
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
